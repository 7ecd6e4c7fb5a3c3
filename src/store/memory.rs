//! An in-memory store: the default of `Kms::in_memory`, and the reference model for testing other
//! stores.

use std::fmt;

use arc_swap::ArcSwap;
use rpds::RedBlackTreeMapSync;

use super::{
    Change, CommitError, Expectation, KeyStore, MAX_SCAN, Pending, Record, RecordId, Revision, Scan, StoreId,
    WriteChanges, check_named,
};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::lock::Mutex;

/// Keeps records in memory, for the lifetime of the process.
///
/// Readers take no lock. They use an immutable snapshot, which each commit replaces with a new one.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::seal::RootKey;
/// use strongroom::store::MemoryStore;
///
/// let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
/// assert!(store.is_empty());
/// let kms = Kms::builder().store(Arc::clone(&store), RootKey::generate()).build()?;
/// let before = store.len(); // records of the store itself
/// kms.create_key(Default::default())?;
/// assert!(store.len() > before);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct MemoryStore {
    id: StoreId,
    current: ArcSwap<Snapshot>,
    writer: Mutex<()>,
}

#[derive(Clone, Default)]
struct Snapshot {
    revision: Revision,
    records: RedBlackTreeMapSync<RecordId, Record>,
}

impl MemoryStore {
    /// Creates an empty store with a random identity.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`](crate::ErrorKind::Internal) if the backend cannot generate random
    ///   bytes.
    pub fn new(backend: &CryptoBackend) -> Result<Self> {
        let mut id = [0; 16];
        backend.random().fill(&mut id)?;
        Ok(Self { id: StoreId(id), current: ArcSwap::default(), writer: Mutex::new(()) })
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.current.load().records.size()
    }

    /// Returns `true` if there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Snapshot {
    fn check(&self, expected: &[Expectation]) -> Result<(), CommitError> {
        let unmet = expected
            .iter()
            .find(|expectation| self.records.get(&expectation.id).map(|r| r.revision) != expectation.revision);
        unmet.map_or(Ok(()), |expectation| Err(CommitError::Conflict(expectation.id.clone())))
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for Change { id, body } in changes {
            match body {
                Some(body) => {
                    self.records.insert_mut(id, Record { revision: self.revision, body: body.into() });
                }
                None => {
                    self.records.remove_mut(&id);
                }
            }
        }
    }
}

/// A commit in progress. The records are still those before the commit.
struct Next<'a> {
    snapshot: &'a Snapshot,
    read: Vec<RecordId>,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        self.snapshot.revision
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.push(id.clone());
        Ok(self.snapshot.records.get(id).cloned())
    }
}

impl KeyStore for MemoryStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn revision(&self) -> Result<Revision> {
        Ok(self.current.load().revision)
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let snapshot = self.current.load();
        Ok(ids.iter().map(|id| snapshot.records.get(id).cloned()).collect())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let snapshot = self.current.load_full();
        let first = scan.after.clone().unwrap_or(RecordId {
            kind: scan.kind,
            account: scan.account.unwrap_or_default(),
            name: Vec::new(),
        });
        let wanted = |id: &RecordId| id.kind == scan.kind && scan.account.is_none_or(|account| account == id.account);
        let records = snapshot
            .records
            .range(first..)
            .filter(|(id, _)| scan.after.as_ref() != Some(id))
            .take_while(|(id, _)| wanted(id))
            .take(scan.limit.min(MAX_SCAN));
        Ok(records.map(|(id, record)| (id.clone(), record.clone())).collect())
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        // The lock only serializes writers and guards no data, so a writer that panicked left no
        // partial change.
        let _writer = self.writer.lock();
        let mut next = Snapshot::clone(&self.current.load());
        next.check(expected)?;
        next.revision = Revision(next.revision.0 + 1);
        let mut pending = Next { snapshot: &next, read: Vec::new() };
        let changes = changes(&mut pending)?;
        check_named(expected, &pending.read, &changes)?;
        next.apply(changes);
        let revision = next.revision;
        self.current.store(next.into());
        Ok(revision)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("id", &self.id).field("records", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn memory_store_meets_the_contract() -> Result<()> {
        conformance::run(|| Ok(Box::new(MemoryStore::new(&CryptoBackend::default())?)))
    }
}
