//! Import of keys from an export.

use super::error::ExportError;
use super::file;
use super::payload::{self, PortableKey};
use super::recipient::ExportIdentity;
use crate::audit::{Action, KeyResource};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{AliasArn, AliasName, KeyArn, KeyManager, KeyState, Origin, SpecClass, check_usage};
use crate::kms::engine::handle::Kms;
use crate::kms::engine::material::Material;
use crate::kms::pipeline::change::{CallContext, Change};
use crate::kms::pipeline::service_key::service_of;
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::VersionRecord;
use crate::kms::records::tombstone::Tombstone;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::registry::Registry;
use crate::policy::PolicyDocument;
use crate::secret::SecretBytes;
use crate::store::CommitError;

impl Kms {
    /// Imports the keys of an export: either all of them or none. Requires the authority's handle.
    ///
    /// Keys retain their IDs, accounts, versions, states, aliases, and all other properties, so
    /// existing ciphertexts can be decrypted here. Only the IDs of their material change, because
    /// each store has its own.
    ///
    /// Anyone who has the public half of an RSA key can create an export for it. All material is
    /// checked like imported material, but only the channel through which you received the file can
    /// establish the origin of its keys.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`InvalidExport`](ErrorKind::InvalidExport) if the file cannot be opened. The source is an
    ///   [`ExportError`].
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if a key or an alias already exists.
    /// - [`InvalidState`](ErrorKind::InvalidState) if a key was deleted from this store.
    /// - [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial) if material does not fit its
    ///   key.
    /// - [`Audit`](ErrorKind::Audit) if the audit trail cannot be written. The message says whether
    ///   the keys were imported.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::export::{ExportError, ExportIdentity, ExportRecipient};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let backend = CryptoBackend::default();
    /// let recipient = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let identity = ExportIdentity::rsa(&recipient.to_pkcs8()?)?;
    ///
    /// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
    /// let key = here.create_key(Default::default())?;
    /// here.create_alias("alias/reports", key.key_id())?;
    /// let export = here.export_key(key.key_id(), &ExportRecipient::rsa(&recipient.public_key_der())?)?;
    ///
    /// assert_eq!(there.import_keys(&export.file, &identity)?, [key.arn().clone()]);
    /// assert_eq!(there.describe_key("alias/reports")?.key_id(), key.key_id());
    /// let again = there.import_keys(&export.file, &identity).unwrap_err();
    /// assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    /// let damaged = there.import_keys(&export.file[1..], &identity).unwrap_err();
    /// assert_eq!(damaged.downcast_ref(), Some(&ExportError::NotAnExport));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn import_keys(&self, file: &[u8], identity: &ExportIdentity) -> Result<Vec<KeyArn>> {
        let _in_progress = self.check_authority("import_keys")?;
        let mut event = self.authority_event("import_keys");
        event.action = Action::ImportKeys;
        self.recorded(event, |call_context| self.import_file(call_context, file, identity))
    }

    fn import_file(
        &self,
        call_context: &mut CallContext,
        file: &[u8],
        identity: &ExportIdentity,
    ) -> Result<Vec<KeyArn>> {
        let (_, payload) = file::open(&self.core.material.backend, file, identity)?;
        let keys = payload::decode(payload.expose_secret())?;
        drop(payload);
        call_context.event.parameters.push(("keys", u64::try_from(keys.len()).unwrap_or(u64::MAX).into()));
        let arns: Vec<KeyArn> = keys.iter().map(|key| self.arn_of(&key.record)).collect();
        let mut edits = Vec::new();
        for (key, arn) in keys.into_iter().zip(&arns) {
            self.check_free(&key, arn)?;
            edits.extend(self.core.material.admit(&self.core.registry, key, arn)?);
        }
        if !edits.is_empty() {
            self.commit_import(call_context, edits, &arns)?;
        }
        Ok(arns)
    }

    /// Checks that no key, alias, or tombstone in this store conflicts with an imported key.
    fn check_free(&self, key: &PortableKey, arn: &KeyArn) -> Result<()> {
        let PortableKey { record, aliases, .. } = key;
        if self.core.registry.read::<Tombstone>(&Tombstone::record_id(record.account, record.key_id))?.is_some() {
            let text = format!("cannot import {arn}: it was deleted from this store; import it into another store");
            return Err(Error::new(ErrorKind::InvalidState, text));
        }
        if self.core.registry.key(record.account, record.key_id)?.is_some() {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("{arn} already exists in this store")));
        }
        for (name, _) in aliases {
            if self.core.registry.alias(record.account, name)?.is_some() {
                let alias = AliasArn::new(self.locality().clone(), record.account, name.clone());
                let text = format!("cannot import {arn}: its alias {alias} belongs to another key");
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
        }
        Ok(())
    }

    /// Commits the keys after the audit trail contains the intent. Then writes an event for each
    /// key and the outcome.
    fn commit_import(&self, call_context: &mut CallContext, edits: Vec<Edit>, arns: &[KeyArn]) -> Result<()> {
        let now = call_context.now();
        let committed =
            Change::new(&self.core, call_context).announce()?.commit(edits).map_err(|error| match error {
                CommitError::Conflict(_) => {
                    let text =
                        "another process created one of the keys or aliases during the import; nothing was imported";
                    Error::new(ErrorKind::AlreadyExists, text)
                }
                CommitError::Failed(error) => error,
            })?;
        for arn in arns {
            let mut event = self.new_event(Action::ImportKeys, now);
            event.keys[0] = Some(KeyResource { account: arn.account(), key_id: arn.key_id() });
            committed.record(event)?;
        }
        committed.finish(())
    }
}

