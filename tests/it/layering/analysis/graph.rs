//! The modules of a source tree, what each path resolves to, and the edges between modules.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{File, Path, Role, parse};

/// A module by the names from the crate root down; the root itself is empty.
pub(crate) type Module = Vec<String>;

/// One module names something of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: Module,
    pub(crate) to: Module,
    /// `file:line` and the path as written.
    pub(crate) place: String,
}

/// A crate's modules.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<Module, (String, File)>,
    children: BTreeMap<Module, BTreeSet<String>>,
    /// Names bound by `use` in each module, with the absolute path behind each.
    bindings: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// What is wrong with the tree itself.
    pub(crate) problems: Vec<String>,
}

impl Tree {
    /// Reads the modules reachable from `lib.rs`; `sources` maps paths relative to `src/` to their text.
    pub(crate) fn new(sources: &BTreeMap<String, String>) -> Self {
        let mut tree = Self::default();
        let mut unread: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
        let mut pending = vec![(Module::new(), "lib.rs".to_owned(), false)];
        while let Some((module, name, for_tests)) = pending.pop() {
            let Some(source) = sources.get(&name) else {
                tree.problems.push(format!("{name}: declared and not there"));
                continue;
            };
            unread.remove(name.as_str());
            let file = parse(source);
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
                tree.files.insert(module, (name, file));
            }
        }
        tree.problems.extend(unread.iter().map(|name| format!("{name}: no module declares it")));
        tree.bind();
        tree
    }

    /// Names of the modules directly under the root.
    pub(crate) fn top_level(&self) -> BTreeSet<String> {
        self.children.get(&Module::new()).cloned().unwrap_or_default()
    }

    /// Every edge between two modules that are files.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (module, (name, file)) in &self.files {
            for path in &file.paths {
                let Some(to) = self.target(module, path) else { continue };
                if to != *module {
                    let place = format!("src/{name}:{}: `{}`", path.line, path.segments.join("::"));
                    edges.push(Edge { from: module.clone(), to, place });
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
        let mut problems = Vec::new();
        for (module, (name, file)) in &self.files {
            for path in &file.paths {
                let inside = join(module, &path.inside);
                let Some(absolute) = self.absolute(&inside, &path.segments) else { continue };
                match &path.role {
                    Role::Binding { name, .. } => {
                        bindings.entry(inside).or_default().insert(name.clone(), absolute);
                    }
                    Role::Glob { public: true } => {
                        problems.push(format!("src/{name}:{}: a re-export of everything hides edges", path.line));
                    }
                    Role::Glob { public: false } | Role::Mention => {}
                }
            }
        }
        self.bindings = bindings;
        self.problems.extend(problems);
    }

    /// The path from the crate root, unless it leads out of the crate.
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

    /// The file that defines what a path names, names passed on by others followed to their origin.
    fn target(&self, module: &[String], path: &Path) -> Option<Module> {
        let mut absolute = self.absolute(&join(module, &path.inside), &path.segments)?;
        // Each round follows one binding; a crate with a longer chain than this is a loop.
        for _ in 0..32 {
            let mut found = Module::new();
            let mut rest = absolute.as_slice();
            while let Some((first, after)) = rest.split_first().filter(|(first, _)| self.has_child(&found, first)) {
                found.push(first.clone());
                rest = after;
            }
            let bound = rest.first().and_then(|name| self.bindings.get(&found)?.get(name));
            let Some(origin) = bound.filter(|origin| **origin != absolute) else {
                return Some(self.file_of(found));
            };
            absolute = join(origin, &rest[1..]);
        }
        panic!("`{}` is re-exported in a circle", path.segments.join("::"));
    }

    /// An inline module belongs to the file around it.
    fn file_of(&self, mut module: Module) -> Module {
        while !self.files.contains_key(&module) && !module.is_empty() {
            module.pop();
        }
        module
    }
}

fn join(left: &[String], right: &[String]) -> Vec<String> {
    [left, right].concat()
}

/// The edges of one circle among `edges`, if there is any.
pub(crate) fn cycle(edges: &[Edge]) -> Option<Vec<Edge>> {
    let mut done = BTreeSet::new();
    edges.iter().find_map(|edge| walk(&edge.from, edges, &mut Vec::new(), &mut done))
}

fn walk(module: &Module, edges: &[Edge], trail: &mut Vec<Edge>, done: &mut BTreeSet<Module>) -> Option<Vec<Edge>> {
    if let Some(start) = trail.iter().position(|edge| edge.from == *module) {
        return Some(trail[start..].to_vec());
    }
    if done.contains(module) {
        return None;
    }
    for edge in edges.iter().filter(|edge| edge.from == *module) {
        trail.push(edge.clone());
        let found = walk(&edge.to, edges, trail, done);
        trail.pop();
        if found.is_some() {
            return found;
        }
    }
    done.insert(module.clone());
    None
}
