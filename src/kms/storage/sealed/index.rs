//! The index of a store lists its records and their revisions. It is itself stored as sealed
//! records.
//!
//! A sealed record proves that it was once written under its name. It cannot prove that it is still
//! the latest version, or that another record was not removed. Every commit therefore also
//! lists the records that exist after it, in a tree. Every commit rewrites the root of the tree,
//! the *head*, and the nodes between it and the entries of the changed records.
//!
//! ```text
//! head    = u8 format ‖ u16 count, (u8 first ‖ version) for each child, ascending
//!           ‖ u8 count, 8-byte tags of the heads before, the latest first
//! leaf    = u8 1 ‖ u32 count, (16 name ‖ version) for each record, ascending by name
//! branch  = u8 2 ‖ u16 children, one bit each, the lowest for child 0 ‖ version for each child, ascending
//! version = u64 revision ‖ the last 8 bytes of the sealed record
//! name    = the first 16 bytes of the identity of (`index`, u8 kind, account, name of the record)
//! ```
//!
//! The first byte of a name selects one of up to 256 children of the head. Each branch below
//! selects one of up to 16 children by the next four bits. A leaf with more than
//! [`MAX_LEAF_ENTRIES`] entries becomes a branch when it is written. Nodes are never merged, but a
//! node without entries is deleted. Head and nodes are records of kind `Store`, named `head` and
//! `index ‖ u8 first ‖ one byte below 16 for each branch above`. They have no entries themselves.
//! Names are computed with the secret of the store, so an attacker cannot choose aliases that
//! collide, and the tree is balanced.
//!
//! Each node authenticates its children. The head itself must be the one that the latest commit
//! wrote, which an [`Anchor`](crate::store::Anchor) can witness.
//!
//! This is a hash tree (R. Merkle, "A digital signature based on a conventional encryption
//! function", CRYPTO '87), with authenticated encryption in place of the hash. A version identifies
//! exactly one sealed record, since revisions never repeat within one history of a store. The tag
//! is pseudorandom to anyone without the root key and distinguishes histories that diverged from
//! one copy. The alternative is a set hash over all records (D. Clarke et al., "Incremental
//! multiset hash functions", ASIACRYPT 2003). With the tree, a reader need not read all records or
//! keep them in memory to learn that one of them is current. It reads the record, the head, and the
//! nodes between them, except those that it has cached and that their parents still authenticate.
//!
//! With n records, the leaves are log16(n / 32,768) branches below the head, rounded up. For each
//! record that a commit changes, it rewrites one leaf of at most 4 KiB and these branches of at
//! most 259 bytes each, and once the head of at most 4.9 KiB. That is less than 10 KiB at ten
//! million records. A commit that splits a leaf writes 1 KiB more.
//!
//! # Formats
//! Format 1 of the head has no branches, so the leaves below it grow without a limit: with n
//! records, to n / 8 bytes. Both formats of the head have the same fields, and every tree of format
//! 1 is also a tree of format 2. The first commit of this release to such a store writes a head of
//! format 2, and each later one splits the leaves that it changes. There is no separate migration
//! that could be interrupted, and no process needs to wait for another one that migrates. From then
//! on, releases that know only format 1 cannot read the head, and fail.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::kms::records::store_record_id;
use crate::seal::{IdentityKey, SealError};
use crate::store::{RecordId, Revision, StoreError};

/// The latest format of a head.
const FORMAT: u8 = 2;

/// The first byte of a leaf.
const LEAF: u8 = 1;

/// The first byte of a branch.
const BRANCH: u8 = 2;

/// The maximum number of entries of a leaf that is written. Leaves of format 1 may have more.
pub(super) const MAX_LEAF_ENTRIES: usize = 128;

/// The number of children that a branch can have.
pub(super) const FAN_OUT: u8 = 16;

/// The maximum number of nodes on the way from the head to an entry. The last one of them is
/// selected by all bits of a name.
pub(super) const MAX_DEPTH: usize = 2 * NAME_LENGTH - 1;

/// Length of a record's name in the index, in bytes.
const NAME_LENGTH: usize = 16;

/// Length in bytes of the tag: the end of a sealed record, which identifies it.
const TAG_LENGTH: usize = 8;

