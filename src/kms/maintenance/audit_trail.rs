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
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::audit::FileTrail;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let kms = Kms::builder().audit(FileTrail::new(directory)).build()?;
    /// kms.create_key(Default::default())?;
    /// assert!(kms.verify_audit_trail(directory)?.is_intact());
    ///
    /// // An attacker deletes the record of the new key.
    /// for file in std::fs::read_dir(directory)? {
    ///     let path = file?.path();
    ///     if path.extension().is_some_and(|extension| extension == "jsonl") {
    ///         std::fs::remove_file(path)?;
    ///     }
    /// }
    /// let report = kms.verify_audit_trail(directory)?;
    /// assert!(report.first_finding().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_audit_trail(&self, directory: impl AsRef<Path>) -> Result<TrailReport> {
        self.verify_trail(directory.as_ref(), None)
    }

    /// Verifies the audit trail like [`Kms::verify_audit_trail`], and also the signatures of its
    /// checkpoints.
    ///
    /// # Errors
    /// - The errors of [`Kms::verify_audit_trail`].
    /// - The errors of the verifier.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::algorithm::SigningAlgorithm::EcdsaSha256;
    /// use strongroom::audit::FileTrail;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
    /// use strongroom::{Kms, Result};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let auditor = Kms::in_memory()?; // in another process, or an HSM
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = auditor.create_key(request)?.key_id();
    /// let signer = |message: &[u8]| -> Result<Vec<u8>> {
    ///     Ok(auditor.sign(SignRequest::new(key, EcdsaSha256, message))?.signature)
    /// };
    /// let verifier = |message: &[u8], signature: &[u8]| -> Result<bool> {
    ///     Ok(auditor.verify(VerifyRequest::new(key, EcdsaSha256, message, signature)).is_ok())
    /// };
    ///
    /// let trail = Arc::new(FileTrail::new(directory));
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// kms.create_key(Default::default())?;
    /// trail.checkpoint(&signer)?;
    /// assert!(kms.verify_signed_audit_trail(directory, &verifier)?.is_intact());
    /// assert!(!kms.verify_signed_audit_trail(directory, &|_: &[u8], _: &[u8]| Ok(false))?.is_intact());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::audit::{self, FileTrail};
    /// use strongroom::crypto::CryptoBackend;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let kms = Kms::builder().audit(FileTrail::new(directory)).build()?;
    /// kms.create_key(Default::default())?;
    /// let chains = kms.audit_chains()?;
    /// drop(kms);
    ///
    /// let report = audit::verify(directory, &chains, &CryptoBackend::default(), None)?;
    /// assert!(report.is_intact());
    /// assert_eq!(report.chains[0].chain, chains[0].id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn audit_chains(&self) -> Result<Vec<ChainState>> {
        let _in_progress = self.check_authority("audit_chains")?;
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
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::audit::FileTrail;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let store = Arc::new(MemoryStore::new(&Default::default())?);
    /// let open = |folder: &str| {
    ///     let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    ///     builder.audit(FileTrail::new(directory.join(folder))).build()
    /// };
    /// drop(open("2025")?);
    /// let kms = open("2026")?;
    /// let old = kms.audit_chains()?.into_iter().map(|chain| chain.id()).collect::<Vec<_>>();
    /// assert_eq!(old.len(), 2);
    /// for id in old {
    ///     match kms.forget_audit_chain(id) {
    ///         Ok(()) => {}
    ///         Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidState), // the chain of this process
    ///     }
    /// }
    /// assert_eq!(kms.audit_chains()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_audit_chain(&self, id: ChainId) -> Result<()> {
        let _in_progress = self.check_authority("forget_audit_chain")?;
        let mut event = self.authority_event("forget_audit_chain");
        event.parameters.push(("chain", id.to_string().into()));
        self.recorded(event, |call_context| {
            commit_change(&self.core, call_context, |_| {
                if self.core.audit.is_own_chain(id) {
                    return Err(Error::new(ErrorKind::InvalidState, format!("the audit chain {id} is in use")));
                }
                if self.core.audit.is_in_use(id)? {
                    let text = format!("another process is writing to the audit chain {id}: stop that process first");
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
