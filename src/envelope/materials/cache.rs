//! A bounded cache of data keys that allows one fetch at a time for each entry.

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

/// The default capacity of a cache, in data keys.
pub const DEFAULT_CACHE_CAPACITY: usize = 1024;

/// Caches the data keys of [`CachingMaterialsManager`](super::CachingMaterialsManager)s. When the
/// cache is full, it evicts the least recently used data key. Data keys are wiped when they are
/// removed.
///
/// Cheap to clone; every clone refers to the same cache. Several managers can share a cache, but
/// each uses only its own entries unless they were configured with the same partition.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let cache = DataKeyCache::new(100)?;
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(60));
/// let envelope = Envelope::new(manager.cache(&cache).build()?);
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
    /// Creates a cache with this capacity. Data keys for encryption and decryption both count
    /// toward it.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the capacity is zero.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::envelope::DataKeyCache;
    ///
    /// assert!(DataKeyCache::new(10_000).is_ok());
    /// assert_eq!(DataKeyCache::new(0).unwrap_err().kind(), ErrorKind::Validation);
    /// ```
    pub fn new(capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::new(ErrorKind::Validation, "the capacity of a data key cache must be at least one"));
        }
        Ok(Self::with_capacity(capacity))
    }

    fn with_capacity(capacity: usize) -> Self {
        let state = State { capacity, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Removes and wipes every data key. A data key that is being fetched concurrently will not be
    /// cached either.
    ///
    /// # Examples
    /// After a key was disabled, when the maximum age is too long to wait for:
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, DefaultMaterialsManager, KmsKeyring};
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let cache = DataKeyCache::new(100)?;
    /// let keyring = DefaultMaterialsManager::new(KmsKeyring::new(&kms, key)?);
    /// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(3_600)).cache(&cache).build()?;
    /// let envelope = Envelope::new(manager);
    /// let none = EncryptionContext::new();
    /// envelope.encrypt(b"one", &none)?;
    ///
    /// kms.disable_key(key)?;
    /// assert!(envelope.encrypt(b"two", &none).is_ok());
    /// cache.clear();
    /// assert!(envelope.encrypt(b"three", &none).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn clear(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.clear();
        state.recency.clear();
    }

    /// Returns the current statistics of the cache.
    pub fn statistics(&self) -> CacheStatistics {
        let state = self.lock();
        CacheStatistics { entries: state.entries.len(), ..state.statistics }
    }

    /// Counts a request that bypassed the cache.
    pub(super) fn note_bypass(&self) {
        self.lock().statistics.bypasses += 1;
    }

    /// Returns an entry after counting one use of it, or the task to fetch it. If another thread is
    /// fetching it, waits for the result and shares its failure.
    pub(crate) fn enter(&self, id: DigestValue, bytes: u64, terms: &Terms, clock: &dyn Clock) -> Result<Entrance> {
        loop {
            let flight = {
                let mut state = self.lock();
                // Read the clock under the lock, so that no entry appears to be from the future.
                let now = clock.now();
                if let Some(key) = state.take_use(&id, bytes, terms, now) {
                    return Ok(Entrance::Hit(key));
                }
                match state.flights.get(&id) {
                    None => return Ok(Entrance::Fetch(self.take_off(&mut state, id, now))),
                    // A manager stacked on itself would wait forever.
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

    /// A panic under the lock leaves the state consistent, because counters and maps are changed
    /// only by calls that do not panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if !state.fork_guard.is_here() {
            // The parent of this process continues to use its data keys and counts only its own
            // uses.
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

/// A snapshot of the counters of a [`DataKeyCache`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, DefaultMaterialsManager, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = DefaultMaterialsManager::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let cache = DataKeyCache::new(1)?; // too small for two contexts
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(60)).cache(&cache).build()?;
/// let envelope = Envelope::new(manager);
/// for tenant in ["42", "43", "42"] {
///     envelope.encrypt(b"data", &EncryptionContext::from([("tenant", tenant)]))?;
/// }
/// let statistics = cache.statistics();
/// assert_eq!((statistics.misses(), statistics.hits(), statistics.evictions()), (3, 0, 2));
/// assert_eq!((statistics.entries(), statistics.expirations(), statistics.bypasses()), (1, 0, 0));
/// # Ok::<(), strongroom::Error>(())
/// ```
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
    /// Returns the number of data keys in the cache.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// Returns the number of messages whose data key came from the cache.
    pub const fn hits(&self) -> u64 {
        self.hits
    }

    /// Returns the number of times that a data key had to be fetched.
    pub const fn misses(&self) -> u64 {
        self.misses
    }

    /// Returns the number of messages that bypassed the cache: messages of unknown length, messages
    /// over the byte limit, signed messages on encryption, and messages of suites that use the data
    /// key directly.
    pub const fn bypasses(&self) -> u64 {
        self.bypasses
    }

    /// Returns the number of data keys removed because their age, message, or byte limit was
    /// reached.
    pub const fn expirations(&self) -> u64 {
        self.expirations
    }

    /// Returns the number of data keys evicted because the cache was full.
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// The limits on the age and use of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) max_age: Duration,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
}

/// A cached data key, with its wrapped forms if it is used for encryption.
pub(crate) struct CachedKey {
    pub(crate) data_key: SecretBytes,
    pub(crate) encrypted_data_keys: Vec<EncryptedDataKey>,
    /// Names of context pairs that the managers behind the cache omit from the header.
    pub(crate) required_names: Vec<String>,
}

/// The result of a request.
pub(crate) enum Entrance {
    /// An entry, with one use counted.
    Hit(Arc<CachedKey>),
    /// No entry. The caller must fetch it, while others wait.
    Fetch(Fetch),
    /// No entry, and the same thread is already fetching it.
    Reentered,
}

/// The task to fetch an entry. Waiting threads are released however the task ends.
pub(crate) struct Fetch {
    cache: DataKeyCache,
    id: DigestValue,
    flight: Arc<Flight>,
    generation: u64,
    started: Timestamp,
    outcome: Result<()>,
}

impl Fetch {
    /// Stores the fetched data key, whose first use encrypts `bytes` bytes. Its age counts from
    /// before the request, so that it never appears younger than the permission to use it.
    pub(crate) fn keep(self, key: CachedKey, bytes: u64, terms: &Terms, clock: &dyn Clock) {
        let mut state = self.cache.lock();
        if state.generation == self.generation {
            let expires = self.started.plus(terms.max_age);
            state.insert(self.id, key, Slot::new(self.started, expires, bytes), clock.now());
        }
    }

    /// Reports the failure to the waiting threads.
    pub(crate) fn fail(mut self, error: &Error) {
        self.outcome = Err(error.clone());
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.id);
        self.flight.land(std::mem::replace(&mut self.outcome, Ok(())));
    }
}

/// A fetch in progress, as seen by waiting threads.
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

    /// Waits for the end of the fetch. Returns the error of the fetch, or `Ok` if it is worthwhile
    /// to check the cache again.
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

/// An entry and its use counts.
struct Entry {
    key: Arc<CachedKey>,
    slot: Slot,
    /// Its position in the order of use.
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

    /// If the clock is set back, an entry appears to be from the future and would live too long.
    fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires || now < self.made
    }

    /// Counts one use if the terms allow it. These are the terms of the request, which may be
    /// stricter than those under which the entry was cached.
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
    /// Entries in order of use, least recently used first.
    recency: BTreeMap<u64, DigestValue>,
    flights: HashMap<DigestValue, Arc<Flight>>,
    next_turn: u64,
    /// The number of calls of `clear`.
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

    /// Evicts the least recently used entries as long as they are expired or the cache is full.
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