/// Length of an entry of a leaf, in bytes.
const ENTRY_LENGTH: usize = NAME_LENGTH + 8 + TAG_LENGTH;

/// The number of earlier heads whose tags a head contains.
pub(super) const REMEMBERED_HEADS: usize = 64;

/// The start of the name of a node's record.
const NODE_PREFIX: &[u8] = b"index";

/// The end of a sealed record.
pub(super) type Tag = [u8; TAG_LENGTH];

/// Identifies one version of a sealed record by its revision and its last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordVersion {
    pub(super) revision: Revision,
    pub(super) tag: Tag,
}

impl RecordVersion {
    pub(super) fn of(revision: Revision, sealed: &[u8]) -> Result<Self, SealError> {
        let tag = sealed.last_chunk().ok_or(SealError::Altered)?;
        Ok(Self { revision, tag: *tag })
    }

    fn write(self, writer: &mut Writer) {
        writer.u64(self.revision.0).bytes(&self.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { revision: Revision(reader.u64("revision")?), tag: reader.array("tag")? })
    }
}

/// A record's name in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name([u8; NAME_LENGTH]);

impl Name {
    pub(super) fn of(identity: &IdentityKey, id: &RecordId) -> Self {
        let identity = identity.identify(&[b"index", &[id.kind.code()], id.account.as_str().as_bytes(), &id.name]);
        let mut name = [0; NAME_LENGTH];
        name.copy_from_slice(&identity[..NAME_LENGTH]);
        Self(name)
    }

    /// Returns the number of the child that the name selects in the node at a depth, or `None` if
    /// all bits of the name select that node. The head has depth 0.
    pub(super) fn step(&self, depth: usize) -> Option<u8> {
        let byte = self.0.get(depth.div_ceil(2))?;
        Some(match depth {
            0 => *byte,
            odd if odd % 2 == 1 => byte >> 4,
            _ => byte & 0x0F,
        })
    }

    /// Returns the node at a depth from 1 to [`MAX_DEPTH`] in which the name belongs.
    pub(super) fn path(&self, depth: usize) -> NodePath {
        NodePath((0..depth).filter_map(|depth| self.step(depth)).collect())
    }
}

/// The position of a node in the index: the number of the child in the head, and in each branch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodePath(Vec<u8>);

impl NodePath {
    /// Returns the path of a child of the head.
    pub(super) fn top(first: u8) -> Self {
        Self(vec![first])
    }

    pub(super) fn child(&self, step: u8) -> Self {
        Self([self.0.as_slice(), &[step]].concat())
    }

    /// Returns the path of the branch above and the number of the node in it, or only the number if
    /// the head is above.
    pub(super) fn parent(&self) -> (Option<Self>, u8) {
        let (last, above) = self.0.split_last().expect("a path has at least one step");
        ((!above.is_empty()).then(|| Self(above.to_vec())), *last)
    }

    pub(super) const fn depth(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> u8 {
        self.0[0]
    }

    /// Returns the number of the child that leads from a node above to this one.
    pub(super) fn step(&self, depth: usize) -> u8 {
        self.0[depth]
    }

    /// Returns the path of the node at a lower depth that is above this one.
    pub(super) fn above(&self, depth: usize) -> Self {
        Self(self.0[..depth].to_vec())
    }

    pub(super) fn record_id(&self) -> RecordId {
        store_record_id(&[NODE_PREFIX, &self.0].concat())
    }

    /// Returns the path of the node in a record, or `None` if the record is not a node.
    pub(super) fn of_record(id: &RecordId) -> Option<Self> {
        let steps = id.name.strip_prefix(NODE_PREFIX)?;
        let is_path = (1..=MAX_DEPTH).contains(&steps.len()) && steps[1..].iter().all(|step| *step < FAN_OUT);
        let path = Self(steps.to_vec());
        (is_path && *id == path.record_id()).then_some(path)
    }
}

/// The versions of the children of a node, by their numbers.
pub(super) type Children = BTreeMap<u8, RecordVersion>;

/// The root of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IndexRoot {
    pub(super) children: Children,
    /// The tags of earlier heads, the latest first. Every commit writes a head, so the first tag
    /// belongs to the previous commit.
    pub(super) earlier: Vec<Tag>,
}