impl Material {
    /// Converts an exported key into a key of this store. Checks and seals its material, with IDs
    /// of this store.
    fn admit(&self, registry: &Registry, key: PortableKey, arn: &KeyArn) -> Result<Vec<Edit>> {
        let PortableKey { mut record, materials, aliases } = key;
        let sound = check_sound(&record, &materials).and_then(|()| self.check_providers(&record));
        sound.map_err(|reason| ExportError::Malformed { reason: format!("{arn} has {reason}") })?;
        self.put_materials(registry, &mut record, &materials)?;
        let account = record.account;
        let mut edits = vec![Edit::put_key(record, None)];
        for (name, alias) in aliases {
            edits.push(Edit::put(AliasRecord::record_id(account, &name), &alias, None)?);
        }
        Ok(edits)
    }

    /// Checks that the material of every version of a key comes from a provider of the key's
    /// origin.
    fn check_providers(&self, record: &KeyRecord) -> Result<(), &'static str> {
        let fits = |version: &VersionRecord| {
            self.provider(&version.provider).is_ok_and(|provider| provider.origin() == record.origin)
        };
        if record.versions.iter().all(fits) {
            Ok(())
        } else {
            Err("material of a provider that is not configured here")
        }
    }
}

/// Checks invariants of all records that this library writes, beyond those that the layout can
/// express.
fn check_sound(record: &KeyRecord, materials: &[Option<SecretBytes>]) -> Result<(), &'static str> {
    let is_external = record.origin == Origin::External;
    if record.origin == Origin::Hsm || record.custom_key_store.is_some() {
        return Err("its material in an HSM, which an export cannot contain");
    }
    if check_usage(record.spec, record.usage).is_err() {
        return Err("a usage that its spec does not support");
    }
    if matches!(record.state, KeyState::Creating | KeyState::Unavailable) {
        return Err("a state that no complete key can have");
    }
    if (record.state == KeyState::PendingDeletion) != record.deletion.is_some() {
        return Err("a pending deletion without a date, or a deletion date without a pending deletion");
    }
    if record.versions.iter().any(|version| version.imported.is_some() != is_external) {
        return Err("material whose origin differs from that of the key");
    }
    if !is_external && materials.is_empty() {
        return Err("no material");
    }
    if materials.iter().any(Option::is_none) {
        return Err("missing material, which only its original store could recognize");
    }
    if (record.manager == KeyManager::Customer) != record.service.is_none() {
        return Err("a service although an account manages it, or no service although a service manages it");
    }
    check_versions(record)?;
    check_belongings(record)
}

/// Checks the invariants of the versions of every key.
fn check_versions(record: &KeyRecord) -> Result<(), &'static str> {
    let (is_external, is_symmetric) = (record.origin == Origin::External, record.spec.class() == SpecClass::Symmetric);
    if record.state == KeyState::PendingImport && !is_external {
        return Err("a pending import, although its material was generated");
    }
    if record.rotation.is_some() && (is_external || !is_symmetric) {
        return Err("an automatic rotation, which keys of its kind do not support");
    }
    if record.versions.len() > 1 && !is_symmetric {
        return Err("several material versions, which keys of its kind do not support");
    }
    let waiting = record.versions.iter().position(VersionRecord::is_pending_rotation);
    if waiting.is_some_and(|index| index == 0 || index + 1 < record.versions.len()) {
        return Err("material pending rotation that is not the latest of several versions");
    }
    Ok(())
}

