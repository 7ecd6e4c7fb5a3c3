//! Usage counters of keys: requests, for metering, and messages encrypted in HSMs.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeyManager, KeyVersion, Operation};
use crate::kms::records::key::KeyRecord;
use crate::kms::request::LastUsage;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::kms::storage::message_count::MessageCounts;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::usage_counters::UsageCounters;
use crate::kms::storage::usage_records::{KEYS_AT_ONCE, PartialFailure};

/// The counters of this process that are not in the store yet.
#[derive(Debug, Default)]
pub(in crate::kms) struct Metering {
    counters: UsageCounters,
    messages: MessageCounts,
}

impl Metering {
    /// Counts a successful request, unless the key is owned by a service, which is not metered.
    pub(in crate::kms) fn count(&self, key: &LoadedKey, operation: Operation, now: Timestamp) {
        if key.record.manager != KeyManager::Owned {
            key.counter(|| self.counters.counter(key.record.account, key.record.key_id)).count(operation, now);
        }
    }

    /// Adds the counts of this process to the store, for every key that can be read, with one
    /// commit for each batch of keys.
    pub(in crate::kms) fn add_usage(&self, registry: &Registry) -> Result<()> {
        let mut failed = Ok(());
        for batch in self.counters.take().chunks(KEYS_AT_ONCE) {
            if let Err(PartialFailure { indices, error }) = registry.add_usage_counts(batch) {
                // A failure loses no counts: they are added the next time.
                indices.into_iter().filter_map(|index| batch.get(index)).for_each(|(key, count)| {
                    self.counters.put_back(*key, *count);
                });
                failed = failed.and(Err(error));
            }
        }
        failed
    }

    /// Returns the last use of a key in this process, unless only the store has it.
    pub(in crate::kms) fn last(&self, account: AccountId, key_id: KeyId) -> Option<LastUsage> {
        self.counters.last(account, key_id)
    }

    /// Counts a message that is about to be encrypted in an HSM. `tag` distinguishes this store
    /// from its copies.
    pub(in crate::kms) fn count_message(
        &self,
        registry: &Registry,
        record: &KeyRecord,
        version: KeyVersion,
        tag: impl FnOnce() -> Result<[u8; 16]>,
    ) -> Result<()> {
        self.messages.count(registry, record.account, record.key_id, version, tag)
    }
}
