//! Export of keys.

use std::fmt;

use super::file::{self, Header};
use super::payload::{self, PortableKey};
use super::recipient::ExportRecipient;
use crate::audit::{Action, KeyResource, Outcome};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyId, KeyIdentifier, Origin};
use crate::kms::engine::core::Core;
use crate::kms::engine::handle::Kms;
use crate::kms::engine::material::Material;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::KeyReference;
use crate::provider::ProviderId;
use crate::store::MAX_SCAN;

/// The maximum number of attempts to read a key whose aliases are moved concurrently.
const MAX_READS: u32 = 16;

/// An export of keys.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::export::ExportRecipient;
///
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let export = kms.export_key(key.key_id(), &ExportRecipient::rsa(&pair.public_key_der())?)?;
/// assert_eq!((&export.keys[..], &export.omitted[..]), (&[key.arn().clone()][..], &[][..]));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyExport {
    /// The file. Its recipient obtains all the material in it.
    pub file: Vec<u8>,
    /// The exported keys, ordered by account and key ID.
    pub keys: Vec<KeyArn>,
    /// Those of `keys` that are exported without material, because none was ever imported. They
    /// wait for it in the other store as well. Import the same material in both.
    pub without_material: Vec<KeyArn>,
    /// Keys that cannot be exported, because some of their material is not in the store: it is in
    /// an HSM or another external provider, or it was imported and is deleted or expired.
    pub omitted: Vec<KeyArn>,
}

impl fmt::Debug for KeyExport {
    /// Shows only the length of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = format_args!("{} bytes", self.file.len());
        f.debug_struct("KeyExport")
            .field("file", &file)
            .field("keys", &self.keys)
            .field("without_material", &self.without_material)
            .field("omitted", &self.omitted)
            .finish()
    }
}

impl Kms {
    /// Exports a key with all versions of its material, sealed for a recipient.
    /// [`Kms::import_keys`] imports it into another store as the same key. Requires the authority's
    /// handle.
    ///
    /// The export includes the state, description, tags, aliases, rotation settings, and properties
    /// of imported material, but no grants. The key also remains in this store: to move it, disable
    /// it or schedule its deletion.
    ///
    /// A key with missing imported material cannot be exported. Each store recognizes material by
    /// its own secret, so the material could not be imported again in another store. A key into
    /// which nothing was ever imported is exported, and listed in
    /// [`KeyExport::without_material`].
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if material of the key is not in
    ///   the store, for example because it is in an HSM.
    /// - [`InvalidState`](ErrorKind::InvalidState) if imported material of the key is deleted or
    ///   expired.
    /// - [`Audit`](ErrorKind::Audit) if the export cannot be recorded in the audit trail.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::export::{ExportIdentity, ExportRecipient};
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    ///
    /// let backend = CryptoBackend::default();
    /// let recipient = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
    /// let key = here.create_key(Default::default())?;
    /// let sealed = here.encrypt(EncryptRequest::new(key.key_id(), b"four words"))?;
    ///
    /// let export = here.export_key(key.key_id(), &ExportRecipient::rsa(&recipient.public_key_der())?)?;
    /// there.import_keys(&export.file, &ExportIdentity::rsa(&recipient.to_pkcs8()?)?)?;
    /// let opened = there.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?;
    /// assert_eq!(opened.plaintext.expose_secret(), b"four words");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn export_key(&self, key: impl KeyReference, recipient: &ExportRecipient) -> Result<KeyExport> {
        self.authority_call("export_key", |call_context| {
            let now = call_context.now();
            let identifier = key.to_key_identifier()?;
            call_context.event.parameters.push(("keyId", identifier.to_string().into()));
            let place = self.place_of(&identifier)?;
            let portable =
                place.map(|(account, key_id)| self.core.portable_key(account, key_id, now)).transpose()?.flatten();
            let portable = portable
                .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("key '{identifier}' does not exist")))?;
            self.export(vec![portable], Vec::new(), recipient, now)
        })
    }

    /// Exports every key of every account, like [`Kms::export_key`]. Requires the authority's
    /// handle.
    ///
    /// Keys that cannot be exported are not an error: [`KeyExport::omitted`] lists them.
    ///
    /// Each key is read at a single moment, but not all keys at the same one. Prevent changes to
    /// keys during the export, or export from a backup.
    ///
    /// # Errors
    /// - The errors of [`Kms::export_key`].
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the file would be longer than
    ///   [`MAX_EXPORT_BYTES`](super::MAX_EXPORT_BYTES).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::export::{ExportIdentity, ExportRecipient};
    ///
    /// let backend = CryptoBackend::default();
    /// let recipient = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let kms = Kms::in_memory()?;
    /// kms.create_key(Default::default())?;
    /// kms.create_key(Default::default())?;
    ///
    /// let export = kms.export_all_keys(&ExportRecipient::rsa(&recipient.public_key_der())?)?;
    /// assert_eq!(export.keys.len(), 2);
    /// assert!(export.omitted.is_empty()); // no key is in an HSM
    /// let restored = Kms::in_memory()?.import_keys(&export.file, &ExportIdentity::rsa(&recipient.to_pkcs8()?)?)?;
    /// assert_eq!(restored, export.keys);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn export_all_keys(&self, recipient: &ExportRecipient) -> Result<KeyExport> {
        self.authority_call("export_all_keys", |_| self.export_all(recipient))
    }

    fn export_all(&self, recipient: &ExportRecipient) -> Result<KeyExport> {
        let now = self.core.time.now();
        let (mut keys, mut omitted, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let batch = self.core.registry.keys(None, after, MAX_SCAN)?;
            let Some((account, key_id, ..)) = batch.last() else { break };
            after = Some((*account, *key_id));
            // Keys whose waiting period has ended no longer exist for any caller.
            for (account, key_id, _, record) in batch.into_iter().filter(|(.., record)| !self.core.time.is_over(record))
            {
                if !self.core.material.can_leave(&record) || record.lacks_material(now) {
                    omitted.push(self.arn_of(&record));
                } else if let Some(key) = self.core.portable_key(account, key_id, now)? {
                    keys.push(key);
                }
            }
        }
        self.export(keys, omitted, recipient, now)
    }

    fn export(
        &self,
        keys: Vec<PortableKey>,
        omitted: Vec<KeyArn>,
        recipient: &ExportRecipient,
        now: Timestamp,
    ) -> Result<KeyExport> {
        let payload = payload::encode(&keys)?;
        if payload.len() > file::MAX_PAYLOAD {
            let text = format!("an export of {} bytes is too long: export keys one at a time", payload.len());
            return Err(Error::new(ErrorKind::LimitExceeded, text));
        }
        let header = Header { store: self.core.registry.store_id(), exported: now };
        let file = file::seal(&self.core.material.backend, header, recipient, &payload)?;
        for PortableKey { record, .. } in &keys {
            let mut event = self.new_event(Action::ExportKey, now);
            event.keys[0] = Some(KeyResource { account: record.account, key_id: record.key_id });
            event.outcome = Outcome::Success;
            event.parameters.push(("recipient", recipient.method().name().into()));
            self.core.audit.record(event).map_err(withheld)?;
        }
        let arns = |keys: &mut dyn Iterator<Item = &PortableKey>| keys.map(|key| self.arn_of(&key.record)).collect();
        Ok(KeyExport {
            file,
            keys: arns(&mut keys.iter()),
            without_material: arns(&mut keys.iter().filter(|key| key.materials.iter().all(Option::is_none))),
            omitted,
        })
    }

    /// Returns the account and the ID of a key, without any authorization check.
    fn place_of(&self, identifier: &KeyIdentifier) -> Result<Option<(AccountId, KeyId)>> {
        let (account, name) = match identifier {
            KeyIdentifier::KeyId(key_id) => return Ok(Some((self.account(), *key_id))),
            KeyIdentifier::KeyArn(arn) => {
                let is_here = arn.locality() == self.locality();
                return Ok(is_here.then_some((arn.account(), arn.key_id())));
            }
            KeyIdentifier::AliasName(name) => (self.account(), name),
            KeyIdentifier::AliasArn(arn) if arn.locality() == self.locality() => (arn.account(), arn.name()),
            KeyIdentifier::AliasArn(_) => return Ok(None),
        };
        Ok(self.core.registry.alias(account, name)?.map(|alias| (account, alias.target)))
    }

    pub(super) fn arn_of(&self, record: &KeyRecord) -> KeyArn {
        KeyArn::new(self.locality().clone(), record.account, record.key_id)
    }
}

