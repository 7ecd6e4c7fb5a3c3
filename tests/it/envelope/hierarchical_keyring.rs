//! Messages whose data keys are wrapped by branch keys.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use strongroom::crypto::{AWS_LC, RUST_CRYPTO};
use strongroom::envelope::{
    BranchKeyItem, BranchKeyStore, BranchKeyVersion, BranchKeyWrapper, CommitmentPolicy, DataKeyCache,
    DecryptionMaterials, HierarchicalKeyring, Keyring, KmsBranchKeyWrapper, MultiKeyring, RawAesKeyring,
    UnwrapFailures, conformance,
};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, inspect};
use strongroom::store::KeyStore;
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};

use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::vectors;

const TTL: Duration = Duration::from_secs(600);
const PLAINTEXT: &[u8] = b"two pots of tea";

fn of(tenant: &str) -> EncryptionContext {
    EncryptionContext::from([("tenant", tenant), ("table", "orders")])
}

/// A KMS key that counts how often branch keys are unwrapped, and can be closed.
#[derive(Clone, Debug)]
struct Gate {
    inner: KmsBranchKeyWrapper,
    calls: Arc<AtomicUsize>,
    outage: Arc<AtomicBool>,
    /// The number of threads that must have arrived before one of them is answered.
    waiting: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn new() -> Result<Self> {
        let kms = Kms::in_memory()?;
        let inner = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
        let waiting = Arc::new((Mutex::new(false), Condvar::new()));
        Ok(Self { inner, calls: Arc::default(), outage: Arc::default(), waiting })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Holds all further calls until [`Self::release`].
    fn hold(&self) {
        *self.waiting.0.lock().expect("no thread panics while it holds the lock") = true;
    }

    fn release(&self) {
        *self.waiting.0.lock().expect("no thread panics while it holds the lock") = false;
        self.waiting.1.notify_all();
    }
}

impl BranchKeyWrapper for Gate {
    fn key_arn(&self) -> &str {
        self.inner.key_arn()
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        self.inner.generate(context)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        self.inner.rewrap(wrapped, from, to)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let held = self.waiting.0.lock().expect("no thread panics while it holds the lock");
        drop(self.waiting.1.wait_while(held, |held| *held).expect("no thread panics while it holds the lock"));
        if self.outage.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::KeyUnavailable, "the KMS is unreachable"));
        }
        self.inner.unwrap(wrapped, context)
    }
}

/// Branch keys of tenants 41 and 42 on a store.
struct World {
    store: Arc<dyn KeyStore>,
    gate: Gate,
    keys: BranchKeyStore,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Result<Self> {
        let (store, gate) = (any_store::new()?, Gate::new()?);
        let keys = BranchKeyStore::new(Arc::clone(&store), "branch-keys", gate.clone())?;
        for tenant in ["41", "42"] {
            keys.create_branch_key_as(&format!("tenant/{tenant}"), &of(tenant))?;
        }
        Ok(Self { store, gate, keys, clock: Arc::new(ManualClock::new(Timestamp::from_unix_millis(0))) })
    }

    fn keyring(&self) -> HierarchicalKeyring {
        let keyring = HierarchicalKeyring::new(&self.keys, "tenant/42", TTL).expect("a time to live");
        keyring.with_clock(Arc::clone(&self.clock))
    }

    fn by_tenant(&self) -> HierarchicalKeyring {
        let choose = |context: &EncryptionContext| {
            let missing = || Error::new(ErrorKind::Validation, "no tenant");
            context.get("tenant").map(|tenant| format!("tenant/{tenant}")).ok_or_else(missing)
        };
        let keyring = HierarchicalKeyring::with_supplier(&self.keys, TTL, choose).expect("a time to live");
        keyring.with_clock(Arc::clone(&self.clock))
    }

