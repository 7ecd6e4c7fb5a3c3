//! The parts of the index that were last read or written, and were verified then.
//!
//! Every commit writes a head, so the revision of a head is the revision of the store that it
//! describes. A cached head that is at least as new as the store states therefore describes the
//! present. A cached node is current if its parent lists the same version of it. Together they
//! show, without any read, that a record was not changed, however many other records were.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use super::index::{FAN_OUT, IndexRoot, MAX_LEAF_ENTRIES, Name, Node, NodePath, RecordVersion, TOO_DEEP};
use crate::error::Result;
use crate::lock::{Mutex, RwLock};
use crate::store::Revision;

/// The number of parts of the cache, one for each child that the head can have.
const PARTS: usize = 256;

/// Maximum number of entries in one part of the cache, without those for the leaves of cached
/// records. A full part is emptied. All parts together use about 50 MB.
const SPARE_ENTRIES: usize = 6_144;

/// The number of entries that use as much memory as a cached node without any.
const NODE_OVERHEAD: usize = 8;

/// A verified head, with its own version.
pub(super) type KnownHead = (RecordVersion, IndexRoot);

/// A verified node, with its own version.
pub(super) type KnownNode = (RecordVersion, Node);

/// The version of a record according to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// The record has this version, or does not exist.
    Version(Option<RecordVersion>),
    /// The node at this depth must be read to find out.
    Unknown { depth: usize },
}

/// Reads a node that is not cached in this version, or returns `None` if it cannot.
pub(super) type ReadNode<'a> = dyn FnMut(&NodePath, RecordVersion) -> Result<Option<Arc<KnownNode>>> + 'a;

pub(super) struct IndexCache {
    head: ArcSwapOption<KnownHead>,
    parts: Box<[RwLock<Part>]>,
    /// The maximum size of a part.
    max_entries: usize,
    /// The greatest depth of a node that was cached so far.
    depth: AtomicUsize,
    /// Held while a thread reads the head for all others that need it.
    reading: Mutex<()>,
    /// The number of such reads that failed.
    failures: AtomicU64,
}

#[derive(Default)]
struct Part {
    nodes: HashMap<NodePath, Arc<KnownNode>>,
    /// The size of all nodes together.
    entries: usize,
}

