//! Imported material in a key's record: choosing its version, adding it, and removing it.

use super::key::KeyRecord;
use super::key_version::{Imported, VersionRecord};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ImportType, KeyArn, KeyEvent, KeyMaterialId, KeyState, RotationType, SpecClass};

impl KeyRecord {
    /// Deletes all expired material.
    pub(in crate::kms) fn remove_expired_material(&mut self, now: Timestamp) {
        self.forget_expired_new_material(now);
        self.versions.iter_mut().filter(|version| version.is_expired(now)).for_each(VersionRecord::remove_material);
        self.note_missing_material(now);
    }

    /// Removes expired material that is still pending rotation, together with its version.
    pub(in crate::kms) fn forget_expired_new_material(&mut self, now: Timestamp) {
        self.versions.retain(|version| !(version.is_expired(now) && version.is_pending_rotation()));
    }

    /// Deletes the imported material of a version. A version that is pending rotation is removed as
    /// well.
    pub(in crate::kms) fn remove_material(&mut self, index: usize, now: Timestamp) {
        if self.versions[index].is_pending_rotation() {
            self.versions.remove(index);
        } else {
            self.versions[index].remove_material();
        }
        self.note_missing_material(now);
    }

    fn note_missing_material(&mut self, now: Timestamp) {
        if !self.is_complete(now) {
            self.state = self.state.next(KeyEvent::MaterialRemoved).unwrap_or(self.state);
        }
    }

    /// Updates the key state after an import. The key is enabled once all its material is present.
    pub(in crate::kms) fn note_imported_material(&mut self, now: Timestamp, before: KeyState) {
        self.state = before;
        if self.is_complete(now) {
            self.state = self.state.next(KeyEvent::MaterialImported).unwrap_or(self.state);
        }
    }

    /// Makes the material that is pending rotation current.
    pub(in crate::kms) fn promote_imported_material(&mut self, arn: &KeyArn, now: Timestamp) -> Result<()> {
        let waiting = self.versions.iter_mut().find(|version| version.is_pending_rotation() && version.is_usable(now));
        let Some((version, imported)) = waiting.and_then(|version| {
            let imported = version.imported.take()?;
            Some((version, imported))
        }) else {
            let text = format!("No available key material pending rotation for the key: {arn}.");
            return Err(Error::new(ErrorKind::InvalidState, text).with_advice("import new key material first"));
        };
        version.imported = Some(Imported { is_pending_rotation: false, ..imported });
        version.rotation = Some(RotationType::OnDemand);
        version.created = now;
        Ok(())
    }
}

/// A request to import material.
pub(in crate::kms) struct ImportRequest {
    pub(in crate::kms) material_id: KeyMaterialId,
    pub(in crate::kms) import_type: Option<ImportType>,
    pub(in crate::kms) named: Option<KeyMaterialId>,
    pub(in crate::kms) token_digest: [u8; 32],
}

/// The version that imported material belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kms) enum ImportTarget {
    /// The version at this index in the record.
    Known(usize),
    /// A new version of the key.
    New {
        /// `true` if the version is pending an on-demand rotation because the key has other
        /// material.
        is_pending_rotation: bool,
    },
}

/// Returns the version that the material belongs to.
///
/// # Errors
/// - [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial) if the key does not accept this
///   material.
/// - [`InvalidState`](ErrorKind::InvalidState) if other new material is already pending rotation.
/// - [`Validation`](ErrorKind::Validation) if the request names a material ID for new material.
pub(in crate::kms) fn import_target(record: &KeyRecord, arn: &KeyArn, request: &ImportRequest) -> Result<ImportTarget> {
    if request.named.is_some() && request.import_type == Some(ImportType::NewKeyMaterial) {
        let text = "new key material has no key material id yet: specify an id only for existing material";
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let known = record.versions.iter().position(|version| version.material_id == request.material_id);
    // A request that names a material ID refers to material that the key has had before.
    let default = match record.versions.is_empty() && request.named.is_none() {
        true => ImportType::NewKeyMaterial,
        false => ImportType::ExistingKeyMaterial,
    };
    match (request.import_type.unwrap_or(default), known) {
        (ImportType::ExistingKeyMaterial, Some(index)) if request.named.is_none_or(|id| id == request.material_id) => {
            Ok(ImportTarget::Known(index))
        }
        (ImportType::ExistingKeyMaterial, _) if record.versions.is_empty() => {
            let text = format!(
                "{arn} has never had key material, so existing material cannot be reimported: import it as new"
            );
            Err(Error::new(ErrorKind::IncorrectKeyMaterial, text))
        }
        (ImportType::ExistingKeyMaterial, _) => Err(another_material(arn)),
        // The caller repeats an import whose response was lost.
        (ImportType::NewKeyMaterial, Some(index)) if came_with(&record.versions[index], request.token_digest) => {
            Ok(ImportTarget::Known(index))
        }
        (ImportType::NewKeyMaterial, Some(_)) => {
            let text = format!("cannot import the key material as new: it was imported into {arn} before");
            Err(Error::new(ErrorKind::IncorrectKeyMaterial, text))
        }
        (ImportType::NewKeyMaterial, None) => target_of_new(record, arn, request),
    }
}

fn target_of_new(record: &KeyRecord, arn: &KeyArn, request: &ImportRequest) -> Result<ImportTarget> {
    if record.versions.is_empty() {
        return Ok(ImportTarget::New { is_pending_rotation: false });
    }
    if record.spec.class() != SpecClass::Symmetric {
        return Err(another_material(arn));
    }
    match record.versions.iter().find(|version| version.is_pending_rotation()) {
        None => Ok(ImportTarget::New { is_pending_rotation: true }),
        Some(pending) => {
            let text = format!(
                "New key material (id: {}) cannot be imported into KMS key {arn}, because another key material (id: {}) is \
                 pending rotation.",
                request.material_id, pending.material_id
            );
            Err(Error::new(ErrorKind::InvalidState, text))
        }
    }
}

fn came_with(version: &VersionRecord, token_digest: [u8; 32]) -> bool {
    version.imported.as_ref().is_some_and(|imported| imported.token_digest == token_digest)
}

fn another_material(arn: &KeyArn) -> Error {
    let text = format!("the key material differs from the material imported into {arn} before");
    Error::new(ErrorKind::IncorrectKeyMaterial, text)
}
