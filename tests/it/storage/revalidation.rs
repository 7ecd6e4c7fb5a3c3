//! Cached data after commits of other processes: what stayed the same is not read again, and what
//! changed is noticed in the next call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeyId, KeyState};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore, RecordId, RecordKind, Revision};
use strongroom::{Error, ErrorKind, Kms, Result};

use crate::support::counting_store::{CountingStore, Reads, is_head, is_index};
use crate::support::policies::{identity_policy, key_policy, user};
use crate::support::tampering_store::{State, TamperingStore};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn open(store: Arc<dyn KeyStore>) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()
}

/// A store with keys, used by one handle whose reads are counted and by another one.
struct Setup {
    store: Arc<CountingStore>,
    kms: Kms,
    other: Kms,
    keys: Vec<KeyId>,
}

impl Setup {
    /// Creates keys and encrypts under each, so that the counted handle has cached them.
    fn new(keys: usize) -> Result<Self> {
        let memory: Arc<dyn KeyStore> = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
        let store = CountingStore::new(Arc::clone(&memory));
        let other = open(memory)?;
        let keys: Vec<KeyId> =
            (0..keys).map(|_| Ok(other.create_key(Default::default())?.key_id())).collect::<Result<_>>()?;
        let kms = open(Arc::<CountingStore>::clone(&store))?;
        let setup = Self { store, kms, other, keys };
        setup.encrypt_under_all()?;
        setup.store.take_reads();
        Ok(setup)
    }

    fn encrypt(&self, key: KeyId) -> Result<()> {
        self.kms.encrypt(EncryptRequest::new(key, b"text")).map(drop)
    }

    fn encrypt_under_all(&self) -> Result<()> {
        self.keys.iter().try_for_each(|key| self.encrypt(*key))
    }

    /// Encrypts under all keys at the same time, each in a separate thread.
    fn encrypt_in_threads(&self) -> Vec<Result<()>> {
        let barrier = Barrier::new(self.keys.len());
        let encrypt = |key: KeyId| {
            barrier.wait();
            self.encrypt(key)
        };
        let encrypt = &encrypt;
        thread::scope(|scope| {
            let threads: Vec<_> = self.keys.iter().map(|key| scope.spawn(move || encrypt(*key))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect()
        })
    }
}

#[test]
fn a_foreign_commit_costs_a_few_reads_however_many_keys_are_in_use() -> TestResult {
    let setup = Setup::new(1_000)?;
    setup.encrypt_under_all()?;
    assert_eq!(setup.store.take_reads(), Reads::default(), "nothing was committed");
    for round in 0..3 {
        setup.other.update_key_description(setup.keys[round], "changed")?;
        setup.encrypt_under_all()?;
        let reads = setup.store.take_reads();
        assert!(reads.calls <= 3 && reads.heads == 1 && reads.records <= 6 && reads.bytes < 16_000, "{reads:?}");
        setup.encrypt_under_all()?;
        assert_eq!(setup.store.take_reads(), Reads::default(), "all are known to be current");
    }
    Ok(())
}

/// A process knows the index that it has written itself.
#[test]
fn a_commit_of_the_process_itself_costs_no_read() -> TestResult {
    let setup = Setup::new(50)?;
    setup.kms.create_key(Default::default())?;
    setup.store.take_reads();
    setup.encrypt_under_all()?;
    assert_eq!(setup.store.take_reads(), Reads::default());
    setup.kms.disable_key(setup.keys[0])?;
    setup.store.take_reads();
    assert_eq!(setup.encrypt(setup.keys[0]).map_err(|error| error.kind()), Err(ErrorKind::Disabled));
    let reads = setup.store.take_reads();
    assert!(reads.calls <= 1 && reads.heads == 0, "only the changed key may be read: {reads:?}");
    Ok(())
}

#[test]
fn a_change_of_another_process_takes_effect_in_the_next_call() -> TestResult {
    let setup = Setup::new(300)?;
    for key in &setup.keys {
        setup.other.disable_key(*key)?;
        assert_eq!(setup.encrypt(*key).map_err(|error| error.kind()), Err(ErrorKind::Disabled));
        setup.other.enable_key(*key)?;
        setup.encrypt(*key)?;
    }
    setup.other.create_alias("alias/a", setup.keys[0])?;
    assert_eq!(setup.kms.describe_key("alias/a")?.key_id(), setup.keys[0]);
    setup.other.update_alias("alias/a", setup.keys[1])?;
    assert_eq!(setup.kms.describe_key("alias/a")?.key_id(), setup.keys[1]);
    setup.other.delete_alias("alias/a")?;
    assert_eq!(setup.kms.describe_key("alias/a").map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    Ok(())
}

/// A principal without policies is cached as such. Its part of the index may be empty or not.
#[test]
fn a_record_that_is_cached_as_absent_is_not_read_again_until_it_appears() -> TestResult {
    let setup = Setup::new(0)?;
    let statement = r#"{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*"}"#;
    let key = setup.other.create_key(CreateKeyRequest::default().policy(key_policy(&[statement])))?.key_id();
    let handles: Vec<Kms> =
        (0..300).map(|number| setup.kms.as_principal(user(&format!("user{number}"))?)).collect::<Result<_>>()?;
    let encrypt = |kms: &Kms| kms.encrypt(EncryptRequest::new(key, b"text")).map(drop);
    let encrypt_as_all = || handles.iter().try_for_each(encrypt);
    encrypt_as_all()?;
    for number in 0..3 {
        // Fills most of the 256 buckets, but not all.
        for _ in 0..200 * number {
            setup.other.create_key(Default::default())?;
        }
        encrypt_as_all()?;
        setup.store.take_reads();
        setup.other.create_key(Default::default())?;
        encrypt_as_all()?;
        let reads = setup.store.take_reads();
        assert!(reads.calls <= 3 && reads.heads == 1, "{reads:?}");
    }
    for (number, kms) in handles.iter().enumerate() {
        let principal = user(&format!("user{number}"))?;
        setup.other.put_identity_policy(&principal, "none", &identity_policy("Deny", "kms:Encrypt"))?;
        assert_eq!(encrypt(kms).map_err(|error| error.kind()), Err(ErrorKind::AccessDenied));
        setup.other.delete_identity_policy(&principal, "none")?;
        encrypt(kms)?;
    }
    Ok(())
}

#[test]
fn threads_that_notice_the_same_commit_read_the_head_once() -> TestResult {
    let setup = Setup::new(8)?;
    setup.store.on_head_read(|| {
        thread::sleep(Duration::from_millis(100));
        Ok(())
    });
    for _ in 0..3 {
        setup.other.create_key(Default::default())?;
        setup.encrypt_in_threads().into_iter().collect::<Result<()>>()?;
        assert_eq!(setup.store.take_reads().heads, 1);
    }
    Ok(())
}

/// Threads that waited for a read that failed do not wait for each other again.
#[test]
fn a_failed_read_of_the_head_fails_every_call_and_delays_none_for_long() -> TestResult {
    let setup = Setup::new(8)?;
    let (is_down, now, most) =
        (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (down, reading, peak) = (Arc::clone(&is_down), Arc::clone(&now), Arc::clone(&most));
    setup.store.on_head_read(move || {
        peak.fetch_max(reading.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(200));
        reading.fetch_sub(1, Ordering::SeqCst);
        if down.load(Ordering::SeqCst) { Err(Error::new(ErrorKind::Store, "unreachable")) } else { Ok(()) }
    });
    setup.other.create_key(Default::default())?;
    let begun = Instant::now();
    // On a busy machine, each thread may come when the one before has ended.
    while most.load(Ordering::SeqCst) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "they read one after the other");
        for result in setup.encrypt_in_threads() {
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Store), "it must fail closed");
        }
        assert_eq!(setup.store.take_reads().heads, 8, "one for each thread");
    }
    is_down.store(false, Ordering::SeqCst);
    setup.encrypt_under_all()?;
    assert_eq!(setup.store.take_reads().heads, 1);
    Ok(())
}

