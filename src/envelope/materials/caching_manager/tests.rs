use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::context::EncryptionContext;
use crate::envelope::materials::DEFAULT_CACHE_CAPACITY;
use crate::envelope::operations::Envelope;
use crate::envelope::{Keyring, KmsKeyring, RawAesKeyring};
use crate::kms::Kms;
use crate::message::{Header, inspect};

const AGE: Duration = Duration::from_secs(60);
const JUST: Duration = Duration::from_millis(1);

/// A keyring that counts its calls.
#[derive(Debug)]
struct Counting<K> {
    keyring: K,
    calls: Arc<AtomicUsize>,
}

impl<K: Keyring> Keyring for Counting<K> {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.calls.fetch_add(1, SeqCst);
        // Long enough for other threads to arrive.
        thread::sleep(Duration::from_millis(2));
        self.keyring.on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        self.calls.fetch_add(1, SeqCst);
        self.keyring.on_decrypt(materials, data_keys)
    }
}

fn raw() -> RawAesKeyring {
    RawAesKeyring::new("ns", "kn", SecretBytes::copy_from_slice(&[1; 32])).unwrap()
}

fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_000_000)))
}

fn context(tenant: &str) -> EncryptionContext {
    EncryptionContext::from([("tenant", tenant)])
}

/// Returns a builder for a manager, its clock, and the number of calls to its keyring.
fn counted() -> (CachingMaterialsManagerBuilder, Arc<ManualClock>, Arc<AtomicUsize>) {
    let (clock, calls) = (manual_clock(), Arc::new(AtomicUsize::new(0)));
    let keyring = Counting { keyring: raw(), calls: Arc::clone(&calls) };
    let builder = CachingMaterialsManager::builder(keyring, AGE);
    (builder.clock(Arc::clone(&clock)), clock, calls)
}

fn envelope(builder: CachingMaterialsManagerBuilder) -> Envelope {
    Envelope::new(builder.build().unwrap())
}

fn encryption(suite: AlgorithmSuite, context: EncryptionContext) -> EncryptionMaterials {
    EncryptionMaterials::new(suite, context, CryptoBackend::default()).unwrap().with_plaintext_length(1)
}

fn decryption(suite: AlgorithmSuite, context: EncryptionContext) -> DecryptionMaterials {
    DecryptionMaterials::new(suite, context, CryptoBackend::default()).unwrap()
}

#[test]
fn the_age_ends_right_after_its_maximum_in_both_directions() -> Result<()> {
    let (builder, clock, calls) = counted();
    let envelope = envelope(builder);
    let message = Envelope::new(raw()).encrypt(b"x", &context("1"))?;
    let use_both = || {
        envelope.encrypt(b"x", &context("1")).unwrap();
        envelope.decrypt(&message, &context("1")).unwrap();
        calls.load(SeqCst)
    };
    assert_eq!(use_both(), 2);
    clock.advance(AGE);
    assert_eq!(use_both(), 2);
    clock.advance(JUST);
    assert_eq!(use_both(), 4);
    clock.set(Timestamp::from_unix_millis(0));
    assert_eq!(use_both(), 6, "a clock that was set back does not extend the age of an entry");
    Ok(())
}

#[test]
fn the_limit_of_messages_is_exact() -> Result<()> {
    let (builder, _, calls) = counted();
    let manager = builder.max_messages(3).build()?;
    let cache = manager.cache().clone();
    let envelope = Envelope::new(manager);
    let counts: Vec<_> = (0..7)
        .map(|_| {
            envelope.encrypt(b"x", &context("1")).unwrap();
            calls.load(SeqCst)
        })
        .collect();
    assert_eq!(counts, [1, 1, 1, 2, 2, 2, 3]);
    assert_eq!(cache.statistics().expirations(), 2);
    Ok(())
}

#[test]
fn one_message_for_each_data_key_is_no_cache() {
    let (builder, _, calls) = counted();
    let manager = builder.max_messages(1).build().unwrap();
    let cache = manager.cache().clone();
    let envelope = Envelope::new(manager);
    (0..3).for_each(|_| drop(envelope.encrypt(b"x", &context("1")).unwrap()));
    assert_eq!((calls.load(SeqCst), cache.statistics().bypasses(), cache.statistics().entries()), (3, 3, 0));
}

