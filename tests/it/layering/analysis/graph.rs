//! The modules of a source tree, what each path resolves to, and the edges between modules.

use std::collections::{BTreeMap, BTreeSet};

use super::items::{each_module, names};
use super::parse::{File, Path, Role, parse};

/// A module, as the path of names from the crate root. The root itself is empty.
pub(crate) type Module = Vec<String>;

/// A reference from one module to an item of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: Module,
    pub(crate) to: Module,
    /// `file:line` and the path or call as written.
    pub(crate) place: String,
    pub(crate) kind: Kind,
}

/// The kinds of dependency between files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A re-export of a submodule's item.
    ReExport,
    /// A path.
    Import,
    /// A method or associated function.
    Call,
}

/// The modules of a crate.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<Module, (String, File)>,
    syntax: BTreeMap<Module, syn::File>,
    children: BTreeMap<Module, BTreeSet<String>>,
    /// Items defined by each module.
    items: BTreeMap<Module, BTreeSet<String>>,
    /// Names bound by `use` in each module, each with its absolute path.
    bindings: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// Glob imports of each module: the source module, and `true` if the names are re-exported.
    globs: BTreeMap<Module, Vec<(Vec<String>, bool)>>,
    /// Problems of the source tree itself, such as a missing file.
    pub(crate) problems: Vec<String>,
}

impl Tree {
    /// Reads the modules reachable from `lib.rs`. `sources` maps paths relative to `src/` to their
    /// text.
    pub(crate) fn new(sources: &BTreeMap<String, String>) -> Self {
        let mut tree = Self::default();
        let mut unread: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
        let mut pending = vec![(Module::new(), "lib.rs".to_owned(), false)];
        while let Some((module, name, for_tests)) = pending.pop() {
            let Some(source) = sources.get(&name) else {
                tree.problems.push(format!("{name}: declared but missing"));
                continue;
            };
            unread.remove(name.as_str());
            let (file, syntax) = match (source.parse(), syn::parse_file(source)) {
                (Ok(tokens), Ok(syntax)) => (parse(tokens), syntax),
                (Err(error), _) => {
                    tree.problems.push(format!("{name}: {error}"));
                    continue;
                }
                (_, Err(error)) => {
                    tree.problems.push(format!("{name}:{}: {error}", error.span().start().line));
                    continue;
                }
            };
            let declared = file.declared.iter().map(|entry| (entry, for_tests));
            for ((inside, child), for_tests) in
                declared.chain(file.declared_for_tests.iter().map(|entry| (entry, true)))
            {
                let path = join(&join(&module, inside), std::slice::from_ref(child));
                if !for_tests {
                    tree.add_child(&path);
                }
                let folder = path.join("/");
                let nested = format!("{folder}/mod.rs");
                let file_name = if sources.contains_key(&nested) { nested } else { format!("{folder}.rs") };
                pending.push((path, file_name, for_tests));
            }
            if !for_tests {
                for inside in &file.inline {
                    tree.add_child(&join(&module, inside));
                }
                tree.files.insert(module.clone(), (name, file));
                tree.syntax.insert(module, syntax);
            }
        }
        tree.problems.extend(unread.iter().map(|name| format!("{name}: no module declares it")));
        let mut items: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
        tree.each_item(&mut |module, item| items.entry(module.clone()).or_default().extend(names(item)));
        tree.items = items;
        tree.bind();
        tree
    }

    /// Returns the names of the modules directly under another.
    pub(crate) fn children(&self, module: &[String]) -> BTreeSet<String> {
        self.children.get(module).cloned().unwrap_or_default()
    }

    /// Visits every non-test item, with the module that contains it.
    pub(super) fn each_item<'a>(&'a self, visit: &mut impl FnMut(&Module, &'a syn::Item)) {
        for (module, file) in &self.syntax {
            each_module(module, &file.items, visit);
        }
    }

    /// Returns the path of a file below `src`.
    pub(crate) fn name(&self, file: &Module) -> &str {
        self.files.get(file).map_or("?", |(name, _)| name)
    }

    /// Returns every path that leads from one file to another.
    pub(crate) fn imports(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (module, (name, file)) in &self.files {
            for path in &file.paths {
                let Some(to) = self.target(module, path) else { continue };
                if to != *module {
                    let place = format!("src/{name}:{}: `{}`", path.line, path.segments.join("::"));
                    let passed_on = to.starts_with(module)
                        && matches!(path.role, Role::Binding { public: true, .. } | Role::Glob { public: true });
                    let kind = if passed_on { Kind::ReExport } else { Kind::Import };
                    edges.push(Edge { from: module.clone(), to, place, kind });
                }
            }
        }
        edges
    }

    fn add_child(&mut self, path: &[String]) {
        if let Some((last, parent)) = path.split_last() {
            self.children.entry(parent.to_vec()).or_default().insert(last.clone());
        }
    }

    fn has_child(&self, module: &[String], name: &str) -> bool {
        self.children.get(module).is_some_and(|children| children.contains(name))
    }

