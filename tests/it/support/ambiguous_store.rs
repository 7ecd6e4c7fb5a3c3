//! A store that loses the answers to commits, as a store on a server can.

use std::sync::{Arc, Mutex};

use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, StoreError, StoreId,
    WriteChanges,
};
use strongroom::{Error, Result};

/// The effect of a commit whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It took effect.
    Applied,
    /// The server never received the request.
    Lost,
    /// The server is still processing it, until [`AmbiguousStore::land`].
    InProgress,
}

type Hook = Box<dyn FnOnce() -> Result<()> + Send>;

#[derive(Default)]
struct State {
    /// Applies to the next commit that concerns a record of this kind.
    next: Option<(RecordKind, Fate)>,
    is_unreachable: bool,
    stays_reachable: bool,
    before_answer: Option<Hook>,
    in_progress: Option<(Vec<Expectation>, Revision, Vec<Change>)>,
}

/// A store whose commits can remain unanswered. Afterwards it is unreachable until it is
/// [healed](Self::heal).
pub(crate) struct AmbiguousStore {
    store: Arc<dyn KeyStore>,
    state: Mutex<State>,
}

impl AmbiguousStore {
    pub(crate) fn new(store: Arc<dyn KeyStore>) -> Arc<Self> {
        Arc::new(Self { store, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    /// Leaves the next commit that concerns a record of a kind unanswered.
    pub(crate) fn lose_answer(&self, kind: RecordKind, fate: Fate) {
        self.state().next = Some((kind, fate));
    }

    /// Runs the hook once an answer is lost, before the caller notices.
    pub(crate) fn before_answer(&self, hook: impl FnOnce() -> Result<()> + Send + 'static) {
        self.state().before_answer = Some(Box::new(hook));
    }

    /// Keeps the store reachable after a lost answer.
    pub(crate) fn stay_reachable(&self) {
        self.state().stays_reachable = true;
    }

    /// Makes the store reachable again.
    pub(crate) fn heal(&self) {
        self.state().is_unreachable = false;
    }

    /// Completes the commit in progress. Returns `true` if it took effect.
    pub(crate) fn land(&self) -> bool {
        let (expected, revision, changes) = self.state().in_progress.take().expect("a commit is in progress");
        let landed = self.store.commit(&expected, &mut |pending| {
            changes.iter().try_for_each(|change| pending.get(&change.id).map(drop))?;
            match pending.revision() == revision {
                true => Ok(changes.clone()),
                false => Err(unreachable()),
            }
        });
        landed.is_ok()
    }

    fn reached(&self) -> Result<&dyn KeyStore> {
        if self.state().is_unreachable { Err(unreachable()) } else { Ok(&*self.store) }
    }

    /// Returns the changes of a commit without committing them.
    fn prepare(
        &self,
        expected: &[Expectation],
        changes: &mut WriteChanges<'_>,
    ) -> Result<(Revision, Vec<Change>), CommitError> {
        let mut prepared = None;
        let refused = self.store.commit(expected, &mut |pending| {
            prepared = Some((pending.revision(), changes(pending)?));
            Err(unreachable())
        });
        match (prepared, refused) {
            (Some(prepared), _) => Ok(prepared),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => unreachable!("the commit was refused"),
        }
    }
}

fn unreachable() -> Error {
    StoreError::Unreachable("connection refused".into()).into()
}

impl KeyStore for AmbiguousStore {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.reached()?.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.reached()?.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.reached()?.scan(scan)
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
        self.reached()?;
        let concerns = |(kind, _): &mut (RecordKind, Fate)| expected.iter().any(|one| one.id.kind == *kind);
        let Some((_, fate)) = self.state().next.take_if(concerns) else {
            return self.store.commit_prefetching(expected, prefetch, changes);
        };
        match fate {
            Fate::Applied => drop(self.store.commit_prefetching(expected, prefetch, changes)?),
            Fate::Lost => drop(self.prepare(expected, changes)?),
            Fate::InProgress => {
                let (revision, changes) = self.prepare(expected, changes)?;
                self.state().in_progress = Some((expected.to_vec(), revision, changes));
            }
        }
        let hook = self.state().before_answer.take();
        hook.map_or(Ok(()), |hook| hook())?;
        let mut state = self.state();
        state.is_unreachable = !state.stays_reachable;
        Err(Error::from(StoreError::Ambiguous("connection reset".into())).into())
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }
}

impl std::fmt::Debug for AmbiguousStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AmbiguousStore").field(&self.store).finish()
    }
}