#[test]
fn the_limit_of_bytes_is_exact() -> Result<()> {
    let (builder, _, calls) = counted();
    let manager = builder.max_bytes(100).build()?;
    let cache = manager.cache().clone();
    let envelope = Envelope::new(manager);
    let mut calls_after = |length: usize| {
        envelope.encrypt(&vec![0; length], &context("1")).unwrap();
        calls.load(SeqCst)
    };
    assert_eq!([60, 40, 0].map(&mut calls_after), [1, 1, 1], "at most 100 bytes");
    assert_eq!([1, 99].map(&mut calls_after), [2, 2]);
    assert_eq!([100, 0].map(&mut calls_after), [3, 3]);
    assert_eq!([101, 0].map(&mut calls_after), [4, 4], "a message above the limit is not cached at all");
    assert_eq!(cache.statistics().bypasses(), 1);
    Ok(())
}

#[test]
fn every_part_of_the_identity_tells_entries_apart() -> Result<()> {
    let (builder, _, calls) = counted();
    let cache = DataKeyCache::default();
    let manager = builder.cache(&cache).build()?;
    let (commit, hkdf) = (AlgorithmSuite::default(), AlgorithmSuite::Aes256GcmHkdfSha256);
    let contexts = [
        EncryptionContext::new(),
        [("a", "bc")].into(),
        [("ab", "c")].into(),
        [("a", "bc"), ("d", "")].into(),
        [("a", "d")].into(),
    ];
    let mut made = Vec::new();
    for round in 1..=2 {
        for suite in [commit, hkdf] {
            for context in &contexts {
                let mut materials = encryption(suite, context.clone());
                manager.on_encrypt(&mut materials)?;
                made.push(materials);
            }
        }
        assert_eq!(calls.load(SeqCst), 10, "round {round}");
    }
    for _ in 1..=2 {
        for materials in &made[..10] {
            let mut opened = decryption(materials.suite(), materials.context().clone());
            manager.on_decrypt(&mut opened, materials.encrypted_data_keys())?;
            assert_eq!(opened.data_key(), materials.data_key());
        }
        assert_eq!(calls.load(SeqCst), 20, "reading and writing share nothing");
    }
    let keys: HashSet<_> = made.iter().map(|materials| materials.data_key().unwrap().expose_secret()).collect();
    assert_eq!(keys.len(), 10);
    Ok(())
}

#[test]
fn a_cached_data_key_opens_no_other_wrapped_data_keys() -> Result<()> {
    let (builder, _, calls) = counted();
    let manager = builder.build()?;
    let suite = AlgorithmSuite::default();
    let mut made = encryption(suite, context("1"));
    manager.on_encrypt(&mut made)?;
    let [wrapped] = made.encrypted_data_keys() else { panic!("one keyring wraps only once") };
    manager.on_decrypt(&mut decryption(suite, context("1")), std::slice::from_ref(wrapped))?;
    let (id, info, text) = (wrapped.provider_id(), wrapped.provider_info(), wrapped.ciphertext());
    // The same bytes split at another position, and altered bytes.
    let mut altered = text.to_vec();
    altered[0] ^= 1;
    let others = [
        EncryptedDataKey::new(id, info, altered),
        EncryptedDataKey::new("n", [b"s", info].concat(), text),
        EncryptedDataKey::new(id, &info[..info.len() - 1], [&info[info.len() - 1..], text].concat()),
    ];
    for (count, other) in (3..).zip(others) {
        let error = manager.on_decrypt(&mut decryption(suite, context("1")), &[other]).unwrap_err();
        assert_eq!((error.kind(), calls.load(SeqCst)), (ErrorKind::NoDataKeyUnwrapped, count));
    }
    let error = manager.on_decrypt(&mut decryption(suite, context("2")), std::slice::from_ref(wrapped)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "not under another encryption context");
    Ok(())
}