/// A store before and after another process disabled the first of its keys.
struct Attack {
    store: Arc<TamperingStore>,
    keys: Vec<KeyId>,
    before: State,
    after: State,
}

impl Attack {
    fn new() -> Result<Self> {
        let store = TamperingStore::new();
        let kms = open(Arc::<TamperingStore>::clone(&store))?;
        let keys: Vec<KeyId> =
            (0..20).map(|_| Ok(kms.create_key(Default::default())?.key_id())).collect::<Result<_>>()?;
        let before = store.state();
        kms.disable_key(keys[0])?;
        let after = store.state();
        Ok(Self { store, keys, before, after })
    }

    /// Uses all keys with a handle that has cached them before, in the store after an alteration.
    fn encrypt_in(&self, alter: impl FnOnce(&mut State)) -> Result<Vec<std::result::Result<(), ErrorKind>>> {
        self.store.change(|state| *state = self.before.clone());
        let kms = open(Arc::<TamperingStore>::clone(&self.store))?;
        let encrypt = |key: &KeyId| kms.encrypt(EncryptRequest::new(*key, b"text")).map(drop);
        self.keys.iter().try_for_each(encrypt)?;
        self.store.change(|state| {
            *state = self.after.clone();
            alter(state);
        });
        let results = self.keys.iter().map(|key| encrypt(key).map_err(|error| error.kind())).collect();
        // Dropping the handle would record that the keys were used.
        std::mem::forget(kms);
        Ok(results)
    }

    /// Puts older versions of records back.
    fn put_back(&self, state: &mut State, which: impl Fn(&RecordId) -> bool) {
        let old = self.before.records.iter().filter(|(id, _)| which(id));
        state.records.extend(old.map(|(id, record)| (id.clone(), record.clone())));
    }
}

