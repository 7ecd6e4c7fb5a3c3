//! The root key of the store: who holds it, and which version everything is sealed under.

use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::truncated_for_audit;
use crate::kms::request::{RootKeyRotation, RootKeyStatus};
use crate::kms::storage::registry::Registry;
use crate::kms::storage::sealed::batches;
use crate::seal::RootKey;
use crate::store::RecordKind;

/// How often the store is gone through for what is sealed under an earlier version. Nothing new can come to that after the
/// first time.
const MAX_PASSES: u32 = 3;

impl Kms {
    /// Draws a new version of the root key, seals everything in the store anew under it, and forgets the earlier version. If a
    /// rotation is under way, since it failed or its process was killed, this finishes that one. Needs the authority's
    /// handle.
    ///
    /// The store is in use all the while, by this process and others. Whatever happens on the way, the store
    /// opens with the root key that it had. Import tokens that were made before are not accepted afterwards. Backups from before
    /// need the root key that they were made under, which for most holders is the same one.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Store`](ErrorKind::Store) if the store
    /// cannot be read or written; [`Integrity`](ErrorKind::Integrity) if a record does not open or is missing; what the holder
    /// answers. What was done by then counts: call it again.
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
        self.check_authority("rotate_root_key")?;
        self.rotate_in_trail("rotate_root_key", None)
    }

    /// Rotates the root key as [`Kms::rotate_root_key`] does, and moves it to another holder: from a file to an
    /// HSM, or to a new passphrase. Until it is finished the store opens with either; afterwards with the new one only. Processes
    /// that use the store meanwhile keep working; one that rests until it is finished cannot follow, is refused
    /// ([`RootKey`](ErrorKind::RootKey)) and must open the store anew. Needs the authority's handle.
    ///
    /// # Errors
    /// Those of [`Kms::rotate_root_key`]; [`InvalidState`](ErrorKind::InvalidState) if a rotation is under way that moves the
    /// root key to yet another holder.
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
        self.check_authority("move_root_key")?;
        self.rotate_in_trail("move_root_key", Some(to))
    }

    /// Rotates with an event before, as it takes many commits, and one afterwards.
    fn rotate_in_trail(&self, what: &'static str, to: Option<RootKey>) -> Result<RootKeyRotation> {
        self.announced(self.authority_event(what), |call_context| {
            let done = self.core.registry.rotate_root_key(to)?;
            let holder = self.core.registry.sealed().root().record.holder.clone();
            call_context.record_param("rootKeyVersion", done.version());
            call_context.record_param("rootKeyHolder", truncated_for_audit(&holder));
            Ok(done)
        })
    }

    /// Tells which version of the root key is current, and who holds it. Needs the authority's handle.
    ///
    /// # Errors
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for a narrowed handle; [`Store`](crate::ErrorKind::Store) if the
    /// store cannot be read.
    pub fn root_key_status(&self) -> Result<RootKeyStatus> {
        self.authority_call("root_key_status", |_| {
            let root = self.core.registry.sealed().latest_root()?;
            let (version, holder) = (root.record.current, root.record.holder.clone());
            Ok(RootKeyStatus { version, holder, is_rotating: !root.record.is_settled() })
        })
    }
}

impl Registry {
    fn rotate_root_key(&self, to: Option<RootKey>) -> Result<RootKeyRotation> {
        let was_resumed = self.sealed().begin_rotation(to)?;
        let mut resealed = 0;
        for _ in 0..MAX_PASSES {
            for &kind in RecordKind::ALL {
                resealed += self.reseal_kind(kind)?;
            }
            if self.sealed().finish_rotation()? {
                self.scrub().ok();
                let version = self.sealed().root().record.current;
                return Ok(RootKeyRotation { version, resealed, was_resumed });
            }
        }
        Err(Error::new(ErrorKind::Internal, "something stays sealed under an earlier version of the root key"))
    }

    fn reseal_kind(&self, kind: RecordKind) -> Result<u64> {
        let (mut resealed, mut after) = (0, None);
        loop {
            let (outdated, next) = self.sealed().outdated(kind, after)?;
            for batch in batches(&outdated) {
                resealed += self.reseal(batch)?;
            }
            after = next;
            if after.is_none() {
                return Ok(resealed);
            }
        }
    }
}
