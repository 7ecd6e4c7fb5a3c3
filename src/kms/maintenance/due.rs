//! Due changes: the end of a waiting period, and the expiration of imported material.

use crate::audit::{Action, ParameterValue};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::engine::core::Core;
use crate::kms::pipeline::due_change::{Details, change_due_key};
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::tombstone::Tombstone;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::stored_grants::GrantRange;
use crate::store::{MAX_SCAN, Revision};

impl Core {
    /// Deletes expired imported material of the key. Returns `true` if this call deleted it.
    pub(in crate::kms) fn expire_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        change_due_key(self, Action::DeleteExpiredKeyMaterial, account, key_id, now, |record, revision, details| {
            if !record.has_expired_material(now) {
                return Ok(None);
            }
            let expired = record.expired_material(now).map(|id| id.to_string());
            details.push(("keyMaterialIds", ParameterValue::texts(expired)));
            let mut record = record.clone();
            record.remove_expired_material(now);
            Ok(Some(vec![Edit::put_key(record, Some(revision))]))
        })
    }

    /// Deletes the key and its aliases if its waiting period has ended. Returns `true` if this call
    /// deleted it.
    pub(in crate::kms) fn delete_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        self.delete_if(account, key_id, now, now, |record| record.is_past_deletion(now))
    }

    /// Deletes the key with its aliases and grants in one commit, and records that and when it was
    /// deleted. Returns `true` if this call deleted it.
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
                Edit::delete(KeyRecord::record_id(account, key_id), revision),
                Edit::put(Tombstone::record_id(account, key_id), &tombstone, None)?,
            ];
            edits.extend(self.registry.forget_usage(account, key_id)?);
            edits.extend(self.end_grants(account, key_id, details)?);
            for name in &record.aliases {
                let alias = self.registry.alias(account, name)?.ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("the record of {name}, an alias of {key_id}, is missing"))
                })?;
                edits.push(Edit::delete(AliasRecord::record_id(account, name), alias.revision()));
            }
            edits.extend(self.registry.leave_custom_key_store(record, now)?);
            edits.extend(self.material.leave_providers(&self.registry, record)?);
            Ok(Some(edits))
        };
        let done = change_due_key(self, Action::DeleteKey, account, key_id, now, decide)?;
        if let Some(record) = deleted.filter(|record| done && record.custom_key_store.is_some()) {
            self.destroy_in_hsm(&record, now)?;
        }
        Ok(done)
    }

    /// Returns the edits that delete the grants on a key. They are committed together with the
    /// deletion of the key: if the deletion is canceled first, the key keeps all its grants.
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
}
