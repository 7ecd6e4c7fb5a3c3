//! The root key of the store: its holder, and the version that seals the store.

use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::truncated_for_audit;
use crate::kms::request::{RootKeyRotation, RootKeyStatus};
use crate::kms::storage::registry::Registry;
use crate::kms::storage::sealed::batches;
use crate::seal::RootKey;
use crate::store::RecordKind;

/// The maximum number of passes over the store to find records sealed under an earlier version.
/// After the first pass, no new ones can appear.
const MAX_PASSES: u32 = 3;

impl Kms {
    /// Generates a new version of the root key, reseals everything in the store under it, and
    /// forgets the earlier version. If a rotation was interrupted, because it failed or its process
    /// was killed, this resumes that rotation. Requires the authority's handle.
    ///
    /// The store remains in use throughout, by this process and others. Whatever happens during a
    /// rotation, the store still opens with the root key that it had. Import tokens from before the
    /// rotation are no longer accepted. Older backups require the root key under which they were
    /// created. For most holders it is the same one.
    ///
    /// After an error, the records resealed so far remain resealed. Call this method again to
    /// resume the rotation.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](ErrorKind::Store) if the store cannot be read or written.
    /// - [`Integrity`](ErrorKind::Integrity) if a record cannot be unsealed or is missing.
    /// - The errors of the holder.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let blob = kms.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
    /// assert_eq!(kms.rotate_root_key()?.version(), 2);
    /// assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"text");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn rotate_root_key(&self) -> Result<RootKeyRotation> {
        self.rotate_root_key_with_progress(|_| {})
    }

    /// Rotates the root key like [`Kms::rotate_root_key`], and reports the progress after each
    /// commit, which reseals up to 512 records. Requires the authority's handle.
    ///
    /// `progress` receives the number of records that this call has resealed so far.
    ///
    /// # Errors
    /// - The errors of [`Kms::rotate_root_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// kms.create_key(Default::default())?;
    /// let mut last = 0;
    /// let done = kms.rotate_root_key_with_progress(|resealed| {
    ///     eprintln!("{resealed} records are sealed under the new version");
    ///     last = resealed;
    /// })?;
    /// assert_eq!(last, done.resealed());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn rotate_root_key_with_progress(&self, mut progress: impl FnMut(u64)) -> Result<RootKeyRotation> {
        let _in_progress = self.check_authority("rotate_root_key")?;
        self.rotate_in_trail("rotate_root_key", None, &mut progress)
    }

    /// Rotates the root key like [`Kms::rotate_root_key`] and moves it to another holder, such as
    /// from a file to an HSM or to a new passphrase. Requires the authority's handle.
    ///
    /// Until the move is finished, the store opens with either root key; afterwards, only with the
    /// new one. Processes that use the store during the move keep working. A process that is idle
    /// until it is finished cannot follow: it fails with [`RootKey`](ErrorKind::RootKey) and must
    /// reopen the store.
    ///
    /// # Errors
    /// - The errors of [`Kms::rotate_root_key`].
    /// - [`InvalidState`](ErrorKind::InvalidState) if a rotation in progress moves the root key to
    ///   a different holder.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let store = Arc::new(MemoryStore::new(&Default::default())?);
    /// let open = |secret| Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[secret; 32])).build();
    /// open(1)?.move_root_key(RootKey::from_bytes(&[2; 32]))?;
    /// assert_eq!(open(1).unwrap_err().kind(), ErrorKind::RootKey);
    /// open(2)?;
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn move_root_key(&self, to: RootKey) -> Result<RootKeyRotation> {
        self.move_root_key_with_progress(to, |_| {})
    }

    /// Moves the root key like [`Kms::move_root_key`], and reports the progress like
    /// [`Kms::rotate_root_key_with_progress`]. Requires the authority's handle.
    ///
    /// # Errors
    /// - The errors of [`Kms::move_root_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::seal::RootKey;
    ///
    /// let kms = Kms::in_memory()?;
    /// let done = kms.move_root_key_with_progress(RootKey::from_bytes(&[2; 32]), |resealed| {
    ///     eprintln!("{resealed} records can be opened with the new root key alone");
    /// })?;
    /// assert!(done.resealed() > 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn move_root_key_with_progress(&self, to: RootKey, mut progress: impl FnMut(u64)) -> Result<RootKeyRotation> {
        let _in_progress = self.check_authority("move_root_key")?;
        self.rotate_in_trail("move_root_key", Some(to), &mut progress)
    }

    /// Rotates the root key, with an audit event before the rotation, because it takes many
    /// commits, and one afterwards.
    fn rotate_in_trail(
        &self,
        what: &'static str,
        to: Option<RootKey>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<RootKeyRotation> {
        self.announced(self.authority_event(what), |call_context| {
            let done = self.core.registry.rotate_root_key(to, progress)?;
            let holder = self.core.registry.sealed().root().record.holder.clone();
            call_context.record_param("rootKeyVersion", done.version());
            call_context.record_param("rootKeyHolder", truncated_for_audit(&holder));
            Ok(done)
        })
    }

    /// Returns the current version of the root key and its holder. Requires the authority's handle.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be read.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert_eq!(kms.root_key_status()?.version(), 1);
    /// kms.rotate_root_key()?;
    /// let status = kms.root_key_status()?;
    /// assert_eq!((status.version(), status.is_rotating()), (2, false));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn root_key_status(&self) -> Result<RootKeyStatus> {
        self.authority_call("root_key_status", |_| {
            let root = self.core.registry.sealed().latest_root()?;
            let (version, holder) = (root.record.current, root.record.holder.clone());
            Ok(RootKeyStatus { version, holder, is_rotating: !root.record.is_settled() })
        })
    }
}

impl Registry {
    fn rotate_root_key(&self, to: Option<RootKey>, progress: &mut dyn FnMut(u64)) -> Result<RootKeyRotation> {
        let was_resumed = self.sealed().begin_rotation(to)?;
        let mut resealed = 0;
        for _ in 0..MAX_PASSES {
            for &kind in RecordKind::ALL {
                self.reseal_kind(kind, &mut resealed, progress)?;
            }
            if self.sealed().finish_rotation()? {
                self.scrub().ok();
                let version = self.sealed().root().record.current;
                return Ok(RootKeyRotation { version, resealed, was_resumed });
            }
        }
        Err(Error::new(ErrorKind::Internal, "some records are still sealed under an earlier version of the root key"))
    }

    fn reseal_kind(&self, kind: RecordKind, resealed: &mut u64, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut after = None;
        loop {
            let (outdated, next) = self.sealed().outdated(kind, after)?;
            for batch in batches(&outdated) {
                *resealed += self.reseal(batch)?;
                progress(*resealed);
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