/// Otherwise, envelopes that accept no other order would get data keys that only another order can
/// unwrap.
#[test]
fn what_was_read_in_any_order_serves_only_those_who_accept_that_order() -> Result<()> {
    let (builder, _, calls) = counted();
    let (manager, suite) = (builder.build()?, AlgorithmSuite::default());
    let context = EncryptionContext::from([("a", "1"), ("b", "2")]);
    let mut written = encryption(suite, context.clone());
    raw().on_encrypt(&mut written)?;
    let read = |received: Option<&[u8]>| {
        let mut materials = decryption(suite, context.clone());
        if let Some(received) = received {
            materials = materials.with_context_as_received(received);
        }
        manager.on_decrypt(&mut materials, written.encrypted_data_keys())?;
        Ok::<_, Error>(calls.load(SeqCst))
    };
    let other = b"\0\x02\0\x01b\0\x012\0\x01a\0\x011";
    for (received, calls) in [(Some(written.canonical_context()), 1), (Some(other), 2), (None, 3)] {
        assert_eq!((read(received)?, read(received)?), (calls, calls), "{received:?}");
    }
    Ok(())
}

#[test]
fn managers_share_a_cache_and_entries_only_in_one_partition() -> Result<()> {
    let cache = DataKeyCache::default();
    let calls_of = |partitions: [Option<&str>; 2]| {
        partitions.map(|partition| {
            let (builder, _, calls) = counted();
            let builder = builder.cache(&cache);
            let builder = match partition {
                Some(name) => builder.partition(name),
                None => builder,
            };
            envelope(builder).encrypt(b"x", &context("1")).unwrap();
            calls.load(SeqCst)
        })
    };
    assert_eq!(calls_of([None, None]), [1, 1]);
    assert_eq!(calls_of([Some("a"), Some("b")]), [1, 1]);
    assert_eq!(calls_of([Some("c"), Some("c")]), [1, 0]);
    assert_eq!(cache.statistics().entries(), 5);
    Ok(())
}

#[test]
fn one_fetch_for_all_threads_and_one_for_each_refresh() {
    const THREADS: usize = 8;
    let (builder, clock, calls) = counted();
    let envelope = envelope(builder.max_messages(40));
    for refreshes in 1..=3 {
        let together = Barrier::new(THREADS);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    together.wait();
                    (0..5).for_each(|_| drop(envelope.encrypt(b"x", &context("1")).unwrap()));
                });
            }
        });
        assert_eq!(calls.load(SeqCst), refreshes);
        if refreshes == 2 {
            clock.advance(AGE + JUST);
        }
    }
}

#[test]
fn refreshes_under_load_are_no_more_than_the_messages_need() {
    let (builder, _, calls) = counted();
    let envelope = envelope(builder.max_messages(5));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| drop(envelope.encrypt(b"x", &context("1")).unwrap())));
        }
    });
    assert_eq!(calls.load(SeqCst), 80 / 5);
}

#[test]
fn a_disabled_key_bites_when_the_age_is_over() -> Result<()> {
    let clock = manual_clock();
    let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let inner = KmsKeyring::new(&kms, key)?;
    let manager = CachingMaterialsManager::builder(inner, AGE).clock(Arc::clone(&clock)).build()?;
    let cache = manager.cache().clone();
    let envelope = Envelope::new(manager);
    let message = envelope.encrypt(b"x", &context("1"))?;
    envelope.decrypt(&message, &context("1"))?;

    kms.disable_key(key)?;
    clock.advance(AGE);
    assert!(envelope.encrypt(b"x", &context("1")).is_ok() && envelope.decrypt(&message, &context("1")).is_ok());
    assert_eq!(envelope.encrypt(b"x", &context("2")).unwrap_err().kind(), ErrorKind::Disabled);
    clock.advance(JUST);
    let refused = || {
        assert_eq!(envelope.encrypt(b"x", &context("1")).unwrap_err().kind(), ErrorKind::Disabled);
        let error = envelope.decrypt(&message, &context("1")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped);
    };
    refused();

    kms.enable_key(key)?;
    envelope.decrypt(&envelope.encrypt(b"x", &context("1"))?, &context("1"))?;
    envelope.decrypt(&message, &context("1"))?;
    kms.disable_key(key)?;
    cache.clear();
    refused();
    Ok(())
}

