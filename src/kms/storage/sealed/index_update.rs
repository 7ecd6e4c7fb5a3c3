//! Updates of the index within a commit.

use std::collections::btree_map::BTreeMap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::index::{
    Children, IndexRoot, Leaf, MAX_DEPTH, Name, Node, NodePath, RecordVersion, TOO_DEEP, head_record_id,
    is_part_of_index,
};
use super::index_cache::{IndexCache, KnownHead, KnownNode};
use super::record_aad::{open_under, seal};
use super::violations::{compare, unlisted};
use crate::error::Result;
use crate::seal::{IdentityKey, RootKeyVersions};
use crate::store::{Change, Expectation, Pending, RecordId, Revision, StoreId};

/// The index after a commit.
pub(super) struct UpdatedIndex {
    /// The changes that the commit must include.
    pub(super) written: Vec<Change>,
    pub(super) head: Arc<KnownHead>,
    /// The changed nodes, except those that are now empty.
    pub(super) nodes: Vec<(NodePath, Arc<KnownNode>)>,
}

/// Updates the index within a commit.
pub(super) struct Indexed<'a> {
    pub(super) id: StoreId,
    pub(super) identity: &'a IdentityKey,
    pub(super) versions: &'a RootKeyVersions,
    /// A leaf with more entries becomes a branch.
    pub(super) max_leaf_entries: usize,
}

/// Returns the records that [`Indexed::update`] reads if all expected records change.
pub(super) fn records_to_read(
    cache: &IndexCache,
    identity: &IdentityKey,
    expected: &[Expectation],
    max_leaf_entries: usize,
) -> Vec<RecordId> {
    let listed = expected.iter().filter(|expectation| !is_part_of_index(&expectation.id));
    let nodes: BTreeSet<NodePath> = listed
        .flat_map(|Expectation { id, revision }| {
            cache.nodes_to_change(&Name::of(identity, id), revision.is_none(), max_leaf_entries)
        })
        .collect();
    std::iter::once(head_record_id()).chain(nodes.iter().map(NodePath::record_id)).collect()
}

impl Indexed<'_> {
    /// Returns the index after `changes`. Until now, every record must have matched the index.
    pub(super) fn update(
        &self,
        pending: &mut dyn Pending,
        head: IndexRoot,
        expected: &[Expectation],
        changes: &[Change],
    ) -> Result<UpdatedIndex> {
        let expected: HashMap<&RecordId, Option<Revision>> =
            expected.iter().map(|expectation| (&expectation.id, expectation.revision)).collect();
        let mut editor = Editor { indexed: self, revision: pending.revision(), pending, head, nodes: BTreeMap::new() };
        for Change { id, body } in changes.iter().filter(|change| !is_part_of_index(&change.id)) {
            let name = Name::of(self.identity, id);
            let version = body.as_ref().map(|body| RecordVersion::of(editor.revision, body)).transpose()?;
            let leaf = editor.leaf_of(&name)?;
            let before = expected.get(id).copied().flatten();
            if leaf.find(&name).map(|version| version.revision) != before {
                return Err(unlisted(id));
            }
            match version {
                Some(version) => leaf.set(&name, version),
                None => leaf.remove(&name),
            }
        }
        editor.finish()
    }
}

/// The nodes that a commit changes.
struct Editor<'a> {
    indexed: &'a Indexed<'a>,
    pending: &'a mut dyn Pending,
    revision: Revision,
    head: IndexRoot,
    nodes: BTreeMap<NodePath, Node>,
}

