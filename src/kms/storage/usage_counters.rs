//! Counters of calls that are not in the store yet, sharded by thread.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::identity::AccountId;
use crate::key::{KeyId, Operation};
use crate::kms::request::LastUsage;
use crate::lock::{Mutex, MutexGuard};
use crate::shard::{CachePadded, SHARDS, shard_index};

/// The calls of one key that are not in the store yet.
#[derive(Debug, Default)]
pub(in crate::kms) struct KeyCounter([CachePadded<CounterShard>; SHARDS]);

#[derive(Debug, Default)]
struct CounterShard {
    requests: AtomicU64,
    /// The time in milliseconds and, in the lowest byte, one more than the index of the operation;
    /// 0 for none.
    last: AtomicU64,
}

impl KeyCounter {
    pub(in crate::kms) fn count(&self, operation: Operation, now: Timestamp) {
        let shard = &self.0[shard_index()];
        shard.requests.fetch_add(1, Ordering::Relaxed);
        if operation.required_usage().is_some() {
            shard.last.store(packed(operation, now), Ordering::Relaxed);
        }
    }

    /// Resets the count and returns its previous value.
    fn take(&self) -> u64 {
        self.0.iter().map(|shard| shard.0.requests.swap(0, Ordering::Relaxed)).sum()
    }

    fn last(&self) -> Option<LastUsage> {
        self.0.iter().filter_map(|part| unpacked(part.last.load(Ordering::Relaxed))).max_by_key(|last| last.time)
    }
}

fn packed(operation: Operation, now: Timestamp) -> u64 {
    let place = Operation::ALL.iter().position(|other| *other == operation);
    let place = place.and_then(|place| u64::try_from(place).ok()).map_or(0, |place| place + 1);
    u64::try_from(now.unix_millis()).map_or(0, |millis| (millis << 8) | place)
}

fn unpacked(word: u64) -> Option<LastUsage> {
    let place = usize::try_from(word & 0xff).ok()?.checked_sub(1)?;
    let time = Timestamp::from_unix_millis(i64::try_from(word >> 8).ok()?);
    Some(LastUsage { time, operation: *Operation::ALL.get(place)? })
}

/// A number of requests, and the last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct Count {
    pub(in crate::kms) requests: u64,
    pub(in crate::kms) last: Option<LastUsage>,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.last = self.last.into_iter().chain(other.last).max_by_key(|last| last.time);
    }
}

/// Identifies the key that a count belongs to.
type Key = (AccountId, KeyId);

/// The counts of all keys that this process has used since they were last added to the store.
#[derive(Debug, Default)]
pub(in crate::kms) struct UsageCounters(Mutex<CountersByKey>);

#[derive(Debug, Default)]
struct CountersByKey {
    /// The counters of keys in memory, and of some that were evicted.
    live: HashMap<Key, Arc<KeyCounter>>,
    /// The counts of evicted keys.
    evicted: HashMap<Key, Count>,
    /// The number of live counters at which those of evicted keys are freed.
    limit: usize,
}

/// The minimum number of counters before any are freed.
const MIN_LIMIT: usize = 1_024;

impl UsageCounters {
    pub(in crate::kms) fn counter(&self, account: AccountId, key_id: KeyId) -> Arc<KeyCounter> {
        let mut counters = self.counters();
        if counters.live.len() >= counters.limit.max(MIN_LIMIT) {
            counters.evict();
            counters.limit = counters.live.len() * 2; // amortizes the next eviction to constant time per insertion
        }
        Arc::clone(counters.live.entry((account, key_id)).or_default())
    }

    /// Returns and resets the counts that are not in the store yet, in the order of the keys. Frees
    /// the counters of evicted keys.
    pub(in crate::kms) fn take(&self) -> Vec<(Key, Count)> {
        let mut counters = self.counters();
        counters.evict();
        let mut taken = mem::take(&mut counters.evicted);
        for (key, counter) in &counters.live {
            let count = Count { requests: counter.take(), last: counter.last() };
            if count.requests > 0 {
                taken.entry(*key).or_default().add(count);
            }
        }
        drop(counters);
        let mut taken: Vec<_> = taken.into_iter().filter(|(_, count)| count.requests > 0).collect();
        taken.sort_unstable_by_key(|(key, _)| *key);
        taken
    }

    /// Adds back a count that could not be stored.
    pub(in crate::kms) fn put_back(&self, key: Key, count: Count) {
        self.counters().evicted.entry(key).or_default().add(count);
    }

    /// Returns the last use of a key in this process, unless only the store knows it.
    pub(in crate::kms) fn last(&self, account: AccountId, key_id: KeyId) -> Option<LastUsage> {
        let counters = self.counters();
        let live = counters.live.get(&(account, key_id)).and_then(|counter| counter.last());
        let evicted = counters.evicted.get(&(account, key_id)).and_then(|count| count.last);
        live.into_iter().chain(evicted).max_by_key(|last| last.time)
    }

    fn counters(&self) -> MutexGuard<'_, CountersByKey> {
        // The maps are consistent between any two statements.
        self.0.lock()
    }

    #[cfg(test)]
    fn lengths(&self) -> (usize, usize) {
        let counters = self.counters();
        (counters.live.len(), counters.evicted.len())
    }
}

impl CountersByKey {
    /// Frees each counter that has no other owner, and retains its count.
    fn evict(&mut self) {
        let evicted = &mut self.evicted;
        self.live.retain(|key, counter| {
            // A counter is certain to have no other user only if this is the last handle.
            let Some(counter) = Arc::get_mut(counter) else { return true };
            let count = Count { requests: counter.take(), last: counter.last() };
            if count.requests > 0 {
                evicted.entry(*key).or_default().add(count);
            }
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        (AccountId::default(), KeyId::from_bytes(bytes))
    }

    fn used(counters: &UsageCounters, number: u32) -> Arc<KeyCounter> {
        let (account, key_id) = key(number);
        let counter = counters.counter(account, key_id);
        counter.count(Operation::Encrypt, Timestamp::from_unix_millis(i64::from(number)));
        counter
    }

    #[test]
    fn counters_of_keys_that_left_the_memory_are_freed_and_their_counts_are_not_lost() {
        let counters = UsageCounters::default();
        let held: Vec<_> = (0..10).map(|number| used(&counters, number)).collect();
        for number in 0..10_000 {
            drop(used(&counters, number));
        }
        let (live, evicted) = counters.lengths();
        assert!(live <= 2 * MIN_LIMIT && evicted >= 10_000 - live, "{live} {evicted}");
        let taken = counters.take();
        assert_eq!(taken.len(), 10_000);
        assert_eq!(taken.iter().map(|(_, count)| count.requests).sum::<u64>(), 10_010);
        assert!(taken.is_sorted_by_key(|(key, _)| *key));
        assert_eq!(counters.lengths(), (10, 0), "counts only keys in memory");
        assert!(counters.take().is_empty());
        let last = LastUsage { time: Timestamp::from_unix_millis(3), operation: Operation::Encrypt };
        let (account, key_id) = key(3);
        assert_eq!(counters.last(account, key_id), Some(last));
        drop(held);
        counters.put_back(key(3), Count { requests: 7, last: Some(last) });
        assert_eq!(counters.take(), [(key(3), Count { requests: 7, last: Some(last) })]);
        assert_eq!((counters.lengths(), counters.last(account, key_id)), ((0, 0), None));
    }
}
