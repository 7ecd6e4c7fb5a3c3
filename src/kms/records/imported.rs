//! Imported material in the record of a key: which version it is, whether it is there, and when its time is over.

use super::key::{Imported, KeyRecord, VersionRecord};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    ExpirationModel, ImportState, ImportType, KeyArn, KeyEvent, KeyMaterialId, KeyState, Origin, RotationType,
    SpecClass,
};

impl VersionRecord {
    /// Whether it waits for a rotation on demand.
    pub(in crate::kms) fn is_pending_rotation(&self) -> bool {
        self.imported.as_ref().is_some_and(|imported| imported.is_pending_rotation)
    }

    /// Whether the material is there; only imported material ever goes away alone.
    pub(in crate::kms) const fn is_present(&self) -> bool {
        !self.sealed_material.is_empty()
    }

    fn valid_to(&self) -> Option<Timestamp> {
        self.imported.as_ref().and_then(|imported| imported.valid_to)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.is_present() && self.valid_to().is_some_and(|valid_to| valid_to <= now)
    }

    /// Whether the material is there and its time is not over, whether or not anybody took note of that.
    pub(in crate::kms) fn is_usable(&self, now: Timestamp) -> bool {
        self.is_present() && !self.is_expired(now)
    }

    /// What lists tell of imported material.
    pub(in crate::kms) fn import_state(&self, now: Timestamp) -> Option<ImportState> {
        self.imported.as_ref().map(|_| match self.is_usable(now) {
            true => ImportState::Imported,
            false => ImportState::PendingImport,
        })
    }

    /// When the material expires, if it is there.
    pub(in crate::kms) fn expiration(&self, now: Timestamp) -> Option<(ExpirationModel, Option<Timestamp>)> {
        self.imported.as_ref().filter(|_| self.is_usable(now)).map(|imported| match imported.valid_to {
            Some(_) => (ExpirationModel::Expires, imported.valid_to),
            None => (ExpirationModel::DoesNotExpire, None),
        })
    }

    fn remove_material(&mut self) {
        self.sealed_material.clear();
        if let Some(imported) = &mut self.imported {
            imported.valid_to = None;
        }
    }
}

impl KeyRecord {
    /// The versions that ciphertexts may be made under: all but one that waits for a rotation.
    fn associated(&self) -> impl Iterator<Item = &VersionRecord> {
        self.versions.iter().filter(|version| !version.is_pending_rotation())
    }

    /// Whether all material that belongs to the key is there.
    pub(in crate::kms) fn is_complete(&self, now: Timestamp) -> bool {
        self.associated().next().is_some() && self.associated().all(|version| version.is_usable(now))
    }

    /// Whether the key had material that is not there. One that never had any lacks nothing.
    pub(in crate::kms) fn lacks_material(&self, now: Timestamp) -> bool {
        self.associated().any(|version| !version.is_usable(now))
    }

    /// The state that counts at a moment. Material whose time is over is gone for everybody from then on; that it is also
    /// deleted, and the state written down, is the work of maintenance.
    pub(in crate::kms) fn state_at(&self, now: Timestamp) -> KeyState {
        let waits = self.origin == Origin::External
            && matches!(self.state, KeyState::Enabled | KeyState::Disabled)
            && !self.is_complete(now);
        if waits { KeyState::PendingImport } else { self.state }
    }

    /// When the first of the material expires that belongs to the key and is there.
    pub(in crate::kms) fn earliest_expiration(&self, now: Timestamp) -> Option<(ExpirationModel, Option<Timestamp>)> {
        let all = self.associated().filter_map(|version| version.expiration(now));
        all.min_by_key(|(_, valid_to)| valid_to.map_or((1, None), |valid_to| (0, Some(valid_to))))
    }

    /// Whether maintenance has material to delete.
    pub(in crate::kms) fn has_expired_material(&self, now: Timestamp) -> bool {
        self.versions.iter().any(|version| version.is_expired(now))
    }

    /// The material whose time is over.
    pub(in crate::kms) fn expired_material(&self, now: Timestamp) -> impl Iterator<Item = KeyMaterialId> {
        self.versions.iter().filter(move |version| version.is_expired(now)).map(|version| version.material_id)
    }

    /// Deletes all material whose time is over.
    pub(in crate::kms) fn remove_expired_material(&mut self, now: Timestamp) {
        self.forget_expired_new_material(now);
        self.versions.iter_mut().filter(|version| version.is_expired(now)).for_each(VersionRecord::remove_material);
        self.note_missing_material(now);
    }

    /// Forgets material that waited for a rotation until its time was over.
    pub(in crate::kms) fn forget_expired_new_material(&mut self, now: Timestamp) {
        self.versions.retain(|version| !(version.is_expired(now) && version.is_pending_rotation()));
    }

