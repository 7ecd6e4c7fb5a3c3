//! Usage counters of keys: requests, for metering, and messages encrypted in HSMs.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeyManager, KeyVersion, Operation};
use crate::kms::records::key::KeyRecord;
use crate::kms::request::LastUsage;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::kms::storage::message_count::MessageCounts;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::sealed::CommitMark;
use crate::kms::storage::usage_counters::{Count, UsageCounters};
use crate::kms::storage::usage_records::{Attempts, KEYS_AT_ONCE, PartialFailure};
use crate::lock::Mutex;

/// The counters of this process that are not in the store yet.
#[derive(Debug, Default)]
pub(in crate::kms) struct Metering {
    counters: UsageCounters,
    unconfirmed: Mutex<Vec<Unconfirmed>>,
    messages: MessageCounts,
}

/// Counts in commits that the store did not confirm. At most one of the commits took effect.
#[derive(Debug)]
struct Unconfirmed {
    marks: Vec<CommitMark>,
    counts: Vec<((AccountId, KeyId), Count)>,
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
        self.settle(registry);
        let mut failed = Ok(());
        for batch in self.counters.take().chunks(KEYS_AT_ONCE) {
            if let Err(PartialFailure { indices, unconfirmed, error }) =
                registry.add_usage_counts(batch, Attempts::Many)
            {
                let counts = |indices: Vec<usize>| indices.into_iter().filter_map(|index| batch.get(index)).copied();
                // A failure loses no counts: they are added the next time.
                counts(indices).for_each(|(key, count)| self.counters.put_back(key, count));
                let unconfirmed =
                    unconfirmed.map(|(mark, part)| Unconfirmed { marks: vec![mark], counts: counts(part).collect() });
                self.unconfirmed.lock().extend(unconfirmed);
                failed = failed.and(Err(error));
            }
        }
        failed
    }

    /// Adds the counts back whose commit did not take effect. If it may still be in progress, commits
    /// them again, based on the same records, so that only one of the two commits can take effect.
    fn settle(&self, registry: &Registry) {
        let unconfirmed = std::mem::take(&mut *self.unconfirmed.lock());
        for Unconfirmed { mut marks, mut counts } in unconfirmed {
            let keys: Vec<_> = counts.iter().map(|(key, _)| *key).collect();
            let results: Vec<_> = marks.iter().map(|mark| registry.were_usages_changed(*mark, &keys)).collect();
            if results.contains(&Some(true)) {
                continue;
            }
            if results.iter().all(Option::is_some) {
                counts.into_iter().for_each(|(key, count)| self.counters.put_back(key, count));
                continue;
            }
            let Err(failure) = registry.add_usage_counts(&counts, Attempts::One) else { continue };
            let (mark, part) = failure.unconfirmed.unzip();
            marks.extend(mark);
            let left: BTreeSet<usize> = failure.indices.into_iter().chain(part.unwrap_or_default()).collect();
            counts = left.into_iter().filter_map(|index| counts.get(index)).copied().collect();
            self.unconfirmed.lock().push(Unconfirmed { marks, counts });
        }
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
