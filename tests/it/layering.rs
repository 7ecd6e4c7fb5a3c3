//! Layers: builds the graph of the files in `src/` and compares it with the tables of rows.
//!
//! An edge is a path that names an item of another file, or a call of a method or associated
//! function that another file defines. Every edge leads to a lower row, and edges form no cycle. A
//! re-export of a module's own submodules is not an edge, and test code does not count.
//!
//! The following command lists every cycle with its lines and with a small set of lines that would
//! break it, and then all edges:
//!
//! ```text
//! STRONGROOM_LAYERING=list cargo test --test it source_tree_keeps_the_layers -- --nocapture
//! ```

mod analysis;
mod rows;
mod snippets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::analysis::{Edge, Kind, Module, Tree, calls, components, cuts, report, shortest};
use self::rows::{TABLES, Table, WAITING};

pub(crate) use self::analysis::read_sources;

/// Names in the tables that do not exist yet, as paths.
const PLANNED: &[&str] = &[];

/// Known cycles, by the modules in them. A cycle that has been broken must be removed from this
/// list.
const KNOWN_CIRCLES: &[&[&str]] = &[];

/// The rules for a source tree.
struct Rules<'a> {
    tables: &'a [Table],
    waiting: &'a [&'a str],
    planned: Vec<String>,
    known: &'a [&'a [&'a str]],
}

#[test]
fn source_tree_keeps_the_layers() {
    let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src can be read");
    let planned = PLANNED.iter().map(ToString::to_string).collect();
    let rules = Rules { tables: &TABLES, waiting: WAITING, planned, known: KNOWN_CIRCLES };
    let (tree, edges, unplaced) = read(&sources);
    if std::env::var("STRONGROOM_LAYERING").is_ok_and(|mode| mode == "list") {
        println!("{}\nall edges:\n{}", report::circles(&tree, &edges), report::edges(&tree, &edges));
        println!(
            "calls that may refer to a method of this crate, none of which is counted:\n  {}",
            unplaced.join("\n  ")
        );
    }
    let problems = rules.problems(&tree, &edges);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Reads a source tree, its edges, and the calls that cannot be resolved.
fn read(sources: &BTreeMap<String, String>) -> (Tree, Vec<Edge>, Vec<String>) {
    let tree = Tree::new(sources);
    let calls = calls(&tree);
    let all = tree.imports().into_iter().chain(calls.edges);
    let edges = all.filter(|edge| edge.kind != Kind::ReExport).collect();
    (tree, edges, calls.unplaced)
}

impl Rules<'_> {
    /// Returns every violation, with the offending lines.
    fn problems(&self, tree: &Tree, edges: &[Edge]) -> Vec<String> {
        let mut problems = tree.problems.clone();
        for table in self.tables {
            if !self.waiting.contains(&table.module) {
                problems.extend(table.problems(tree, edges, &self.planned));
            } else if table.unlisted(tree, &self.planned).is_empty() {
                problems.push(format!("the tree of {} exists: remove it from WAITING", table.module));
            }
        }
        problems.extend(self.circles(edges));
        problems
    }

    /// Returns cycles of files, and cycles of a module's submodules, each with everything below it.
    fn circles(&self, edges: &[Edge]) -> Vec<String> {
        let mut found = components(edges);
        for siblings in siblings(edges).into_values() {
            found.extend(components(&siblings));
        }
        let mut unseen: Vec<BTreeSet<&str>> = self.known.iter().map(|names| names.iter().copied().collect()).collect();
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for (modules, inner) in found {
            let mut names: Vec<String> = modules.iter().map(|module| path(module)).collect();
            names.sort();
            if !seen.insert(names.clone()) {
                continue;
            }
            let count = unseen.len();
            unseen.retain(|known| !known.iter().copied().eq(names.iter().map(String::as_str)));
            if unseen.len() == count {
                problems.push(describe(&modules, &names, &inner));
            }
        }
        let gone = |names: BTreeSet<&str>| {
            let names: Vec<&str> = names.into_iter().collect();
            format!("this cycle was removed or has changed, remove it from KNOWN_CIRCLES: {}", names.join(", "))
        };
        problems.extend(unseen.into_iter().map(gone));
        problems
    }
}

fn path(module: &[String]) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("::") }
}

/// Returns the edges between submodules of one module, each taken together with everything below
/// it.
fn siblings(edges: &[Edge]) -> BTreeMap<Module, Vec<Edge>> {
    let mut by_parent: BTreeMap<Module, Vec<Edge>> = BTreeMap::new();
    for edge in edges {
        let shared = edge.from.iter().zip(&edge.to).take_while(|(from, to)| from == to).count();
        // The crate's table covers edges between top-level modules.
        if shared > 0 && shared < edge.from.len() && shared < edge.to.len() {
            let (from, to) = (edge.from[..=shared].to_vec(), edge.to[..=shared].to_vec());
            by_parent.entry(edge.from[..shared].to_vec()).or_default().push(Edge { from, to, ..edge.clone() });
        }
    }
    by_parent
}

fn describe(modules: &BTreeSet<Module>, names: &[String], edges: &[Edge]) -> String {
    let mut text = format!("these use each other in a cycle: {}", names.join(", "));
    let shortest = shortest(modules, edges);
    for edge in &shortest {
        text += &format!("\n  {}", edge.place);
    }
    if shortest.len() < modules.len() {
        text += "\n  with further cycles; removing these lines would break all of them:";
        let cuts = cuts(modules, edges);
        for edge in edges.iter().filter(|edge| cuts.iter().any(|(from, to)| (from, to) == (&edge.from, &edge.to))) {
            text += &format!("\n    {}", edge.place);
        }
    }
    text
}
