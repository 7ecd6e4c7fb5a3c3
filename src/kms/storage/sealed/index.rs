//! The index of a store: which records there are, at which revisions, as sealed records of the store itself.
//!
//! A sealed record proves that it was once written under its name. That it is still the latest one, or that it was not
//! taken away, nothing in it can prove. So every commit also writes down what is there after it: a table of two levels, whose
//! root, the *head*, is rewritten by every commit.
//!
//! ```text
//! head   = u8 1 ‖ u16 count, (u8 bucket ‖ mark) for each bucket with entries, ascending
//!          ‖ u8 count, 8-byte tags of the heads before, the latest first
//! bucket = u8 1 ‖ u32 count, (16 name ‖ mark) for each record in the bucket, ascending by name
//! mark   = u64 revision ‖ the last 8 bytes of the sealed record
//! name   = the first 16 bytes of the identity of (`index`, u8 kind, account, name of the record)
//! ```
//!
//! The first byte of a record's name says which of the 256 buckets it belongs to. Names are made under the secret of the
//! store, so that nobody can choose aliases that fall together. Head and buckets are records of kind `Store`, called `head`
//! and `index ‖ u8 bucket`; they have no entries themselves: a bucket is vouched for by the head, and the head by
//! being the one that the latest commit wrote, which an [`Anchor`](crate::store::Anchor) can witness.
//!
//! This is a hash tree (R. Merkle, "A digital signature based on a conventional encryption function", CRYPTO '87) of fixed depth, with authenticated
//! encryption in the place of the hash: what a child's mark stands for is one sealed record, since revisions never
//! repeat within one history of a store, and the tag, which is pseudo-random to everybody without the root key, tells apart
//! histories that went on separately from one copy. In comparison with a set hash over all records (D. Clarke et al.,
//! "Incremental multiset hash functions", ASIACRYPT 2003) a reader need not go through all records, nor keep them in
//! memory, to learn that one of them is current: it reads the record, the head, and the bucket unless it holds the one that the
//! head vouches for.
//!
//! With n records a commit rewrites about n / 8 bytes of buckets for each record that it changes, and 4 KiB of head.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::kms::records::store_record_id;
use crate::seal::{IdentityKey, SealError};
use crate::store::{RecordId, Revision};

const FORMAT: u8 = 1;

/// Bytes of a record's name in the index.
const NAME_LENGTH: usize = 16;

/// Bytes of the end of a sealed record that stand for it.
const TAG_LENGTH: usize = 8;

/// Bytes of an entry of a bucket.
const ENTRY_LENGTH: usize = NAME_LENGTH + 8 + TAG_LENGTH;

/// How many heads before itself a head remembers.
pub(super) const REMEMBERED_HEADS: usize = 64;

/// The end of a sealed record.
pub(super) type Tag = [u8; TAG_LENGTH];

/// A record's name in the index.
pub(super) type Name = [u8; NAME_LENGTH];

/// What stands for one sealed record: when it was written, and the end of it.
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

/// Where a record stands in the index.
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
    /// The tags of the heads before, the latest first: that of the commit before stands first, as every commit has one.
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

    /// The head that comes after this one, whose own tag was `tag`.
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

    /// All entries, ascending by name.
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

    /// The first byte of the entry, or of where it would stand.
    fn place(&self, name: &Name) -> Result<usize, usize> {
        let (entries, _) = self.0.as_chunks::<ENTRY_LENGTH>();
        let found = entries.binary_search_by(|entry| entry[..NAME_LENGTH].cmp(name));
        found.map(|index| index * ENTRY_LENGTH).map_err(|index| index * ENTRY_LENGTH)
    }
}

fn entry(bytes: &[u8]) -> (Name, RecordVersion) {
    let mut reader = Reader::new(bytes);
    let read = |reader: &mut Reader<'_>| Ok::<_, CodecError>((reader.array("name")?, RecordVersion::read(reader)?));
    read(&mut reader).expect("an entry has all its bytes")
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

/// Whether a record is a part of the index, which has no entry in it.
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
