use super::*;
use crate::clock::ManualClock;
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::envelope::keyring::UnwrapFailures;

const THREADS: usize = 6;
const TERMS: Terms = Terms { max_age: Duration::from_secs(60), max_messages: 1000, max_bytes: 1000 };

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_unix_millis(0))
}

fn id(of: &str) -> DigestValue {
    CryptoBackend::default().digest().digest(DigestAlgorithm::Sha384, &[of.as_bytes()])
}

fn key(byte: u8) -> CachedKey {
    CachedKey {
        data_key: SecretBytes::copy_from_slice(&[byte; 32]),
        encrypted_data_keys: Vec::new(),
        required_names: Vec::new(),
    }
}

fn enter(cache: &DataKeyCache) -> Result<Entrance> {
    cache.enter(id("x"), 1, &TERMS, &clock())
}

fn fetch(cache: &DataKeyCache) -> Fetch {
    match enter(cache) {
        Ok(Entrance::Fetch(fetch)) => fetch,
        _ => panic!("the entry already exists"),
    }
}

/// Lets several threads wait for one fetch, ends it, and returns the result of each thread.
fn wait_for_end(cache: &DataKeyCache, end: impl FnOnce(Fetch)) -> Vec<Result<Entrance>> {
    let fetch = fetch(cache);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| enter(cache))).collect();
        // The map and the fetch each hold one reference to the flight, and every waiting thread
        // holds another.
        while Arc::strong_count(&fetch.flight) < 2 + THREADS {
            thread::yield_now();
        }
        end(fetch);
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn those_who_wait_get_what_was_fetched() {
    let cache = DataKeyCache::default();
    for found in wait_for_end(&cache, |fetch| fetch.keep(key(7), 1, &TERMS, &clock())) {
        let Ok(Entrance::Hit(found)) = found else { panic!("no hit") };
        assert_eq!(found.data_key, key(7).data_key);
    }
    let statistics = cache.statistics();
    assert_eq!((statistics.misses(), statistics.hits(), statistics.entries()), (1, 6, 1));
}

#[test]
fn those_who_wait_share_the_failure_and_the_next_tries_anew() {
    let cache = DataKeyCache::default();
    let error = Error::new(ErrorKind::KeyUnavailable, "the vault is sealed");
    for found in wait_for_end(&cache, |fetch| fetch.fail(&error)) {
        let Err(found) = found else { panic!("no failure") };
        assert_eq!((found.kind(), found.to_string().as_str()), (ErrorKind::KeyUnavailable, "the vault is sealed"));
    }
    assert_eq!(cache.statistics().misses(), 1);
    drop(fetch(&cache));
}

#[test]
fn a_shared_failure_still_tells_each_reason() {
    let cache = DataKeyCache::default();
    let mut failures = UnwrapFailures::default();
    let cause = std::io::Error::other("why");
    failures.push(&EncryptedDataKey::new("ns", [], []), Error::new(ErrorKind::Disabled, "no").with_source(cause));
    for found in wait_for_end(&cache, |fetch| fetch.fail(&failures.clone().into_error())) {
        let Err(found) = found else { panic!("no failure") };
        let found = found.downcast_ref::<UnwrapFailures>().and_then(|failures| failures.iter().next());
        let found = found.expect("the failure of the keyring");
        assert_eq!((found.kind(), found.reason()), (ErrorKind::Disabled, "no"));
        assert!(found.error().downcast_ref::<std::io::Error>().is_some());
    }
}

#[test]
fn a_fetch_that_was_given_up_lets_the_others_try_one_after_the_other() {
    let cache = DataKeyCache::default();
    // Each thread in turn gets the task and abandons it by dropping it, which wakes the next one.
    let fetch = fetch(&cache);
    let tried = thread::scope(|scope| {
        let try_it = || matches!(enter(&cache).map(drop_fetch), Ok(true));
        let waiting: Vec<_> = (0..THREADS).map(|_| scope.spawn(try_it)).collect();
        drop(fetch);
        waiting.into_iter().map(|thread| thread.join().unwrap()).filter(|tried| *tried).count()
    });
    assert_eq!(tried, THREADS);
    assert!(cache.lock().flights.is_empty());
}

fn drop_fetch(entrance: Entrance) -> bool {
    matches!(entrance, Entrance::Fetch(_))
}

#[test]
fn a_thread_never_waits_for_itself() {
    let cache = DataKeyCache::default();
    let fetch = fetch(&cache);
    assert_eq!(cache.statistics().bypasses(), 0);
    assert!(matches!(enter(&cache), Ok(Entrance::Reentered)));
    assert_eq!(cache.statistics().bypasses(), 1);
    drop(fetch);
}

#[test]
fn what_was_being_fetched_while_the_cache_was_cleared_is_not_kept() {
    let cache = DataKeyCache::default();
    let before = fetch(&cache);
    cache.clear();
    before.keep(key(1), 1, &TERMS, &clock());
    assert_eq!(cache.statistics().entries(), 0);
    fetch(&cache).keep(key(2), 1, &TERMS, &clock());
    assert_eq!(cache.statistics().entries(), 1);
    cache.clear();
    assert_eq!(cache.statistics().entries(), 0);
    drop(fetch(&cache));
}

