//! The record of the audit log's chain.

use std::collections::BTreeSet;
use std::fmt;

use super::edit::Edit;
use super::registry::Registry;
use super::retry::{commit_with_retry, retriable};
use super::sealed::CommitMark;
use crate::audit::{Attachment, AuditChain, AuditSink, ChainId, ChainState, ChainStore, ChangeId, PendingChange};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::kms::records::audit_chain::chain_record_id;
use crate::lock::{Mutex, MutexGuard};
use crate::store::{CommitError, Revision};

/// The record with the state of this process's chain. Other processes write it only when they
/// rotate the root key, and delete it only when they forget the chain without noticing that it is
/// in use.
#[derive(Debug)]
pub(in crate::kms) struct ChainRecord {
    id: ChainId,
    progress: Mutex<ChainProgress>,
}

/// The record as last seen, and changes whose commits the store did not confirm.
///
/// Every commit of a change expects the revision of this record and replaces it. The next state of
/// the record therefore shows the result of all of them: the one that took effect is in it as
/// committed, and the others no longer can.
#[derive(Debug, Default)]
pub(in crate::kms) struct ChainProgress {
    /// The revision of the record, or `None` if it was deleted.
    revision: Option<Revision>,
    /// The number of records in the state that was committed last.
    records: u64,
    /// The numbers of records in states of later attempts, each of which may have taken effect.
    attempts: BTreeSet<u64>,
    /// Set for good once another process has written the state.
    is_taken: bool,
    ambiguous: Vec<(ChangeId, CommitMark)>,
    /// Changes whose result is known but not in the audit log yet.
    settled: Vec<PendingChange>,
}

impl ChainProgress {
    pub(in crate::kms) const fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Records that a commit of a state is attempted. Returns `false` if an earlier attempt had as
    /// many records.
    ///
    /// # Errors
    /// - [`Audit`](ErrorKind::Audit) if another process has written the state.
    pub(in crate::kms) fn attempt(&mut self, state: &ChainState) -> Result<bool> {
        match self.is_taken {
            true => Err(taken(state.id())),
            false => Ok(self.attempts.insert(state.records())),
        }
    }

    /// Records that an attempt took no effect.
    pub(in crate::kms) fn retract(&mut self, state: &ChainState) {
        self.attempts.remove(&state.records());
    }

    /// Records that a commit of a change may have taken effect.
    pub(in crate::kms) fn add_ambiguous(&mut self, change: ChangeId, mark: CommitMark) {
        self.ambiguous.push((change, mark));
    }

    /// Records a commit of the record. It was based on the revision that all ambiguous commits
    /// expect, so none of them took effect.
    pub(in crate::kms) fn advance(&mut self, revision: Revision, state: &ChainState) {
        self.revision = Some(revision);
        (self.records, self.attempts) = (state.records(), BTreeSet::new());
        let lost = self.ambiguous.drain(..).map(|(id, _)| PendingChange { id, committed: false });
        self.settled.extend(lost);
    }

    /// Reads the record again after another commit replaced it. Marks the ambiguous change that was
    /// committed with it in the chain.
    ///
    /// # Errors
    /// - [`Audit`](ErrorKind::Audit) if another process has written the state. Two processes can
    ///   continue one chain if the directory of the trail was copied, for example with a virtual
    ///   machine, and neither sees the lock of the other.
    pub(in crate::kms) fn reload(&mut self, registry: &Registry, chain: &dyn AuditChain, id: ChainId) -> Result<()> {
        let stored: Option<(Revision, ChainState)> = registry.read(&chain_record_id(id))?;
        let is_own = |state: &ChainState| self.records == state.records() || self.attempts.contains(&state.records());
        if stored.as_ref().is_some_and(|(_, state)| !is_own(state)) {
            self.is_taken = true;
            return Err(taken(id));
        }
        for (id, mark) in std::mem::take(&mut self.ambiguous) {
            let committed = match &stored {
                Some((_, state)) => Some(state.pending().iter().any(|change| change.id == id && change.committed)),
                // The record was deleted. If the store shows no result, the change stays without one.
                None => registry.sealed().took_effect(mark),
            };
            let Some(committed) = committed else { continue };
            if committed {
                chain.committed(id);
            }
            self.settled.push(PendingChange { id, committed });
        }
        self.revision = stored.map(|(revision, _)| revision);
        Ok(())
    }
}

