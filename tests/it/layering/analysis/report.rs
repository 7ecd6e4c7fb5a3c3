//! Reports of the edges and cycles of a source tree, for the developer who has to break one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cycles::{components, cuts, shortest};
use super::graph::{Edge, Module, Tree};

/// Number of lines shown for each pair of files.
const LINES: usize = 8;

/// Reports every cycle of files: its shortest form, a small set of lines that would break it, and
/// all edges.
pub(crate) fn circles(tree: &Tree, edges: &[Edge]) -> String {
    let mut text = String::new();
    let found = components(edges);
    let _ = writeln!(text, "{} circles\n", found.len());
    for (files, inner) in found {
        let names: Vec<&str> = files.iter().map(|file| tree.name(file)).collect();
        let _ = writeln!(text, "==== {} files: {}\n\nshortest cycle:", files.len(), names.join(" "));
        for edge in shortest(&files, &inner) {
            let _ = writeln!(text, "    {}", edge.place);
        }
        let pairs = pairs(&inner);
        let cuts = cuts(&files, &inner);
        let lines: usize = cuts.iter().map(|pair| pairs[pair].len()).sum();
        let _ = writeln!(text, "\nremoving these {} edges ({lines} lines) would break all cycles:", cuts.len());
        for (from, to) in &cuts {
            write_pair(&mut text, tree, from, to, &pairs[&(from.clone(), to.clone())], usize::MAX);
        }
        let _ = writeln!(text, "\nall {} edges inside:", pairs.len());
        for ((from, to), edges) in &pairs {
            write_pair(&mut text, tree, from, to, edges, LINES);
        }
        text.push('\n');
    }
    text
}

/// Reports every edge between two files, with the lines that cause it.
pub(crate) fn edges(tree: &Tree, edges: &[Edge]) -> String {
    let mut text = String::new();
    for ((from, to), edges) in pairs(edges) {
        write_pair(&mut text, tree, &from, &to, &edges, LINES);
    }
    text
}

fn write_pair(text: &mut String, tree: &Tree, from: &Module, to: &Module, edges: &[&Edge], limit: usize) {
    let _ = writeln!(text, "  {} -> {}", tree.name(from), tree.name(to));
    for edge in edges.iter().take(limit) {
        let _ = writeln!(text, "      {}", edge.place);
    }
    if edges.len() > limit {
        let _ = writeln!(text, "      and {} more lines", edges.len() - limit);
    }
}

fn pairs(edges: &[Edge]) -> BTreeMap<(Module, Module), Vec<&Edge>> {
    let mut pairs: BTreeMap<(Module, Module), Vec<&Edge>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for edge in edges.iter().filter(|edge| seen.insert(&edge.place)) {
        pairs.entry((edge.from.clone(), edge.to.clone())).or_default().push(edge);
    }
    pairs
}
