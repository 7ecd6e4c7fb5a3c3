//! Dependencies between the files of a source tree: the paths that they name, and the methods that
//! they call.
//!
//! This module does not depend on the crate, so the analysis can be built separately and run on any
//! source tree.

mod callees;
mod calls;
mod cycles;
mod expressions;
mod graph;
mod items;
mod lookup;
mod parse;
mod patterns;
pub(crate) mod report;
mod std_types;
mod tokens;
mod types;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

pub(crate) use self::calls::calls;
pub(crate) use self::cycles::{components, cuts, shortest};
pub(crate) use self::graph::{Edge, Kind, Module, Tree};

/// Returns the text of every `.rs` file, by its path relative to `root`.
pub(crate) fn read_sources(root: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).expect("the file is below the root");
                let name: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                sources.insert(name.join("/"), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}
