//! Suites and policies of an envelope: the messages that are written and read, and when plaintext
//! is released.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::envelope::{
    CachingMaterialsManager, CommitmentPolicy, DataKeyCache, DecryptionMaterials, EncryptionMaterials, Keyring,
    MaterialsManager, RawAesKeyring, SignaturePolicy,
};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, MessageError, SuiteSupport, inspect};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Result, SecretBytes};

use crate::support::backend;
use crate::support::envelope::{none, read_in_steps};

const FRAME: usize = 64;

fn keyring() -> RawAesKeyring {
    RawAesKeyring::new("ns", "kn", SecretBytes::copy_from_slice(&[7; 32])).expect("a keyring")
}

fn writes_of(suite: AlgorithmSuite) -> CommitmentPolicy {
    match suite.is_committing() {
        true => CommitmentPolicy::RequireEncryptAllowDecrypt,
        false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
    }
}

/// Creates an envelope that writes a suite and streams everything.
fn envelope(suite: AlgorithmSuite) -> Result<Envelope> {
    let frame = u32::try_from(FRAME).expect("small");
    let builder = Envelope::builder(keyring()).algorithm_suite(suite).commitment_policy(writes_of(suite));
    builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification).frame_length(frame).build()
}

fn allowed() -> impl Iterator<Item = AlgorithmSuite> {
    AlgorithmSuite::ALL.iter().copied().filter(|suite| backend::allows_suite(*suite))
}

fn written() -> impl Iterator<Item = AlgorithmSuite> {
    allowed().filter(|suite| suite.support() == SuiteSupport::Full)
}

fn signed() -> impl Iterator<Item = AlgorithmSuite> {
    allowed().filter(|suite| suite.signature().is_some())
}

