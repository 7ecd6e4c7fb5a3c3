//! Verification of a store: compares every record with the index, and every index entry with the
//! records.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Sealed;
use super::index::{Leaf, Name, Node, NodePath, RecordVersion, is_part_of_index};
use super::record_aad::root_record_id;
use super::violations::compare;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;
use crate::store::{MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan};

/// Maximum number of times that a part of the index is read again because it has more nodes than
/// were read. Each level of nodes needs one read.
const MAX_PART_READS: usize = 64;

/// The progress of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Checked {
    pub(in crate::kms) records: u64,
    pub(in crate::kms) total: u64,
}

impl Sealed {
    /// Reads every record, compares it with the index, opens it and passes it to `examine`. Then
    /// searches for records that the index lists but that are missing, and asks the store to check
    /// its structure. Problems are collected and do not stop the verification.
    pub(in crate::kms) fn verify(
        &self,
        progress: &mut dyn FnMut(Checked),
        examine: &dyn Fn(&RecordId, &SecretBytes) -> Result<()>,
    ) -> Result<(u64, Vec<Error>)> {
        self.check_anchor()?;
        let start = self.store.revision()?;
        let mut index = Vec::new();
        for first in 0..=u8::MAX {
            index.push(self.read_part(first)?);
        }
        let listed = index.iter().map(|part| part.entries.len()).sum();
        let mut checked = Checked { records: 0, total: u64::try_from(listed).unwrap_or(u64::MAX) };
        let mut seen = HashSet::with_capacity(listed);
        let mut problems = Vec::new();
        self.each_page(|page| {
            for (id, record) in page {
                if let Some(path) = NodePath::of_record(id) {
                    let is_known = index[usize::from(path.first())].paths.contains(&path);
                    problems.extend(if is_known { None } else { self.check_node(&path).err() });
                } else if !is_part_of_index(id) {
                    let name = Name::of(&self.identity, id);
                    seen.insert(name);
                    checked.records += 1;
                    let listed = index[usize::from(name.path(1).first())].entries.find(&name);
                    problems.extend(self.verify_record(id, record, listed, examine).err());
                }
            }
            progress(checked);
        })?;
        problems.extend(self.missing(&seen, start)?);
        problems.extend(self.store.check_structure()?.into_iter().map(Error::from));
        Ok((checked.records, problems))
    }

    /// Visits every record as stored, up to `MAX_SCAN` at a time.
    pub(super) fn each_page(&self, mut visit: impl FnMut(&[(RecordId, Record)])) -> Result<()> {
        for &kind in RecordKind::ALL {
            let mut after = None;
            loop {
                let page = self.store.scan(&Scan { kind, account: None, after, limit: MAX_SCAN })?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                visit(&page);
            }
        }
        Ok(())
    }

    fn verify_record(
        &self,
        id: &RecordId,
        record: &Record,
        listed: Option<RecordVersion>,
        examine: &dyn Fn(&RecordId, &SecretBytes) -> Result<()>,
    ) -> Result<()> {
        let mut current = Some(record.clone());
        if compare(id, Some(record), listed).is_err() {
            // Either the record was changed in the meantime, or it is damaged.
            current = self.get_sealed(id)?;
        }
        match current {
            Some(current) if *id != root_record_id() => examine(id, &self.open_record(id, &current)?),
            _ => Ok(()),
        }
    }

    /// Returns a problem for each index entry of revision `start` or earlier whose record was not
    /// seen.
    pub(super) fn missing(&self, seen: &HashSet<Name>, start: Revision) -> Result<Vec<Error>> {
        let problem = |revision: Revision| {
            let text = format!("a record that was last written at revision {} was removed", revision.0);
            Error::new(ErrorKind::Integrity, text)
        };
        let mut problems = Vec::new();
        for first in 0..=u8::MAX {
            let part = self.read_part(first)?;
            let entries = part.entries.entries();
            let missing = entries.filter(|(name, version)| version.revision <= start && !seen.contains(name));
            problems.extend(missing.map(|(_, version)| problem(version.revision)));
        }
        Ok(problems)
    }

    /// Reads the index below one child of the head, all from one snapshot of the store. Nothing is
    /// taken from the cache.
    fn read_part(&self, first: u8) -> Result<IndexPart> {
        let top = NodePath::top(first);
        let mut wanted = BTreeSet::from([top.clone()]);
        for _ in 0..MAX_PART_READS {
            let now = self.store.revision()?;
            let (_, head, nodes) = self.read_with_index(None, wanted.iter().cloned().collect(), now)?;
            let mut part = IndexPart::default();
            self.collect(&top, head.1.children.get(&first).copied(), &nodes.read, &mut part)?;
            if part.unread.is_empty() {
                return Ok(part);
            }
            wanted.append(&mut part.unread);
        }
        Err(Error::new(ErrorKind::Conflict, "the index of the store kept changing while it was being read: try again"))
    }

    /// Adds a node and all below it to a part of the index.
    fn collect(
        &self,
        path: &NodePath,
        listed: Option<RecordVersion>,
        read: &HashMap<NodePath, Option<Record>>,
        part: &mut IndexPart,
    ) -> Result<()> {
        let Some(record) = read.get(path) else {
            part.unread.extend(listed.map(|_| path.clone()));
            return Ok(());
        };
        let Some(version) = listed else { return compare(&path.record_id(), record.as_ref(), None) };
        part.paths.insert(path.clone());
        match self.open_node(path, version, record.as_ref())? {
            Node::Leaf(leaf) => part.entries.append(&leaf),
            Node::Branch(children) => {
                for (step, version) in children {
                    self.collect(&path.child(step), Some(version), read, part)?;
                }
            }
        }
        Ok(())
    }

    /// Checks that the nodes above a node list it, or that it does not exist.
    fn check_node(&self, path: &NodePath) -> Result<()> {
        let now = self.store.revision()?;
        let paths = (1..=path.depth()).map(|depth| path.above(depth)).collect();
        let (_, head, nodes) = self.read_with_index(None, paths, now)?;
        let record = |path: &NodePath| nodes.read.get(path).and_then(Option::as_ref);
        let mut listed = head.1.children.get(&path.first()).copied();
        for depth in 1..path.depth() {
            let above = path.above(depth);
            let node = listed.map(|version| self.open_node(&above, version, record(&above))).transpose()?;
            listed = match node {
                Some(Node::Branch(children)) => children.get(&path.step(depth)).copied(),
                Some(Node::Leaf(_)) | None => None,
            };
        }
        compare(&path.record_id(), record(path), listed)
    }
}

/// The index below one child of the head.
#[derive(Default)]
struct IndexPart {
    entries: Leaf,
    paths: HashSet<NodePath>,
    /// Nodes that are listed but were not read.
    unread: BTreeSet<NodePath>,
}
