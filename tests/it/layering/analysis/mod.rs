//! Which module of a source tree names something of which other.

mod graph;
mod parse;
mod tokens;

pub(super) use self::graph::{Edge, Module, Tree, cycle};
