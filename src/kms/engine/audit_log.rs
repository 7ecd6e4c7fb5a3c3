//! The audit log of a KMS: its sink, and the chain whose state is committed together with every
//! change.

use std::sync::Arc;

use crate::audit::{AuditChain, AuditEvent, AuditSink, ChainId, ChangeId};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::identity::Locality;
use crate::kms::records::audit_chain::chain_record_id;
use crate::kms::storage::audit_chain::{ChainProgress, ChainRecord};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::retry::commit_with_retry;
use crate::kms::storage::sealed::{ambiguous_commit, is_committed};
use crate::metrics::{FAILURE, Metric, Metrics, SUCCESS};
use crate::span::StepSpan;
use crate::store::{CommitError, Revision};

/// The sink of audit events, and the record of its chain in the store if it has one.
pub(in crate::kms) struct AuditLog {
    sink: Arc<dyn AuditSink>,
    chain: Option<ChainRecord>,
    locality: Locality,
    metrics: Metrics,
}

impl AuditLog {
    /// Attaches a sink to the store.
    pub(in crate::kms) fn attach(
        sink: Arc<dyn AuditSink>,
        registry: &Registry,
        backend: &CryptoBackend,
    ) -> Result<Self> {
        let chain = ChainRecord::attach(&*sink, registry, backend)?;
        let (locality, metrics) = (registry.locality().clone(), registry.metrics().clone());
        Ok(Self { sink, chain, locality, metrics })
    }

    /// Writes an event. Its principal is in the partition of the KMS, like every caller.
    pub(in crate::kms) fn record(&self, mut event: AuditEvent) -> Result<()> {
        event.principal = event.principal.with_partition_of(&self.locality);
        let _span = StepSpan::audit_write();
        let started = self.metrics.start();
        let written = self.sink.record(event);
        self.metrics.record_since(Metric::AuditWriteDuration, &[], started);
        self.metrics.count_result(Metric::AuditWrites, if written.is_ok() { SUCCESS } else { FAILURE });
        written
    }

    /// Commits the edits of a change together with the state of the chain in which the change was
    /// announced.
    ///
    /// The chain's record is locked from the snapshot of the state until the change is recorded as
    /// committed. Otherwise a commit with an older snapshot could follow and overwrite the state.
    /// That older state would cover fewer records and not contain this change as committed.
    pub(in crate::kms) fn commit(
        &self,
        registry: &Registry,
        mut edits: Vec<Edit>,
        change: ChangeId,
    ) -> Result<Revision, CommitError> {
        let (Some(chain), Some(record)) = (self.sink.chain(), &self.chain) else {
            return registry.commit(&edits);
        };
        let mut progress = record.progress();
        let done = commit_with_chain(registry, (chain, record.id()), &mut progress, &mut edits, Some(change));
        match &done {
            Ok(_) => chain.committed(change),
            Err(CommitError::Failed(error)) if is_committed(error) => chain.committed(change),
            Err(CommitError::Failed(error)) => {
                if let Some(mark) = ambiguous_commit(error) {
                    progress.add_ambiguous(change, mark);
                }
            }
            Err(CommitError::Conflict(_)) => {}
        }
        drop(progress);
        record.report_settled(chain);
        done
    }

    /// Stores the current state of the chain, so that truncating the log before this point is
    /// detected. Settles ambiguous changes.
    pub(in crate::kms) fn save_chain(&self, registry: &Registry) -> Result<()> {
        let (Some(chain), Some(record)) = (self.sink.chain(), &self.chain) else { return Ok(()) };
        let saved = commit_with_chain(registry, (chain, record.id()), &mut record.progress(), &mut Vec::new(), None);
        record.report_settled(chain);
        saved?;
        Ok(())
    }

    /// Ends the use of the sink.
    pub(in crate::kms) fn close(&self) -> Result<()> {
        self.sink.close()
    }

    /// Returns `true` if this KMS writes the chain.
    pub(in crate::kms) fn is_own_chain(&self, id: ChainId) -> bool {
        self.chain.as_ref().is_some_and(|record| record.id() == id)
    }

    /// Returns `true` if the sink knows of a writer of the chain, in this or another process.
    pub(in crate::kms) fn is_in_use(&self, id: ChainId) -> Result<bool> {
        self.sink.chain().map_or(Ok(false), |chain| chain.is_in_use(id))
    }
}

/// Commits edits together with the state of this process's chain. Retries if another process
/// changed the record in the meantime: a rotation of the root key reseals it, and a chain that was
/// forgotten by mistake is added again.
fn commit_with_chain(
    registry: &Registry,
    (chain, id): (&dyn AuditChain, ChainId),
    progress: &mut ChainProgress,
    edits: &mut Vec<Edit>,
    committing: Option<ChangeId>,
) -> Result<Revision, CommitError> {
    let contended = || Err(CommitError::Conflict(chain_record_id(id)));
    commit_with_retry(contended, || {
        let state = chain.state(committing)?;
        let is_new = progress.attempt(&state)?;
        edits.push(Edit::put(chain_record_id(id), &state, progress.revision())?);
        match registry.commit(edits) {
            Err(CommitError::Conflict(conflict)) if conflict == chain_record_id(id) => {
                edits.pop();
                if is_new {
                    progress.retract(&state);
                }
                progress.reload(registry, chain, id)?;
                Ok(None)
            }
            Ok(committed) => {
                progress.advance(committed, &state);
                Ok(Some(committed))
            }
            Err(refused) => Err(refused),
        }
    })
}
