//! Updates of the index within a commit.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::index::{Bucket, IndexRoot, RecordVersion, Slot, bucket_record_id, head_record_id, is_part_of_index};
use super::index_cache::{KnownBucket, KnownHead};
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
    /// The changed buckets, except those that are now empty.
    pub(super) buckets: Vec<(u8, Arc<KnownBucket>)>,
}

/// Updates the index within a commit.
pub(super) struct Indexed<'a> {
    pub(super) id: StoreId,
    pub(super) identity: &'a IdentityKey,
    pub(super) versions: &'a RootKeyVersions,
}

/// Returns the records that [`Indexed::update`] reads if all expected records change.
pub(super) fn records_to_read(identity: &IdentityKey, expected: &[Expectation]) -> Vec<RecordId> {
    let listed = expected.iter().map(|expectation| &expectation.id).filter(|id| !is_part_of_index(id));
    let buckets: BTreeSet<u8> = listed.map(|id| Slot::of(identity, id).bucket).collect();
    std::iter::once(head_record_id()).chain(buckets.into_iter().map(bucket_record_id)).collect()
}

impl Indexed<'_> {
    /// Returns the index after `changes`. Until now, every record must have matched the index.
    pub(super) fn update(
        &self,
        pending: &mut dyn Pending,
        mut head: IndexRoot,
        expected: &[Expectation],
        changes: &[Change],
    ) -> Result<UpdatedIndex> {
        let revision = pending.revision();
        let expected: HashMap<&RecordId, Option<Revision>> =
            expected.iter().map(|expectation| (&expectation.id, expectation.revision)).collect();
        let mut buckets: BTreeMap<u8, Bucket> = BTreeMap::new();
        for Change { id, body } in changes.iter().filter(|change| !is_part_of_index(&change.id)) {
            let slot = Slot::of(self.identity, id);
            let bucket = match buckets.entry(slot.bucket) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.bucket(pending, &head, slot.bucket)?),
            };
            let before = expected.get(id).copied().flatten();
            if bucket.find(&slot.name).map(|mark| mark.revision) != before {
                return Err(unlisted(id));
            }
            match body {
                Some(body) => bucket.set(&slot.name, RecordVersion::of(revision, body)?),
                None => bucket.remove(&slot.name),
            }
        }
        let (mut written, mut known) = (Vec::with_capacity(buckets.len() + 1), Vec::with_capacity(buckets.len()));
        for (number, bucket) in buckets {
            let body = if bucket.len() == 0 { None } else { Some(Zeroizing::new(bucket.encode()?)) };
            let change = seal(self.id, self.versions, revision, (bucket_record_id(number), body))?;
            match &change.body {
                Some(sealed) => {
                    let version = RecordVersion::of(revision, sealed)?;
                    head.buckets.insert(number, version);
                    known.push((number, Arc::new((version, bucket))));
                }
                None => _ = head.buckets.remove(&number),
            }
            written.push(change);
        }
        let body = Zeroizing::new(head.encode()?);
        let change = seal(self.id, self.versions, revision, (head_record_id(), Some(body)))?;
        let version = RecordVersion::of(revision, change.body.as_deref().unwrap_or_default())?;
        written.push(change);
        Ok(UpdatedIndex { written, head: Arc::new((version, head)), buckets: known })
    }

    /// Returns the bucket as it was before the commit.
    fn bucket(&self, pending: &mut dyn Pending, head: &IndexRoot, bucket: u8) -> Result<Bucket> {
        let id = bucket_record_id(bucket);
        let record = pending.get(&id)?;
        compare(&id, record.as_ref(), head.buckets.get(&bucket).copied())?;
        match record {
            Some(record) => Bucket::decode(open_under(self.id, self.versions, &id, &record)?.expose_secret()),
            None => Ok(Bucket::default()),
        }
    }
}