impl IndexRoot {
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(4 + self.children.len() * 17 + self.earlier.len() * TAG_LENGTH);
        let too_many = |_| CodecError::Invalid { field: "count" };
        writer.u8(FORMAT).u16(u16::try_from(self.children.len()).map_err(too_many)?);
        for (first, version) in &self.children {
            writer.u8(*first);
            version.write(&mut writer);
        }
        writer.u8(u8::try_from(self.earlier.len()).map_err(too_many)?);
        self.earlier.iter().for_each(|tag| _ = writer.bytes(tag));
        Ok(writer.into_bytes())
    }

    /// Decodes a head of any format.
    ///
    /// # Errors
    /// - [`StoreError::NewerFormat`] if a later release wrote the head.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8("index format")? {
            0 => return Err(CodecError::Invalid { field: "index format" }.into()),
            1..=FORMAT => {}
            newer => return Err(newer_format(newer)),
        }
        let mut head = Self::default();
        for _ in 0..reader.u16("children")? {
            let first = reader.u8("child")?;
            if head.children.last_key_value().is_some_and(|(last, _)| *last >= first) {
                return Err(CodecError::Invalid { field: "order of children" }.into());
            }
            head.children.insert(first, RecordVersion::read(&mut reader)?);
        }
        for _ in 0..reader.u8("earlier heads")? {
            head.earlier.push(reader.array("tag")?);
        }
        reader.finish()?;
        Ok(head)
    }

    /// Returns the next head after this one, whose own tag was `tag`.
    pub(super) fn succeeded_by(mut self, tag: Tag) -> Self {
        self.earlier.insert(0, tag);
        self.earlier.truncate(REMEMBERED_HEADS);
        self
    }
}

/// A part of the index below the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Leaf(Leaf),
    Branch(Children),
}

impl Node {
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Leaf(leaf) => leaf.encode(),
            Self::Branch(children) => {
                let mut bits = 0_u16;
                for step in children.keys() {
                    let bit = 1_u16.checked_shl(u32::from(*step)).ok_or(CodecError::Invalid { field: "child" })?;
                    bits |= bit;
                }
                let mut writer = Writer::with_capacity(3 + children.len() * 16);
                writer.u8(BRANCH).u16(bits);
                children.values().for_each(|version| version.write(&mut writer));
                Ok(writer.into_bytes())
            }
        }
    }

    /// Decodes a node of any format.
    ///
    /// # Errors
    /// - [`StoreError::NewerFormat`] if a later release wrote the node.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8("index format")? {
            0 => Err(CodecError::Invalid { field: "index format" }.into()),
            LEAF => Ok(Self::Leaf(Leaf::decode(reader)?)),
            BRANCH => {
                let bits = reader.u16("children")?;
                let mut children = Children::new();
                for step in (0..FAN_OUT).filter(|step| bits >> step & 1 == 1) {
                    children.insert(step, RecordVersion::read(&mut reader)?);
                }
                reader.finish()?;
                Ok(Self::Branch(children))
            }
            newer => Err(newer_format(newer)),
        }
    }

    /// Returns `true` if nothing is listed below the node.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.len() == 0,
            Self::Branch(children) => children.is_empty(),
        }
    }
}

/// The entries of the records in one part of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaf(Vec<u8>);