impl Editor<'_> {
    /// Returns the leaf in which a name belongs. Reads the nodes above it, which all change with it.
    fn leaf_of(&mut self, name: &Name) -> Result<&mut Leaf> {
        let mut path = name.path(1);
        let mut listed = self.head.children.get(&path.first()).copied();
        loop {
            if !self.nodes.contains_key(&path) {
                let node = self.read(&path, listed)?;
                self.nodes.insert(path.clone(), node);
            }
            let Some(Node::Branch(children)) = self.nodes.get(&path) else { break };
            let step = name.step(path.depth()).ok_or(TOO_DEEP)?;
            listed = children.get(&step).copied();
            path = path.child(step);
        }
        match self.nodes.entry(path).or_insert_with(|| Node::Leaf(Leaf::default())) {
            Node::Leaf(leaf) => Ok(leaf),
            Node::Branch(_) => unreachable!("the loop ends at a leaf"),
        }
    }

    /// Returns a node as it was before the commit. A node that does not exist is an empty leaf.
    fn read(&mut self, path: &NodePath, listed: Option<RecordVersion>) -> Result<Node> {
        let id = path.record_id();
        let record = self.pending.get(&id)?;
        compare(&id, record.as_ref(), listed)?;
        match record {
            Some(record) => {
                Node::decode(open_under(self.indexed.id, self.indexed.versions, &id, &record)?.expose_secret())
            }
            None => Ok(Node::Leaf(Leaf::default())),
        }
    }

    /// Seals the changed nodes, each before its parent, and the head.
    fn finish(mut self) -> Result<UpdatedIndex> {
        let mut sealed =
            Sealer { indexed: self.indexed, revision: self.revision, written: Vec::new(), nodes: Vec::new() };
        // The order of paths places a node before those below it.
        while let Some((path, node)) = self.nodes.pop_last() {
            let version = self.write(&mut sealed, &path, node)?;
            let (parent, step) = path.parent();
            let children = match parent {
                None => &mut self.head.children,
                Some(parent) => match self.nodes.get_mut(&parent) {
                    Some(Node::Branch(children)) => children,
                    _ => unreachable!("the parent of a changed node is a changed branch"),
                },
            };
            match version {
                Some(version) => _ = children.insert(step, version),
                None => _ = children.remove(&step),
            }
        }
        let body = Zeroizing::new(self.head.encode()?);
        let version = sealed.seal(head_record_id(), body)?;
        Ok(UpdatedIndex { written: sealed.written, head: Arc::new((version, self.head)), nodes: sealed.nodes })
    }

    /// Seals a node, or deletes it if it is empty. Splits a leaf that is too large.
    fn write(&mut self, sealed: &mut Sealer<'_>, path: &NodePath, node: Node) -> Result<Option<RecordVersion>> {
        if node.is_empty() {
            sealed.written.push(Change { id: path.record_id(), body: None });
            return Ok(None);
        }
        let node = match node {
            Node::Leaf(leaf) if leaf.len() > self.indexed.max_leaf_entries && path.depth() < MAX_DEPTH => {
                let mut children = Children::new();
                for (step, child) in leaf.split(path.depth()) {
                    let path = path.child(step);
                    self.read(&path, None)?;
                    children.extend(self.write(sealed, &path, Node::Leaf(child))?.map(|version| (step, version)));
                }
                Node::Branch(children)
            }
            node => node,
        };
        let version = sealed.seal(path.record_id(), Zeroizing::new(node.encode()?))?;
        sealed.nodes.push((path.clone(), Arc::new((version, node))));
        Ok(Some(version))
    }
}

/// The records of the index that a commit writes.
struct Sealer<'a> {
    indexed: &'a Indexed<'a>,
    revision: Revision,
    written: Vec<Change>,
    nodes: Vec<(NodePath, Arc<KnownNode>)>,
}

impl Sealer<'_> {
    fn seal(&mut self, id: RecordId, body: Zeroizing<Vec<u8>>) -> Result<RecordVersion> {
        let change = seal(self.indexed.id, self.indexed.versions, self.revision, (id, Some(body)))?;
        let version = RecordVersion::of(self.revision, change.body.as_deref().unwrap_or_default())?;
        self.written.push(change);
        Ok(version)
    }
}