impl Core {
    /// Returns a key with its material in plaintext, excluding expired material. Returns `None` if
    /// the key does not exist or its waiting period has ended. A key that cannot be exported is
    /// rejected before any of its material is unsealed.
    fn portable_key(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<Option<PortableKey>> {
        for _ in 0..MAX_READS {
            let Some(key) = self.registry.key(account, key_id)? else { return Ok(None) };
            let mut record = key.record.clone();
            if self.time.is_over(&record) {
                return Ok(None);
            }
            if !self.material.can_leave(&record) {
                let text = format!("cannot export key {key_id}: its material is not in the store");
                return Err(Error::new(ErrorKind::UnsupportedOperation, text));
            }
            if record.lacks_material(now) {
                let text =
                    format!("cannot export key {key_id}: its imported material is missing; import it again first");
                return Err(Error::new(ErrorKind::InvalidState, text));
            }
            record.forget_expired_new_material(now);
            record.grants = 0;
            let mut aliases = Vec::new();
            for name in &record.aliases {
                let alias = self.registry.alias(account, name)?.filter(|alias| alias.target == key_id);
                aliases.extend(alias.map(|alias| (name.clone(), *alias)));
            }
            if aliases.len() == record.aliases.len() {
                let materials = self.registry.sealed().take_materials(&mut record)?;
                return Ok(Some(PortableKey { record, materials, aliases }));
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("too many concurrent changes to the aliases of key {key_id}: try again"),
        ))
    }
}

impl Material {
    /// Returns `true` if the store contains all material of a key. For a key in an HSM, it contains
    /// only a reference.
    fn can_leave(&self, record: &KeyRecord) -> bool {
        let leaves =
            |provider: &ProviderId| self.provider(provider).is_ok_and(|provider| provider.importer().is_some());
        record.origin != Origin::Hsm && record.versions.iter().all(|version| leaves(&version.provider))
    }
}

fn withheld(error: Error) -> Error {
    let text = format!("cannot write the audit event, so the export was not released: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}
