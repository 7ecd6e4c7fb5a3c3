//! A bounded cache whose readers acquire no locks and can determine whether a value is still
//! current.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;

use crate::lock::Mutex;
use crate::shard::{CachePadded, SHARDS, shard_index};
use crate::store::Revision;

/// The revision of a value that stands for an absent record. Commits are numbered from 1.
pub(super) const ABSENT: Revision = Revision(0);

/// A decoded record, the revision it was decoded from, and the store's revision at which it was
/// last known to be current.
#[derive(Debug)]
pub(in crate::kms) struct Entry<V> {
    value: V,
    revision: Revision,
    confirmed: AtomicU64,
    used: AtomicBool,
}

impl<V> Entry<V> {
    pub(in crate::kms) fn new(value: V, revision: Revision, confirmed: Revision) -> Self {
        Self { value, revision, confirmed: AtomicU64::new(confirmed.0), used: AtomicBool::new(true) }
    }

    fn is_current(&self, store: Revision) -> bool {
        self.confirmed.load(Ordering::Acquire) >= store.0
    }

    fn confirm(&self, store: Revision) {
        self.confirmed.fetch_max(store.0, Ordering::AcqRel);
    }
}

/// An entry, and a reference-counted handle to it for each shard of threads. Without the shards,
/// threads that use one key would update a single reference count, which costs more than the use.
struct Slot<V> {
    entry: Arc<Entry<V>>,
    handles: [Cached<V>; SHARDS],
}

/// A cached value, as of one revision of the store. It never changes, and remains valid if the
/// cache drops it.
pub(in crate::kms) struct Cached<V> {
    handle: Arc<CachePadded<Arc<Entry<V>>>>,
}

impl<V> Cached<V> {
    /// Returns the revision of the record that the value was decoded from.
    pub(in crate::kms) fn revision(&self) -> Revision {
        self.entry().revision
    }

    /// Returns the revision of the record, or `None` if the value stands for an absent record.
    pub(in crate::kms) fn stored_revision(&self) -> Option<Revision> {
        Some(self.revision()).filter(|revision| *revision != ABSENT)
    }

    /// Returns `true` if nothing was committed since the value was last compared with the store,
    /// which is now at revision `store`.
    pub(in crate::kms) fn is_current(&self, store: Revision) -> bool {
        self.entry().is_current(store)
    }

    /// Records that the value still matched the store when the store was at `store`.
    pub(in crate::kms) fn confirm(&self, store: Revision) {
        self.entry().confirm(store);
    }

    fn entry(&self) -> &Entry<V> {
        &self.handle.0
    }
}

/// Copies the handle, not the value.
impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<V> Deref for Cached<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.entry().value
    }
}

type Map<K, V> = HashTrieMapSync<K, Arc<Slot<V>>>;

/// Entries by key. When the cache is full, entries that were not used between two sweeps are
/// dropped first.
pub(in crate::kms) struct Cache<K, V> {
    current: ArcSwap<Map<K, V>>,
    writer: Mutex<()>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    pub(in crate::kms) fn new(capacity: usize) -> Self {
        let map: Map<K, V> = HashTrieMapSync::new_sync();
        Self { current: ArcSwap::from_pointee(map), writer: Mutex::new(()), capacity: capacity.max(1) }
    }

    pub(in crate::kms) fn get(&self, key: &K) -> Option<Cached<V>> {
        let map = self.current.load();
        let slot = map.get(key)?;
        // Written only when it changes, so that readers on many cores share the cache line.
        if !slot.entry.used.load(Ordering::Relaxed) {
            slot.entry.used.store(true, Ordering::Relaxed);
        }
        Some(slot.handles[shard_index()].clone())
    }

    pub(in crate::kms) fn insert(&self, key: K, entry: Entry<V>) -> Cached<V> {
        let entry = Arc::new(entry);
        let handles: [_; SHARDS] =
            std::array::from_fn(|_| Cached { handle: Arc::new(CachePadded(Arc::clone(&entry))) });
        let cached = handles[shard_index()].clone();
        self.edit(|map| {
            if map.size() >= self.capacity && !map.contains_key(&key) {
                sweep(map);
            }
            map.insert_mut(key, Arc::new(Slot { entry, handles }));
        });
        cached
    }

    pub(in crate::kms) fn remove(&self, key: &K) {
        if self.current.load().contains_key(key) {
            self.edit(|map| _ = map.remove_mut(key));
        }
    }

    #[cfg(test)]
    pub(in crate::kms) fn len(&self) -> usize {
        self.current.load().size()
    }

    fn edit(&self, edit: impl FnOnce(&mut Map<K, V>)) {
        // The lock orders writers and guards no data, so a poisoned lock can be used.
        let _writer = self.writer.lock();
        let mut map = Map::clone(&self.current.load());
        edit(&mut map);
        self.current.store(Arc::new(map));
    }
}

/// Drops every entry that was not used since the last sweep, or one in eight if all were used. This
/// spreads the cost of a sweep over the insertions that it makes room for.
fn sweep<K: Hash + Eq + Clone, V>(map: &mut Map<K, V>) {
    let used = |entry: &Entry<V>| entry.used.swap(false, Ordering::Relaxed);
    let idle: Vec<K> = map.iter().filter(|(_, slot)| !used(&slot.entry)).map(|(key, _)| key.clone()).collect();
    let eighth = map.size().div_ceil(8);
    let victims = if idle.is_empty() { map.keys().take(eighth).cloned().collect() } else { idle };
    for key in &victims {
        map.remove_mut(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: u32) -> Entry<u32> {
        Entry::new(value, Revision(1), Revision(1))
    }

    #[test]
    fn the_capacity_is_never_exceeded() {
        let cache = Cache::new(16);
        for key in 0..1_000 {
            cache.insert(key, entry(key));
            assert!(cache.len() <= 16);
        }
        assert_eq!(cache.get(&999).map(|cached| *cached), Some(999));
    }

    #[test]
    fn idle_entries_go_before_used_ones() {
        let cache = Cache::new(4);
        for key in 0..4 {
            cache.insert(key, entry(key));
        }
        cache.insert(4, entry(4)); // all are new: one entry is dropped, and every flag is cleared
        let kept: Vec<u32> = (0..4).filter(|key| cache.get(key).is_some()).collect();
        assert_eq!(kept.len(), 3);
        cache.current.load().iter().for_each(|(_, slot)| slot.entry.used.store(false, Ordering::Relaxed));
        assert!(cache.get(&kept[0]).is_some());
        cache.insert(5, entry(5));
        assert!(cache.get(&kept[0]).is_some() && cache.get(&5).is_some());
        assert!(kept[1..].iter().all(|key| cache.get(key).is_none()));
    }

    #[test]
    fn an_entry_is_current_until_the_store_moves_on() {
        let entry = Entry::new((), Revision(3), Revision(5));
        assert!(entry.is_current(Revision(5)) && !entry.is_current(Revision(6)));
        entry.confirm(Revision(6));
        entry.confirm(Revision(4));
        assert!(entry.is_current(Revision(6)));
    }

    #[test]
    fn removal_forgets() {
        let cache = Cache::new(4);
        cache.insert("a", entry(1));
        cache.remove(&"a");
        cache.remove(&"b");
        assert!(cache.get(&"a").is_none());
        assert_eq!(cache.len(), 0);
    }
}
