//! A key that passed every check.

use crate::crypto::PublicKey;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::key::{KeyArn, KeyVersion, Operation};
use crate::kms::engine::core::Core;
use crate::kms::pipeline::change::CallContext;
use crate::kms::pipeline::key_grants::KeyGrants;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::VersionRecord;
use crate::kms::storage::cache::Cached;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::policy::PolicyDocument;
use crate::provider::{Agreement, Cipher, Decapsulation, Decryption, MacGeneration, OpenedKey, Signing, key_pair_kind};

/// A key that the caller may use for the current operation: it passed every check.
pub(in crate::kms) struct AuthorizedKey<'a> {
    core: &'a Core,
    key: Cached<LoadedKey>,
}

impl<'a> AuthorizedKey<'a> {
    /// Wraps a key that passed every check. Only the pipeline may call this.
    pub(super) const fn new(core: &'a Core, key: Cached<LoadedKey>) -> Self {
        Self { core, key }
    }

    pub(in crate::kms) fn record(&self) -> &KeyRecord {
        &self.key.record
    }

    /// Meters a successful request.
    pub(in crate::kms) fn count(&self, operation: Operation, call_context: &CallContext) {
        if !call_context.event.dry_run {
            self.core.metering.count(&self.key, operation, call_context.now());
        }
    }

    /// Returns the grants of a principal on the key.
    pub(in crate::kms) fn grants<'b>(&'b self, principal: &'b Principal) -> KeyGrants<'b> {
        KeyGrants { registry: &self.core.registry, key: &self.key, principal }
    }

    pub(in crate::kms) fn policy(&self) -> Result<&PolicyDocument> {
        self.key.policy()
    }

    pub(in crate::kms) fn arn(&self) -> &KeyArn {
        &self.key.arn
    }

    /// Returns the write that replaces the key's record, if it differs. The write fails if the
    /// record was changed in the meantime.
    pub(in crate::kms) fn put(&self, record: KeyRecord) -> Vec<Edit> {
        if record == *self.record() {
            return Vec::new();
        }
        vec![Edit::put_key(record, Some(self.key.revision()))]
    }

    /// Returns the current version, opened as a cipher.
    pub(in crate::kms) fn current_cipher(&self) -> Result<(&VersionRecord, &dyn Cipher)> {
        let index = self.current_index()?;
        Ok((&self.record().versions[index], self.cipher(index)?))
    }

    /// Returns the version with this number, opened as a cipher, together with its index in the
    /// record.
    pub(in crate::kms) fn cipher_of(&self, number: KeyVersion) -> Result<Option<(usize, &dyn Cipher)>> {
        match self.record().versions.binary_search_by_key(&number, |version| version.number) {
            Ok(index) => Ok(Some((index, self.cipher(index)?))),
            Err(_) => Ok(None),
        }
    }

    /// Returns the key, opened for message authentication.
    pub(in crate::kms) fn mac(&self) -> Result<&dyn MacGeneration> {
        match self.current()? {
            OpenedKey::Mac(mac) => Ok(&**mac),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the key, opened for decryption with a private key.
    pub(in crate::kms) fn decryption(&self) -> Result<&dyn Decryption> {
        match self.current()? {
            OpenedKey::Decryption(decryption) => Ok(&**decryption),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the key, opened for signing.
    pub(in crate::kms) fn signing(&self) -> Result<&dyn Signing> {
        match self.current()? {
            OpenedKey::Signing(signing) => Ok(&**signing),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the key, opened for key agreement.
    pub(in crate::kms) fn agreement(&self) -> Result<&dyn Agreement> {
        match self.current()? {
            OpenedKey::Agreement(agreement) => Ok(&**agreement),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the key, opened for decapsulation.
    pub(in crate::kms) fn decapsulation(&self) -> Result<&dyn Decapsulation> {
        match self.current()? {
            OpenedKey::Decapsulation(decapsulation) => Ok(&**decapsulation),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the public key, a SubjectPublicKeyInfo in DER. It is read from the record without
    /// opening a private key.
    pub(in crate::kms) fn public_key_info(&self) -> Result<&[u8]> {
        let version = &self.record().versions[self.current_index()?];
        version.public_key.as_deref().ok_or_else(|| self.without_public_key())
    }

    /// Returns the public key, ready for use in software wherever the private key is stored.
    pub(in crate::kms) fn public_key(&self) -> Result<&dyn PublicKey> {
        self.key.public(|| {
            let kind = key_pair_kind(self.record().spec).ok_or_else(|| self.without_public_key())?;
            let parsed = self.core.material.backend.key_pairs().public_key(kind, self.public_key_info()?);
            parsed.map_err(|error| {
                let text = format!("the record of {} contains a malformed public key", self.arn());
                Error::new(ErrorKind::Internal, text).with_source(error)
            })
        })
    }

    fn without_public_key(&self) -> Error {
        Error::new(ErrorKind::Internal, format!("{} has no public key", self.arn()))
    }

    /// Counts a message that is about to be encrypted under the current version with an
    /// initialization vector from its provider.
    pub(in crate::kms) fn count_message(&self, version: KeyVersion) -> Result<()> {
        self.core.count_message(self.record(), version)
    }

    fn cipher(&self, index: usize) -> Result<&dyn Cipher> {
        match self.core.opened(&self.key, index)? {
            OpenedKey::Cipher(cipher) => Ok(&**cipher),
            other => Err(self.misopened(other)),
        }
    }

    /// Returns the current version, opened.
    fn current(&self) -> Result<&OpenedKey> {
        self.core.opened(&self.key, self.current_index()?)
    }

    fn current_index(&self) -> Result<usize> {
        self.record().current_index().ok_or_else(|| Error::new(ErrorKind::Internal, "an enabled key has no material"))
    }

    /// Returns the error for material that its provider opened for a different use.
    fn misopened(&self, opened: &OpenedKey) -> Error {
        let text = format!("the provider of {} opened the key for a different use: {opened:?}", self.arn());
        Error::new(ErrorKind::Internal, text)
    }
}
