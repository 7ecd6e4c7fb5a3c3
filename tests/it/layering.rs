//! Which module may import which: reads `src/`, builds the graph of modules and compares it with the table.
//!
//! A module imports only from rows below its own. Inside a module the submodules form no circle either.

mod analysis;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use self::analysis::{Edge, Module, Tree, cycle};

/// The rows from the bottom up; `lib` is the crate root itself.
const LAYERS: [(&str, &[&str]); 11] = [
    ("L0", &["error"]),
    ("L0", &["birthplace", "clock", "codec", "lock", "private_file", "secret", "shard"]),
    ("L1", &["algorithm", "context", "identity"]),
    ("L1", &["key"]),
    ("L2", &["crypto"]),
    ("L2", &["seal"]),
    ("L3", &["audit", "blob", "message", "policy", "provider", "store"]),
    ("L4", &["kms"]),
    ("L5", &["envelope"]),
    ("L6", &["internal", "manual"]),
    ("L6", &["lib"]),
];

/// Modules of the table that do not exist yet.
const PLANNED: &[&str] = &[];

#[test]
fn source_tree_keeps_the_layers() {
    let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src can be read");
    let problems = problems(&sources, PLANNED);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Everything that is wrong with a source tree.
fn problems(sources: &BTreeMap<String, String>, planned: &[&str]) -> Vec<String> {
    let tree = Tree::new(sources);
    let edges = tree.edges();
    let mut problems = tree.problems.clone();
    problems.extend(unlisted(&tree.top_level(), planned));
    problems.extend(edges.iter().filter_map(upward));
    problems.extend(circles(&edges));
    problems
}

/// The row of a top-level module, counted from the bottom, with its layer's name.
fn row(module: &str) -> Option<(usize, &'static str)> {
    LAYERS.iter().enumerate().find(|(_, (_, names))| names.contains(&module)).map(|(index, (layer, _))| (index, *layer))
}

/// The table and the tree name the same modules.
fn unlisted(modules: &BTreeSet<String>, planned: &[&str]) -> Vec<String> {
    let stranger = modules.iter().filter(|module| row(module).is_none());
    let mut problems: Vec<String> =
        stranger.map(|module| format!("module {module} is in no row of the table")).collect();
    for name in LAYERS.iter().flat_map(|(_, names)| names.iter()).filter(|name| **name != "lib") {
        match (modules.contains(*name), planned.contains(name)) {
            (true, true) => problems.push(format!("module {name} exists: take it out of PLANNED")),
            (false, false) => problems.push(format!("module {name} is in the table and not in src")),
            _ => {}
        }
    }
    problems
}

/// The top-level module that an edge's end lies in.
fn top(module: &[String]) -> &str {
    module.first().map_or("lib", String::as_str)
}

/// An import that does not go down.
fn upward(edge: &Edge) -> Option<String> {
    let (from, to) = (top(&edge.from), top(&edge.to));
    if from == to {
        return None;
    }
    let ((from_row, from_layer), (to_row, to_layer)) = (row(from)?, row(to)?);
    (to_row >= from_row)
        .then(|| format!("{} makes {from} ({from_layer}) import {to} ({to_layer}), which is not below it", edge.place))
}

/// Circles among siblings: the submodules of one module, each together with all that is below it. What the module itself
/// takes from its submodules does not count, nor what they take from it.
fn circles(edges: &[Edge]) -> Vec<String> {
    let mut by_parent: BTreeMap<Module, Vec<Edge>> = BTreeMap::new();
    for edge in edges {
        let shared = edge.from.iter().zip(&edge.to).take_while(|(from, to)| from == to).count();
        // Edges between top-level modules are the table's business.
        if shared > 0 && shared < edge.from.len() && shared < edge.to.len() {
            let (from, to) = (edge.from[..=shared].to_vec(), edge.to[..=shared].to_vec());
            let sibling = Edge { from, to, place: edge.place.clone() };
            by_parent.entry(edge.from[..shared].to_vec()).or_default().push(sibling);
        }
    }
    let describe = |(parent, edges): (Module, Vec<Edge>)| {
        let places: Vec<String> = cycle(&edges)?.into_iter().map(|edge| edge.place).collect();
        Some(format!("files of {} import each other in a circle:\n  {}", parent.join("::"), places.join("\n  ")))
    };
    by_parent.into_iter().filter_map(describe).collect()
}

/// The text of every `.rs` file, by its path relative to `root`.
pub(crate) fn read_sources(root: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).expect("it was found below the root");
                let name: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                sources.insert(name.join("/"), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}

/// Problems of a small tree, in which every module of the table that is not given counts as planned.
#[cfg(test)]
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let present = Tree::new(&sources).top_level();
    let planned: Vec<&str> = LAYERS
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .filter(|name| *name != "lib" && !present.contains(*name))
        .collect();
    problems(&sources, &planned)
}

/// Asserts that a tree has exactly one problem and that it says `expected`.
#[cfg(test)]
fn assert_caught(files: &[(&str, &str)], expected: &str) {
    let problems = problems_of(files);
    assert!(problems.len() == 1 && problems[0].contains(expected), "expected `{expected}`, found {problems:#?}");
}