#[test]
fn messages_under_one_data_key_are_all_different_and_open_without_a_cache() -> Result<()> {
    let (builder, _, calls) = counted();
    let envelope = envelope(builder);
    let messages: Vec<_> = (0..20).map(|_| envelope.encrypt(b"the same text", &context("1")).unwrap()).collect();
    assert_eq!(calls.load(SeqCst), 1);
    let headers: Vec<_> = messages.iter().map(|message| inspect(message).unwrap()).collect();
    let ids: HashSet<_> = headers.iter().map(|header| *header.message_id()).collect();
    // The IV of the first frame is always the same, so different ciphertexts imply different
    // content keys.
    let bodies: HashSet<_> =
        messages.iter().zip(&headers).map(|(message, header)| &message[header.encoded_length() + 24..][..13]).collect();
    let wrapped: HashSet<_> = headers.iter().flat_map(Header::data_keys).collect();
    assert_eq!((ids.len(), bodies.len(), wrapped.len()), (20, 20, 1));
    for message in &messages {
        assert_eq!(Envelope::new(raw()).decrypt(message, &context("1"))?, b"the same text");
    }
    Ok(())
}

#[test]
fn an_altered_message_is_refused_from_the_cache_too() -> Result<()> {
    let (builder, _, calls) = counted();
    let envelope = envelope(builder);
    let message = envelope.encrypt(b"text", &context("1"))?;
    envelope.decrypt(&message, &context("1"))?;
    let header = inspect(&message)?;
    for at in [3, header.encoded_length() - 1, header.encoded_length() - 20, message.len() - 1] {
        let mut altered = message.clone();
        altered[at] ^= 1;
        assert_eq!(envelope.decrypt(&altered, &context("1")).unwrap_err().kind(), ErrorKind::InvalidMessage);
    }
    assert_eq!(calls.load(SeqCst), 2);
    Ok(())
}

#[test]
fn a_stream_is_written_past_the_cache_and_read_through_it() -> Result<(), Box<dyn std::error::Error>> {
    let (builder, _, calls) = counted();
    let manager = builder.build()?;
    let cache = manager.cache().clone();
    let envelope = Envelope::new(manager);
    for _ in 0..2 {
        let mut writer = envelope.writer(Vec::new(), &context("1"))?;
        writer.write_all(b"text")?;
        let message = writer.finish()?;
        for _ in 0..2 {
            let mut text = String::new();
            envelope.reader(&message[..], &context("1"))?.read_to_string(&mut text)?;
            assert_eq!(text, "text");
        }
    }
    assert_eq!(calls.load(SeqCst), 4);
    let statistics = cache.statistics();
    assert_eq!((statistics.bypasses(), statistics.misses(), statistics.hits()), (2, 2, 2));
    Ok(())
}

#[test]
fn data_keys_that_are_used_as_they_are_are_not_cached() -> Result<()> {
    let (builder, _, calls) = counted();
    let manager = builder.build()?;
    for _ in 0..2 {
        let mut made = encryption(AlgorithmSuite::Aes256Gcm, context("1"));
        manager.on_encrypt(&mut made)?;
        manager.on_decrypt(&mut decryption(AlgorithmSuite::Aes256Gcm, context("1")), made.encrypted_data_keys())?;
    }
    assert_eq!(calls.load(SeqCst), 4);
    assert_eq!((manager.cache().statistics().bypasses(), manager.cache().statistics().entries()), (4, 0));
    Ok(())
}

