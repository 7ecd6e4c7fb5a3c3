//! The audit trail's chain: its state goes into the store with every change that it tells of, and is what the trail is
//! verified against.

use std::path::Path;

use crate::audit::{self, AuditChain, ChainId, ChainState, ChangeId, CheckpointVerifier, TrailReport};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::{Core, Kms};
use crate::kms::pipeline::change::commit_change;
use crate::kms::storage::registry::{Edit, MAX_COMMIT_ATTEMPTS, chain_record_id};
use crate::kms::storage::sealed::is_committed;
use crate::store::{CommitError, Revision};

impl Core {
    /// Commits the edits of a change, and with them the state of the chain in which the change was announced.
    ///
    /// The chain's record is locked from the snapshot of the state until the change is noted as committed. Otherwise a commit
    /// with an older snapshot could come later, and overwrite the state with one that covers fewer records and in which this
    /// change is not committed.
    pub(in crate::kms) fn commit(&self, mut edits: Vec<Edit>, change: ChangeId) -> Result<Revision, CommitError> {
        let (Some(chain), Some(record)) = (self.audit.chain(), &self.trail) else {
            return self.registry.commit(&edits);
        };
        let mut revision = record.revision();
        let done = self.commit_with_chain((chain, record.id()), &mut revision, &mut edits, Some(change));
        match &done {
            Ok(_) => chain.committed(change),
            Err(CommitError::Failed(error)) if is_committed(error) => chain.committed(change),
            Err(_) => {}
        }
        drop(revision);
        done
    }

    /// Notes in the store how far the trail has come, so that from now on a tail that is cut off before here shows.
    pub(in crate::kms) fn save_trail(&self) -> Result<()> {
        let (Some(chain), Some(record)) = (self.audit.chain(), &self.trail) else { return Ok(()) };
        self.commit_with_chain((chain, record.id()), &mut record.revision(), &mut Vec::new(), None)?;
        Ok(())
    }

    /// Commits edits together with the state of this process's chain. Retries if another process changed the record in
    /// between: a rotation of the root key seals it again, and a chain that was forgotten by mistake is added again.
    fn commit_with_chain(
        &self,
        (chain, id): (&dyn AuditChain, ChainId),
        revision: &mut Option<Revision>,
        edits: &mut Vec<Edit>,
        committing: Option<ChangeId>,
    ) -> Result<Revision, CommitError> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let body = chain.state(committing)?.to_bytes().map_err(Error::from)?;
            edits.push(Edit::PutChain { id, body, expected: *revision });
            match self.registry.commit(edits) {
                Err(CommitError::Conflict(conflict)) if conflict == chain_record_id(id) => {
                    edits.pop();
                    *revision = self.registry.chain_revision(id)?;
                }
                Ok(committed) => {
                    *revision = Some(committed);
                    return Ok(committed);
                }
                refused => return refused,
            }
        }
        Err(CommitError::Conflict(chain_record_id(id)))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Without this, events since the last change or maintenance could be cut off unnoticed; nothing else hangs on it.
        let _ = self.save_trail();
        // What was counted since the last maintenance; the manual says that a process that is killed loses it.
        let _ = self.add_usage();
    }
}

impl Kms {
    /// Verifies the audit trail of this KMS in a directory of files, and names the first record that was changed,
    /// removed or reordered. Needs the authority's handle.
    ///
    /// Signatures of checkpoints are not checked: use [`Kms::verify_signed_audit_trail`] for that.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Audit`](ErrorKind::Audit) if the files cannot be
    /// read; [`Store`](ErrorKind::Store) if the store cannot.
    pub fn verify_audit_trail(&self, directory: impl AsRef<Path>) -> Result<TrailReport> {
        self.verify_trail(directory.as_ref(), None)
    }

    /// Verifies the audit trail as [`Kms::verify_audit_trail`] does, and the signatures of its checkpoints.
    ///
    /// # Errors
    /// Those of [`Kms::verify_audit_trail`], and of the verifier.
    pub fn verify_signed_audit_trail(
        &self,
        directory: impl AsRef<Path>,
        verifier: &dyn CheckpointVerifier,
    ) -> Result<TrailReport> {
        self.verify_trail(directory.as_ref(), Some(verifier))
    }

    fn verify_trail(&self, directory: &Path, verifier: Option<&dyn CheckpointVerifier>) -> Result<TrailReport> {
        self.authority_call("verify_audit_trail", |_| {
            self.core.save_trail()?;
            audit::verify(directory, &self.chains()?, &self.core.backend, verifier)
        })
    }

    /// What the store knows of the chains of the audit trail: with it, [`audit::verify`] verifies them elsewhere. Holds
    /// their secrets: who has them can make records that look genuine. Needs the authority's handle.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Store`](ErrorKind::Store) if the store cannot
    /// be read.
    pub fn audit_chains(&self) -> Result<Vec<ChainState>> {
        self.check_authority("audit_chains")?;
        self.recorded(self.authority_event("audit_chains"), |_| self.chains())
    }

    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.core.registry.chains()?.into_iter().map(|(_, chain)| chain).collect())
    }

    /// Forgets a chain whose files were deleted for good or are kept elsewhere; it can not be verified any more. Needs the
    /// authority's handle.
    ///
    /// A writer in another process is detected only if this KMS has a [`FileTrail`](audit::FileTrail) in the same directory. If
    /// the chain is forgotten nevertheless, its writer adds it again with the next change.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`NotFound`](ErrorKind::NotFound) if the store
    /// does not know the chain; [`InvalidState`](ErrorKind::InvalidState) if this KMS or, as far as it can detect,
    /// another process is writing it.
    pub fn forget_audit_chain(&self, id: ChainId) -> Result<()> {
        self.check_authority("forget_audit_chain")?;
        let mut event = self.authority_event("forget_audit_chain");
        event.parameters.push(("chain", id.to_string().into()));
        self.recorded(event, |progress| {
            commit_change(&self.core, progress, |_| {
                if self.core.trail.as_ref().is_some_and(|record| record.id() == id) {
                    return Err(Error::new(ErrorKind::InvalidState, format!("the audit chain {id} is in use")));
                }
                if self.core.audit.chain().map_or(Ok(false), |chain| chain.is_in_use(id))? {
                    let text = format!("another process is writing the audit chain {id}: stop that process first");
                    return Err(Error::new(ErrorKind::InvalidState, text));
                }
                let known = self.core.registry.chains()?.into_iter().find(|(_, chain)| chain.id() == id);
                let (expected, _) =
                    known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the audit chain {id} is unknown")))?;
                Ok((vec![Edit::DeleteChain { id, expected }], ()))
            })
        })
    }
}
