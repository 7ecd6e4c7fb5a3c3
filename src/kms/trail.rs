//! The audit trail's chain: its state goes into the store with every change that it tells of, and is what the trail is
//! verified against.

use std::path::Path;

use super::chain_record::ChainRecord;
use super::handle::{Core, Kms};
use super::registry::{Edit, MAX_COMMIT_ATTEMPTS, chain_record_id};
use super::sealed::is_committed;
use crate::audit::{self, ChainId, ChainState, ChangeId, CheckpointVerifier, TrailReport};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;
use crate::store::{CommitError, Revision};

impl Core {
    /// Commits the edits of a change, and with them the state of the chain in which the change was announced.
    pub(super) fn commit(&self, mut edits: Vec<Edit>, change: ChangeId) -> Result<Revision, CommitError> {
        let (Some(chain), Some(record)) = (self.audit.chain(), &self.trail) else {
            return self.registry.commit(&edits);
        };
        let body = chain.state(Some(change))?.to_bytes().map_err(Error::from)?;
        let done = self.commit_with_chain(record, &mut edits, &body);
        match &done {
            Ok(_) => chain.committed(change),
            Err(CommitError::Failed(error)) if is_committed(error) => chain.committed(change),
            Err(_) => {}
        }
        done
    }

    /// Notes in the store how far the trail has come, so that from now on a tail that is cut off before here shows.
    pub(super) fn save_trail(&self) -> Result<()> {
        let (Some(chain), Some(record)) = (self.audit.chain(), &self.trail) else { return Ok(()) };
        let body = chain.state(None)?.to_bytes()?;
        self.commit_with_chain(record, &mut Vec::new(), &body)?;
        Ok(())
    }

    /// Commits edits together with the state of this process's chain. Nobody else writes that record, but for a rotation of
    /// the root key, which seals it anew: then the commit is made again upon its new revision.
    fn commit_with_chain(
        &self,
        record: &ChainRecord,
        edits: &mut Vec<Edit>,
        body: &SecretBytes,
    ) -> Result<Revision, CommitError> {
        let mut revision = record.revision();
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let body = SecretBytes::copy_of(body.expose_secret());
            edits.push(Edit::PutChain { id: record.id(), body, expected: Some(*revision) });
            match self.registry.commit(edits) {
                Err(CommitError::Conflict(id)) if id == chain_record_id(record.id()) => {
                    edits.pop();
                    *revision = self.registry.chain_revision(record.id())?;
                }
                Ok(committed) => {
                    *revision = committed;
                    return Ok(committed);
                }
                refused => return refused,
            }
        }
        Err(CommitError::Conflict(chain_record_id(record.id())))
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
        self.check_authority("verify_audit_trail")?;
        self.core.save_trail()?;
        audit::verify(directory, &self.chains()?, &self.core.backend, verifier)
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
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`NotFound`](ErrorKind::NotFound) if the store
    /// does not know the chain; [`InvalidState`](ErrorKind::InvalidState) if this KMS writes it at present.
    pub fn forget_audit_chain(&self, id: ChainId) -> Result<()> {
        self.check_authority("forget_audit_chain")?;
        let mut event = self.authority_event("forget_audit_chain");
        event.parameters.push(("chain", id.to_string().into()));
        self.recorded(event, |progress| {
            self.commit_until_settled(progress, |_| {
                if self.core.trail.as_ref().is_some_and(|record| record.id() == id) {
                    return Err(Error::new(ErrorKind::InvalidState, format!("the audit chain {id} is in use")));
                }
                let known = self.core.registry.chains()?.into_iter().find(|(_, chain)| chain.id() == id);
                let (expected, _) =
                    known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the audit chain {id} is unknown")))?;
                Ok((vec![Edit::DeleteChain { id, expected }], ()))
            })
        })
    }
}