#[test]
fn a_signed_message_is_written_past_the_cache_and_read_through_it() -> Result<()> {
    let (builder, clock, calls) = counted();
    let manager = builder.build()?;
    let cache = manager.cache().clone();
    let suite = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    let envelope = Envelope::builder(manager).algorithm_suite(suite).build()?;
    let messages = [envelope.encrypt(b"one", &context("1"))?, envelope.encrypt(b"two", &context("1"))?];
    assert_eq!((calls.load(SeqCst), cache.statistics().bypasses()), (2, 2));
    for _ in 0..3 {
        assert_eq!(envelope.decrypt(&messages[0], &context("1"))?, b"one");
        assert_eq!(envelope.decrypt(&messages[1], &context("1"))?, b"two");
    }
    assert_eq!((calls.load(SeqCst), cache.statistics().hits(), cache.statistics().entries()), (4, 4, 2));
    // A cached data key does not decrypt a message with an invalid signature.
    let mut forged = messages[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(envelope.decrypt(&forged, &context("1")).unwrap_err().kind(), ErrorKind::InvalidMessage);
    clock.advance(AGE + JUST);
    envelope.decrypt(&messages[0], &context("1"))?;
    assert_eq!(calls.load(SeqCst), 5);
    Ok(())
}

#[test]
fn materials_with_a_data_key_are_refused() {
    let (builder, _, calls) = counted();
    let manager = builder.build().unwrap();
    let mut made = encryption(AlgorithmSuite::default(), context("1"));
    made.set_data_key(SecretBytes::zeroed(32)).unwrap();
    assert_eq!(manager.on_encrypt(&mut made).unwrap_err().kind(), ErrorKind::Internal);
    let mut opened = decryption(AlgorithmSuite::default(), context("1"));
    opened.set_data_key(SecretBytes::zeroed(32)).unwrap();
    assert_eq!(manager.on_decrypt(&mut opened, &[]).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(calls.load(SeqCst), 0);
}

#[test]
fn a_manager_over_itself_does_not_wait_for_itself() -> Result<()> {
    let (builder, _, calls) = counted();
    let cache = DataKeyCache::default();
    let inner = builder.cache(&cache).partition("one").build()?;
    let outer = CachingMaterialsManager::builder(inner, AGE).cache(&cache).partition("one").clock(manual_clock());
    let envelope = envelope(outer);
    for _ in 0..2 {
        let message = envelope.encrypt(b"x", &context("1"))?;
        assert_eq!(envelope.decrypt(&message, &context("1"))?, b"x");
    }
    assert_eq!(calls.load(SeqCst), 2);
    Ok(())
}

/// A keyring that first panics or violates the contract, and later works correctly.
#[derive(Debug)]
struct AtFirst(AtomicUsize);

impl Keyring for AtFirst {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        match self.0.fetch_add(1, SeqCst) {
            0 => panic!("on purpose"),
            1 => Err(Error::new(ErrorKind::KeyUnavailable, "not yet")),
            2 => materials.data_key_or_generate().map(|_| ()),
            _ => raw().on_encrypt(materials),
        }
    }

    fn on_decrypt(&self, _: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_fails_is_not_kept_and_blocks_nobody() -> Result<()> {
    let inner = AtFirst(AtomicUsize::new(0));
    let envelope = envelope(CachingMaterialsManager::builder(inner, AGE));
    let encrypt = || envelope.encrypt(b"x", &context("1"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(encrypt)).is_err());
    assert_eq!(encrypt().unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(encrypt().unwrap_err().kind(), ErrorKind::Internal, "nothing was wrapped");
    let message = encrypt()?;
    assert_eq!(Envelope::new(raw()).decrypt(&message, &context("1"))?, b"x");
    for _ in 0..2 {
        assert_eq!(envelope.decrypt(&message, &context("1")).unwrap_err().kind(), ErrorKind::Internal);
    }
    Ok(())
}

#[test]
fn what_cannot_be_a_cache_is_refused() {
    let builder = |age| CachingMaterialsManager::builder(raw(), age);
    let refused = [
        builder(Duration::ZERO),
        builder(AGE).max_messages(0),
        builder(AGE).max_messages(MAX_MESSAGES + 1),
        builder(AGE).max_bytes(1 << 63),
    ];
    for builder in refused {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Validation);
    }
    let least = builder(Duration::from_nanos(1)).max_messages(1).max_bytes(0).build();
    assert!(least.is_ok() && builder(AGE).max_messages(MAX_MESSAGES).max_bytes((1 << 63) - 1).build().is_ok());
    assert_eq!(DEFAULT_CACHE_CAPACITY, 1024);
}
