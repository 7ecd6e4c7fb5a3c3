//! Verification of the audit trail against the chain states in the store, and the list of these
//! chains.

use std::path::Path;

use crate::audit::{self, ChainId, ChainState, CheckpointVerifier, TrailReport};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::commit_change;
use crate::kms::records::audit_chain::chain_record_id;
use crate::kms::storage::edit::Edit;

impl Kms {
    /// Verifies the audit trail of this KMS in a directory of files, and reports the first record
    /// that was changed, removed, or reordered. Requires the authority's handle.
    ///
    /// The signatures of checkpoints are not checked. Use [`Kms::verify_signed_audit_trail`] to
    /// check them.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Audit`](ErrorKind::Audit) if the files cannot be read.
    /// - [`Store`](ErrorKind::Store) if the store cannot be read.
    pub fn verify_audit_trail(&self, directory: impl AsRef<Path>) -> Result<TrailReport> {
        self.verify_trail(directory.as_ref(), None)
    }

    /// Verifies the audit trail like [`Kms::verify_audit_trail`], and also the signatures of its
    /// checkpoints.
    ///
    /// # Errors
    /// - The errors of [`Kms::verify_audit_trail`].
    /// - The errors of the verifier.
    pub fn verify_signed_audit_trail(
        &self,
        directory: impl AsRef<Path>,
        verifier: &dyn CheckpointVerifier,
    ) -> Result<TrailReport> {
        self.verify_trail(directory.as_ref(), Some(verifier))
    }

    fn verify_trail(&self, directory: &Path, verifier: Option<&dyn CheckpointVerifier>) -> Result<TrailReport> {
        self.authority_call("verify_audit_trail", |_| {
            self.core.audit.save_chain(&self.core.registry)?;
            audit::verify(directory, &self.chains()?, &self.core.material.backend, verifier)
        })
    }

    /// Returns the states of the audit chains from the store, so that [`audit::verify`] can verify
    /// the chains elsewhere. Requires the authority's handle.
    ///
    /// The states contain the secrets of the chains. Anyone who has them can create records that
    /// look genuine.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](ErrorKind::Store) if the store cannot be read.
    pub fn audit_chains(&self) -> Result<Vec<ChainState>> {
        self.check_authority("audit_chains")?;
        self.recorded(self.authority_event("audit_chains"), |_| self.chains())
    }

    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.core.registry.read_all()?.into_iter().map(|(_, chain)| chain).collect())
    }

    /// Forgets a chain whose files were deleted permanently or archived elsewhere. It can no longer
    /// be verified. Requires the authority's handle.
    ///
    /// A writer in another process is detected only if this KMS has a
    /// [`FileTrail`](audit::FileTrail) in the same directory. If the chain is forgotten while it
    /// has a writer, the writer adds it again with the next change.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`NotFound`](ErrorKind::NotFound) if the store does not know the chain.
    /// - [`InvalidState`](ErrorKind::InvalidState) if this KMS or, as far as it can detect, another
    ///   process is writing the chain.
    pub fn forget_audit_chain(&self, id: ChainId) -> Result<()> {
        self.check_authority("forget_audit_chain")?;
        let mut event = self.authority_event("forget_audit_chain");
        event.parameters.push(("chain", id.to_string().into()));
        self.recorded(event, |call_context| {
            commit_change(&self.core, call_context, |_| {
                if self.core.audit.is_own_chain(id) {
                    return Err(Error::new(ErrorKind::InvalidState, format!("the audit chain {id} is in use")));
                }
                if self.core.audit.is_in_use(id)? {
                    let text = format!("another process is writing the audit chain {id}: stop that process first");
                    return Err(Error::new(ErrorKind::InvalidState, text));
                }
                let chains = self.core.registry.read_all::<ChainState>()?;
                let known = chains.into_iter().find(|(_, chain)| chain.id() == id);
                let (expected, _) =
                    known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the audit chain {id} is unknown")))?;
                Ok((vec![Edit::delete(chain_record_id(id), expected)], ()))
            })
        })
    }
}
