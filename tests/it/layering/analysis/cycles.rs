//! Cycles in a graph of files.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Edge, Module};

/// Returns the strongly connected components with more than one file, each with the edges inside
/// it.
pub(crate) fn components(edges: &[Edge]) -> Vec<(BTreeSet<Module>, Vec<Edge>)> {
    let mut search = Search::default();
    for edge in edges {
        search.next.entry(&edge.from).or_default().insert(&edge.to);
    }
    let starts: Vec<&Module> = search.next.keys().copied().collect();
    for start in starts {
        search.visit(start);
    }
    let inside = |files: BTreeSet<&Module>| {
        let edges =
            edges.iter().filter(|edge| files.contains(&edge.from) && files.contains(&edge.to)).cloned().collect();
        (files.into_iter().cloned().collect(), edges)
    };
    search.found.into_iter().map(inside).collect()
}

/// Tarjan's algorithm.
#[derive(Default)]
struct Search<'a> {
    next: BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    /// For each file, the order in which it was reached and the earliest file that it leads back
    /// to.
    reached: BTreeMap<&'a Module, (usize, usize)>,
    open: Vec<&'a Module>,
    found: Vec<BTreeSet<&'a Module>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, file: &'a Module) -> usize {
        if let Some(&(_, lowest)) = self.reached.get(file) {
            return lowest;
        }
        let order = self.reached.len();
        self.reached.insert(file, (order, order));
        self.open.push(file);
        let mut lowest = order;
        for next in self.next.get(file).cloned().unwrap_or_default() {
            let known = self.reached.contains_key(next);
            if !known || self.open.contains(&next) {
                lowest = lowest.min(if known { self.reached[next].0 } else { self.visit(next) });
            }
        }
        self.reached.insert(file, (order, lowest));
        if lowest == order {
            let at = self.open.iter().position(|open| *open == file).expect("the file was pushed before");
            let component: BTreeSet<&Module> = self.open.drain(at..).collect();
            if component.len() > 1 {
                self.found.push(component);
            }
        }
        lowest
    }
}

/// Returns the shortest cycle of a component.
pub(crate) fn shortest(files: &BTreeSet<Module>, edges: &[Edge]) -> Vec<Edge> {
    files.iter().filter_map(|file| back_to(file, edges)).min_by_key(Vec::len).unwrap_or_default()
}

/// Returns the shortest path from a file back to itself.
fn back_to(start: &Module, edges: &[Edge]) -> Option<Vec<Edge>> {
    let mut came_by: BTreeMap<&Module, &Edge> = BTreeMap::new();
    let mut front = vec![start];
    while !front.is_empty() && !came_by.contains_key(start) {
        let mut next = Vec::new();
        for edge in edges.iter().filter(|edge| front.contains(&&edge.from)) {
            if !came_by.contains_key(&edge.to) {
                came_by.insert(&edge.to, edge);
                next.push(&edge.to);
            }
        }
        front = next;
    }
    let mut way = vec![(*came_by.get(start)?).clone()];
    while way.last().is_some_and(|edge| edge.from != *start) {
        let edge = came_by[&way.last().expect("the element was just checked").from].clone();
        way.push(edge);
    }
    way.reverse();
    Some(way)
}

/// Returns a small set of edges whose removal breaks all cycles of a component. The files are put
/// in an order in which few lines lead upward, by moving each file to its best position until
/// nothing improves. The set consists of the edges that lead upward in that order.
pub(crate) fn cuts(files: &BTreeSet<Module>, edges: &[Edge]) -> Vec<(Module, Module)> {
    let mut lines: BTreeMap<(&Module, &Module), usize> = BTreeMap::new();
    for edge in edges {
        *lines.entry((&edge.from, &edge.to)).or_default() += 1;
    }
    // Users come first, so an edge to an earlier file must be cut.
    let mut order: Vec<&Module> = files.iter().collect();
    let cost = |order: &[&Module]| -> usize {
        let place: BTreeMap<&Module, usize> = order.iter().enumerate().map(|(at, file)| (*file, at)).collect();
        lines.iter().filter(|((from, to), _)| place[to] < place[from]).map(|(_, count)| 10 + count).sum()
    };
    let mut best = cost(&order);
    loop {
        let before = best;
        for file in files {
            let at = order.iter().position(|other| *other == file).expect("every file is in it");
            for to in 0..order.len() {
                let mut moved = order.clone();
                moved.remove(at);
                moved.insert(to, file);
                let cost = cost(&moved);
                if cost < best {
                    best = cost;
                    order = moved;
                    break;
                }
            }
        }
        if best == before {
            break;
        }
    }
    let place: BTreeMap<&Module, usize> = order.iter().enumerate().map(|(at, file)| (*file, at)).collect();
    lines
        .keys()
        .filter(|(from, to)| place[to] < place[from])
        .map(|(from, to)| ((*from).clone(), (*to).clone()))
        .collect()
}