    /// The same keys with an empty cache, as in another process.
    fn elsewhere(&self) -> Envelope {
        let keys = BranchKeyStore::new(Arc::clone(&self.store), "branch-keys", self.gate.clone()).expect("the store");
        Envelope::new(HierarchicalKeyring::new(&keys, "tenant/42", TTL).expect("a time to live"))
    }
}

/// Returns the kind of the decisive failure of an error.
fn failure<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    let error = result.expect_err("the call must be rejected");
    error.downcast_ref::<UnwrapFailures>().expect("the failures").kind()
}

#[test]
fn the_keyring_meets_the_contract() -> Result<()> {
    let world = World::new()?;
    conformance::run(&world.keyring(), &world.keyring())?;
    conformance::run_context(&world.keyring(), &world.keyring())
}

#[test]
fn both_backends_and_every_suite_read_each_other() -> Result<()> {
    let world = World::new()?;
    for &suite in AlgorithmSuite::ALL {
        let envelope = |backend| {
            let policy = CommitmentPolicy::ForbidEncryptAllowDecrypt;
            let builder = Envelope::builder(world.keyring()).backend(backend).algorithm_suite(suite);
            if suite.is_committing() { builder.build() } else { builder.commitment_policy(policy).build() }
        };
        for (writer, reader) in [(RUST_CRYPTO, AWS_LC), (AWS_LC, RUST_CRYPTO)] {
            let Ok(writer) = envelope(writer) else { continue };
            let message = writer.encrypt(PLAINTEXT, &of("42"))?;
            assert_eq!(envelope(reader)?.decrypt(&message, &of("42"))?, PLAINTEXT, "{suite}");
        }
    }
    Ok(())
}

#[test]
fn messages_of_earlier_versions_open_after_rotations() -> Result<()> {
    let world = World::new()?;
    let envelope = Envelope::new(world.keyring());
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(envelope.encrypt(PLAINTEXT, &of("42"))?);
        world.keys.rotate("tenant/42")?;
        world.clock.advance(TTL + Duration::from_millis(1));
    }
    let version = |message: &[u8]| {
        let ciphertext = inspect(message).expect("a message").data_keys()[0].ciphertext().to_vec();
        BranchKeyVersion::from_bytes(ciphertext[28..44].try_into().expect("16 bytes"))
    };
    assert!(version(&messages[0]) != version(&messages[1]) && version(&messages[1]) != version(&messages[2]));
    for message in &messages {
        assert_eq!(envelope.decrypt(message, &of("42"))?, PLAINTEXT);
        assert_eq!(world.elsewhere().decrypt(message, &of("42"))?, PLAINTEXT);
        assert_eq!(world.keys.version("tenant/42", version(message))?.version(), version(message));
    }
    Ok(())
}

#[test]
fn a_branch_key_is_fetched_once_for_its_time_to_live() -> Result<()> {
    let world = World::new()?;
    let envelope = Envelope::new(world.keyring());
    let context = |row: usize| of("42").with("row", row.to_string());
    let messages: Vec<_> = (0..50).map(|row| envelope.encrypt(PLAINTEXT, &context(row))).collect::<Result<_>>()?;
    assert_eq!(world.gate.calls(), 1, "one for all contexts");
    for (row, message) in messages.iter().enumerate() {
        assert_eq!(envelope.decrypt(message, &context(row))?, PLAINTEXT);
    }
    assert_eq!(world.gate.calls(), 2, "and one to decrypt");
    // An outage is survived until the time to live ends, exactly.
    world.gate.outage.store(true, Ordering::SeqCst);
    world.clock.advance(TTL);
    envelope.encrypt(PLAINTEXT, &of("42"))?;
    envelope.decrypt(&messages[0], &context(0))?;
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(kind(envelope.encrypt(PLAINTEXT, &of("42"))), ErrorKind::KeyUnavailable);
    assert_eq!(kind(envelope.decrypt(&messages[0], &context(0))), ErrorKind::KeyUnavailable);
    // A failure is not cached.
    world.gate.outage.store(false, Ordering::SeqCst);
    assert_eq!(envelope.decrypt(&messages[0], &context(0))?, PLAINTEXT);
    envelope.encrypt(PLAINTEXT, &of("42"))?;
    assert_eq!(kind(HierarchicalKeyring::new(&world.keys, "tenant/42", Duration::ZERO)), ErrorKind::Validation);
    Ok(())
}

