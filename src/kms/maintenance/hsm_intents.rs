//! Resumption of interrupted work in HSMs: creations are undone, and deletions are repeated.

use crate::audit::KeyResource;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::engine::core::Core;
use crate::kms::records::intent::{CREATION_GRACE, Intent, Purpose};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::names::key_named_in;
use crate::store::{CommitError, Revision};

/// The result for one intent.
enum Reconciled {
    /// The material was destroyed.
    Destroyed,
    /// The key was committed, or another process has taken over.
    NothingToDo,
}

impl Core {
    /// Destroys the material of a deleted key in its cluster, as far as its members currently
    /// respond. Maintenance does the rest. The result is recorded in the audit trail.
    pub(in crate::kms) fn destroy_in_hsm(&self, record: &KeyRecord, now: Timestamp) -> Result<()> {
        for (revision, intent) in self.registry.read_all_or_damaged::<Intent>()?.into_iter().flatten() {
            if (intent.account, intent.key_id) == (record.account, record.key_id) {
                self.report_cluster(&intent, self.reconcile(&intent, revision), now)?.ok();
            }
        }
        Ok(())
    }

    /// Records in the audit trail whether the material of a key was removed from its cluster, if
    /// anything had to be destroyed.
    fn report_cluster(&self, intent: &Intent, result: Result<Reconciled>, now: Timestamp) -> Result<Result<()>> {
        let result = match result {
            Ok(Reconciled::NothingToDo) => return Ok(Ok(())),
            Ok(Reconciled::Destroyed) => Ok(()),
            Err(error) => Err(error),
        };
        let key = KeyResource { account: intent.account, key_id: intent.key_id };
        self.audit.report_destruction(
            key,
            ("customKeyStoreId", intent.custom_key_store.to_string().into()),
            result,
            now,
        )
    }

    /// Undoes creations that were interrupted, and repeats deletions that a member missed. Returns
    /// the keys with remaining material, and the reasons.
    pub(in crate::kms) fn reconcile_intents(&self, now: Timestamp) -> Result<Vec<(AccountId, KeyId, Error)>> {
        let mut left = Vec::new();
        for found in self.registry.read_all_or_damaged::<Intent>()? {
            let (revision, intent) = match found {
                Ok(found) => found,
                Err((id, error)) => {
                    left.push((id.account, key_named_in(&id), error));
                    continue;
                }
            };
            if intent.purpose == Purpose::Create && now.since(intent.begun) < CREATION_GRACE {
                continue;
            }
            let result = self.reconcile(&intent, revision);
            if let Err(error) = self.report_cluster(&intent, result, now)? {
                left.push((intent.account, intent.key_id, error));
            }
        }
        Ok(left)
    }

    fn reconcile(&self, intent: &Intent, revision: Revision) -> Result<Reconciled> {
        if intent.purpose == Purpose::Destroy
            && !self.registry.has_custom_key_store(intent.account, intent.custom_key_store)?
        {
            // The owner of that cluster must destroy the material. This is reported once.
            self.registry.forget_intent(intent, revision)?;
            let id = intent.custom_key_store;
            let text = format!("the custom key store {id} was deleted before its cluster destroyed the key material");
            return Err(Error::new(ErrorKind::CustomKeyStoreNotFound, text));
        }
        match intent.purpose {
            Purpose::Create => match self.registry.take_over_creation(intent, revision) {
                Ok(revision) => self.finish_destroying(&Intent { purpose: Purpose::Abandon, ..*intent }, revision)?,
                // Finished after all, or taken over by another process.
                Err(CommitError::Conflict(_)) => return Ok(Reconciled::NothingToDo),
                Err(CommitError::Failed(error)) => return Err(error),
            },
            Purpose::Abandon | Purpose::Destroy => self.finish_destroying(intent, revision)?,
        }
        Ok(Reconciled::Destroyed)
    }
}
