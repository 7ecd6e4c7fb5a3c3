//! Counters of the calls that the store does not know of yet, apart for threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::identity::AccountId;
use crate::key::{KeyId, Operation};
use crate::shard::{self, Apart, SHARDS};

/// The last cryptographic operation that a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastUsage {
    /// When.
    pub time: Timestamp,
    /// Which.
    pub operation: Operation,
}

/// The calls of one key that the store does not know of yet.
#[derive(Debug, Default)]
pub(super) struct Counter([Apart<Part>; SHARDS]);

#[derive(Debug, Default)]
struct Part {
    requests: AtomicU64,
    /// The time in milliseconds and, in the lowest byte, one more than the place of the operation; 0 for none.
    last: AtomicU64,
}

impl Counter {
    pub(super) fn count(&self, operation: Operation, now: Timestamp) {
        let part = &self.0[shard::of_this_thread()].0;
        part.requests.fetch_add(1, Ordering::Relaxed);
        if operation.required_usage().is_some() {
            part.last.store(packed(operation, now), Ordering::Relaxed);
        }
    }

    /// Takes the count out.
    pub(super) fn take(&self) -> u64 {
        self.0.iter().map(|part| part.0.requests.swap(0, Ordering::Relaxed)).sum()
    }

    /// Puts a count back that could not be stored.
    pub(super) fn put_back(&self, requests: u64) {
        self.0[0].0.requests.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Option<LastUsage> {
        self.0.iter().filter_map(|part| unpacked(part.0.last.load(Ordering::Relaxed))).max_by_key(|last| last.time)
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

/// The counters of all keys that this process has used.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<HashMap<(AccountId, KeyId), Arc<Counter>>>);

impl Meter {
    pub(super) fn counter(&self, account: AccountId, key_id: KeyId) -> Arc<Counter> {
        // The map is whole between any two statements.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry((account, key_id)).or_default())
    }

    pub(super) fn known(&self) -> Vec<(AccountId, KeyId, Arc<Counter>)> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|((account, key_id), counter)| (*account, *key_id, Arc::clone(counter))).collect()
    }
}