/// Threads that need a branch key at the same time cause one call, and share its failure.
#[test]
fn a_thundering_herd_makes_one_call() -> Result<()> {
    const THREADS: usize = 16;
    let world = World::new()?;
    for outage in [true, false] {
        let (cache, before) = (DataKeyCache::new(10)?, world.gate.calls());
        let envelope = Envelope::new(world.keyring().with_cache(&cache));
        world.gate.outage.store(outage, Ordering::SeqCst);
        world.gate.hold();
        let started = AtomicUsize::new(0);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let work = || {
                started.fetch_add(1, Ordering::SeqCst);
                envelope.encrypt(PLAINTEXT, &of("42")).map_err(|error| error.kind())
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            while started.load(Ordering::SeqCst) < THREADS || world.gate.calls() == before {
                thread::yield_now();
            }
            world.gate.release();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let calls = world.gate.calls() - before;
        match outage {
            // A thread that arrives after the failure tries again.
            true => assert!(outcomes.iter().all(|outcome| *outcome == Err(ErrorKind::KeyUnavailable)), "{outcomes:?}"),
            false => assert!(calls == 1 && outcomes.iter().all(std::result::Result::is_ok), "{calls} calls"),
        }
    }
    Ok(())
}

#[test]
fn keyrings_share_a_cache_only_within_a_partition() -> Result<()> {
    let world = World::new()?;
    let cache = DataKeyCache::new(100)?;
    let encrypt = |keyring: HierarchicalKeyring| -> Result<usize> {
        Envelope::new(keyring.with_cache(&cache)).encrypt(PLAINTEXT, &of("42"))?;
        Ok(world.gate.calls())
    };
    assert_eq!((encrypt(world.keyring())?, encrypt(world.keyring())?), (1, 2));
    assert_eq!((encrypt(world.keyring().with_partition("a"))?, encrypt(world.keyring().with_partition("a"))?), (3, 3));
    assert_eq!(encrypt(world.by_tenant().with_partition("a"))?, 3, "the same branch key");
    assert_eq!(encrypt(world.keyring().with_partition("b"))?, 4);
    // Another store of branch keys has other keys under the same ID.
    let other = World::new()?;
    let shared = other.keyring().with_cache(&cache).with_partition("a");
    let message = Envelope::new(shared).encrypt(PLAINTEXT, &of("42"))?;
    assert_eq!(other.gate.calls(), 1);
    assert!(other.elsewhere().decrypt(&message, &of("42")).is_ok());
    // Capacity bounds the number of branch keys, whatever messages name.
    let small = DataKeyCache::new(2)?;
    let envelope = Envelope::new(world.by_tenant().with_cache(&small));
    for tenant in ["41", "42", "41", "42"] {
        let message = envelope.encrypt(PLAINTEXT, &of(tenant))?;
        envelope.decrypt(&message, &of(tenant))?;
    }
    assert!(small.statistics().entries() <= 2 && small.statistics().evictions() > 0);
    Ok(())
}

#[test]
fn the_encryption_context_selects_the_branch_key_of_a_tenant() -> Result<()> {
    let world = World::new()?;
    let envelope = Envelope::new(world.by_tenant());
    let message = envelope.encrypt(PLAINTEXT, &of("41"))?;
    assert_eq!(inspect(&message)?.data_keys()[0].provider_info(), b"tenant/41");
    assert_eq!(envelope.decrypt(&message, &of("41"))?, PLAINTEXT);
    assert_eq!(kind(envelope.decrypt(&message, &of("42"))), ErrorKind::ContextMismatch);
    assert_eq!(failure(Envelope::new(world.keyring()).decrypt(&message, &of("41"))), ErrorKind::IncorrectKey);
    // A tenant without a branch key, and a context without a tenant.
    assert_eq!(kind(envelope.encrypt(PLAINTEXT, &of("43"))), ErrorKind::NotFound);
    assert_eq!(kind(envelope.encrypt(PLAINTEXT, &EncryptionContext::new())), ErrorKind::Validation);
    let data_keys = inspect(&message)?.data_keys().to_vec();
    let unwrap = |context| {
        let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), context, Default::default())?;
        world.by_tenant().on_decrypt(&mut materials, &data_keys)
    };
    unwrap(of("41"))?;
    assert_eq!(failure(unwrap(of("42"))), ErrorKind::IncorrectKey);
    assert_eq!(failure(unwrap(EncryptionContext::new())), ErrorKind::Validation);
    assert_eq!(failure(unwrap(of("41").with("table", "customers"))), ErrorKind::InvalidCiphertext);
    Ok(())
}