impl IndexCache {
    /// Creates a cache with room for the leaves of as many records as `cached_records`, each in a
    /// different leaf.
    pub(super) fn new(cached_records: usize) -> Self {
        let leaves = cached_records.saturating_mul(MAX_LEAF_ENTRIES + NODE_OVERHEAD) / PARTS;
        Self {
            head: ArcSwapOption::empty(),
            parts: (0..PARTS).map(|_| RwLock::default()).collect(),
            max_entries: leaves.saturating_add(SPARE_ENTRIES),
            depth: AtomicUsize::new(1),
            reading: Mutex::new(()),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn head(&self) -> Option<Arc<KnownHead>> {
        self.head.load_full()
    }

    /// Caches a head, unless another thread has cached a later one. Of two heads of the same
    /// revision, which belong to histories that diverged, the later one replaces the other.
    pub(super) fn put_head(&self, head: &Arc<KnownHead>) {
        self.head.rcu(|known| match known {
            Some(known) if known.0.revision > head.0.revision => Some(Arc::clone(known)),
            _ => Some(Arc::clone(head)),
        });
    }

    /// Returns a cached node if it has this version.
    pub(super) fn node(&self, path: &NodePath, version: RecordVersion) -> Option<Arc<KnownNode>> {
        let part = self.parts[usize::from(path.first())].read();
        part.nodes.get(path).filter(|known| known.0 == version).cloned()
    }

    /// Caches a node, unless another thread has cached a later version of it.
    pub(super) fn put_node(&self, path: &NodePath, node: &Arc<KnownNode>) {
        self.depth.fetch_max(path.depth(), Ordering::Relaxed);
        let mut part = self.parts[usize::from(path.first())].write();
        let known = part.nodes.get(path);
        if known.is_some_and(|known| known.0.revision > node.0.revision) {
            return;
        }
        part.entries = part.entries - known.map_or(0, |known| size(&known.1)) + size(&node.1);
        if part.entries > self.max_entries {
            *part = Part { nodes: HashMap::new(), entries: size(&node.1) };
        }
        part.nodes.insert(path.clone(), Arc::clone(node));
    }

    /// Returns the depth down to which a name's nodes should be read together. Nodes below need
    /// another read, and nodes that do not exist cost little.
    pub(super) fn likely_depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// Finds the version of a record that a head lists. Nodes that are not cached are requested
    /// from `read`, which returns `None` for a node that it does not have. An empty node is not
    /// stored, so the node above shows that it lists nothing.
    pub(super) fn find(&self, head: &IndexRoot, name: &Name, read: &mut ReadNode<'_>) -> Result<Listing> {
        let mut path = name.path(1);
        let mut listed = head.children.get(&path.first()).copied();
        loop {
            let Some(version) = listed else { return Ok(Listing::Version(None)) };
            let depth = path.depth();
            let known = match self.node(&path, version) {
                Some(known) => known,
                None => match read(&path, version)? {
                    Some(known) => known,
                    None => return Ok(Listing::Unknown { depth }),
                },
            };
            match &known.1 {
                Node::Leaf(leaf) => return Ok(Listing::Version(leaf.find(name))),
                Node::Branch(children) => {
                    let step = name.step(depth).ok_or(TOO_DEEP)?;
                    listed = children.get(&step).copied();
                    path = path.child(step);
                }
            }
        }
    }

    /// Like [`IndexCache::find`], with cached nodes alone.
    pub(super) fn find_cached(&self, head: &IndexRoot, name: &Name) -> Listing {
        self.find(head, name, &mut |_, _| Ok(None)).unwrap_or(Listing::Unknown { depth: 1 })
    }

    /// Returns the nodes that a commit reads to change the entry of a record: all from the head to
    /// its leaf, and the children of a leaf that overflows.
    pub(super) fn nodes_to_change(&self, name: &Name, is_new: bool, max_leaf_entries: usize) -> Vec<NodePath> {
        let guess = || (1..=self.likely_depth()).map(|depth| name.path(depth)).collect();
        let Some(head) = self.head() else { return guess() };
        let mut nodes = Vec::new();
        let mut path = name.path(1);
        let mut listed = head.1.children.get(&path.first()).copied();
        loop {
            nodes.push(path.clone());
            let Some(version) = listed else { return nodes };
            let Some(known) = self.node(&path, version) else { return guess() };
            match &known.1 {
                Node::Leaf(leaf) => {
                    if is_new && leaf.len() >= max_leaf_entries {
                        nodes.extend((0..FAN_OUT).map(|step| path.child(step)));
                    }
                    return nodes;
                }
                Node::Branch(children) => {
                    let Some(step) = name.step(path.depth()) else { return nodes };
                    listed = children.get(&step).copied();
                    path = path.child(step);
                }
            }
        }
    }

    /// Returns a head that is not older than revision `now`. Threads that need it at the same time
    /// share one `read`, which must cache the head.
    ///
    /// If that read fails, the threads that waited for it read concurrently. One after the other,
    /// each would wait for all the timeouts before its own.
    pub(super) fn head_since(
        &self,
        now: Revision,
        read: impl FnOnce() -> Result<Arc<KnownHead>>,
    ) -> Result<Arc<KnownHead>> {
        let cached = || self.head().filter(|head| head.0.revision >= now);
        if let Some(head) = cached() {
            return Ok(head);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let reading = self.reading.lock();
        if let Some(head) = cached() {
            return Ok(head);
        }
        if self.failures.load(Ordering::Acquire) != failures {
            drop(reading);
            return read();
        }
        let head = read();
        if head.is_err() {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
        drop(reading);
        head
    }
}

/// Returns the size of a cached node, in entries.
fn size(node: &Node) -> usize {
    let entries = match node {
        Node::Leaf(leaf) => leaf.len(),
        Node::Branch(children) => children.len(),
    };
    entries + NODE_OVERHEAD
}