fn text(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn why(error: &Error) -> Option<&MessageError> {
    error.downcast_ref()
}

#[test]
fn every_suite_streams_the_same_as_whole_at_every_boundary() -> Result<()> {
    let context = EncryptionContext::from([("a", "b")]);
    let mut tried = 0;
    for suite in written() {
        let envelope = envelope(suite)?;
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME, 5 * FRAME + 3] {
            let text = text(length);
            let whole = envelope.encrypt(&text, &context)?;
            for step in [1, 7, FRAME - 1, FRAME, FRAME + 1, 10 * FRAME] {
                let mut writer = envelope.writer(Vec::new(), &context)?;
                for chunk in text.chunks(step) {
                    writer.write_all(chunk).expect("writing to a vector succeeds");
                    assert_eq!(writer.write(&[]).expect("nothing fails"), 0);
                }
                let message = writer.finish()?;
                assert_eq!(message.len(), whole.len(), "{suite} {length} {step}");
                assert_eq!(envelope.decrypt(&message, &context)?, text, "{suite} {length} {step}");
                let (released, end) = read_in_steps(envelope.reader(&whole[..], &none()), step);
                end?;
                assert_eq!(released, text, "{suite} {length} {step}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, written().count() * 7 * 6);
    Ok(())
}

#[test]
fn what_a_stream_released_before_a_failure_is_the_true_beginning() -> Result<()> {
    for suite in written() {
        let envelope = envelope(suite)?;
        let text = text(3 * FRAME + 5);
        let message = envelope.encrypt(&text, &EncryptionContext::new())?;
        let header = inspect(&message).expect("a header").encoded_length();
        for at in (0..message.len()).step_by(11) {
            let mut altered = message.clone();
            altered[at] ^= 0x20;
            for (broken, what) in [(&altered[..], "altered"), (&message[..at], "cut")] {
                let (released, end) = read_in_steps(envelope.reader(broken, &none()), 50);
                assert!(end.is_err(), "{suite}: {what} at {at}");
                assert!(text.starts_with(&released), "{suite}: {what} at {at}");
                assert!(released.len() <= 3 * FRAME, "{suite}: the last frame was released, {what} at {at}");
                assert!(at >= header || released.is_empty());
                assert!(envelope.decrypt(broken, &EncryptionContext::new()).is_err());
            }
        }
    }
    Ok(())
}

#[test]
fn the_last_frame_of_a_signed_message_waits_for_the_signature() -> Result<()> {
    for suite in signed() {
        let envelope = envelope(suite)?;
        for length in [1, FRAME, 3 * FRAME + 5] {
            let text = text(length);
            let message = envelope.encrypt(&text, &EncryptionContext::new())?;
            let mut forged = message.clone();
            *forged.last_mut().expect("not empty") ^= 1;
            let (released, end) = read_in_steps(envelope.reader(&forged[..], &none()), 1000);
            assert_eq!(why(&end.expect_err("forged")), Some(&MessageError::Signature));
            assert_eq!(released, text[..(length - 1) / FRAME * FRAME], "{suite}");
            let whole = envelope.decrypt(&forged, &EncryptionContext::new()).expect_err("forged");
            assert_eq!(why(&whole), Some(&MessageError::Signature));
        }
    }
    Ok(())
}

/// Counts how often a data key is requested.
#[derive(Debug)]
struct Counting(RawAesKeyring, Arc<AtomicUsize>);

impl Keyring for Counting {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.on_decrypt(materials, data_keys)
    }
}

#[test]
fn policies_refuse_before_any_key_is_asked_for() -> Result<()> {
    use CommitmentPolicy::{RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt};
    use SignaturePolicy::{ForbidSigned, ReleaseBeforeVerification, VerifyBeforeRelease};
    let nothing = EncryptionContext::new();
    for suite in written() {
        let message = envelope(suite)?.encrypt(b"text", &nothing)?;
        for commitment in [RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt] {
            for signature in [VerifyBeforeRelease, ReleaseBeforeVerification, ForbidSigned] {
                let calls = Arc::new(AtomicUsize::new(0));
                let reading = Envelope::builder(Counting(keyring(), Arc::clone(&calls))).commitment_policy(commitment);
                let reading = reading.signature_policy(signature).build()?;
                let commits = suite.is_committing() || commitment == RequireEncryptAllowDecrypt;
                for is_stream in [false, true] {
                    let result = match is_stream {
                        false => reading.decrypt(&message, &nothing).map(drop),
                        true => reading.reader(&message[..], &nothing).map(drop),
                    };
                    let signature_allows = suite.signature().is_none()
                        || signature == ReleaseBeforeVerification
                        || (signature == VerifyBeforeRelease && !is_stream);
                    let asked = calls.swap(0, Ordering::SeqCst);
                    match result {
                        Ok(()) => assert!(commits && signature_allows && asked == 1, "{suite} {is_stream}"),
                        Err(error) => {
                            assert_eq!((error.kind(), asked), (ErrorKind::MessagePolicy, 0), "{suite} {is_stream}");
                            let expected = match commits {
                                false => MessageError::CommitmentPolicy(suite),
                                true => MessageError::SignaturePolicy(suite),
                            };
                            assert_eq!(why(&error), Some(&expected));
                            assert!(!(commits && signature_allows));
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn an_envelope_is_not_built_for_suites_that_its_policy_does_not_write() {
    for suite in allowed() {
        for &policy in CommitmentPolicy::ALL {
            let built = Envelope::builder(keyring()).algorithm_suite(suite).commitment_policy(policy).build();
            let allowed = suite.support() == SuiteSupport::Full && policy.allows_encrypt(suite);
            match built {
                Ok(_) => assert!(allowed, "{suite} {policy:?}"),
                Err(error) => assert!(!allowed && error.kind() == ErrorKind::Validation, "{suite} {policy:?}: {error}"),
            }
        }
    }
}

#[test]
fn without_a_suite_the_policy_chooses_one() -> Result<()> {
    for (policy, suite) in CommitmentPolicy::ALL.iter().zip([0x0178, 0x0478, 0x0478]) {
        let envelope = Envelope::builder(keyring()).commitment_policy(*policy).build()?;
        let message = envelope.encrypt(b"text", &EncryptionContext::new())?;
        assert_eq!(inspect(&message).expect("a header").suite().id(), suite, "{policy:?}");
        assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"text");
    }
    Ok(())
}

/// Replaces the materials that it was asked to complete with its own.
#[derive(Debug)]
struct Exchanging {
    suite: AlgorithmSuite,
    context: EncryptionContext,
}

impl MaterialsManager for Exchanging {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        *materials = EncryptionMaterials::new(self.suite, self.context.clone(), CryptoBackend::default())?;
        keyring().on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        *materials = DecryptionMaterials::new(self.suite, self.context.clone(), CryptoBackend::default())?;
        materials.set_data_key(SecretBytes::zeroed(self.suite.data_key_length()))
    }
}

#[test]
fn materials_of_another_suite_or_context_are_refused_when_they_come_back() -> Result<()> {
    let context = EncryptionContext::from([("a", "b")]);
    let default = AlgorithmSuite::default();
    let message = Envelope::new(keyring()).encrypt(b"text", &context)?;
    for (suite, other) in [
        (AlgorithmSuite::Aes256GcmHkdfSha256, context.clone()),
        (AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384, context.clone()),
        (default, EncryptionContext::new()),
    ] {
        let envelope = Envelope::new(Exchanging { suite, context: other });
        for result in [envelope.encrypt(b"text", &context), envelope.decrypt(&message, &context)] {
            assert_eq!(result.expect_err("exchanged").kind(), ErrorKind::Internal, "{suite}");
        }
    }
    Ok(())
}

#[test]
fn a_shared_cache_keeps_policies_apart() -> Result<()> {
    let cache = DataKeyCache::new(10)?;
    let manager = || {
        CachingMaterialsManager::builder(keyring(), Duration::from_secs(60)).cache(&cache).partition("shared").build()
    };
    let with = |policy| Envelope::builder(manager()?).commitment_policy(policy).build();
    let nothing = EncryptionContext::new();
    let allow = with(CommitmentPolicy::RequireEncryptAllowDecrypt)?;
    let require = with(CommitmentPolicy::RequireEncryptRequireDecrypt)?;
    let message = allow.encrypt(b"text", &nothing)?;
    allow.encrypt(b"text", &nothing)?;
    assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (1, 1));
    require.encrypt(b"text", &nothing)?;
    assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (2, 1));
    allow.decrypt(&message, &nothing)?;
    require.decrypt(&message, &nothing)?;
    assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (4, 1));
    Ok(())
}

#[test]
fn every_signed_message_has_a_key_pair_of_its_own() -> Result<()> {
    let manager = CachingMaterialsManager::builder(keyring(), Duration::from_secs(60)).build()?;
    let suite = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    let envelope = Envelope::builder(manager).algorithm_suite(suite).build()?;
    let context = EncryptionContext::from([("a", "b")]);
    let mut keys = Vec::new();
    for _ in 0..3 {
        let message = envelope.encrypt(b"text", &context)?;
        let opened = envelope.decrypt_with_header(&message, &context)?;
        let shown = opened.header().context();
        assert_eq!((shown.get("a"), opened.plaintext()), (Some("b"), &b"text"[..]));
        keys.push(shown.get("aws-crypto-public-key").expect("a public key").to_owned());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    // A caller cannot supply such a key itself.
    let brought = EncryptionContext::from([("aws-crypto-public-key", keys[0].as_str())]);
    assert_eq!(envelope.encrypt(b"text", &brought).expect_err("reserved").kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn re_encryption_moves_a_message_to_other_keys_and_suites_and_keeps_its_context() -> Result<()> {
    let context = EncryptionContext::from([("a", "b"), ("c", "")]);
    let other = || RawAesKeyring::new("ns", "other", SecretBytes::copy_from_slice(&[8; 32]));
    for from in written() {
        for to in written() {
            let target = Envelope::builder(other()?).algorithm_suite(to).commitment_policy(writes_of(to)).build()?;
            for length in [0, 1, FRAME, 200_000] {
                let message = envelope(from)?.encrypt(&text(length), &context)?;
                let moved = envelope(from)?.re_encrypt(&message[..], &context, &target, Vec::new())?;
                let opened = target.decrypt_with_header(&moved, &context)?;
                assert_eq!((opened.plaintext(), opened.header().suite()), (&text(length)[..], to), "{from} {length}");
                let named: Vec<_> =
                    opened.header().context().iter().filter(|(name, _)| !name.starts_with("aws-crypto-")).collect();
                assert_eq!(named, context.iter().collect::<Vec<_>>());
                assert!(envelope(from)?.decrypt(&moved, &context).is_err());
            }
        }
    }
    Ok(())
}

#[test]
fn a_re_encryption_that_fails_leaves_no_whole_message() -> Result<()> {
    /// Retains the written data after the writer is dropped.
    struct Shared<'a>(&'a mut Vec<u8>);
    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let nothing = EncryptionContext::new();
    let target = Envelope::new(keyring());
    for suite in written() {
        let message = envelope(suite)?.encrypt(&text(200_000), &nothing)?;
        let header = inspect(&message).expect("a header").encoded_length();
        for at in [header - 1, header + 30, message.len() / 2, message.len() - 1] {
            let mut altered = message.clone();
            altered[at] ^= 1;
            for broken in [&altered[..], &message[..at]] {
                let mut output = Vec::new();
                let moved = envelope(suite)?.re_encrypt(broken, &nothing, &target, Shared(&mut output));
                let error = moved.err().expect("broken");
                assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{suite} {at}: {error}");
                assert!(target.decrypt(&output, &nothing).is_err(), "{suite} {at}");
            }
        }
    }
    // The default signature policy does not read signed messages incrementally.
    let signed = envelope(AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384)?.encrypt(b"text", &nothing)?;
    let refused = target.re_encrypt(&signed[..], &nothing, &target, Vec::new());
    assert_eq!(refused.expect_err("signed").kind(), ErrorKind::MessagePolicy);
    Ok(())
}

fn unsigned() -> impl Iterator<Item = AlgorithmSuite> {
    written().filter(|suite| suite.signature().is_none())
}

#[test]
fn any_part_of_a_message_is_read_from_its_frames() -> Result<()> {
    use std::io::{Cursor, Seek, SeekFrom};
    let nothing = EncryptionContext::new();
    for suite in unsigned() {
        let envelope = envelope(suite)?;
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 4 * FRAME, 4 * FRAME + 9] {
            let text = text(length);
            let message = envelope.encrypt(&text, &nothing)?;
            let mut reader = envelope.random_access_reader(Cursor::new(&message), &nothing)?;
            assert_eq!(reader.plaintext_length(), u64::try_from(length).expect("small"));
            for start in (0..=length + 2).step_by(13) {
                for count in [0, 1, FRAME, 3 * FRAME] {
                    reader.seek(SeekFrom::Start(u64::try_from(start).expect("small"))).expect("any place");
                    let mut part = Vec::new();
                    let wanted = u64::try_from(count).expect("small");
                    reader.by_ref().take(wanted).read_to_end(&mut part).expect("authentic frames");
                    let end = (start + count).min(length);
                    assert_eq!(
                        part,
                        text[start.min(length)..end.max(start.min(length))],
                        "{suite} {length} {start} {count}"
                    );
                }
            }
            assert_eq!(reader.seek(SeekFrom::End(0)).expect("the end"), u64::try_from(length).expect("small"));
            assert!(reader.seek(SeekFrom::Current(-1_000_000)).is_err());
        }
    }
    // An exact multiple may also end with an empty final frame, as written by the SDK for Python.
    let vector = crate::support::vectors::all().into_iter().find(|vector| vector.file == "0478_framed_two_128.txt");
    let vector = vector.expect("the vector");
    let keyring = RawAesKeyring::new(
        vector.field("namespace"),
        vector.field("name"),
        SecretBytes::from_vec(vector.bytes("wrapping key")),
    );
    let reader = Envelope::new(keyring?).random_access_reader(Cursor::new(vector.bytes("ciphertext")), &nothing)?;
    assert_eq!(reader.plaintext_length(), 128);
    Ok(())
}

#[test]
fn random_access_reads_a_header_of_any_length() -> Result<()> {
    let envelope = envelope(AlgorithmSuite::default())?;
    for length in [1_000, 8_000, 20_000, 60_000] {
        let context = EncryptionContext::from([("long", "x".repeat(length))]);
        let message = envelope.encrypt(&text(FRAME + 1), &context)?;
        let mut reader = envelope.random_access_reader(std::io::Cursor::new(message), &context)?;
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("authentic");
        assert_eq!(read, text(FRAME + 1), "{length}");
    }
    Ok(())
}

#[test]
fn random_access_authenticates_header_length_and_what_it_reads() -> Result<()> {
    use std::io::{Cursor, Seek, SeekFrom};
    let nothing = EncryptionContext::new();
    let envelope = envelope(AlgorithmSuite::default())?;
    let text = text(5 * FRAME + 7);
    let message = envelope.encrypt(&text, &nothing)?;
    let header = inspect(&message).expect("a header").encoded_length();
    let (regular, last) = (FRAME + 32, header + 5 * (FRAME + 32));
    let start = |message: &[u8]| envelope.random_access_reader(Cursor::new(message.to_vec()), &nothing);
    // A message with a different start or end is rejected when the reader is created.
    for length in (0..message.len()).chain([message.len() + 1, message.len() + regular]) {
        let other = [&message[..], &message[..]].concat();
        assert!(start(&other[..length]).is_err(), "{length} of {}", message.len());
    }
    let without_first = [&message[..header], &message[header + regular..]].concat();
    assert!(start(&without_first).is_err());
    for at in (3..header).chain(last..message.len()) {
        let mut altered = message.clone();
        altered[at] ^= 1;
        assert!(start(&altered).is_err(), "{at}");
    }
    // An altered frame is detected only when it is read.
    for at in (header..last).step_by(5) {
        let mut altered = message.clone();
        altered[at] ^= 1;
        let mut reader = start(&altered)?;
        for frame in 0..6 {
            let place = u64::try_from(frame * FRAME).expect("small");
            reader.seek(SeekFrom::Start(place)).expect("any place");
            let mut part = [0; FRAME];
            let read = reader.read(&mut part);
            match (at - header) / regular == frame {
                true => assert!(read.is_err() && part == [0; FRAME], "{at}"),
                false => assert_eq!(
                    part[..read.expect("authentic")],
                    text[frame * FRAME..((frame + 1) * FRAME).min(text.len())]
                ),
            }
        }
    }
    // Frames that were swapped are authentic, but not at their position.
    let mut swapped = message.clone();
    let (one, two) = swapped[header..header + 2 * regular].split_at_mut(regular);
    one.swap_with_slice(two);
    assert!(start(&swapped)?.read(&mut [0; 10]).is_err());
    Ok(())
}

#[test]
fn random_access_is_refused_for_signed_messages_and_bodies_in_one_piece() -> Result<()> {
    use std::io::Cursor;
    let nothing = EncryptionContext::new();
    for suite in signed() {
        let message = envelope(suite)?.encrypt(b"text", &nothing)?;
        let refused = envelope(suite)?.random_access_reader(Cursor::new(&message), &nothing).expect_err("signed");
        assert_eq!(
            (refused.kind(), why(&refused)),
            (ErrorKind::MessagePolicy, Some(&MessageError::SignaturePolicy(suite)))
        );
    }
    let vector = crate::support::vectors::all().into_iter().find(|vector| vector.file == "0478_unframed_two_128.txt");
    let vector = vector.expect("the vector");
    let reading = envelope(AlgorithmSuite::default())?;
    let refused = reading
        .random_access_reader(Cursor::new(vector.bytes("ciphertext")), &nothing)
        .expect_err("the message is not framed");
    assert_eq!(why(&refused), Some(&MessageError::NotFramed));
    Ok(())
}
