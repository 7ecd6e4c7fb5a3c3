//! A store that counts its reads.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::Result;
use strongroom::store::{
    CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, StoreId, WriteChanges,
};

/// Called before each read of the head alone, in place of the read if it fails.
type HeadHook = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// A store that wraps another one.
pub(crate) struct CountingStore {
    store: Arc<dyn KeyStore>,
    reads: AtomicU64,
    records: AtomicU64,
    read_bytes: AtomicU64,
    head_reads: AtomicU64,
    head_hook: Mutex<Option<HeadHook>>,
}

/// The reads since the last call of [`CountingStore::take_reads`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The number of calls.
    pub(crate) calls: u64,
    /// The number of records that were requested or found.
    pub(crate) records: u64,
    /// The total length of the bodies.
    pub(crate) bytes: u64,
    /// The number of calls that read only the head of the index.
    pub(crate) heads: u64,
}

impl CountingStore {
    pub(crate) fn new(store: Arc<dyn KeyStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            reads: AtomicU64::new(0),
            records: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            head_reads: AtomicU64::new(0),
            head_hook: Mutex::default(),
        })
    }

    /// Calls a hook before each read of the head alone. If the hook fails, so does the read.
    pub(crate) fn on_head_read(&self, hook: impl Fn() -> Result<()> + Send + Sync + 'static) {
        *self.head_hook.lock().expect("no thread panicked") = Some(Arc::new(hook));
    }

    pub(crate) fn take_reads(&self) -> Reads {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        Reads {
            calls: take(&self.reads),
            records: take(&self.records),
            bytes: take(&self.read_bytes),
            heads: take(&self.head_reads),
        }
    }

    fn count<'a>(&self, records: usize, found: impl Iterator<Item = &'a Record>) {
        let as_u64 = |count| u64::try_from(count).expect("a small number");
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.records.fetch_add(as_u64(records), Ordering::SeqCst);
        self.read_bytes.fetch_add(as_u64(found.map(|record| record.body.len()).sum()), Ordering::SeqCst);
    }
}

/// Returns `true` if a record is the head of the index.
pub(crate) fn is_head(id: &RecordId) -> bool {
    id.kind == RecordKind::Store && id.name == b"head"
}

/// Returns `true` if a record is a part of the index.
pub(crate) fn is_index(id: &RecordId) -> bool {
    is_head(id) || (id.kind == RecordKind::Store && id.name.len() > 5 && id.name.starts_with(b"index"))
}

impl KeyStore for CountingStore {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn location(&self) -> Option<[u8; 16]> {
        self.store.location()
    }

    fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        if matches!(ids, [id] if is_head(id)) {
            self.head_reads.fetch_add(1, Ordering::SeqCst);
            let hook = self.head_hook.lock().expect("no thread panicked").clone();
            hook.map_or(Ok(()), |hook| hook())?;
        }
        let found = self.store.get_all(ids)?;
        self.count(ids.len(), found.iter().flatten());
        Ok(found)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let found = self.store.scan(scan)?;
        self.count(found.len(), found.iter().map(|(_, record)| record));
        Ok(found)
    }

    fn scan_since(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
        let found = self.store.scan_since(scan, since)?;
        self.count(found.len(), found.iter().map(|(_, record)| record));
        Ok(found)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.store.commit(expected, changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        self.store.commit_prefetching(expected, prefetch, changes)
    }

    fn scrub(&self) -> Result<()> {
        self.store.scrub()
    }

    fn check_structure(&self) -> Result<Vec<strongroom::store::StoreError>> {
        self.store.check_structure()
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }
}

impl fmt::Debug for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CountingStore").field(&self.store).finish()
    }
}
