//! Memory usage of streams, and wiping of secrets before their memory is freed.
//!
//! This is a separate test binary because it replaces the allocator. It contains one test because
//! all threads share the counters.

#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod key_pairs;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::envelope::{
    CachingMaterialsManager, DataKeyCache, DecryptionMaterials, EncryptionMaterials, Keyring, KmsKeyring, RawAesKeyring,
};
use strongroom::message::EncryptedDataKey;
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::{CommittingKey, RootKey};
use strongroom::store::MemoryStore;
use strongroom::{EncryptionContext, Envelope, Kms, Result, SecretBytes};
use strongroom_test_support::{MARKER, Witness};

#[cfg(feature = "tokio")]
use asynchronous::read_through;
#[cfg(not(feature = "tokio"))]
use blocking::read_through;

#[global_allocator]
static WITNESS: Witness = Witness::new();

/// The length of the plaintext in a stream, many times the memory limit; shorter for the pure-Rust
/// backend, which is several times slower. `STRONGROOM_STREAM_BYTES` sets another length, for
/// example one that exceeds 32 bits.
const STREAM_LENGTH: u64 = if cfg!(feature = "aws-lc-rs") { 256 << 20 } else { 64 << 20 };

/// Writer and reader each buffer one frame and one header.
const STREAM_LIMIT: usize = 1 << 20;

/// With two threads, each buffers a step of plaintext and of the message: 2 MiB four times, and one
/// doubling.
const PARALLEL_STREAM_LIMIT: usize = 16 << 20;

#[test]
fn memory() -> Result<()> {
    the_witness_sees_what_is_not_wiped();
    secrets_are_wiped()?;
    key_pairs::private_keys_are_wiped()?;
    streams_take_bounded_memory()?;
    a_short_message_takes_little_memory_with_many_threads()?;
    a_hostile_header_takes_bounded_memory();
    Ok(())
}

/// The control: without it, a check that never finds anything would prove nothing.
fn the_witness_sees_what_is_not_wiped() {
    let unwiped = |work: &dyn Fn()| WITNESS.unwiped_in(work).1;
    assert_eq!(unwiped(&|| drop(MARKER.to_vec())), 1);
    assert_eq!(unwiped(&|| drop([&[0; 7], &MARKER[..], &[0; 5]].concat())), 1);
    assert_eq!(unwiped(&|| drop(vec![0; 64])), 0);
    let watched: [u8; 32] = std::array::from_fn(|index| 200 - u8::try_from(index).expect("the number is small"));
    let found = |work: &dyn Fn()| {
        WITNESS.watch(&[[7; 32], watched]);
        let found = WITNESS.unwiped_in(work).1;
        WITNESS.watch(&[]);
        found
    };
    assert_eq!(found(&|| drop([&[0; 3], &watched[..], &[0; 5]].concat())), 1);
    assert_eq!(found(&|| drop(watched[1..].to_vec())), 0);
    assert_eq!(unwiped(&|| drop(watched.to_vec())), 0);
}

fn secrets_are_wiped() -> Result<()> {
    let none = EncryptionContext::new();
    let backend = CryptoBackend::default();
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, &MARKER))?.ciphertext_blob;
    let raw = || RawAesKeyring::new("test", "marker", SecretBytes::copy_from_slice(&MARKER));
    let store = Arc::new(MemoryStore::new(&backend)?);
    let open = |root: &[u8; 32]| Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(root)).build();
    open(&MARKER)?;
    // Each of the frames contains the marker, and the last frame is shorter than the others.
    let key = RawAesKeyring::new("test", "other", SecretBytes::zeroed(32))?;
    let marked = Envelope::builder(key).frame_length(4096).build()?;
    let stream = marked.encrypt(&MARKER.repeat(128 * 100 + 7), &none)?;
    let mut cut_off = stream.clone();
    cut_off.truncate(stream.len() - 1);
    let cases: [(&str, &dyn Fn() -> Result<()>); 11] = [
        ("a secret", &|| {
            drop(SecretBytes::copy_from_slice(&MARKER));
            Ok(())
        }),
        ("a secret compared", &|| {
            assert_eq!(SecretBytes::copy_from_slice(&MARKER), SecretBytes::copy_from_slice(&MARKER));
            Ok(())
        }),
        ("a decrypted plaintext", &|| kms.decrypt(DecryptRequest::new(&blob)).map(drop)),
        ("a raw key in use", &|| {
            let envelope = Envelope::new(raw()?);
            envelope.decrypt(&envelope.encrypt(b"x", &none)?, &none).map(drop)
        }),
        ("a cached data key", &cached_data_keys_come_and_go),
        ("a stream of marked frames", &|| read_through(&marked, &stream, &none)),
        ("a rejected message of marked frames", &|| {
            for threads in [1, 2] {
                let key = RawAesKeyring::new("test", "other", SecretBytes::zeroed(32))?;
                let envelope = Envelope::builder(key).threads(threads).chunk_size(4096).build()?;
                assert!(envelope.decrypt(&cut_off, &none).is_err());
            }
            Ok(())
        }),
        ("parts of a message of marked frames", &|| {
            let mut reader = marked.random_access_reader(Cursor::new(&stream), &none)?;
            for frame in [0, 1, 0] {
                let mut start = [0; 7];
                reader.seek(SeekFrom::Start(frame * 4096)).and_then(|_| reader.read_exact(&mut start)).expect("there");
            }
            Ok(())
        }),
        ("the material of a key", &|| Ok(CommittingKey::new(&backend, &MARKER).map(drop)?)),
        ("a matching root key", &|| open(&MARKER).map(drop)),
        ("a wrong root key", &|| {
            assert!(open(&[1; 32]).is_err());
            Ok(())
        }),
    ];
    for (what, work) in cases {
        let (result, unwiped) = WITNESS.unwiped_in(work);
        result?;
        assert_eq!(unwiped, 0, "{what} was freed without being wiped");
    }
    Ok(())
}