#[test]
fn a_head_that_is_rolled_back_or_forged_vouches_for_nothing() -> TestResult {
    let attack = Attack::new()?;
    let all_fail = |results: Vec<_>| results.into_iter().all(|result| result == Err(ErrorKind::Integrity));
    assert!(all_fail(attack.encrypt_in(|state| attack.put_back(state, is_head))?));
    assert!(all_fail(attack.encrypt_in(|state| attack.put_back(state, |_| true))?));
    assert!(all_fail(attack.encrypt_in(|state| state.records.retain(|id, _| !is_head(id)))?));
    for place in [0, 30, 200] {
        let results = attack.encrypt_in(|state| {
            let (_, head) = state.records.iter_mut().find(|(id, _)| is_head(id)).expect("every store has a head");
            let mut body = head.body.to_vec();
            body[place] ^= 1;
            head.body = body.into();
        })?;
        assert!(results.iter().all(Result::is_err), "byte {place}: {results:?}");
    }
    // An old head with the revision of the new one.
    let results = attack.encrypt_in(|state| {
        let revision = Revision(state.revision);
        attack.put_back(state, is_head);
        state.records.iter_mut().filter(|(id, _)| is_head(id)).for_each(|(_, head)| head.revision = revision);
    })?;
    assert!(results.iter().all(Result::is_err), "{results:?}");
    Ok(())
}

#[test]
fn a_part_of_the_index_that_is_rolled_back_or_forged_is_noticed() -> TestResult {
    let attack = Attack::new()?;
    let is_old_key = |id: &RecordId| id.kind == RecordKind::Key && id.name == attack.keys[0].as_bytes();
    let is_bucket = |id: &RecordId| is_index(id) && !is_head(id);
    for (with_key, with_bucket) in [(true, false), (false, true), (true, true)] {
        let which = |id: &RecordId| (with_key && is_old_key(id)) || (with_bucket && is_bucket(id));
        let results = attack.encrypt_in(|state| attack.put_back(state, which))?;
        assert_eq!(results[0], Err(ErrorKind::Integrity));
        // Other data was verified before, and the head still authenticates it.
        assert!(results[1..].iter().filter(|result| result.is_ok()).count() > 0, "{results:?}");
    }
    let results = attack.encrypt_in(|state| state.records.retain(|id, _| !is_bucket(id)))?;
    assert_eq!(results[0], Err(ErrorKind::Integrity));
    let results = attack.encrypt_in(|_| {})?;
    assert_eq!(results[0], Err(ErrorKind::Disabled));
    assert!(results[1..].iter().all(Result::is_ok), "{results:?}");
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Create,
    Toggle(usize),
    Alias(usize, u8),
    Unalias(u8),
    Allow(u8),
    Forbid(u8),
}

fn step() -> impl Strategy<Value = (Step, bool)> {
    let step = prop_oneof![
        Just(Step::Create),
        any::<usize>().prop_map(Step::Toggle),
        (any::<usize>(), 0..4_u8).prop_map(|(key, name)| Step::Alias(key, name)),
        (0..4_u8).prop_map(Step::Unalias),
        (0..4_u8).prop_map(Step::Allow),
        (0..4_u8).prop_map(Step::Forbid),
    ];
    (step, any::<bool>())
}

/// Everything that a handle sees of the keys, aliases and policies.
type Seen = (Vec<KeyState>, Vec<Option<KeyId>>, Vec<usize>);

fn seen(kms: &Kms, keys: &[KeyId]) -> Result<Seen> {
    let states = keys.iter().map(|key| Ok(kms.describe_key(*key)?.state())).collect::<Result<_>>()?;
    let aliases = (0..4).map(|name| kms.describe_key(format!("alias/{name}").as_str()).ok().map(|key| key.key_id()));
    let policies = (0..4).map(|name| Ok(kms.list_identity_policies(&user(&format!("user{name}"))?)?.len()));
    Ok((states, aliases.collect(), policies.collect::<Result<_>>()?))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two handles that change the store in turn always see the same as a handle that has cached
    /// nothing.
    #[test]
    fn handles_that_revalidate_see_what_a_new_handle_sees(steps in prop::collection::vec(step(), 1..30)) {
        let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
        let handles = [open(Arc::clone(&store))?, open(Arc::clone(&store))?];
        let mut keys = vec![handles[0].create_key(Default::default())?.key_id()];
        for (step, is_first) in steps {
            let kms = &handles[usize::from(is_first)];
            let key = |index: usize| keys[index % keys.len()];
            let _ = match step {
                Step::Create => kms.create_key(Default::default()).map(|key| keys.push(key.key_id())),
                Step::Toggle(index) => kms.disable_key(key(index)).and_then(|()| if index % 2 == 0 { kms.enable_key(key(index)) } else { Ok(()) }),
                Step::Alias(index, name) => kms.create_alias(format!("alias/{name}").as_str(), key(index)).map(drop),
                Step::Unalias(name) => kms.delete_alias(format!("alias/{name}").as_str()).map(drop),
                Step::Allow(name) => kms.put_identity_policy(&user(&format!("user{name}"))?, "p", &identity_policy("Allow", "kms:Encrypt")),
                Step::Forbid(name) => kms.delete_identity_policy(&user(&format!("user{name}"))?, "p"),
            };
            let expected = seen(&open(Arc::clone(&store))?, &keys)?;
            for kms in &handles {
                prop_assert_eq!(&seen(kms, &keys)?, &expected);
            }
        }
    }
}