impl Leaf {
    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(5 + self.0.len());
        let count = u32::try_from(self.len()).map_err(|_| CodecError::Invalid { field: "count" })?;
        writer.u8(LEAF).u32(count).bytes(&self.0);
        Ok(writer.into_bytes())
    }

    fn decode(mut reader: Reader<'_>) -> Result<Self, CodecError> {
        let count = usize::try_from(reader.u32("entries")?).unwrap_or(usize::MAX);
        let entries = reader.take(count.saturating_mul(ENTRY_LENGTH), "entries")?;
        reader.finish()?;
        let (chunks, _) = entries.as_chunks::<ENTRY_LENGTH>();
        if !chunks.is_sorted_by(|one, next| one[..NAME_LENGTH] < next[..NAME_LENGTH]) {
            return Err(CodecError::Invalid { field: "entry order" });
        }
        Ok(Self(entries.to_vec()))
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len() / ENTRY_LENGTH
    }

    /// Returns all entries, in ascending order of name.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Name, RecordVersion)> {
        self.0.chunks_exact(ENTRY_LENGTH).map(entry)
    }

    pub(super) fn find(&self, name: &Name) -> Option<RecordVersion> {
        let place = self.place(name).ok()?;
        Some(entry(&self.0[place..place + ENTRY_LENGTH]).1)
    }

    pub(super) fn set(&mut self, name: &Name, version: RecordVersion) {
        let mut writer = Writer::with_capacity(ENTRY_LENGTH);
        writer.bytes(&name.0);
        version.write(&mut writer);
        let replaced = match self.place(name) {
            Ok(place) => place..place + ENTRY_LENGTH,
            Err(place) => place..place,
        };
        self.0.splice(replaced, writer.into_bytes());
    }

    pub(super) fn remove(&mut self, name: &Name) {
        if let Ok(place) = self.place(name) {
            self.0.drain(place..place + ENTRY_LENGTH);
        }
    }

    /// Distributes the entries of a leaf at a depth below [`MAX_DEPTH`] to the children that its
    /// names select.
    pub(super) fn split(&self, depth: usize) -> BTreeMap<u8, Self> {
        let mut children: BTreeMap<u8, Self> = BTreeMap::new();
        for bytes in self.0.chunks_exact(ENTRY_LENGTH) {
            let step = entry(bytes).0.step(depth).expect("a leaf above the maximum depth has more steps below");
            children.entry(step).or_default().0.extend_from_slice(bytes);
        }
        children
    }

    /// Appends the entries of the next leaf. All its names must follow those of this leaf.
    pub(super) fn append(&mut self, next: &Self) {
        self.0.extend_from_slice(&next.0);
    }

    /// Returns the offset of the entry, or the offset at which to insert it.
    fn place(&self, name: &Name) -> Result<usize, usize> {
        let (entries, _) = self.0.as_chunks::<ENTRY_LENGTH>();
        let found = entries.binary_search_by(|entry| entry[..NAME_LENGTH].cmp(&name.0));
        found.map(|index| index * ENTRY_LENGTH).map_err(|index| index * ENTRY_LENGTH)
    }
}

fn entry(bytes: &[u8]) -> (Name, RecordVersion) {
    let mut reader = Reader::new(bytes);
    let read =
        |reader: &mut Reader<'_>| Ok::<_, CodecError>((Name(reader.array("name")?), RecordVersion::read(reader)?));
    read(&mut reader).expect("an entry is never truncated")
}

/// The error for a branch at a depth where all bits of a name are used.
pub(super) const TOO_DEEP: CodecError = CodecError::Invalid { field: "depth" };

fn newer_format(found: u8) -> crate::error::Error {
    StoreError::NewerFormat { found: i64::from(found), known: i64::from(FORMAT) }.into()
}

pub(super) fn head_record_id() -> RecordId {
    store_record_id(b"head")
}

