//! The keys that maintenance has work for soon, so that a run need not read every key.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::lock::Mutex;
use crate::store::{RecordId, Revision};

/// Identifies a key.
type Key = (AccountId, KeyId);

/// The keys with work until some time, as of some revision of the store.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kms) struct DueKeys {
    /// Every commit up to this one is taken into account.
    seen: Revision,
    /// The time at which every key was read.
    start: Timestamp,
    /// The time at which every key must be read again. Work that is due later is not listed.
    end: Timestamp,
    /// The time of the work of each key.
    due: BTreeMap<Key, Timestamp>,
    /// Records of keys that cannot be read. Their names may be wrong, too.
    unreadable: BTreeSet<RecordId>,
}

impl DueKeys {
    /// Creates an empty list, for a run that reads every key.
    pub(in crate::kms) fn new(now: Timestamp, period: Duration) -> Self {
        Self {
            seen: Revision::default(),
            start: now,
            end: now.plus(period),
            due: BTreeMap::new(),
            unreadable: BTreeSet::new(),
        }
    }

    /// Returns the revision that the list reflects, or 0 if no key was read yet.
    pub(in crate::kms) const fn seen(&self) -> Revision {
        self.seen
    }

    /// Records that all commits up to this one are taken into account.
    pub(in crate::kms) fn set_seen(&mut self, revision: Revision) {
        self.seen = revision;
    }

    /// Replaces the time of the next work of a key, if it has any.
    pub(in crate::kms) fn note(&mut self, key: Key, next: Option<Timestamp>) {
        match next.filter(|next| *next <= self.end) {
            Some(next) => _ = self.due.insert(key, next),
            None => self.forget(key),
        }
    }

    pub(in crate::kms) fn forget(&mut self, key: Key) {
        self.due.remove(&key);
    }

    /// Has every run read a record again, until it can be read.
    pub(in crate::kms) fn note_unreadable(&mut self, id: RecordId) {
        self.unreadable.insert(id);
    }

    /// Takes the records that could not be read, in order.
    pub(in crate::kms) fn take_unreadable(&mut self) -> BTreeSet<RecordId> {
        mem::take(&mut self.unreadable)
    }

    /// Returns the keys that have work to do, in order.
    pub(in crate::kms) fn until(&self, now: Timestamp) -> Vec<Key> {
        self.due.iter().filter(|(_, next)| **next <= now).map(|(key, _)| *key).collect()
    }

    /// Returns `true` if the list can be continued in a store that is at this revision.
    fn continues(&self, revision: Revision, now: Timestamp) -> bool {
        // A store that was set back has another history. A clock that was set back can make rotations
        // due that are too far ahead.
        self.seen <= revision && self.start <= now && now < self.end
    }
}

/// The list between two runs.
#[derive(Debug, Default)]
pub(in crate::kms) struct KeptDueKeys(Mutex<Option<DueKeys>>);

impl KeptDueKeys {
    /// Takes the list, if it can be continued. A second run at the same time finds none, and reads
    /// every key.
    pub(in crate::kms) fn take(&self, revision: Revision, now: Timestamp) -> Option<DueKeys> {
        self.0.lock().take().filter(|kept| kept.continues(revision, now))
    }

    /// Keeps the list of a run that is complete.
    pub(in crate::kms) fn keep(&self, due: DueKeys) {
        let mut kept = self.0.lock();
        if kept.as_ref().is_none_or(|kept| kept.seen <= due.seen) {
            *kept = Some(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_unix_millis(0).plus(Duration::from_secs(hours * 3_600))
    }

    fn key(number: u8) -> Key {
        (AccountId::default(), KeyId::from_bytes([number; 16]))
    }

    #[test]
    fn a_run_reads_what_is_due() {
        let mut due = DueKeys::new(at(0), DAY);
        due.note(key(1), Some(at(1)));
        due.note(key(2), Some(at(2)));
        due.note(key(3), Some(at(25)));
        due.note(key(4), None);
        assert_eq!(due.until(at(0)), []);
        assert_eq!(due.until(at(1)), [key(1)]);
        assert_eq!(due.until(at(23)), [key(1), key(2)]);
        due.note(key(1), Some(at(30)));
        due.forget(key(2));
        due.note(key(3), Some(at(3)));
        assert_eq!(due.until(at(24)), [key(3)]);
    }

    #[test]
    fn a_list_is_continued_in_the_same_history_within_its_period() {
        let continues = |revision, now| {
            let kept = KeptDueKeys::default();
            let mut due = DueKeys::new(at(1), DAY);
            due.set_seen(Revision(7));
            kept.keep(due);
            let taken = kept.take(Revision(revision), now).is_some();
            assert!(kept.take(Revision(revision), now).is_none(), "only one run at a time continues it");
            taken
        };
        assert!(continues(7, at(1)) && continues(8, at(24)));
        assert!(!continues(6, at(2)), "the store was set back");
        assert!(!continues(8, at(0)), "the clock was set back");
        assert!(!continues(8, at(25)), "the period is over");
    }

    #[test]
    fn the_later_of_two_lists_is_kept() {
        let kept = KeptDueKeys::default();
        for revision in [3, 5, 4] {
            let mut due = DueKeys::new(at(0), DAY);
            due.set_seen(Revision(revision));
            kept.keep(due);
        }
        assert_eq!(kept.take(Revision(9), at(1)).map(|due| due.seen()), Some(Revision(5)));
    }
}
