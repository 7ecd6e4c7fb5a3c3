//! A store whose records a test can change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, Pending, Record, RecordId, Revision, Scan, StoreId, WriteChanges,
};
use strongroom::{Error, ErrorKind, Result};

/// A store whose records, including their revisions, can be changed while a `Kms` uses it.
#[derive(Debug)]
pub(crate) struct TamperingStore {
    id: StoreId,
    state: Mutex<State>,
    commits_left: AtomicU64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    pub(crate) records: BTreeMap<RecordId, Record>,
}

impl TamperingStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { id: StoreId([9; 16]), state: Mutex::default(), commits_left: AtomicU64::new(u64::MAX) })
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().expect("no thread panicked").clone()
    }

    /// Lets only the next `commits` commits succeed.
    pub(crate) fn fail_after(&self, commits: u64) {
        self.commits_left.store(commits, Ordering::SeqCst);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no thread panicked"));
    }
}

struct Next {
    state: State,
    read: Vec<RecordId>,
}

impl Pending for Next {
    fn revision(&self) -> Revision {
        Revision(self.state.revision)
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.push(id.clone());
        Ok(self.state.records.get(id).cloned())
    }
}

impl KeyStore for TamperingStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn revision(&self) -> Result<Revision> {
        Ok(Revision(self.state().revision))
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let state = self.state();
        Ok(ids.iter().map(|id| state.records.get(id).cloned()).collect())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let wanted = |id: &RecordId| {
            id.kind == scan.kind
                && scan.account.is_none_or(|account| account == id.account)
                && scan.after.as_ref().is_none_or(|after| after < id)
        };
        Ok(self.state().records.into_iter().filter(|(id, _)| wanted(id)).take(scan.limit).collect())
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        let mut state = self.state.lock().expect("no thread panicked");
        for Expectation { id, revision } in expected {
            if state.records.get(id).map(|record| record.revision) != *revision {
                return Err(CommitError::Conflict(id.clone()));
            }
        }
        let left = self.commits_left.load(Ordering::SeqCst).checked_sub(1);
        let left = left.ok_or_else(|| Error::new(ErrorKind::Store, "no more commits"))?;
        self.commits_left.store(left, Ordering::SeqCst);
        let mut next = Next { state: state.clone(), read: Vec::new() };
        next.state.revision += 1;
        let revision = Revision(next.state.revision);
        for Change { id, body } in changes(&mut next)? {
            match body {
                Some(body) => _ = next.state.records.insert(id, Record { revision, body: body.into() }),
                None => _ = next.state.records.remove(&id),
            }
        }
        *state = next.state;
        Ok(revision)
    }
}