/// Every byte of a wrapped data key counts.
#[test]
fn altered_truncated_and_extended_data_keys_are_refused() -> Result<()> {
    let world = World::new()?;
    let envelope = Envelope::new(world.keyring());
    let message = envelope.encrypt(PLAINTEXT, &of("42"))?;
    let original = inspect(&message)?.data_keys()[0].clone();
    assert_eq!(original.ciphertext().len(), 16 + 12 + 16 + 32 + 16);
    let unwrap = |ciphertext: &[u8]| {
        let data_key = EncryptedDataKey::new(original.provider_id(), original.provider_info(), ciphertext);
        let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), of("42"), Default::default())?;
        world.keyring().on_decrypt(&mut materials, &[data_key])
    };
    unwrap(original.ciphertext())?;
    for bit in 0..original.ciphertext().len() * 8 {
        let mut altered = original.ciphertext().to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        // An altered version names one that does not exist.
        let is_version = (28..44).contains(&(bit / 8));
        let expected = if is_version { ErrorKind::NotFound } else { ErrorKind::InvalidCiphertext };
        assert_eq!(failure(unwrap(&altered)), expected, "bit {bit}");
    }
    for length in 0..original.ciphertext().len() {
        assert_eq!(failure(unwrap(&original.ciphertext()[..length])), ErrorKind::InvalidCiphertext, "{length} bytes");
    }
    assert_eq!(failure(unwrap(&[original.ciphertext(), &[0]].concat())), ErrorKind::InvalidCiphertext);
    Ok(())
}

/// The versions of two branch keys are not interchangeable, even if the same bytes wrap a data key.
#[test]
fn a_data_key_is_bound_to_its_branch_key_and_version() -> Result<()> {
    let world = World::new()?;
    let message = Envelope::new(world.keyring()).encrypt(PLAINTEXT, &of("42"))?;
    let original = inspect(&message)?.data_keys()[0].clone();
    let unwrap = |id: &str, ciphertext: &[u8]| {
        let keyring = HierarchicalKeyring::new(&world.keys, id, TTL)?;
        let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), of("42"), Default::default())?;
        keyring.on_decrypt(&mut materials, &[EncryptedDataKey::new(original.provider_id(), id, ciphertext)])
    };
    unwrap("tenant/42", original.ciphertext())?;
    assert_eq!(failure(unwrap("tenant/41", original.ciphertext())), ErrorKind::NotFound);
    let rotated = world.keys.rotate("tenant/42")?;
    for (id, version) in [("tenant/42", rotated), ("tenant/41", world.keys.active("tenant/41")?.version())] {
        let mut altered = original.ciphertext().to_vec();
        altered[28..44].copy_from_slice(version.as_bytes());
        assert_eq!(failure(unwrap(id, &altered)), ErrorKind::InvalidCiphertext, "{id}");
    }
    Ok(())
}

