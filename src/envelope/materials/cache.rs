//! A bounded store of data keys in use, with one refresh in flight for each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::crypto::DigestValue;
use crate::error::{Error, ErrorKind, Result};
use crate::fork_guard::ForkGuard;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// Data keys that a cache holds unless told otherwise.
pub const DEFAULT_CACHE_CAPACITY: usize = 1024;

/// Holds the data keys of [`CachingMaterialsManager`](super::CachingMaterialsManager)s: up to its capacity, and then the
/// one that was not used for longest makes room. A data key that leaves is wiped.
///
/// Cheap to clone; every clone is the same cache. Several managers may share one, and find only what they put there
/// themselves unless they were given the same partition.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, DefaultMaterialsManager, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let cache = DataKeyCache::new(100)?;
/// let manager = CachingMaterialsManager::builder(DefaultMaterialsManager::new(keyring), Duration::from_secs(60));
/// let envelope = Envelope::with_materials_manager(manager.cache(&cache).build()?);
/// for _ in 0..10 {
///     envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
/// }
/// let statistics = cache.statistics();
/// assert_eq!((statistics.misses(), statistics.hits(), statistics.entries()), (1, 9, 1));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct DataKeyCache {
    state: Arc<Mutex<State>>,
}

impl DataKeyCache {
    /// A cache for so many data keys: those to encrypt with and those of messages that were read count alike.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the capacity is zero.
    pub fn new(capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::new(ErrorKind::Validation, "a cache of data keys has room for at least one"));
        }
        Ok(Self::with_capacity(capacity))
    }

    fn with_capacity(capacity: usize) -> Self {
        let state = State { capacity, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Forgets and wipes every data key. One that is being fetched at this moment will not be kept either.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.clear();
        state.recency.clear();
    }

    /// How the cache fared until now.
    pub fn statistics(&self) -> CacheStatistics {
        let state = self.lock();
        CacheStatistics { entries: state.entries.len(), ..state.statistics }
    }

    /// Notes a request that did not concern the cache.
    pub(super) fn note_bypass(&self) {
        self.lock().statistics.bypasses += 1;
    }

    /// Takes one use of an entry; or the task to fetch it; or waits for who is fetching it, and shares that failure.
    pub(super) fn enter(&self, id: DigestValue, bytes: u64, terms: &Terms, clock: &dyn Clock) -> Result<Entrance> {
        loop {
            let flight = {
                let mut state = self.lock();
                // The clock is read under the lock, so that no entry seems to be of the future.
                let now = clock.now();
                if let Some(key) = state.take_use(&id, bytes, terms, now) {
                    return Ok(Entrance::Hit(key));
                }
                match state.flights.get(&id) {
                    None => return Ok(Entrance::Fetch(self.take_off(&mut state, id, now))),
                    // A manager stacked on itself: waiting would never end.
                    Some(flight) if flight.leader == thread::current().id() => {
                        state.statistics.bypasses += 1;
                        return Ok(Entrance::Reentered);
                    }
                    Some(flight) => Arc::clone(flight),
                }
            };
            flight.wait()?;
        }
    }

    fn take_off(&self, state: &mut State, id: DigestValue, started: Timestamp) -> Fetch {
        let flight = Arc::new(Flight::new());
        state.flights.insert(id, Arc::clone(&flight));
        state.statistics.misses += 1;
        Fetch { cache: self.clone(), id, flight, generation: state.generation, started, outcome: Ok(()) }
    }

    /// A panic under the lock leaves nothing half done: counters and maps are changed by calls that do not panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if !state.fork_guard.is_here() {
            // The parent of this process goes on to use its data keys, and counts how often for itself alone.
            let (capacity, generation) = (state.capacity, state.generation + 1);
            *state = State { capacity, generation, ..State::default() };
        }
        state
    }
}

impl Default for DataKeyCache {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CACHE_CAPACITY)
    }
}

impl fmt::Debug for DataKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKeyCache").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// How a [`DataKeyCache`] fared: a moment of its counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    entries: usize,
    hits: u64,
    misses: u64,
    bypasses: u64,
    expirations: u64,
    evictions: u64,
}

impl CacheStatistics {
    /// Data keys held now.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// Messages whose data key came from the cache.
    pub const fn hits(&self) -> u64 {
        self.hits
    }

    /// Times that a data key had to be fetched.
    pub const fn misses(&self) -> u64 {
        self.misses
    }

    /// Messages that did not concern the cache: of unknown length, over the limit of bytes, signed ones that were written,
    /// or of a suite that uses the data key as it is.
    pub const fn bypasses(&self) -> u64 {
        self.bypasses
    }

    /// Data keys that left because their age, messages or bytes were used up.
    pub const fn expirations(&self) -> u64 {
        self.expirations
    }

    /// Data keys that left to make room for others.
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// How long and how often an entry may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) max_age: Duration,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
}

/// What is kept: a data key, and its wrapped forms if it is one to encrypt with.
pub(super) struct CachedKey {
    pub(super) data_key: SecretBytes,
    pub(super) encrypted_data_keys: Vec<EncryptedDataKey>,
    /// Names of the context that the managers behind the cache left out of the header.
    pub(super) required_names: Vec<String>,
}