    fn bind(&mut self) {
        let mut bindings: BTreeMap<Module, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        let mut globs: BTreeMap<Module, Vec<(Vec<String>, bool)>> = BTreeMap::new();
        for (module, (_, file)) in &self.files {
            for path in &file.paths {
                let inside = join(module, &path.inside);
                let Some(absolute) = self.absolute(&inside, &path.segments) else { continue };
                match &path.role {
                    Role::Binding { name, .. } => {
                        bindings.entry(inside).or_default().insert(name.clone(), absolute);
                    }
                    Role::Glob { public } => globs.entry(inside).or_default().push((absolute, *public)),
                    Role::Mention => {}
                }
            }
        }
        (self.bindings, self.globs) = (bindings, globs);
    }

    /// Returns the path from the crate root, unless it leads out of the crate.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<Vec<String>> {
        let mut start = module.to_vec();
        let mut rest = segments;
        match segments.first()?.as_str() {
            "crate" => {
                start.clear();
                rest = &segments[1..];
            }
            "self" => rest = &segments[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    start.pop();
                    rest = &rest[1..];
                }
            }
            first if self.has_child(module, first) => {}
            _ => return None,
        }
        Some(join(&start, rest))
    }

    /// Returns the file that defines the target of a path. Follows re-exported names to their
    /// origin.
    fn target(&self, module: &[String], path: &Path) -> Option<Module> {
        let module = join(module, &path.inside);
        let to = self.file_of(self.locate(&module, &path.segments)?.0);
        // The import itself accounts for a name that the file has imported, unless the name is a
        // module that re-exports items of others.
        let imported = self.absolute(&module, &path.segments).is_none();
        let known = imported.then(|| self.locate(&module, &path.segments[..1])).flatten();
        (known.map(|(module, _)| self.file_of(module)).as_ref() != Some(&to)).then_some(to)
    }

    /// Returns the module that a path in code leads to and the rest of the path, unless it leads
    /// out of the crate.
    pub(super) fn locate(&self, module: &[String], segments: &[String]) -> Option<(Module, Vec<String>)> {
        if let Some(absolute) = self.absolute(module, segments) {
            return Some(self.follow(absolute));
        }
        let known = self.next(module, &segments[..1]).map(|start| join(&start, &segments[1..]));
        let defined = || self.defines(module, &segments[0]).then(|| join(module, segments));
        known.or_else(defined).map(|absolute| self.follow(absolute))
    }

    /// Follows re-exported names to their origin.
    fn follow(&self, mut absolute: Vec<String>) -> (Module, Vec<String>) {
        let written = absolute.join("::");
        // Each round follows one binding. A longer chain than this is a loop.
        for _ in 0..32 {
            let mut found = Module::new();
            let mut rest = absolute.as_slice();
            while let Some((first, after)) = rest.split_first().filter(|(first, _)| self.has_child(&found, first)) {
                found.push(first.clone());
                rest = after;
            }
            match self.next(&found, rest) {
                Some(origin) if origin != absolute => absolute = origin,
                _ => {
                    let rest = rest.to_vec();
                    return (found, rest);
                }
            }
        }
        panic!("`{written}` is re-exported in a cycle");
    }

    /// Returns the path behind a name that a module imports.
    fn next(&self, module: &[String], rest: &[String]) -> Option<Vec<String>> {
        let name = rest.first()?;
        if let Some(origin) = self.bindings.get(module).and_then(|bound| bound.get(name)) {
            return Some(join(origin, &rest[1..]));
        }
        if self.defines(module, name) {
            return None;
        }
        self.through_glob(module, name, 0).map(|origin| join(&origin, rest))
    }

    /// Returns the module from which another imports a name by a glob.
    fn through_glob(&self, module: &[String], name: &str, depth: usize) -> Option<Module> {
        let globs = self.globs.get(module)?.iter().filter(|(_, public)| *public || depth == 0);
        let origins = globs.map(|(path, _)| path).filter(|path| *path != module);
        origins.cloned().find_map(|path| {
            let (origin, left) = self.follow(path);
            let bound = self.bindings.get(&origin).is_some_and(|bound| bound.contains_key(name));
            let here = bound || self.defines(&origin, name) || self.has_child(&origin, name);
            // Modules may re-export each other's names. A longer chain than this is such a cycle.
            let found =
                if here || depth > 8 { here.then_some(origin) } else { self.through_glob(&origin, name, depth + 1) };
            found.filter(|_| left.is_empty())
        })
    }

    fn defines(&self, module: &[String], name: &str) -> bool {
        self.items.get(module).is_some_and(|items| items.contains(name))
    }

    /// Returns the file of a module: an inline module belongs to the file around it.
    pub(super) fn file_of(&self, mut module: Module) -> Module {
        while !self.files.contains_key(&module) && !module.is_empty() {
            module.pop();
        }
        module
    }
}

pub(super) fn join(left: &[String], right: &[String]) -> Vec<String> {
    [left, right].concat()
}