/// Returns `true` if a record is part of the index and thus has no entry in it.
pub(super) fn is_part_of_index(id: &RecordId) -> bool {
    *id == head_record_id() || NodePath::of_record(id).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(revision: u64) -> RecordVersion {
        RecordVersion { revision: Revision(revision), tag: [3; TAG_LENGTH] }
    }

    fn leaf(names: impl IntoIterator<Item = [u8; NAME_LENGTH]>) -> Leaf {
        let mut leaf = Leaf::default();
        names.into_iter().for_each(|name| leaf.set(&Name(name), version(1)));
        leaf
    }

    fn assert_error_at_every_length(bytes: &[u8], decode: impl Fn(&[u8]) -> bool) {
        assert!(decode(bytes));
        (0..bytes.len()).for_each(|length| assert!(!decode(&bytes[..length]), "{length}"));
        assert!(!decode(&[bytes, &[0]].concat()), "trailing bytes");
    }

    #[test]
    fn entries_stand_in_order_and_none_stands_twice() -> Result<()> {
        let both = Node::Leaf(leaf([[2; NAME_LENGTH], [1; NAME_LENGTH]]));
        let encoded = both.encode()?;
        assert_eq!(Node::decode(&encoded)?, both);
        assert_error_at_every_length(&encoded, |bytes| Node::decode(bytes).is_ok());
        let (start, entries) = encoded.split_at(5);
        let (one, two) = entries.split_at(ENTRY_LENGTH);
        for wrong in [[start, two, one], [start, one, one]] {
            assert!(Node::decode(&wrong.concat()).is_err());
        }
        Ok(())
    }

    #[test]
    fn a_branch_lists_any_of_its_children() -> Result<()> {
        for steps in [&[][..], &[0], &[15], &[0, 1, 7, 14, 15]] {
            let branch = Node::Branch(steps.iter().map(|step| (*step, version(u64::from(*step) + 1))).collect());
            let encoded = branch.encode()?;
            assert_eq!((encoded.len(), Node::decode(&encoded)?), (3 + 16 * steps.len(), branch));
            assert_error_at_every_length(&encoded, |bytes| Node::decode(bytes).is_ok());
        }
        assert!(Node::Branch(Children::from([(16, version(1))])).encode().is_err());
        Ok(())
    }

    #[test]
    fn a_head_of_either_format_is_read_and_a_later_one_is_named() -> Result<()> {
        let head = IndexRoot { children: Children::from([(0, version(1)), (255, version(2))]), earlier: vec![[7; 8]] };
        let mut encoded = head.encode()?;
        assert_error_at_every_length(&encoded, |bytes| IndexRoot::decode(bytes).is_ok());
        for format in [1, 2] {
            encoded[0] = format;
            assert_eq!(IndexRoot::decode(&encoded)?, head);
        }
        let mut node = Node::Leaf(Leaf::default()).encode()?;
        for found in [3, 255] {
            (encoded[0], node[0]) = (found, found);
            for refused in [IndexRoot::decode(&encoded).map(drop), Node::decode(&node).map(drop)] {
                let error = refused.expect_err("a later format");
                let Some(StoreError::NewerFormat { found: named, known: 2 }) = error.downcast_ref() else {
                    panic!("{error:?}")
                };
                assert_eq!(*named, i64::from(found));
            }
        }
        encoded[0] = 0;
        assert!(IndexRoot::decode(&encoded).is_err());
        Ok(())
    }

    #[test]
    fn the_steps_of_a_name_are_all_its_bits() {
        let name = Name(std::array::from_fn(|place| u8::try_from(place * 17).expect("below 256")));
        let path = name.path(MAX_DEPTH);
        let digits: String = path.0[1..].iter().map(|step| format!("{step:x}")).collect();
        assert_eq!(format!("{:02x}{digits}", path.first()), "00112233445566778899aabbccddeeff");
        let mut path = name.path(1);
        for depth in 1..MAX_DEPTH {
            assert_eq!(NodePath::of_record(&path.record_id()), Some(path.clone()));
            assert_eq!(path, name.path(MAX_DEPTH).above(depth));
            let step = name.step(depth).expect("there are steps left");
            let child = path.child(step);
            assert_eq!(child.parent(), (Some(path), step));
            path = child;
        }
        assert_eq!((path.depth(), name.step(MAX_DEPTH)), (MAX_DEPTH, None));
        assert_eq!(NodePath::top(9).parent(), (None, 9));
    }

    #[test]
    fn only_records_of_nodes_have_a_path() {
        let path = |name: &[u8]| NodePath::of_record(&store_record_id(name));
        assert!(path(b"index\xFF").is_some() && path(b"index\xFF\x0F").is_some());
        for name in [&b"index"[..], b"index\xFF\x10", b"head", b"time", &[b"index".as_slice(), &[0; 32]].concat()] {
            assert!(path(name).is_none(), "{name:?}");
        }
        let other = RecordId { kind: crate::store::RecordKind::Alias, ..store_record_id(b"index\xFF") };
        assert!(NodePath::of_record(&other).is_none());
    }

    #[test]
    fn a_split_leaf_loses_no_entry() {
        let names = (0..=u8::MAX).map(|number| {
            let mut name = [number; NAME_LENGTH];
            name[0] = 7;
            name
        });
        let whole = leaf(names);
        let children = whole.split(1);
        assert_eq!(children.len(), 16);
        let mut joined = Leaf::default();
        for (step, child) in &children {
            assert!(child.entries().all(|(name, _)| name.step(1) == Some(*step) && name.path(2).step(1) == *step));
            joined.append(child);
        }
        assert_eq!(joined, whole);
    }
}