#[test]
fn a_branch_key_and_other_keys_wrap_one_data_key() -> Result<()> {
    let world = World::new()?;
    let raw = || RawAesKeyring::new("safe", "paper copy", SecretBytes::zeroed(32));
    for both in
        [MultiKeyring::new(world.keyring()).with_child(raw()?), MultiKeyring::new(raw()?).with_child(world.keyring())]
    {
        let message = Envelope::new(both).encrypt(PLAINTEXT, &of("42"))?;
        assert_eq!(world.elsewhere().decrypt(&message, &of("42"))?, PLAINTEXT);
        assert_eq!(Envelope::new(raw()?).decrypt(&message, &of("42"))?, PLAINTEXT);
    }
    Ok(())
}

/// A KMS that knows one branch key.
#[derive(Debug)]
struct KnownKey(Vec<u8>);

impl BranchKeyWrapper for KnownKey {
    fn key_arn(&self) -> &str {
        "a KMS key"
    }

    fn generate(&self, _: &EncryptionContext) -> Result<Vec<u8>> {
        Ok(b"wrapped".to_vec())
    }

    fn rewrap(&self, wrapped: &[u8], _: &EncryptionContext, _: &EncryptionContext) -> Result<Vec<u8>> {
        Ok(wrapped.to_vec())
    }

    fn unwrap(&self, _: &[u8], _: &EncryptionContext) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(&self.0))
    }
}

/// Messages that the official SDK for Python wrote under a known branch key.
#[test]
fn recorded_messages_of_the_official_keyring_open() -> Result<()> {
    let vectors = vectors::in_folders(&["branch_keys"]);
    assert!(vectors.len() >= 7, "{} vectors", vectors.len());
    for vector in vectors {
        let (id, version) = (vector.field("branch key id"), vector.field("branch key version"));
        let keys = BranchKeyStore::new(any_store::new()?, "keys", KnownKey(vector.bytes("branch key")))?;
        let item = |kind: &str, more: &str| {
            let json = format!(
                r#"{{"branch-key-id": {{"S": "{id}"}}, "type": {{"S": "{kind}"}}, "create-time": {{"S": "then"}},
                "kms-arn": {{"S": "a KMS key"}}, "hierarchy-version": {{"N": "1"}}, "enc": {{"B": "AA=="}}{more}}}"#
            );
            BranchKeyItem::from_json(json.as_bytes())
        };
        let version = format!("branch:version:{version}");
        let active = item("branch:ACTIVE", &format!(r#", "version": {{"S": "{version}"}}"#))?;
        keys.import(&[active, item(&version, "")?, item("beacon:ACTIVE", "")?])?;
        let builder = Envelope::builder(HierarchicalKeyring::new(&keys, id, TTL)?);
        let envelope = builder.commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt).build()?;
        let message = vector.bytes("ciphertext");
        let expected = EncryptionContext::from([("tenant", "42"), ("Straße", "日本")]);
        assert_eq!(envelope.decrypt(&message, &expected)?, vector.bytes("expect"), "{}", vector.file);
        let written = inspect(&envelope.encrypt(PLAINTEXT, &expected)?)?.data_keys()[0].clone();
        assert_eq!(written.provider_info(), id.as_bytes(), "{}", vector.file);
    }
    Ok(())
}

#[test]
fn secrets_do_not_appear_in_debug_output() -> Result<()> {
    let world = World::new()?;
    let (key, beacon) = (world.keys.active("tenant/42")?, world.keys.beacon("tenant/42")?);
    let items = world.keys.export("tenant/42")?;
    let shown = format!("{:?} {key:?} {beacon:?} {items:?} {:?}", world.keyring(), world.keys);
    for secret in [key.expose_secret(), beacon.expose_secret()] {
        let list = format!("{secret:?}");
        assert!(!shown.contains(list.trim_matches(['[', ']'])) && !shown.contains(&hex::encode(secret)), "{shown}");
    }
    assert!(shown.contains("tenant/42"));
    Ok(())
}