/// Checks properties that only some keys may have: an account of services, reserved aliases, a
/// policy, and grants.
fn check_belongings(record: &KeyRecord) -> Result<(), &'static str> {
    if (record.manager == KeyManager::Owned) != (record.account == AccountId::SERVICES) {
        return Err("an account that does not match its owner");
    }
    let is_reserved = |name: &AliasName| name.is_reserved() && service_of(name) != record.service;
    if record.aliases.iter().any(|name| is_reserved(name) || (record.manager == KeyManager::Owned)) {
        return Err("a reserved alias, or an alias although it is owned by a service");
    }
    match &record.policy {
        Some(_) if record.manager != KeyManager::Customer => {
            return Err("a key policy, although it is managed by a service");
        }
        Some(text) if PolicyDocument::key_policy(text).is_err() => {
            return Err("a key policy that this release rejects");
        }
        Some(_) | None => {}
    }
    // Grants stay in the original store. The record contains their count.
    if record.grants == 0 { Ok(()) } else { Err("grants, which exports do not contain") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::ServiceName;
    use crate::key::{CustomKeyStoreId, KeyId, KeyMaterialId, KeySpec, KeyUsage, KeyVersion, RotationPeriod};
    use crate::kms::records::key::Rotation;
    use crate::kms::records::key_version::Imported;
    use crate::provider::ProviderId;

    fn record(spec: KeySpec, usage: KeyUsage, origin: Origin, versions: u32) -> KeyRecord {
        let (key_id, time) = (KeyId::from_random_bytes([1; 16]), Timestamp::from_unix_millis(5));
        let mut record = KeyRecord::new(AccountId::default(), key_id, spec, usage, origin, time);
        for number in 1..=versions {
            record.push_version(VersionRecord {
                number: KeyVersion::new(number).expect("not zero"),
                material_id: KeyMaterialId::from_bytes([7; 32]),
                created: time,
                rotation: None,
                provider: ProviderId::new("memory"),
                public_key: None,
                sealed_material: Vec::new(),
                imported: (origin == Origin::External).then(Imported::default),
            });
        }
        KeyRecord { state: KeyState::Enabled, ..record }
    }

    fn check(record: &KeyRecord) -> Result<(), &'static str> {
        let materials: Vec<_> = record.versions.iter().map(|_| Some(SecretBytes::copy_from_slice(&[7; 32]))).collect();
        check_sound(record, &materials)
    }

    #[test]
    fn a_record_that_no_store_writes_is_refused() {
        let (symmetric, encrypt) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
        let made = || record(symmetric, encrypt, Origin::Kms, 2);
        let brought = || record(symmetric, encrypt, Origin::External, 2);
        let signing = |origin, versions| record(KeySpec::EccNistP256, KeyUsage::SignVerify, origin, versions);
        let waiting = |index: usize| {
            let mut record = record(symmetric, encrypt, Origin::External, 2);
            record.versions[index].imported = Some(Imported { is_pending_rotation: true, ..Imported::default() });
            record
        };
        let followed = || {
            let mut record = record(symmetric, encrypt, Origin::External, 3);
            record.versions[1].imported = Some(Imported { is_pending_rotation: true, ..Imported::default() });
            record
        };
        let rotation = Some(Rotation { period: RotationPeriod::default(), next: Timestamp::from_unix_millis(9) });
        let service = || Some(ServiceName::parse("s3").expect("a name"));
        let alias = |name: &str| [AliasName::parse(name).expect("a name")].into();
        let managed = || KeyRecord { manager: KeyManager::Service, service: service(), ..made() };
        let owned = || KeyRecord { manager: KeyManager::Owned, account: AccountId::SERVICES, ..managed() };
        let policy = PolicyDocument::default_key_policy(AccountId::default(), &crate::identity::Locality::default())
            .as_str()
            .to_owned();
        let whole = [
            made(),
            brought(),
            signing(Origin::Kms, 1),
            waiting(1),
            KeyRecord { rotation, aliases: alias("alias/mine"), policy: Some(policy.as_str().into()), ..made() },
            KeyRecord { rotation, aliases: alias("alias/aws/s3"), ..managed() },
            owned(),
        ];
        for record in whole {
            assert_eq!(check(&record), Ok(()), "{record:?}");
        }
        let refused = [
            KeyRecord { state: KeyState::PendingImport, ..made() },
            KeyRecord { rotation, ..brought() },
            KeyRecord { rotation, ..signing(Origin::Kms, 1) },
            signing(Origin::Kms, 2),
            signing(Origin::External, 2),
            waiting(0),
            followed(),
            KeyRecord { account: AccountId::SERVICES, ..made() },
            KeyRecord { account: AccountId::default(), ..owned() },
            KeyRecord { aliases: alias("alias/aws/s3"), ..made() },
            KeyRecord { aliases: alias("alias/aws/rds"), ..managed() },
            KeyRecord { aliases: alias("alias/any"), ..owned() },
            KeyRecord { policy: Some(policy.as_str().into()), ..managed() },
            KeyRecord { policy: Some("{}".into()), ..made() },
            KeyRecord { grants: 1, ..made() },
        ];
        for record in refused {
            assert!(check(&record).is_err(), "{record:?}");
        }
    }

    #[test]
    fn a_key_in_an_hsm_is_not_taken_from_a_file() {
        let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
        let record = |origin| {
            let key_id = KeyId::from_random_bytes([1; 16]);
            let record =
                KeyRecord::new(AccountId::default(), key_id, spec, usage, origin, Timestamp::from_unix_millis(5));
            KeyRecord { state: KeyState::Enabled, ..record }
        };
        let material = [Some(SecretBytes::copy_from_slice(&[7; 32]))];
        assert_eq!(check_sound(&record(Origin::Kms), &material), Ok(()));
        let in_store = Some(CustomKeyStoreId::from_random_bytes([2; 9]));
        let in_store = KeyRecord { custom_key_store: in_store, ..record(Origin::Kms) };
        for refused in [record(Origin::Hsm), in_store] {
            assert_eq!(check_sound(&refused, &material), Err("its material in an HSM, which an export cannot contain"));
        }
    }
}