#[test]
fn age_counts_from_before_the_fetch() {
    let (cache, clock) = (DataKeyCache::default(), clock());
    let Ok(Entrance::Fetch(fetch)) = cache.enter(id("x"), 1, &TERMS, &clock) else { panic!("the cache is empty") };
    clock.advance(Duration::from_secs(50));
    fetch.keep(key(1), 1, &TERMS, &clock);
    clock.advance(Duration::from_secs(10));
    assert!(matches!(cache.enter(id("x"), 1, &TERMS, &clock), Ok(Entrance::Hit(_))));
    clock.advance(Duration::from_millis(1));
    assert!(matches!(cache.enter(id("x"), 1, &TERMS, &clock), Ok(Entrance::Fetch(_))));
}

#[test]
fn of_two_maximum_ages_the_shorter_holds_whoever_kept_the_entry() {
    let (short, long) = (TERMS, Terms { max_age: Duration::from_secs(600), ..TERMS });
    for (keeper, user) in [(short, long), (long, short)] {
        let (cache, clock) = (DataKeyCache::default(), clock());
        let Ok(Entrance::Fetch(fetch)) = cache.enter(id("x"), 1, &keeper, &clock) else { panic!("the cache is empty") };
        clock.advance(Duration::from_secs(50));
        fetch.keep(key(1), 1, &keeper, &clock);
        clock.advance(Duration::from_secs(10));
        assert!(matches!(cache.enter(id("x"), 1, &user, &clock), Ok(Entrance::Hit(_))));
        clock.advance(Duration::from_millis(1));
        assert!(matches!(cache.enter(id("x"), 1, &user, &clock), Ok(Entrance::Fetch(_))));
    }
}

#[test]
fn the_longest_unused_makes_room_and_what_is_too_old_goes_first() {
    let (cache, clock) = (DataKeyCache::new(2).unwrap(), clock());
    let is_held = |name: &str| match cache.enter(id(name), 1, &TERMS, &clock).unwrap() {
        Entrance::Hit(_) => true,
        Entrance::Fetch(fetch) => {
            fetch.keep(key(1), 1, &TERMS, &clock);
            false
        }
        Entrance::Reentered => panic!("no fetch is in progress"),
    };
    assert_eq!(["a", "b", "a", "c"].map(is_held), [false, false, true, false]);
    assert_eq!(cache.statistics().evictions(), 1);
    assert_eq!(["a", "c", "b"].map(is_held), [true, true, false], "b was evicted first, then a");
    assert_eq!((cache.statistics().evictions(), cache.statistics().expirations()), (2, 0));

    clock.advance(Duration::from_secs(61));
    assert!(!is_held("new"));
    let statistics = cache.statistics();
    assert_eq!((statistics.entries(), statistics.evictions(), statistics.expirations()), (1, 2, 2));
    let state = cache.lock();
    assert_eq!((state.entries.len(), state.recency.len(), state.flights.len()), (1, 1, 0));
}

#[test]
fn an_entry_that_leaves_is_no_longer_held_by_the_cache() {
    let cache = DataKeyCache::new(1).unwrap();
    fetch(&cache).keep(key(1), 1, &TERMS, &clock());
    let Ok(Entrance::Hit(held)) = enter(&cache) else { panic!("the entry was retained") };
    assert_eq!(Arc::strong_count(&held), 2);
    let Ok(Entrance::Fetch(other)) = cache.enter(id("y"), 1, &TERMS, &clock()) else { panic!("the cache is empty") };
    other.keep(key(2), 1, &TERMS, &clock());
    assert_eq!(Arc::strong_count(&held), 1, "the last owner wipes it");
}

#[test]
fn room_for_none_is_refused() {
    assert_eq!(DataKeyCache::new(0).unwrap_err().kind(), ErrorKind::Validation);
}

#[cfg(unix)]
#[test]
fn a_child_that_is_forked_uses_no_data_key_of_its_parent() {
    let cache = DataKeyCache::default();
    fetch(&cache).keep(key(7), 1, &TERMS, &clock());
    // A thread of the parent is fetching this entry, but no thread of the child is.
    let Ok(Entrance::Fetch(_under_way)) = cache.enter(id("y"), 1, &TERMS, &clock()) else { panic!("the entry is new") };
    let child = || {
        let fetches = |name: &str| matches!(cache.enter(id(name), 1, &TERMS, &clock()), Ok(Entrance::Fetch(_)));
        i32::from(fetches("x") && fetches("y"))
    };
    let ended = strongroom_pkcs11_faults::in_child(std::panic::AssertUnwindSafe(child));
    assert_eq!(ended, 1, "the process has used a data key of its parent");
    assert!(matches!(enter(&cache), Ok(Entrance::Hit(_))), "the parent continues to use the data key");
}
