//! The status of a key at a given time: its state, the presence of its material, and due
//! maintenance.

use super::key::KeyRecord;
use super::key_version::VersionRecord;
use crate::clock::Timestamp;
use crate::key::{ExpirationModel, KeyArn, KeyMaterialId, KeyMetadata, KeyState, Origin, SpecClass};

impl KeyRecord {
    /// Returns the versions that ciphertexts may have been encrypted under: all except one that is
    /// pending rotation.
    fn associated(&self) -> impl Iterator<Item = &VersionRecord> {
        self.versions.iter().filter(|version| !version.is_pending_rotation())
    }

    /// Returns `true` if all material that belongs to the key is present.
    pub(in crate::kms) fn is_complete(&self, now: Timestamp) -> bool {
        self.associated().next().is_some() && self.associated().all(|version| version.is_usable(now))
    }

    /// Returns `true` if the key had material that is now missing. A key that never had any lacks
    /// nothing.
    pub(in crate::kms) fn lacks_material(&self, now: Timestamp) -> bool {
        self.associated().any(|version| !version.is_usable(now))
    }

    /// Returns the effective state at a given time. Expired material becomes unusable immediately
    /// for every caller. Maintenance deletes it and stores the new state later.
    pub(in crate::kms) fn state_at(&self, now: Timestamp) -> KeyState {
        let waits = self.origin == Origin::External
            && matches!(self.state, KeyState::Enabled | KeyState::Disabled)
            && !self.is_complete(now);
        if waits { KeyState::PendingImport } else { self.state }
    }

    /// Returns the earliest expiration among the present material of the key.
    pub(in crate::kms) fn earliest_expiration(&self, now: Timestamp) -> Option<(ExpirationModel, Option<Timestamp>)> {
        let all = self.associated().filter_map(|version| version.expiration(now));
        all.min_by_key(|(_, valid_to)| valid_to.map_or((1, None), |valid_to| (0, Some(valid_to))))
    }

    /// Returns `true` if maintenance has material to delete.
    pub(in crate::kms) fn has_expired_material(&self, now: Timestamp) -> bool {
        self.versions.iter().any(|version| version.is_expired(now))
    }

    /// Returns the IDs of expired material.
    pub(in crate::kms) fn expired_material(&self, now: Timestamp) -> impl Iterator<Item = KeyMaterialId> {
        self.versions.iter().filter(move |version| version.is_expired(now)).map(|version| version.material_id)
    }

    /// Returns `true` if the waiting period has ended.
    pub(in crate::kms) fn is_past_deletion(&self, now: Timestamp) -> bool {
        self.state == KeyState::PendingDeletion && self.deletion.is_some_and(|deletion| deletion.date <= now)
    }

    /// Returns `true` if the automatic rotation is due. Only enabled keys rotate.
    pub(in crate::kms) fn is_rotation_due(&self, now: Timestamp) -> bool {
        self.state == KeyState::Enabled
            && self.rotation.is_some_and(|rotation| rotation.next <= now || rotation.is_put_off(now))
    }

    /// Returns the earliest time at which maintenance has work for the key, unless the key changes
    /// before. A time that has passed means that there is work now.
    pub(in crate::kms) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_rotation_due(now) {
            return Some(now);
        }
        let rotation = self.rotation.filter(|_| self.state == KeyState::Enabled).map(|rotation| rotation.next);
        let deletion = self.deletion.filter(|_| self.state == KeyState::PendingDeletion).map(|deletion| deletion.date);
        let expirations =
            self.versions.iter().filter(|version| version.is_present()).filter_map(VersionRecord::valid_to);
        expirations.chain(rotation).chain(deletion).min()
    }

    /// Returns the response of DescribeKey.
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
