//! Destruction of material that providers hold outside the store, for deleted keys.
//!
//! The pending destruction is recorded together with the deletion, so that material survives
//! neither an outage nor the end of a process. Maintenance repeats the destruction until it
//! succeeds.

use crate::audit::{Action, AuditEvent, KeyResource, Outcome, ParameterValue};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::identity::{AccountId, Principal};
use crate::key::KeyId;
use crate::kms::engine::audit_log::AuditLog;
use crate::kms::engine::core::Core;
use crate::kms::engine::mark_holder::MarkHolder;
use crate::kms::engine::material::Material;
use crate::kms::pipeline::change::{audit_failed_after_commit, audit_failed_before_commit};
use crate::kms::records::destruction::Destruction;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::names::key_named_in;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::message_count;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::sealed::is_committed;
use crate::store::{CommitError, Revision};

impl Material {
    /// Returns the edits that record which material of a deleted key its providers must destroy.
    /// Excludes material that is deleted with the record of the key, and keys of custom key stores,
    /// whose clusters are notified differently.
    pub(in crate::kms) fn leave_providers(&self, registry: &Registry, record: &KeyRecord) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        if record.custom_key_store.is_some() {
            return Ok(edits);
        }
        for version in record.versions.iter().filter(|version| version.is_present()) {
            edits.extend(message_count::forget(registry, record.account, record.key_id, version.number)?);
            if self.provider(&version.provider).is_ok_and(|provider| provider.importer().is_some()) {
                continue;
            }
            let destruction = Destruction {
                account: record.account,
                key_id: record.key_id,
                version: version.number,
                provider: version.provider.clone(),
                spec: record.spec,
                usage: record.usage,
                origin: record.origin,
                stored: registry.sealed().open_material(record, version)?,
            };
            edits.push(Edit::put(destruction.record_id(), &destruction, None)?);
        }
        Ok(edits)
    }
}

impl Core {
    /// Has providers destroy the remaining material of deleted keys, and records each result in the
    /// audit trail. Returns the keys whose material remains, with the reasons. Includes records
    /// that cannot be read.
    pub(in crate::kms) fn destroy_what_was_left(&self, now: Timestamp) -> Result<Vec<(AccountId, KeyId, Error)>> {
        let mut left = Vec::new();
        for found in self.registry.read_all_or_damaged::<Destruction>()? {
            let (revision, destruction) = match found {
                Ok(found) => found,
                Err((id, error)) => {
                    left.push((id.account, key_named_in(&id), error));
                    continue;
                }
            };
            let key = KeyResource { account: destruction.account, key_id: destruction.key_id };
            let result = self.destroy(&destruction, revision);
            let provider = ("keyMaterialProvider", destruction.provider.as_str().to_owned().into());
            if let Err(error) = self.audit.report_destruction(key, provider, result, now)? {
                left.push((key.account, key.key_id, error));
            }
        }
        Ok(left)
    }

    fn destroy(&self, destruction: &Destruction, revision: Revision) -> Result<()> {
        let binding = destruction.binding(self.registry.store_id());
        let provider = self.material.provider(&destruction.provider)?;
        // A provider with an importer holds nothing outside the store. Without the provider, this
        // could not be determined when the key was deleted.
        if provider.importer().is_none() {
            self.copy_guard().leave_copies_behind(&MarkHolder::of_provider(&**provider))?;
            provider.destroy(&binding, &destruction.stored)?;
        }
        match self.registry.commit(&[Edit::delete(destruction.record_id(), revision)]) {
            // Another process has done the same.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) if is_committed(&error) => Ok(()),
            Err(CommitError::Failed(error)) => Err(error),
        }
    }
}

impl AuditLog {
    /// Records in the audit trail whether the material of a deleted key was destroyed at its
    /// location.
    pub(in crate::kms) fn report_destruction(
        &self,
        key: KeyResource,
        place: (&'static str, ParameterValue),
        result: Result<()>,
        now: Timestamp,
    ) -> Result<Result<()>> {
        let mut event = AuditEvent::new(now, Action::DeleteKey, Principal::root(key.account));
        event.keys[0] = Some(key);
        event.additional.push(place);
        let (status, outcome) = match &result {
            Ok(()) => ("SUCCESS", Outcome::Success),
            Err(error) => ("FAILURE", Outcome::Failure(error.kind())),
        };
        event.additional.push(("backingKeyDeletionStatus", status.into()));
        event.outcome = outcome;
        let is_done = result.is_ok();
        self.record(event).map_err(if is_done { audit_failed_after_commit } else { audit_failed_before_commit })?;
        Ok(result)
    }
}
