//! Every public item has exactly one path, and the crate root stays small. The test reads the
//! source text: public modules, the items that they define, and their re-exports, which name each
//! item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Maximum number of items at the crate root: the facade and shared items. All others are in
/// modules.
const MOST_AT_THE_ROOT: usize = 25;

/// Names that may occur in several modules, such as `store::conformance::run`.
const SHARED_NAMES: [&str; 1] = ["run"];

type Module = Vec<String>;

/// Public items: the public path of each, and the module and name of its definition.
type Items = BTreeMap<String, (Module, String)>;

#[test]
fn every_public_item_has_one_path() {
    let items = public_items(&sources());
    // Fewer would mean that the source was not read.
    assert!(items.len() > 350, "{} items", items.len());
    let problems = problems(&items);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_crate_root_has_few_items() {
    let items = public_items(&sources());
    let root: Vec<&String> = items.keys().filter(|path| !path.contains("::")).collect();
    assert!(root.len() <= MOST_AT_THE_ROOT, "{} items at the crate root: {root:?}", root.len());
    for name in ["Kms", "EncryptionContext", "SecretBytes", "Error", "ErrorKind", "Result"] {
        assert!(items.contains_key(name), "{name} is not at the crate root");
    }
}

#[test]
fn keyrings_are_in_one_module() {
    let items = public_items(&sources());
    let keyrings: Vec<&String> = items.keys().filter(|path| path.ends_with("Keyring")).collect();
    let elsewhere: Vec<_> =
        keyrings.iter().filter(|path| path.rsplit_once("::").unwrap_or_default().0 != "envelope").collect();
    assert!(keyrings.len() >= 6 && elsewhere.is_empty(), "{keyrings:?}");
}

/// Returns items with two paths, and names that two items share.
fn problems(items: &Items) -> Vec<String> {
    let mut by_definition: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (path, definition) in items {
        by_definition.entry(definition).or_default().push(path);
    }
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in by_definition.values().filter_map(|paths| paths.first()) {
        by_name.entry(path.rsplit("::").next().unwrap_or(path)).or_default().push(path);
    }
    let twice = by_definition.values().filter(|paths| paths.len() > 1);
    let mut problems: Vec<String> =
        twice.map(|paths| format!("one item, several paths: {}", paths.join(", "))).collect();
    let shared = by_name.into_iter().filter(|(name, paths)| paths.len() > 1 && !SHARED_NAMES.contains(name));
    problems.extend(shared.map(|(name, paths)| format!("several items, one name: {name}, of {}", paths.join(", "))));
    problems
}

/// Returns the items that programs using the crate can name.
fn public_items(files: &BTreeMap<String, String>) -> Items {
    let mut items = Items::new();
    let mut pending = vec![(Module::new(), Module::new())];
    let mut seen = BTreeSet::new();
    // A public module, as its definition and its public path.
    while let Some((module, path)) = pending.pop() {
        assert!(seen.insert(path.clone()), "two modules at {path:?}");
        let Some(text) = text_of(files, &module) else { panic!("the module {module:?} was not found") };
        for name in declared(&text, "pub mod ") {
            let hidden = text.contains(&format!("#[doc(hidden)]\npub mod {name};"));
            if !hidden {
                pending.push((joined(&module, &name), joined(&path, &name)));
            }
        }
        for name in defined(&text) {
            items.insert(joined(&path, &name).join("::"), (module.clone(), name));
        }
        assert!(globs(&text).iter().all(|glob| !glob.public), "a glob re-export hides items of {module:?}");
        for (name, target) in re_exports(&text).into_iter().filter(|(_, target)| target.public) {
            let definition = definition(files, &module, &target.path);
            if text_of(files, &joined(&definition.0, &definition.1)).is_some() {
                pending.push((joined(&definition.0, &definition.1), joined(&path, &name)));
            } else {
                items.insert(joined(&path, &name).join("::"), definition);
            }
        }
    }
    items
}

/// Follows re-exports of a path to the module that defines the item.
fn definition(files: &BTreeMap<String, String>, from: &Module, path: &[String]) -> (Module, String) {
    let (mut module, mut rest) = (from.clone(), path.to_vec());
    // Each round follows one re-export.
    for _ in 0..16 {
        let whole = absolute(&module, &rest);
        (module, rest) = (whole[..whole.len() - 1].to_vec(), whole[whole.len() - 1..].to_vec());
        let text = text_of(files, &module).unwrap_or_else(|| panic!("the module {module:?} was not found"));
        let name = rest.remove(0);
        if let Some(target) = re_exports(&text).remove(&name) {
            rest = target.path;
            continue;
        }
        // A private module may re-export everything of another one.
        let passed_on = globs(&text).into_iter().find(|glob| binds(files, &absolute(&module, &glob.path), &name));
        match passed_on {
            Some(glob) if !defined(&text).contains(&name) => rest = joined(&glob.path, &name),
            _ => return (module, name),
        }
    }
    panic!("{path:?} is re-exported in a cycle");
}

/// Returns the path from the crate root for a path written in a module.
fn absolute(from: &Module, path: &[String]) -> Module {
    let mut found = from.clone();
    for segment in path {
        match segment.as_str() {
            "crate" => found.clear(),
            "self" => {}
            "super" => drop(found.pop()),
            name => found.push(name.to_owned()),
        }
    }
    found
}

/// Returns `true` if a module defines or re-exports a name.
fn binds(files: &BTreeMap<String, String>, module: &Module, name: &str) -> bool {
    text_of(files, module)
        .is_some_and(|text| re_exports(&text).contains_key(name) || defined(&text).iter().any(|item| item == name))
}

/// Returns the text of a module: for a file without its inline modules, or of the inline module.
fn text_of(files: &BTreeMap<String, String>, module: &Module) -> Option<String> {
    let file = match module.as_slice() {
        [] => files.get("lib.rs"),
        names => {
            files.get(&format!("{}.rs", names.join("/"))).or_else(|| files.get(&format!("{}/mod.rs", names.join("/"))))
        }
    };
    if let Some(text) = file {
        return Some(text.clone());
    }
    let (name, parent) = module.split_last()?;
    let parent = text_of(files, &parent.to_vec())?;
    if parent.lines().any(|line| line == format!("pub mod {name} {{}}")) {
        return Some(String::new());
    }
    let body = parent.split(&format!("\npub mod {name} {{\n")).nth(1)?.split("\n}\n").next()?;
    // Dedents the text, as in a separate file.
    Some(body.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect())
}

/// Returns the unindented names after `pub mod` and similar keywords.
fn declared(text: &str, keyword: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(keyword)).map(first_word).collect()
}

