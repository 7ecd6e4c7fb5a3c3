//! What holds of a key at a moment: its state, whether its material is there, and what is due.

use super::key::KeyRecord;
use super::key_version::VersionRecord;
use crate::clock::Timestamp;
use crate::key::{ExpirationModel, KeyArn, KeyMaterialId, KeyMetadata, KeyState, Origin, SpecClass};

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

    /// Returns `true` if the waiting period has ended.
    pub(in crate::kms) fn is_past_deletion(&self, now: Timestamp) -> bool {
        self.state == KeyState::PendingDeletion && self.deletion.is_some_and(|deletion| deletion.date <= now)
    }

    /// Whether the automatic rotation should have happened by now. Only enabled keys rotate.
    pub(in crate::kms) fn is_rotation_due(&self, now: Timestamp) -> bool {
        self.state == KeyState::Enabled
            && self.rotation.is_some_and(|rotation| rotation.next <= now || rotation.is_put_off(now))
    }

    /// What DescribeKey returns.
    pub(in crate::kms) fn metadata(&self, arn: &KeyArn, now: Timestamp) -> KeyMetadata {
        let expiration = self.earliest_expiration(now);
        KeyMetadata {
            arn: arn.clone(),
            created: self.created,
            state: self.state_at(now),
            description: self.description.clone(),
            manager: self.manager,
            spec: self.spec,
            usage: self.usage,
            origin: self.origin,
            deletion_date: self.deletion.map(|deletion| deletion.date),
            pending_window: self.deletion.map(|deletion| deletion.window),
            valid_to: expiration.and_then(|(_, valid_to)| valid_to),
            expiration_model: expiration.map(|(model, _)| model),
            current_key_material_id: self
                .current_version()
                .filter(|_| self.spec.class() == SpecClass::Symmetric && self.origin != Origin::Hsm)
                .map(|version| version.material_id),
            custom_key_store_id: self.custom_key_store,
            cluster_id: None,
        }
    }
}
