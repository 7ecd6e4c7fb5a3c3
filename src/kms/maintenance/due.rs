//! What falls due with time: automatic rotation and the end of a waiting period.

use crate::audit::{Action, AuditEvent, ChangeId, KeyResource, Outcome, ParameterValue};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Principal};
use crate::key::{KeyId, RotationType};
use crate::kms::engine::handle::Core;
use crate::kms::pipeline::{incomplete, withheld};
use crate::kms::records::grant::GrantRange;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::tombstone::Tombstone;
use crate::kms::storage::registry::{Edit, MAX_COMMIT_ATTEMPTS};
use crate::kms::storage::sealed::is_committed;
use crate::store::{CommitError, MAX_SCAN, Revision};

/// What the trail tells of what was done.
type Details = Vec<(&'static str, ParameterValue)>;

impl Core {
    /// Rotates the key if its automatic rotation is due. Returns whether this call did it.
    pub(in crate::kms) fn rotate_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        self.settle(Action::RotateKey, account, key_id, now, |record, revision, details| {
            if !record.is_rotation_due(now) {
                return Ok(None);
            }
            let before = record.current_version().map(|version| version.material_id);
            let mut record = record.clone();
            self.add_version(&mut record, now, Some(RotationType::Automatic))?;
            let after = record.current_version().map(|version| version.material_id);
            details.extend([
                ("rotationType", RotationType::Automatic.as_str().into()),
                ("keyOrigin", record.origin.as_str().into()),
            ]);
            details.extend(before.map(|id| ("previousKeyMaterialId", id.to_string().into())));
            details.extend(after.map(|id| ("currentKeyMaterialId", id.to_string().into())));
            record.rotation = record.rotation.map(|rotation| rotation.after(now));
            Ok(Some(vec![Edit::PutKey { record, expected: Some(revision) }]))
        })
    }

    /// Deletes imported material of the key whose time is over. Returns whether this call did it.
    pub(in crate::kms) fn expire_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        self.settle(Action::DeleteExpiredKeyMaterial, account, key_id, now, |record, revision, details| {
            if !record.has_expired_material(now) {
                return Ok(None);
            }
            let expired = record.expired_material(now).map(|id| id.to_string());
            details.push(("keyMaterialIds", ParameterValue::texts(expired)));
            let mut record = record.clone();
            record.remove_expired_material(now);
            Ok(Some(vec![Edit::PutKey { record, expected: Some(revision) }]))
        })
    }

    /// Deletes the key with its aliases if its waiting period has ended. Returns whether this call did it.
    pub(in crate::kms) fn delete_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        self.delete_if(account, key_id, now, now, |record| record.is_past_deletion(now))
    }

    /// Deletes the key with its aliases and grants, all in one commit, and keeps that and when it was deleted. Returns
    /// whether this call did it.
    pub(in crate::kms) fn delete_if(
        &self,
        account: AccountId,
        key_id: KeyId,
        now: Timestamp,
        deleted_at: Timestamp,
        is_to_be_deleted: impl Fn(&KeyRecord) -> bool,
    ) -> Result<bool> {
        let mut deleted = None;
        let decide = |record: &KeyRecord, revision: Revision, details: &mut Details| {
            if !is_to_be_deleted(record) {
                return Ok(None);
            }
            self.refuse_deletion_in_copy(record)?;
            deleted = Some(record.clone());
            let tombstone = Tombstone { deleted: deleted_at };
            let mut edits = vec![
                Edit::DeleteKey { account, key_id, expected: revision },
                Edit::tombstone(account, key_id, tombstone),
            ];
            edits.extend(self.forget_usage(account, key_id)?);
            edits.extend(self.end_grants(account, key_id, details)?);
            for name in &record.aliases {
                let alias = self.registry.alias(account, name)?.ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("the record of {name}, an alias of {key_id}, is missing"))
                })?;
                edits.push(Edit::DeleteAlias { account, name: name.clone(), expected: alias.0.revision });
            }
            edits.extend(self.leave_hsm(record, now)?);
            edits.extend(self.leave_providers(record)?);
            Ok(Some(edits))
        };
        let done = self.settle(Action::DeleteKey, account, key_id, now, decide)?;
        if let Some(record) = deleted.filter(|record| done && record.custom_key_store.is_some()) {
            self.destroy_in_hsm(&record, now)?;
        }
        Ok(done)
    }

    /// The writes that delete the grants on a key together with it, so that a key whose deletion is cancelled first has them all.
    fn end_grants(&self, account: AccountId, key_id: KeyId, details: &mut Details) -> Result<Vec<Edit>> {
        let range = GrantRange { key: (account, key_id), grantee: None };
        let (mut edits, mut count, mut after) = (Vec::new(), 0_u64, None);
        loop {
            let batch = self.registry.grants(range, after.as_ref(), MAX_SCAN)?;
            let Some(last) = batch.last() else { break };
            after = Some(last.record_id());
            for grant in &batch {
                edits.extend(self.registry.delete_grant(grant)?);
                count += 1;
            }
        }
        if count > 0 {
            details.push(("grants", count.into()));
        }
        Ok(edits)
    }

    /// Commits what `decide` finds due on the latest record, again after each conflict, with intent and outcome in the
    /// audit trail.
    fn settle(
        &self,
        action: Action,
        account: AccountId,
        key_id: KeyId,
        now: Timestamp,
        decide: impl FnMut(&KeyRecord, Revision, &mut Details) -> Result<Option<Vec<Edit>>>,
    ) -> Result<bool> {
        let mut event = AuditEvent::new(now, action, Principal::root(account));
        event.keys[0] = Some(KeyResource { account, key_id });
        event.outcome = Outcome::Intent;
        let change = ChangeId::generate(&self.backend)?;
        event.change = Some(change);
        let mut announced = false;
        let result = self.commit_what_is_due((account, key_id), change, (&mut event, &mut announced), decide);
        if !announced {
            return result;
        }
        event.outcome = match &result {
            Ok(true) => Outcome::Success,
            Ok(false) => Outcome::Failure(ErrorKind::Conflict),
            Err(error) if is_committed(error) => Outcome::Success,
            Err(error) => Outcome::Failure(error.kind()),
        };
        let unrecorded = if event.outcome == Outcome::Success { incomplete } else { withheld };
        self.audit.record(event).map_err(unrecorded)?;
        result
    }

    /// Announces what is due once there is something, and commits it.
    fn commit_what_is_due(
        &self,
        (account, key_id): (AccountId, KeyId),
        change: ChangeId,
        (event, announced): (&mut AuditEvent, &mut bool),
        mut decide: impl FnMut(&KeyRecord, Revision, &mut Details) -> Result<Option<Vec<Edit>>>,
    ) -> Result<bool> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let mut details = Details::new();
            let Some(key) = self.registry.key(account, key_id)? else { break };
            let Some(edits) = decide(&key.0.value.record, key.0.revision, &mut details)? else { break };
            event.parameters = details;
            if !*announced {
                self.audit.record(event.clone()).map_err(withheld)?;
                *announced = true;
            }
            match self.commit(edits, change) {
                Ok(_) => return Ok(true),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        Ok(false)
    }
}
