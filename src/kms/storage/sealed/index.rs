//! The index of a store lists its records and their revisions. It is itself stored as sealed
//! records.
//!
//! A sealed record proves that it was once written under its name. It cannot prove that it is still
//! the latest version, or that another record was not removed. Every commit therefore also
//! lists the records that exist after it, in a table of two levels. Every commit rewrites the root
//! of the table, the *head*.
//!
//! ```text
//! head   = u8 1 ‖ u16 count, (u8 bucket ‖ mark) for each bucket with entries, ascending
//!          ‖ u8 count, 8-byte tags of the heads before, the latest first
//! bucket = u8 1 ‖ u32 count, (16 name ‖ mark) for each record in the bucket, ascending by name
//! mark   = u64 revision ‖ the last 8 bytes of the sealed record
//! name   = the first 16 bytes of the identity of (`index`, u8 kind, account, name of the record)
//! ```
//!
//! The first byte of a name selects one of the 256 buckets. Names are computed with the secret of
//! the store, so an attacker cannot choose aliases that collide. Head and buckets are records of
//! kind `Store`, named `head` and `index ‖ u8 bucket`. They have no entries themselves. The head
//! authenticates each bucket. The head itself must be the one that the latest commit wrote, which
//! an [`Anchor`](crate::store::Anchor) can witness.
//!
//! This is a hash tree (R. Merkle, "A digital signature based on a conventional encryption
//! function", CRYPTO '87) of fixed depth, with authenticated encryption in place of the hash. A
//! mark identifies exactly one sealed record, since revisions never repeat within one history of a
//! store. The tag is pseudorandom to anyone without the root key and distinguishes histories that
//! diverged from one copy. The alternative is a set hash over all records (D. Clarke et al.,
//! "Incremental multiset hash functions", ASIACRYPT 2003). With the tree, a reader need not read
//! all records or keep them in memory to learn that one of them is current. It reads the record,
//! the head, and the bucket, unless it has cached the bucket that the head authenticates.
//!
//! With n records, a commit rewrites about n / 8 bytes of buckets for each record that it changes,
//! and 4 KiB of head.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::kms::records::store_record_id;
use crate::seal::{IdentityKey, SealError};
use crate::store::{RecordId, Revision};

const FORMAT: u8 = 1;

/// Length of a record's name in the index, in bytes.
const NAME_LENGTH: usize = 16;

/// Length in bytes of the tag: the end of a sealed record, which identifies it.
const TAG_LENGTH: usize = 8;

/// Length of an entry of a bucket, in bytes.
const ENTRY_LENGTH: usize = NAME_LENGTH + 8 + TAG_LENGTH;

/// The number of earlier heads whose tags a head contains.
pub(super) const REMEMBERED_HEADS: usize = 64;

/// The end of a sealed record.
pub(super) type Tag = [u8; TAG_LENGTH];

/// A record's name in the index.
pub(super) type Name = [u8; NAME_LENGTH];

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

/// The position of a record in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) bucket: u8,
    pub(super) name: Name,
}

impl Slot {
    pub(super) fn of(identity: &IdentityKey, id: &RecordId) -> Self {
        let identity = identity.identify(&[b"index", &[id.kind.code()], id.account.as_str().as_bytes(), &id.name]);
        let mut name = [0; NAME_LENGTH];
        name.copy_from_slice(&identity[..NAME_LENGTH]);
        Self { bucket: name[0], name }
    }
}

/// The root of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IndexRoot {
    pub(super) buckets: BTreeMap<u8, RecordVersion>,
    /// The tags of earlier heads, the latest first. Every commit writes a head, so the first tag
    /// belongs to the previous commit.
    pub(super) earlier: Vec<Tag>,
}