impl ChainRecord {
    /// Attaches the sink and stores the state of the chain that it continues, if it has one.
    pub(in crate::kms) fn attach(
        sink: &dyn AuditSink,
        registry: &Registry,
        backend: &CryptoBackend,
    ) -> Result<Option<Self>> {
        let chains = Chains(registry);
        let Some(state) = sink.attach(&Attachment::new(backend, registry.locality(), &chains))? else {
            return Ok(None);
        };
        let (id, body) = (state.id(), state.to_bytes()?);
        // Another process may rotate the root key or forget the chain.
        let contended = || Err(CommitError::Conflict(chain_record_id(id)).into());
        commit_with_retry(contended, || {
            let known = registry.sealed().get(&chain_record_id(id))?;
            let expected = match known {
                // The sink has just added it.
                Some((revision, known)) if known == body => return Ok(Some(Self::at(&state, revision))),
                Some((revision, _)) => Some(revision),
                None => None,
            };
            let committed = retriable(registry.commit(&[Edit::put(chain_record_id(id), &state, expected)?]))?;
            Ok(committed.map(|revision| Self::at(&state, revision)))
        })
        .map(Some)
    }

    fn at(state: &ChainState, revision: Revision) -> Self {
        let mut progress = ChainProgress::default();
        progress.advance(revision, state);
        Self { id: state.id(), progress: Mutex::new(progress) }
    }

    pub(in crate::kms) const fn id(&self) -> ChainId {
        self.id
    }

    /// Locks the record. The guard must be held from the snapshot of the chain until the commit is
    /// recorded in the chain and in the guard.
    pub(in crate::kms) fn progress(&self) -> MutexGuard<'_, ChainProgress> {
        // Every assignment leaves the data consistent.
        self.progress.lock()
    }

    /// Writes the results of changes that were ambiguous to the audit log. If that fails, they
    /// remain for the next call.
    pub(in crate::kms) fn report_settled(&self, chain: &dyn AuditChain) {
        let settled = std::mem::take(&mut self.progress().settled);
        let report = |change: &PendingChange| chain.reconcile(change.id, change.committed).is_err();
        let left: Vec<_> = settled.into_iter().filter(report).collect();
        self.progress().settled.extend(left);
    }
}

fn taken(id: ChainId) -> Error {
    let text = format!(
        "another process writes the audit chain {id}: the directory of the trail was probably copied; open the Kms \
         again with an empty directory"
    );
    Error::new(ErrorKind::Audit, text)
}

/// The audit chains of a registry.
struct Chains<'a>(&'a Registry);

impl fmt::Debug for Chains<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chains").field(&self.0.store_id()).finish()
    }
}

impl ChainStore for Chains<'_> {
    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.0.read_all()?.into_iter().map(|(_, chain)| chain).collect())
    }

    fn add(&self, chain: &ChainState) -> Result<()> {
        let edit = Edit::put(chain_record_id(chain.id()), chain, None)?;
        self.0.commit(&[edit]).map(drop).map_err(Error::from)
    }

    /// Writes the state again. A commit that is still in progress has either replaced it, or can no
    /// longer do so.
    fn settled(&self, id: ChainId) -> Result<Option<ChainState>> {
        let contended = || Err(CommitError::Conflict(chain_record_id(id)).into());
        commit_with_retry(contended, || {
            let found: Option<(Revision, ChainState)> = self.0.read(&chain_record_id(id))?;
            let Some((revision, state)) = found else { return Ok(Some(None)) };
            let committed = retriable(self.0.commit(&[Edit::put(chain_record_id(id), &state, Some(revision))?]))?;
            Ok(committed.map(|_| Some(state)))
        })
    }
}