    /// Deletes the material of a version that was imported. One that waits for a rotation goes with its version.
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

    /// Takes note that material came; the key is enabled once all of it is there.
    pub(in crate::kms) fn note_imported_material(&mut self, now: Timestamp, before: KeyState) {
        self.state = before;
        if self.is_complete(now) {
            self.state = self.state.next(KeyEvent::MaterialImported).unwrap_or(self.state);
        }
    }

    /// Makes the material current that waits for it.
    pub(in crate::kms) fn promote_imported_material(&mut self, arn: &KeyArn, now: Timestamp) -> Result<()> {
        let waiting = self.versions.iter_mut().find(|version| version.is_pending_rotation() && version.is_usable(now));
        let Some((version, imported)) = waiting.and_then(|version| {
            let imported = version.imported.take()?;
            Some((version, imported))
        }) else {
            let text =
                format!("{arn} has no imported key material that is pending rotation: import new material first");
            return Err(Error::new(ErrorKind::InvalidState, text));
        };
        version.imported = Some(Imported { is_pending_rotation: false, ..imported });
        version.rotation = Some(RotationType::OnDemand);
        version.created = now;
        Ok(())
    }
}

/// Material that somebody wants to import.
pub(in crate::kms) struct Offer {
    pub(in crate::kms) material_id: KeyMaterialId,
    pub(in crate::kms) import_type: Option<ImportType>,
    pub(in crate::kms) named: Option<KeyMaterialId>,
    pub(in crate::kms) token_digest: [u8; 32],
}

/// Where imported material belongs.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kms) enum Place {
    /// It is that of the version at this place in the record.
    Known(usize),
    /// It is new to the key.
    New {
        /// Whether it waits for a rotation on demand, as the key has other material.
        is_pending_rotation: bool,
    },
}

/// Finds out where material belongs, or why it does not.
///
/// # Errors
/// [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial), [`InvalidState`](ErrorKind::InvalidState),
/// [`Validation`](ErrorKind::Validation).
pub(in crate::kms) fn place(record: &KeyRecord, arn: &KeyArn, offer: &Offer) -> Result<Place> {
    if offer.named.is_some() && offer.import_type == Some(ImportType::NewKeyMaterial) {
        let text = "new key material has no key material id yet: name one only for existing material";
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let known = record.versions.iter().position(|version| version.material_id == offer.material_id);
    // Who names material means one that the key had.
    let default = match record.versions.is_empty() && offer.named.is_none() {
        true => ImportType::NewKeyMaterial,
        false => ImportType::ExistingKeyMaterial,
    };
    match (offer.import_type.unwrap_or(default), known) {
        (ImportType::ExistingKeyMaterial, Some(index)) if offer.named.is_none_or(|id| id == offer.material_id) => {
            Ok(Place::Known(index))
        }
        (ImportType::ExistingKeyMaterial, _) if record.versions.is_empty() => {
            let text = format!("{arn} never had key material, so this is none that it had: import it as new");
            Err(Error::new(ErrorKind::IncorrectKeyMaterial, text))
        }
        (ImportType::ExistingKeyMaterial, _) => Err(another_material(arn)),
        // The answer to an import was lost, and it is tried again.
        (ImportType::NewKeyMaterial, Some(index)) if came_with(&record.versions[index], offer.token_digest) => {
            Ok(Place::Known(index))
        }
        (ImportType::NewKeyMaterial, Some(_)) => {
            let text = format!("the key material is not new to {arn}: it was imported into it before");
            Err(Error::new(ErrorKind::IncorrectKeyMaterial, text))
        }
        (ImportType::NewKeyMaterial, None) => place_of_new(record, arn, offer),
    }
}

fn place_of_new(record: &KeyRecord, arn: &KeyArn, offer: &Offer) -> Result<Place> {
    if record.versions.is_empty() {
        return Ok(Place::New { is_pending_rotation: false });
    }
    if record.spec.class() != SpecClass::Symmetric {
        return Err(another_material(arn));
    }
    match record.versions.iter().find(|version| version.is_pending_rotation()) {
        None => Ok(Place::New { is_pending_rotation: true }),
        Some(pending) => {
            let text = format!(
                "New key material (id: {}) cannot be imported into KMS key {arn}, because another key material (id: {}) is \
                 pending rotation.",
                offer.material_id, pending.material_id
            );
            Err(Error::new(ErrorKind::InvalidState, text))
        }
    }
}

fn came_with(version: &VersionRecord, token_digest: [u8; 32]) -> bool {
    version.imported.as_ref().is_some_and(|imported| imported.token_digest == token_digest)
}

fn another_material(arn: &KeyArn) -> Error {
    let text = format!("the key material is not the same as was imported into {arn} before");
    Error::new(ErrorKind::IncorrectKeyMaterial, text)
}