/// What a request finds.
pub(super) enum Entrance {
    /// An entry, of which one use was taken.
    Hit(Arc<CachedKey>),
    /// Nothing, and the task to fetch it, while others wait.
    Fetch(Fetch),
    /// Nothing, and the same thread is fetching it already.
    Reentered,
}

/// The task to fetch an entry. However it ends, those who wait are let go.
pub(super) struct Fetch {
    cache: DataKeyCache,
    id: DigestValue,
    flight: Arc<Flight>,
    generation: u64,
    started: Timestamp,
    outcome: Result<()>,
}

impl Fetch {
    /// Keeps what was fetched, whose first use has so many bytes. Its age counts from before it was asked for, so that it
    /// is never younger than the permission to have it.
    pub(super) fn keep(self, key: CachedKey, bytes: u64, terms: &Terms, clock: &dyn Clock) {
        let mut state = self.cache.lock();
        if state.generation == self.generation {
            let expires = self.started.plus(terms.max_age);
            state.insert(self.id, key, Slot::new(self.started, expires, bytes), clock.now());
        }
    }

    /// Tells those who wait why there is nothing.
    pub(super) fn fail(mut self, error: &Error) {
        self.outcome = Err(error.clone());
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.id);
        self.flight.land(std::mem::replace(&mut self.outcome, Ok(())));
    }
}

/// A fetch in progress, as those see it who wait for it.
struct Flight {
    leader: ThreadId,
    outcome: Mutex<Option<Result<()>>>,
    landed: Condvar,
}

impl Flight {
    fn new() -> Self {
        Self { leader: thread::current().id(), outcome: Mutex::new(None), landed: Condvar::new() }
    }

    fn land(&self, outcome: Result<()>) {
        *self.outcome.lock() = Some(outcome);
        self.landed.notify_all();
    }

    /// Waits for the end; then it is worth while to look again, or the failure is that of the fetch.
    fn wait(&self) -> Result<()> {
        let mut outcome = self.outcome.lock();
        loop {
            match &*outcome {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => return Err(error.clone()),
                None => outcome = self.landed.wait(outcome),
            }
        }
    }
}

/// An entry and what was used of it.
struct Entry {
    key: Arc<CachedKey>,
    slot: Slot,
    /// Its place in the order of use.
    turn: u64,
}

struct Slot {
    made: Timestamp,
    expires: Timestamp,
    messages: u64,
    bytes: u64,
}

impl Slot {
    fn new(made: Timestamp, expires: Timestamp, bytes: u64) -> Self {
        Self { made, expires, messages: 1, bytes }
    }

    /// A clock that was set back makes an entry of the future, which would live too long.
    fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires || now < self.made
    }

    /// Takes one use, if the terms allow it: those of the request, which may be stricter than those it was kept under.
    fn take(&mut self, bytes: u64, terms: &Terms, now: Timestamp) -> bool {
        let (messages, bytes) = (self.messages.saturating_add(1), self.bytes.saturating_add(bytes));
        let allowed = !self.is_expired(now)
            && now.since(self.made) <= terms.max_age
            && messages <= terms.max_messages
            && bytes <= terms.max_bytes;
        if allowed {
            (self.messages, self.bytes) = (messages, bytes);
        }
        allowed
    }
}

#[derive(Default)]
struct State {
    fork_guard: ForkGuard,
    capacity: usize,
    entries: HashMap<DigestValue, Entry>,
    /// Entries by when they were used, the longest ago first.
    recency: BTreeMap<u64, DigestValue>,
    flights: HashMap<DigestValue, Arc<Flight>>,
    next_turn: u64,
    /// Counts the calls of `clear`.
    generation: u64,
    statistics: CacheStatistics,
}

impl State {
    fn take_use(&mut self, id: &DigestValue, bytes: u64, terms: &Terms, now: Timestamp) -> Option<Arc<CachedKey>> {
        let entry = self.entries.get_mut(id)?;
        if !entry.slot.take(bytes, terms, now) {
            self.remove(id);
            self.statistics.expirations += 1;
            return None;
        }
        self.recency.remove(&entry.turn);
        entry.turn = self.next_turn;
        self.recency.insert(entry.turn, *id);
        self.next_turn += 1;
        self.statistics.hits += 1;
        Some(Arc::clone(&entry.key))
    }

    fn insert(&mut self, id: DigestValue, key: CachedKey, slot: Slot, now: Timestamp) {
        self.remove(&id);
        self.make_room(now);
        self.recency.insert(self.next_turn, id);
        self.entries.insert(id, Entry { key: Arc::new(key), slot, turn: self.next_turn });
        self.next_turn += 1;
    }

    /// Lets go of what is longest unused: while it is too old, and while the cache is full.
    fn make_room(&mut self, now: Timestamp) {
        while let Some((_, id)) = self.recency.first_key_value() {
            let id = *id;
            let expired = self.entries.get(&id).is_none_or(|entry| entry.slot.is_expired(now));
            if !expired && self.entries.len() < self.capacity {
                return;
            }
            self.remove(&id);
            let counter = if expired { &mut self.statistics.expirations } else { &mut self.statistics.evictions };
            *counter += 1;
        }
    }

    fn remove(&mut self, id: &DigestValue) {
        if let Some(entry) = self.entries.remove(id) {
            self.recency.remove(&entry.turn);
        }
    }
}

#[cfg(test)]
mod tests;