/// Returns the unindented public items of a module, and types defined by a macro around them.
fn defined(text: &str) -> Vec<String> {
    let values = ["pub fn ", "pub const fn ", "pub async fn ", "pub const ", "pub static "];
    let types = ["pub struct ", "pub enum ", "pub trait ", "pub type ", "pub union "];
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let at_margin = values.iter().flat_map(|keyword| declared(code, keyword));
    let anywhere = code.lines().map(str::trim_start);
    let types = anywhere.filter_map(|line| types.iter().find_map(|keyword| line.strip_prefix(keyword)).map(first_word));
    at_margin.chain(types).filter(|name| name.starts_with(char::is_alphabetic) && name != "fn").collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// The target of a `use`.
struct Target {
    path: Vec<String>,
    public: bool,
}

/// Returns every name that a module binds with `pub use` or `pub(..) use`. A `use` for one feature
/// counts for all of them.
fn re_exports(text: &str) -> BTreeMap<String, Target> {
    uses(text).into_iter().rev().filter(|(name, _)| name != "*").collect()
}

/// Returns the modules that a module re-exports with a glob.
fn globs(text: &str) -> Vec<Target> {
    let globs = uses(text).into_iter().filter(|(name, _)| name == "*");
    globs.map(|(_, Target { path, public })| Target { path: path[..path.len() - 1].to_vec(), public }).collect()
}

fn uses(text: &str) -> Vec<(String, Target)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((visibility, tree)) = line.split_once("use ").map(|(before, tree)| (before.trim_end(), tree)) else {
            continue;
        };
        if line.starts_with(' ') || !(visibility == "pub" || visibility.starts_with("pub(")) {
            continue;
        }
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().expect("a `use` ends"));
        }
        let public = visibility == "pub";
        found.extend(
            branches(tree.trim_end_matches(';')).into_iter().map(|(name, path)| (name, Target { path, public })),
        );
    }
    found
}

