//! The parts of the index that were last read or written, and were verified then.
//!
//! Every commit writes a head, so the revision of a head is the revision of the store that it
//! describes. A cached head that is at least as new as the store states therefore describes the
//! present. A cached bucket is current if that head lists the same version of it. Together they
//! show, without any read, that a record was not changed, however many other records were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::index::{Bucket, IndexRoot, RecordVersion, Slot};
use crate::error::Result;
use crate::lock::Mutex;
use crate::store::Revision;

/// The number of buckets in the index.
const BUCKETS: usize = 256;

/// A verified head, with its own version.
pub(super) type KnownHead = (RecordVersion, IndexRoot);

/// A verified bucket, with its own version.
pub(super) type KnownBucket = (RecordVersion, Bucket);

/// The version of a record according to the cached index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// The record has this version, or does not exist.
    Version(Option<RecordVersion>),
    /// The bucket of the record must be read to find out.
    Unknown,
}

pub(super) struct IndexCache {
    head: ArcSwapOption<KnownHead>,
    buckets: Box<[ArcSwapOption<KnownBucket>]>,
    /// Held while a thread reads the head for all others that need it.
    reading: Mutex<()>,
    /// The number of such reads that failed.
    failures: AtomicU64,
}

impl IndexCache {
    pub(super) fn new() -> Self {
        Self {
            head: ArcSwapOption::empty(),
            buckets: (0..BUCKETS).map(|_| ArcSwapOption::empty()).collect(),
            reading: Mutex::new(()),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn head(&self) -> Option<Arc<KnownHead>> {
        self.head.load_full()
    }

    /// Caches a head, unless another thread has cached a later one.
    pub(super) fn put_head(&self, head: &Arc<KnownHead>) {
        put_later(&self.head, head, |known| known.0);
    }

    pub(super) fn bucket(&self, bucket: u8) -> Option<Arc<KnownBucket>> {
        self.buckets[usize::from(bucket)].load_full()
    }

    /// Caches a bucket, unless another thread has cached a later version of it.
    pub(super) fn put_bucket(&self, bucket: u8, known: &Arc<KnownBucket>) {
        put_later(&self.buckets[usize::from(bucket)], known, |known| known.0);
    }

    /// Returns the cached bucket if it is the one that the head lists.
    pub(super) fn current_bucket(&self, head: &IndexRoot, bucket: u8) -> Option<Arc<KnownBucket>> {
        self.bucket(bucket).filter(|known| head.buckets.get(&bucket) == Some(&known.0))
    }

    /// Finds the version of a record that a head and the cached buckets list. An empty bucket is
    /// not stored, so the head alone shows that it lists nothing.
    pub(super) fn listed(&self, head: &IndexRoot, slot: &Slot) -> Listing {
        if !head.buckets.contains_key(&slot.bucket) {
            return Listing::Version(None);
        }
        self.current_bucket(head, slot.bucket)
            .map_or(Listing::Unknown, |bucket| Listing::Version(bucket.1.find(&slot.name)))
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

/// Replaces a cached part of the index, unless the known one is of a later revision. Two versions
/// of the same revision belong to histories that diverged, and the one read last replaces the
/// other.
fn put_later<T>(slot: &ArcSwapOption<T>, later: &Arc<T>, version: impl Fn(&T) -> RecordVersion) {
    let revision = version(later).revision;
    slot.rcu(|known| match known {
        Some(known) if version(known).revision > revision => Some(Arc::clone(known)),
        _ => Some(Arc::clone(later)),
    });
}