#[test]
fn imports_that_go_down_are_allowed() {
    let problems = problems_of(&[
        ("lib.rs", "mod error; mod codec; mod kms; mod blob; pub use kms::Kms; pub use error::{Error, Result};"),
        ("error.rs", "pub struct Error;"),
        ("codec.rs", "use crate::error::Error;"),
        ("blob.rs", "use crate::{Error, codec::Reader}; // crate::kms::Kms"),
        ("kms/mod.rs", "mod pipeline; mod request; pub use request::Request; use crate::blob;"),
        ("kms/pipeline.rs", "use super::Request; fn f() { let _ = \"crate::envelope::X\"; }"),
        ("kms/request.rs", "#[cfg(test)] mod tests; fn f() -> crate::error::Result<()> { Ok(()) }"),
        ("kms/request/tests.rs", "use crate::kms::pipeline::X; use super::*;"),
    ]);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_multi_line_group_that_goes_up_is_caught() {
    let lib = "mod blob; mod kms; mod error;";
    let blob = "use crate::{\n    error::Error,\n    kms::{\n        request::{Encrypt},\n    },\n};";
    let files = [("lib.rs", lib), ("error.rs", ""), ("blob.rs", blob), ("kms.rs", "mod request {}")];
    assert_caught(&files, "src/blob.rs:4: `crate::kms::request::Encrypt` makes blob (L3) import kms (L4)");
}

#[test]
fn siblings_of_a_row_are_strangers() {
    let files = [("lib.rs", "mod blob; mod store;"), ("blob.rs", "use crate::store::Batch;"), ("store.rs", "")];
    assert_caught(&files, "makes blob (L3) import store (L3)");
}

#[test]
fn climbing_out_with_super_is_caught() {
    let lib = "mod message; mod kms;";
    let frame = "impl super::super::kms::Marker for u8 {}";
    let files = [("lib.rs", lib), ("kms.rs", ""), ("message/mod.rs", "mod frame;"), ("message/frame.rs", frame)];
    assert_caught(&files, "src/message/frame.rs:1: `super::super::kms::Marker`");
    let inline = "mod inner { use super::super::kms::Marker; }";
    assert_caught(&[("lib.rs", lib), ("kms.rs", ""), ("message.rs", inline)], "src/message.rs:1:");
}

#[test]
fn a_name_of_the_crate_root_counts_as_where_it_comes_from() {
    let lib = "mod audit; pub mod kms; pub use kms::Kms as Registry;";
    let files = [("lib.rs", lib), ("kms/mod.rs", "mod a; pub use a::Kms;"), ("kms/a.rs", ""), ("audit.rs", "")];
    assert_eq!(problems_of(&files), Vec::<String>::new());
    let mut bad = files;
    bad[3].1 = "fn f(_: &crate::Registry) {}";
    assert_caught(&bad, "makes audit (L3) import kms (L4)");
}

#[test]
fn an_item_of_the_crate_root_itself_is_above_everything() {
    let files = [("lib.rs", "mod error; pub struct Stray;"), ("error.rs", "use crate::Stray;")];
    assert_caught(&files, "makes error (L0) import lib (L6)");
}

#[test]
fn a_macro_body_and_a_feature_gate_hide_nothing() {
    let gated = "#[cfg(feature = \"x\")]\nuse crate::kms::Kms;";
    let in_macro = "macro_rules! m { () => { $crate::kms::Kms } }";
    for policy in [gated, in_macro] {
        assert_caught(
            &[("lib.rs", "mod policy; mod kms;"), ("kms.rs", ""), ("policy.rs", policy)],
            "makes policy (L3)",
        );
    }
}

#[test]
fn files_of_one_module_in_a_circle_are_caught() {
    let files = [
        ("lib.rs", "mod key;"),
        ("key/mod.rs", "mod spec; mod state; mod id; pub use spec::Spec; pub use state::State;"),
        ("key/spec.rs", "use super::State;"),
        ("key/state.rs", "fn f() { super::id::parse() }"),
        ("key/id.rs", "use crate::key::Spec;"),
    ];
    assert_caught(&files, "files of key import each other in a circle");
    let text = problems_of(&files).join("");
    for place in ["src/key/spec.rs:1", "src/key/state.rs:1", "src/key/id.rs:1"] {
        assert!(text.contains(place), "{text}");
    }
}

#[test]
fn a_circle_through_folders_is_caught() {
    let files = [
        ("lib.rs", "mod crypto;"),
        ("crypto/mod.rs", "mod aead; mod soft; pub use aead::Aead;"),
        ("crypto/aead.rs", "use super::soft::DEFAULT;"),
        ("crypto/soft/mod.rs", "mod inner;"),
        ("crypto/soft/inner.rs", "use super::super::Aead;"),
    ];
    assert_caught(&files, "files of crypto import each other in a circle");
}

#[test]
fn parent_and_child_may_name_each_other() {
    let files = [
        ("lib.rs", "mod envelope;"),
        ("envelope/mod.rs", "mod config; use config::Config; pub struct Envelope(Config);"),
        ("envelope/config.rs", "use super::Envelope; pub struct Config;"),
    ];
    assert_eq!(problems_of(&files), Vec::<String>::new());
}

#[test]
fn modules_and_table_name_each_other() {
    assert_caught(&[("lib.rs", "mod utils;"), ("utils.rs", "")], "module utils is in no row");
    let sources =
        BTreeMap::from([("lib.rs".to_owned(), "mod error;".to_owned()), ("error.rs".to_owned(), String::new())]);
    let problems = problems(&sources, &["error"]);
    assert!(problems.contains(&"module error exists: take it out of PLANNED".to_owned()), "{problems:?}");
    assert!(problems.contains(&"module kms is in the table and not in src".to_owned()), "{problems:?}");
}

#[test]
fn files_that_nothing_declares_and_globs_that_hide_edges_are_caught() {
    assert_caught(&[("lib.rs", ""), ("stray.rs", "")], "stray.rs: no module declares it");
    assert_caught(&[("lib.rs", "mod error;")], "error.rs: declared and not there");
    let files = [("lib.rs", "mod key;"), ("key/mod.rs", "mod id; pub use id::*;"), ("key/id.rs", "")];
    assert_caught(&files, "hides edges");
}
