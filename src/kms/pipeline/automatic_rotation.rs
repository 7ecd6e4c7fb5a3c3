//! Automatic rotation of a key: before new ciphertext is created under it, and during maintenance.

use crate::audit::Action;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, Operation, RotationType};
use crate::kms::engine::core::Core;
use crate::kms::pipeline::due_change::change_due_key;
use crate::kms::storage::edit::Edit;
use crate::metrics::{FAILURE, Metric, SUCCESS};

/// Returns `true` if an operation creates new ciphertext. A key whose rotation is due receives new
/// material first.
pub(in crate::kms) const fn makes_ciphertext(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Encrypt
            | Operation::ReEncryptTo
            | Operation::GenerateDataKey
            | Operation::GenerateDataKeyWithoutPlaintext
            | Operation::GenerateDataKeyPair
            | Operation::GenerateDataKeyPairWithoutPlaintext
    )
}

impl Core {
    /// Rotates the key if its automatic rotation is due. Returns `true` if this call rotated it.
    pub(in crate::kms) fn rotate_if_due(&self, account: AccountId, key_id: KeyId, now: Timestamp) -> Result<bool> {
        let rotated = change_due_key(self, Action::RotateKey, account, key_id, now, |record, revision, details| {
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
            Ok(Some(vec![Edit::put_key(record, Some(revision))]))
        });
        match &rotated {
            Ok(true) => self.registry.metrics().count_result(Metric::AutomaticRotations, SUCCESS),
            Ok(false) => {} // another process was faster
            Err(_) => self.registry.metrics().count_result(Metric::AutomaticRotations, FAILURE),
        }
        rotated
    }
}