/// A keyring whose data keys are always the marker.
#[derive(Debug)]
struct Marked;

impl Keyring for Marked {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        materials.set_data_key(SecretBytes::copy_from_slice(&MARKER))?;
        materials.push(EncryptedDataKey::new("test", *b"marker", *b"wrapped"))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        materials.set_data_key(SecretBytes::copy_from_slice(&MARKER))
    }
}

/// Data keys that are cached, reused, evicted, cleared, and dropped with their cache.
fn cached_data_keys_come_and_go() -> Result<()> {
    let cache = DataKeyCache::new(2)?;
    let manager = CachingMaterialsManager::builder(Marked, Duration::from_secs(3600));
    let envelope = Envelope::new(manager.cache(&cache).build()?);
    for round in 0..2 {
        for tenant in ["1", "2", "2"] {
            let context = EncryptionContext::from([("tenant", tenant)]);
            envelope.decrypt(&envelope.encrypt(b"x", &context)?, &context)?;
        }
        if round == 0 {
            cache.clear();
        }
    }
    let statistics = cache.statistics();
    assert_eq!((statistics.entries(), statistics.hits(), statistics.evictions()), (2, 4, 4));
    Ok(())
}

fn streams_take_bounded_memory() -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let length = std::env::var("STRONGROOM_STREAM_BYTES");
    let length = length.map_or(STREAM_LENGTH, |length| length.parse().expect("a number of bytes"));
    for (threads, length, limit) in [(1, length, STREAM_LIMIT), (2, length / 8, PARALLEL_STREAM_LIMIT)] {
        let envelope = Envelope::builder(KmsKeyring::new(&kms, key)?).threads(threads).build()?;
        let (opened, peak) = WITNESS.peak_above_start(|| pump(&envelope, length));
        assert_eq!(opened.expect("the stream is complete"), length);
        println!("stream of {length} bytes, {threads} threads: at most {peak} bytes above the start");
        assert!(peak < limit, "{peak} bytes");
    }
    Ok(())
}

/// Sends zeros through a writer, a pipe, and a reader.
fn pump(envelope: &Envelope, length: u64) -> io::Result<u64> {
    let none = EncryptionContext::new();
    let (source, sink) = io::pipe()?;
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            let mut writer = envelope.writer(sink, &none).map_err(io::Error::other)?;
            io::copy(&mut io::repeat(0).take(length), &mut writer)?;
            writer.finish().map_err(io::Error::other)?.flush()
        });
        let mut reader = envelope.reader(source, &none).map_err(io::Error::other)?;
        let opened = io::copy(&mut reader, &mut io::sink())?;
        sealing.join().expect("the closure does not panic")?;
        Ok(opened)
    })
}

/// The threads could buffer 64 MiB of frames, and a frame length specified in the message could
/// increase that to 4 GiB.
fn a_short_message_takes_little_memory_with_many_threads() -> Result<()> {
    let keyring = RawAesKeyring::new("n", "k", SecretBytes::zeroed(32))?;
    let envelope = Envelope::builder(keyring).frame_length(16 << 20).threads(64).build()?;
    let none = EncryptionContext::new();
    let message = envelope.encrypt(b"short", &none)?;
    let (text, peak) = WITNESS.peak_above_start(|| {
        let reader = envelope.reader(&message[..], &none).map_err(io::Error::other)?;
        io::read_to_string(reader)
    });
    assert_eq!(text.expect("the message is complete"), "short");
    assert!(peak < 65_536, "{peak} bytes");
    Ok(())
}

/// A header may claim gigabytes, but no memory is allocated for missing data.
fn a_hostile_header_takes_bounded_memory() {
    let envelope = Envelope::new(RawAesKeyring::new("n", "k", SecretBytes::zeroed(32)).expect("32 bytes"));
    let start = [&[2, 4, 0x78][..], &[0; 32], &[0, 0]].concat();
    let claims = [
        [&start[..], &[0xFF, 0xFF]].concat(),
        [&start[..], &[0, 1, 0xFF, 0xFF]].concat(),
        [&start[..], &[0, 1, 0, 0, 0, 0, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF]].concat(),
    ];
    for claim in claims {
        let (result, peak) = WITNESS.peak_above_start(|| envelope.decrypt(&claim, &EncryptionContext::new()));
        result.expect_err("no such message");
        assert!(peak < 16_384, "{peak} bytes");
    }
}
