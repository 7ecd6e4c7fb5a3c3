//! Records of pending HSM work. They are taken over from an interrupted creation, written with the
//! deletion of a key, and deleted when the work is done.

use super::custom_key_stores::CONTENDED;
use super::edit::Edit;
use super::message_count;
use super::registry::Registry;
use super::retry::commit_with_retry;
use super::sealed::is_committed;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CustomKeyStoreId;
use crate::kms::records::intent::{Intent, Purpose};
use crate::kms::records::key::KeyRecord;
use crate::store::{CommitError, Revision};

impl Registry {
    /// Records that material must be destroyed after its intent has ended. Either maintenance took
    /// the creation over before the material existed, or the commit of the key was reported as
    /// failed but took effect. In the second case the key refers to the material, which must be
    /// preserved.
    pub(in crate::kms) fn destroy_later(&self, created: &Intent) -> Result<(Purpose, Revision)> {
        if self.revision_of(&KeyRecord::record_id(created.account, created.key_id))?.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "the key was committed"));
        }
        let intent = Intent { purpose: Purpose::Destroy, ..*created };
        let put = Edit::put(intent.record_id(), &intent, None)?;
        Ok((Purpose::Destroy, self.commit(&[put])?))
    }

    /// Takes over a creation, so that its caller can no longer finish it.
    pub(in crate::kms) fn take_over_creation(
        &self,
        intent: &Intent,
        expected: Revision,
    ) -> Result<Revision, CommitError> {
        let abandoned = Intent { purpose: Purpose::Abandon, ..*intent };
        self.commit(&[Edit::put(intent.record_id(), &abandoned, Some(expected))?])
    }

    /// Deletes an intent. A key that was never created no longer counts in its store.
    pub(in crate::kms) fn forget_intent(&self, intent: &Intent, expected: Revision) -> Result<()> {
        let contended = || Err(Error::new(ErrorKind::Conflict, CONTENDED));
        commit_with_retry(contended, || {
            let mut edits = vec![Edit::delete(intent.record_id(), expected)];
            if intent.purpose == Purpose::Abandon {
                edits.push(self.remove_key_from_store(intent.account, intent.custom_key_store)?);
            }
            match self.commit(&edits) {
                Ok(_) => Ok(Some(())),
                // Another process has already done the same.
                Err(CommitError::Conflict(id)) if id == intent.record_id() => Ok(Some(())),
                Err(CommitError::Conflict(_)) => Ok(None),
                Err(CommitError::Failed(error)) if is_committed(&error) => Ok(Some(())),
                Err(CommitError::Failed(error)) => Err(error),
            }
        })
    }

    /// Returns the writes that remove a deleted key from its custom key store. They decrement the
    /// store's key count, delete the key's message counts, and record an intent for its material in
    /// the cluster. Keys outside of custom key stores need no writes.
    pub(in crate::kms) fn leave_custom_key_store(&self, record: &KeyRecord, now: Timestamp) -> Result<Vec<Edit>> {
        let Some(id) = record.custom_key_store else { return Ok(Vec::new()) };
        let mut edits = vec![self.remove_key_from_store(record.account, id)?];
        for intent in destroyed(record, id, now) {
            edits.push(Edit::put(intent.record_id(), &intent, None)?);
            let count = message_count::forget(self, record.account, record.key_id, intent.version)?;
            edits.extend(count);
        }
        Ok(edits)
    }
}

/// Returns an intent for each version of a deleted key.
fn destroyed(record: &KeyRecord, id: CustomKeyStoreId, now: Timestamp) -> impl Iterator<Item = Intent> {
    record.versions.iter().map(move |version| Intent {
        purpose: Purpose::Destroy,
        account: record.account,
        key_id: record.key_id,
        version: version.number,
        custom_key_store: id,
        spec: record.spec,
        usage: record.usage,
        begun: now,
    })
}