/// Returns the names that a `use` tree binds, with their paths.
fn branches(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    if let Some((prefix, group)) = tree.split_once('{') {
        let prefix: Vec<String> =
            prefix.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let inner = group.trim_end().strip_suffix('}').expect("a group is closed");
        return outside_of_braces(inner)
            .into_iter()
            .flat_map(branches)
            .map(|(name, path)| (name, [prefix.as_slice(), &path].concat()))
            .collect();
    }
    let (path, alias) =
        tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim().to_owned())));
    let path: Vec<String> =
        path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    path.last().cloned().map(|last| (alias.unwrap_or(last), path)).into_iter().collect()
}

/// Splits at the commas outside braces.
fn outside_of_braces(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && character == ','
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

fn joined(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// Returns the source files of the crate, by their path below `src`.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src can be read") {
            let path = entry.expect("a folder of src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("the file is below src");
                let name: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                files.insert(name.join("/"), fs::read_to_string(&path).expect("a source file is UTF-8"));
            }
        }
    }
    files
}

/// Returns the problems of a small crate.
#[cfg(test)]
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    problems(&public_items(&files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()))
}

#[test]
fn an_item_that_a_public_module_and_the_root_name_is_caught() {
    let key = ("key.rs", "pub struct KeyId;\n");
    assert_eq!(problems_of(&[("lib.rs", "pub mod key;\n"), key]), Vec::<String>::new());
    assert_eq!(problems_of(&[("lib.rs", "mod key;\npub use key::KeyId;\n"), key]), Vec::<String>::new());
    let both = problems_of(&[("lib.rs", "pub mod key;\npub use key::{\n    KeyId,\n};\n"), key]);
    assert_eq!(both, ["one item, several paths: KeyId, key::KeyId"]);
    let renamed = problems_of(&[("lib.rs", "pub mod key;\npub use crate::key::KeyId as Id;\n"), key]);
    assert_eq!(renamed, ["one item, several paths: Id, key::KeyId"]);
}

#[test]
fn re_exports_are_followed_through_private_modules_and_inline_ones() {
    let files = [
        (
            "lib.rs",
            "mod kms;\npub use kms::Kms;\n\n/// Requests.\npub mod request {\n    pub use crate::kms::{Page, Kms};\n}\n",
        ),
        ("kms/mod.rs", "mod handle;\nmod page;\npub use handle::Kms;\npub use self::page::*;\n"),
        ("kms/handle.rs", "pub struct Kms;\nimpl Kms {\n    pub const fn new() -> Self {}\n}\n"),
        ("kms/page.rs", "pub struct Page;\n"),
    ];
    assert_eq!(problems_of(&files), ["one item, several paths: Kms, request::Kms"]);
}

#[test]
fn two_items_of_one_name_are_caught() {
    let lib = ("lib.rs", "pub mod audit;\npub mod policy;\n");
    let files = [lib, ("audit.rs", "pub enum Outcome {}\n"), ("policy.rs", "names! {\n    pub enum Outcome {}\n}\n")];
    assert_eq!(problems_of(&files), ["several items, one name: Outcome, of audit::Outcome, policy::Outcome"]);
}
