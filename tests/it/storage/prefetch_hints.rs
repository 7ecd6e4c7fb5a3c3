//! Commits tell the store which records they will read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, Operation, Tag};
use strongroom::policy::GrantTerms;
use strongroom::request::{CreateGrantRequest, CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{
    CommitError, Expectation, KeyStore, MemoryStore, Pending, Record, RecordId, Revision, Scan, StoreId, WriteChanges,
};
use strongroom::{Kms, Result};

/// A store that compares the hint of each commit with the records that the commit reads.
#[derive(Debug)]
struct Watched {
    store: MemoryStore,
    /// For each commit, the records that were read without a hint, and those of the hint that were
    /// not read.
    misses: Mutex<Vec<(BTreeSet<RecordId>, BTreeSet<RecordId>)>>,
}

struct Watching<'a> {
    pending: &'a mut dyn Pending,
    read: &'a mut BTreeSet<RecordId>,
}

impl Pending for Watching<'_> {
    fn revision(&self) -> Revision {
        self.pending.revision()
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.insert(id.clone());
        self.pending.get(id)
    }
}

impl KeyStore for Watched {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.store.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.store.scan(scan)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.commit_prefetching(expected, &[], changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let mut read = BTreeSet::new();
        let done = self
            .store
            .commit_prefetching(expected, prefetch, &mut |pending| changes(&mut Watching { pending, read: &mut read }));
        let hint: BTreeSet<RecordId> = prefetch.iter().cloned().collect();
        assert_eq!(hint.len(), prefetch.len(), "no record is in the hint twice");
        let misses = (read.difference(&hint).cloned().collect(), hint.difference(&read).cloned().collect());
        self.misses.lock().expect("no thread panicked").push(misses);
        done
    }
}

#[test]
fn a_commit_reads_exactly_the_records_of_its_hint() -> Result<()> {
    let store = Arc::new(Watched { store: MemoryStore::new(&Default::default())?, misses: Mutex::default() });
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    let kms = open()?;
    store.misses.lock().expect("no thread panicked").clear(); // the first commit creates the index
    let key = kms.create_key(CreateKeyRequest::default().alias("alias/reports"))?.key_id();
    kms.tag_resource(key, [Tag::new("team", "billing")?])?;
    let grantee = Principal::user(AccountId::default(), "alice")?;
    kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(grantee, [Operation::Encrypt])?))?;
    kms.encrypt(EncryptRequest::new(key, b"counts as a use"))?;
    kms.rotate_key_on_demand(key)?;
    kms.rotate_root_key()?;
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    kms.run_maintenance()?;
    let misses = std::mem::take(&mut *store.misses.lock().expect("no thread panicked"));
    assert!(misses.len() > 8, "{} commits", misses.len());
    for (number, (unexpected, unneeded)) in misses.iter().enumerate() {
        assert!(unexpected.is_empty() && unneeded.is_empty(), "commit {number}: {unexpected:?}, {unneeded:?}");
    }
    Ok(())
}
