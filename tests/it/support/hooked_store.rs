//! A store that runs a hook before or after a commit, before a read, or after a scan, once, and whose
//! commits can fail.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::store::{
    CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, StoreId, WriteChanges,
};
use strongroom::{Error, ErrorKind, Result};

type Hook = Box<dyn FnOnce() -> Result<()> + Send>;

/// A store that wraps another one.
pub(crate) struct HookedStore {
    store: Arc<dyn KeyStore>,
    before_commit: Mutex<Option<(RecordKind, Hook)>>,
    after_commit: Mutex<Option<(RecordKind, Hook)>>,
    before_get: Mutex<Option<(RecordKind, Hook)>>,
    after_scan: Mutex<Option<(RecordKind, Hook)>>,
    commits_left: AtomicU64,
}

impl HookedStore {
    pub(crate) fn new(store: Arc<dyn KeyStore>) -> Arc<Self> {
        let (before_commit, after_commit) = (Mutex::default(), Mutex::default());
        let (before_get, after_scan, commits_left) = (Mutex::default(), Mutex::default(), AtomicU64::new(u64::MAX));
        Arc::new(Self { store, before_commit, after_commit, before_get, after_scan, commits_left })
    }

    /// Lets only the next `commits` commits succeed.
    pub(crate) fn fail_after(&self, commits: u64) {
        self.commits_left.store(commits, Ordering::SeqCst);
    }

    /// Runs the hook before the next commit that concerns a record of a kind. If the hook fails, so
    /// does the commit.
    pub(crate) fn before_commit(&self, kind: RecordKind, hook: impl FnOnce() -> Result<()> + Send + 'static) {
        *self.before_commit.lock().expect("no thread panicked") = Some((kind, Box::new(hook)));
    }

    /// Runs the hook after the next such commit. An error of the hook is returned although the commit took effect.
    pub(crate) fn after_commit(&self, kind: RecordKind, hook: impl FnOnce() -> Result<()> + Send + 'static) {
        *self.after_commit.lock().expect("no thread panicked") = Some((kind, Box::new(hook)));
    }

    /// Runs the hook before the next read of a record of a kind.
    #[cfg(feature = "parameters")]
    pub(crate) fn before_get(&self, kind: RecordKind, hook: impl FnOnce() -> Result<()> + Send + 'static) {
        *self.before_get.lock().expect("no thread panicked") = Some((kind, Box::new(hook)));
    }

    /// Runs the hook after the next scan of a kind that finds no more records, before the scan returns.
    pub(crate) fn after_scan(&self, kind: RecordKind, hook: impl FnOnce() -> Result<()> + Send + 'static) {
        *self.after_scan.lock().expect("no thread panicked") = Some((kind, Box::new(hook)));
    }
}

/// Returns the hook, if it is for such a record. No lock is held while it runs.
fn take(hook: &Mutex<Option<(RecordKind, Hook)>>, is_met: impl Fn(RecordKind) -> bool) -> Option<Hook> {
    hook.lock().expect("no thread panicked").take_if(|(kind, _)| is_met(*kind)).map(|(_, hook)| hook)
}

impl KeyStore for HookedStore {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        if let Some(hook) = take(&self.before_get, |kind| ids.iter().any(|id| id.kind == kind)) {
            hook()?;
        }
        self.store.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let found = self.store.scan(scan)?;
        if let Some(hook) = take(&self.after_scan, |kind| kind == scan.kind && found.is_empty()) {
            hook()?;
        }
        Ok(found)
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
        let concerns = |kind| expected.iter().any(|one| one.id.kind == kind);
        if let Some(hook) = take(&self.before_commit, concerns) {
            hook()?;
        }
        let left = |left: u64| left.checked_sub(1);
        if self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
            return Err(Error::new(ErrorKind::Store, "no more commits").into());
        }
        let revision = self.store.commit_prefetching(expected, prefetch, changes)?;
        if let Some(hook) = take(&self.after_commit, concerns) {
            hook()?;
        }
        Ok(revision)
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }
}

impl fmt::Debug for HookedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HookedStore").field(&self.store).finish()
    }
}