impl IndexRoot {
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(4 + self.buckets.len() * 17 + self.earlier.len() * TAG_LENGTH);
        let too_many = |_| CodecError::Invalid { field: "count" };
        writer.u8(FORMAT).u16(u16::try_from(self.buckets.len()).map_err(too_many)?);
        for (bucket, mark) in &self.buckets {
            writer.u8(*bucket);
            mark.write(&mut writer);
        }
        writer.u8(u8::try_from(self.earlier.len()).map_err(too_many)?);
        self.earlier.iter().for_each(|tag| _ = writer.bytes(tag));
        Ok(writer.into_bytes())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_format(&mut reader)?;
        let mut head = Self::default();
        for _ in 0..reader.u16("buckets")? {
            let bucket = reader.u8("bucket")?;
            if head.buckets.last_key_value().is_some_and(|(last, _)| *last >= bucket) {
                return Err(CodecError::Invalid { field: "bucket order" }.into());
            }
            head.buckets.insert(bucket, RecordVersion::read(&mut reader)?);
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

/// The entries of the records in one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket(Vec<u8>);

impl Bucket {
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(5 + self.0.len());
        let count = u32::try_from(self.len()).map_err(|_| CodecError::Invalid { field: "count" })?;
        writer.u8(FORMAT).u32(count).bytes(&self.0);
        Ok(writer.into_bytes())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_format(&mut reader)?;
        let count = usize::try_from(reader.u32("entries")?).unwrap_or(usize::MAX);
        let entries = reader.take(count.saturating_mul(ENTRY_LENGTH), "entries")?;
        reader.finish()?;
        let (chunks, _) = entries.as_chunks::<ENTRY_LENGTH>();
        if !chunks.is_sorted_by(|one, next| one[..NAME_LENGTH] < next[..NAME_LENGTH]) {
            return Err(CodecError::Invalid { field: "entry order" }.into());
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

    pub(super) fn set(&mut self, name: &Name, mark: RecordVersion) {
        let mut writer = Writer::with_capacity(ENTRY_LENGTH);
        writer.bytes(name);
        mark.write(&mut writer);
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

    /// Returns the offset of the entry, or the offset at which to insert it.
    fn place(&self, name: &Name) -> Result<usize, usize> {
        let (entries, _) = self.0.as_chunks::<ENTRY_LENGTH>();
        let found = entries.binary_search_by(|entry| entry[..NAME_LENGTH].cmp(name));
        found.map(|index| index * ENTRY_LENGTH).map_err(|index| index * ENTRY_LENGTH)
    }
}

fn entry(bytes: &[u8]) -> (Name, RecordVersion) {
    let mut reader = Reader::new(bytes);
    let read = |reader: &mut Reader<'_>| Ok::<_, CodecError>((reader.array("name")?, RecordVersion::read(reader)?));
    read(&mut reader).expect("an entry is never truncated")
}

fn check_format(reader: &mut Reader<'_>) -> Result<(), CodecError> {
    match reader.u8("index format")? {
        FORMAT => Ok(()),
        _ => Err(CodecError::Invalid { field: "index format" }),
    }
}

pub(super) fn head_record_id() -> RecordId {
    store_record_id(b"head")
}

pub(super) fn bucket_record_id(bucket: u8) -> RecordId {
    let mut name = b"index".to_vec();
    name.push(bucket);
    store_record_id(&name)
}

/// Returns `true` if a record is part of the index and thus has no entry in it.
pub(super) fn is_part_of_index(id: &RecordId) -> bool {
    *id == head_record_id() || id.name.last().is_some_and(|bucket| *id == bucket_record_id(*bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_order_and_none_stands_twice() -> Result<()> {
        let mut bucket = Bucket::default();
        for name in [[2; NAME_LENGTH], [1; NAME_LENGTH]] {
            bucket.set(&name, RecordVersion { revision: Revision(1), tag: [3; TAG_LENGTH] });
        }
        assert_eq!(Bucket::decode(&bucket.encode()?)?, bucket);
        let (one, two) = bucket.0.split_at(ENTRY_LENGTH);
        for wrong in [[two, one], [one, one]] {
            assert!(Bucket::decode(&Bucket(wrong.concat()).encode()?).is_err());
        }
        Ok(())
    }
}
