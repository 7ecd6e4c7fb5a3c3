//! Whole messages in memory.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use strongroom::crypto::{CryptoBackend, CryptoError, FASTEST, RUST_CRYPTO, SecureRandom};
use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, Keyring, RawAesKeyring};
use strongroom::message::{self, EncryptedDataKey, Limits, MessageError};
use strongroom::{EncryptionContext, Envelope, ErrorKind, Result, SecretBytes};

use crate::support::backend;
use crate::support::envelope::{envelope, keyring, none, refusal};
use crate::support::vectors;

/// Returns fixed bytes, and counts the calls.
#[derive(Debug)]
struct FixedRandom(Mutex<(Vec<u8>, usize)>);

impl FixedRandom {
    fn leaked(bytes: Vec<u8>) -> &'static Self {
        Box::leak(Box::new(Self(Mutex::new((bytes, 0)))))
    }

    fn calls(&self) -> usize {
        self.0.lock().expect("no test panics while holding the lock").1
    }
}

impl SecureRandom for FixedRandom {
    fn library(&self) -> &'static str {
        "a fixed sequence"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        let mut state = self.0.lock().expect("no test panics while holding the lock");
        state.1 += 1;
        for (byte, value) in output.iter_mut().zip(state.0.drain(..)) {
            *byte = value;
        }
        Ok(())
    }
}

#[test]
fn the_worked_example_is_written_byte_for_byte() -> Result<()> {
    if backend::lacks("the_worked_example_is_written_byte_for_byte", &["other random number generators"]) {
        return Ok(());
    }
    // The message id, the data key, and the wrapping IV, in the order in which they are generated.
    let fixed: Vec<u8> = (0x40..0x60).chain(0x20..0x40).chain(0xA0..0xAC).collect();
    let example = vectors::all().into_iter().find(|vector| vector.file == "version_2.txt").expect("the example");
    for backend in [FASTEST, RUST_CRYPTO] {
        let random = FixedRandom::leaked(fixed.clone());
        let envelope = Envelope::builder(keyring()).frame_length(16).backend(backend.with_random(random)).build()?;
        let context = EncryptionContext::from([("b", "2"), ("a", "é")]);
        let message = envelope.encrypt(b"envelope encryption!", &context)?;
        assert_eq!(hex::encode(message), example.field("ciphertext"));
        assert_eq!(random.calls(), 1, "one request for randomness a message");
    }
    Ok(())
}

#[test]
fn expected_pairs_must_be_there_and_others_may() -> Result<()> {
    let envelope = envelope(16);
    let message = envelope.encrypt(b"text", &EncryptionContext::from([("tenant", "42"), ("purpose", "test")]))?;
    for expected in [none(), [("tenant", "42")].into(), [("purpose", "test"), ("tenant", "42")].into()] {
        assert_eq!(envelope.decrypt(&message, &expected)?, b"text");
    }
    for unexpected in [[("tenant", "7")], [("Tenant", "42")], [("other", "")]] {
        let error = envelope.decrypt(&message, &unexpected.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(!error.to_string().contains("42"), "{error}");
        assert_eq!(envelope.reader(&message[..], &unexpected.into()).unwrap_err().kind(), ErrorKind::ContextMismatch);
    }
    Ok(())
}

#[test]
fn reserved_and_over_long_contexts_are_refused_on_encrypt() {
    let envelope = envelope(16);
    for context in [("aws-crypto-public-key", String::new()), ("aws-crypto-", String::new()), ("a", "x".repeat(65_529))]
    {
        let context = EncryptionContext::from([context]);
        assert_eq!(envelope.encrypt(b"text", &context).unwrap_err().kind(), ErrorKind::Validation);
        assert_eq!(envelope.writer(Vec::new(), &context).unwrap_err().kind(), ErrorKind::Validation);
    }
    let longest = EncryptionContext::from([("a", "x".repeat(65_528))]);
    let message = envelope.encrypt(b"text", &longest).expect("the longest context");
    assert_eq!(envelope.decrypt(&message, &longest).expect("the longest context"), b"text");
}

#[test]
fn the_header_of_an_opened_message_is_handed_out() -> Result<()> {
    let context = EncryptionContext::from([("tenant", "42")]);
    let message = envelope(4096).encrypt(b"attack", &context)?;
    let opened = envelope(16).decrypt_with_header(&message, &none())?;
    assert_eq!((opened.plaintext(), opened.header().context()), (b"attack".as_slice(), &context));
    assert_eq!(opened.header().frame_length(), Some(4096));
    assert_eq!(opened.header(), &message::inspect(&message)?);
    assert!(!format!("{opened:?}").contains("attack"));
    assert_eq!(opened.into_plaintext(), b"attack");
    Ok(())
}

#[test]
fn a_buffer_is_used_again_and_empty_after_an_error() -> Result<()> {
    let envelope = envelope(16);
    let (mut message, mut plaintext) = (vec![7; 5000], vec![7; 5000]);
    let (message_at, plaintext_at) = (message.as_ptr(), plaintext.as_ptr());
    for length in [100, 0, 1000, 3] {
        let text = vec![3; length];
        envelope.encrypt_into(&text, &none(), &mut message)?;
        envelope.decrypt_into(&message, &none(), &mut plaintext)?;
        assert_eq!(plaintext, text);
    }
    assert_eq!((message.as_ptr(), plaintext.as_ptr()), (message_at, plaintext_at));
    message.pop();
    assert!(envelope.decrypt_into(&message, &none(), &mut plaintext).is_err());
    assert!(plaintext.is_empty());
    let reserved = EncryptionContext::from([("aws-crypto-x", "")]);
    assert!(envelope.encrypt_into(b"text", &reserved, &mut message).is_err());
    assert!(message.is_empty());
    Ok(())
}

#[test]
fn two_messages_never_look_alike() -> Result<()> {
    let (one, two) = (envelope(16).encrypt(b"text", &none())?, envelope(16).encrypt(b"text", &none())?);
    let (one, two) = (message::inspect(&one)?, message::inspect(&two)?);
    assert_ne!(one.message_id(), two.message_id());
    assert_ne!(one.data_keys(), two.data_keys());
    Ok(())
}

#[test]
fn both_backends_read_what_the_other_writes() -> Result<()> {
    let text: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let with = |backend: CryptoBackend| Envelope::builder(keyring()).frame_length(4096).backend(backend).build();
    for (writer, reader) in [(FASTEST, RUST_CRYPTO), (RUST_CRYPTO, FASTEST)] {
        let message = with(writer)?.encrypt(&text, &none())?;
        assert_eq!(with(reader)?.decrypt(&message, &none())?, text);
    }
    Ok(())
}

#[test]
fn frame_lengths_out_of_range_are_refused() {
    let build = |length| Envelope::builder(keyring()).frame_length(length).build();
    for length in [0, 16 * 1024 * 1024 + 1, u32::MAX] {
        assert_eq!(build(length).unwrap_err().kind(), ErrorKind::Validation, "{length}");
    }
    assert!(build(1).is_ok() && build(16 * 1024 * 1024).is_ok());
    let unlimited = Limits::default().with_max_frame_length(u32::MAX);
    let build = |length| Envelope::builder(keyring()).limits(unlimited).frame_length(length).build();
    assert!(build(0x7FFF_FFFF).is_ok() && build(0x8000_0000).is_err());
}

#[test]
fn a_namespace_has_as_many_bytes_as_a_message_can_say() -> Result<()> {
    let keyring = |length: usize| RawAesKeyring::new("n".repeat(length), "kn", SecretBytes::zeroed(32));
    let envelope = Envelope::new(keyring(65_535)?);
    assert_eq!(envelope.decrypt(&envelope.encrypt(b"text", &none())?, &none())?, b"text");
    for length in [0, 65_536] {
        assert_eq!(keyring(length).expect_err("no namespace").kind(), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn limits_hold_in_both_directions() -> Result<()> {
    let message = envelope(4096).encrypt(b"text", &none())?;
    let refused = [
        (Limits::default().with_max_frame_length(4095), "InvalidFrameLength"),
        (Limits::default().with_max_header_bytes(100), "HeaderTooLong"),
        (Limits::default().with_max_encrypted_data_keys(0), "TooManyDataKeys"),
    ];
    for (limits, check) in refused {
        let frame_length = limits.max_frame_length().min(16);
        let envelope = Envelope::builder(keyring()).limits(limits).frame_length(frame_length).build()?;
        for error in
            [envelope.decrypt(&message, &none()).unwrap_err(), envelope.reader(&message[..], &none()).unwrap_err()]
        {
            assert!(format!("{:?}", refusal(&error)).contains(check), "{error:?}");
        }
    }
    let no_keys = Limits::default().with_max_encrypted_data_keys(0);
    let envelope = Envelope::builder(keyring()).limits(no_keys).build()?;
    assert_eq!(envelope.encrypt(b"text", &none()).unwrap_err().kind(), ErrorKind::Validation);
    let one_key = Limits::default().with_max_encrypted_data_keys(1);
    let envelope = Envelope::builder(keyring()).limits(one_key).build()?;
    assert_eq!(envelope.decrypt(&envelope.encrypt(b"text", &none())?, &none())?, b"text");
    // Exact to the byte: every message that can be written can also be read.
    let within = |bytes| {
        let limits = Limits::default().with_max_header_bytes(bytes);
        let envelope = Envelope::builder(keyring()).limits(limits).build()?;
        envelope.encrypt(b"text", &none()).and_then(|message| envelope.decrypt(&message, &none()))
    };
    let length = message::inspect(&message)?.encoded_length();
    assert_eq!(within(length)?, b"text");
    assert_eq!(within(length - 1).unwrap_err().kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn no_reserved_name_is_reproduced() -> Result<()> {
    let message = envelope(4096).encrypt(b"text", &none())?;
    let reproduced = EncryptionContext::from([("aws-crypto-public-key", "x")]);
    let refused = envelope(4096).decrypt_with_reproduced_context(&message, &reproduced).expect_err("reserved");
    assert_eq!(refused.kind(), ErrorKind::Validation);
    Ok(())
}

/// Violates the contract of a keyring in various ways.
#[derive(Debug)]
enum Broken {
    NoDataKey,
    NothingWrapped,
    WrongLength,
    SetTwice,
}

impl Keyring for Broken {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        match self {
            Self::NoDataKey => materials.push(EncryptedDataKey::new("broken", [], [0]))?,
            Self::NothingWrapped => materials.set_data_key(SecretBytes::zeroed(32))?,
            Self::WrongLength => materials.set_data_key(SecretBytes::zeroed(16))?,
            Self::SetTwice => {
                materials.set_data_key(SecretBytes::zeroed(32))?;
                materials.set_data_key(SecretBytes::zeroed(32))?;
            }
        }
        Ok(())
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        match self {
            Self::NoDataKey | Self::NothingWrapped => Ok(()),
            Self::WrongLength => materials.set_data_key(SecretBytes::zeroed(31)),
            Self::SetTwice => {
                materials.set_data_key(SecretBytes::zeroed(32))?;
                materials.set_data_key(SecretBytes::zeroed(32))
            }
        }
    }
}

#[test]
fn a_keyring_that_breaks_its_contract_is_found_out() -> Result<()> {
    let message = envelope(16).encrypt(b"text", &none())?;
    for broken in [Broken::NoDataKey, Broken::NothingWrapped, Broken::WrongLength, Broken::SetTwice] {
        let text = format!("{broken:?}");
        let envelope = Envelope::new(broken);
        assert_eq!(envelope.encrypt(b"text", &none()).unwrap_err().kind(), ErrorKind::Internal, "{text}");
        assert_eq!(envelope.decrypt(&message, &none()).unwrap_err().kind(), ErrorKind::Internal, "{text}");
    }
    Ok(())
}

#[test]
fn keyrings_come_by_value_and_by_pointer() -> Result<()> {
    let shared: Arc<dyn Keyring> = Arc::new(keyring());
    let boxed: Box<dyn Keyring> = Box::new(keyring());
    let message = Envelope::new(Arc::clone(&shared)).encrypt(b"text", &none())?;
    for envelope in [Envelope::new(shared), Envelope::new(boxed), envelope(1)] {
        assert_eq!(envelope.decrypt(&message, &none())?, b"text");
    }
    Ok(())
}

#[test]
fn an_envelope_is_used_by_many_threads() -> Result<()> {
    let envelope = envelope(64);
    std::thread::scope(|scope| {
        let work = |seed: u8| {
            let envelope = envelope.clone();
            move || -> Result<()> {
                for _ in 0..50 {
                    let text = vec![seed; 1000];
                    let message = envelope.encrypt(&text, &none())?;
                    assert_eq!(envelope.decrypt(&message, &none())?, text);
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(work(seed))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panicked"))
    })
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() -> Result<()> {
    let envelope = envelope(16);
    let message = envelope.encrypt(&[5; 20], &EncryptionContext::from([("tenant", "42")]))?;
    for bit in 0..message.len() * 8 {
        let mut altered = message.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(envelope.decrypt(&altered, &none()).is_err(), "bit {bit}");
    }
    for length in 0..message.len() {
        let error = envelope.decrypt(&message[..length], &none()).unwrap_err();
        assert!(matches!(refusal(&error), Some(MessageError::Truncated { .. })), "{length}: {error:?}");
    }
    Ok(())
}

#[test]
fn a_wrong_message_says_what_to_do() {
    let say = |message: &[u8]| envelope(16).decrypt(message, &none()).unwrap_err().to_string();
    assert_eq!(say(b"AgR4QEFCQ0RF"), "the message looks like base64 text: decode it to bytes first");
    assert!(say(b"%PDF-1.7").contains("version 37"), "{}", say(b"%PDF-1.7"));
    assert!(say(b"").contains("check that it was copied completely"), "{}", say(b""));
}

prop_compose! {
    /// A context without reserved names.
    fn contexts()(pairs in prop::collection::btree_map("[a-zé\u{10000}]{0,6}", ".{0,10}", 0..4)) -> EncryptionContext {
        pairs.into_iter().collect()
    }
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted(
        text in prop::collection::vec(any::<u8>(), 0..300),
        context in contexts(),
        frame_length in 1..100_u32,
    ) {
        let message = envelope(frame_length).encrypt(&text, &context)?;
        let opened = envelope(16).decrypt_with_header(&message, &context)?;
        prop_assert_eq!(opened.plaintext(), text);
        prop_assert_eq!(opened.header().context(), &context);
    }

    #[test]
    fn anything_altered_is_refused(
        text in prop::collection::vec(any::<u8>(), 0..100),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let message = envelope(16).encrypt(&text, &none())?;
        let mut altered = message.clone();
        for (place, value) in edits {
            let place = place.index(altered.len());
            altered[place] = value;
        }
        altered.truncate(if keep { message.len() } else { cut.index(message.len()) });
        prop_assert_eq!(envelope(16).decrypt(&altered, &none()).is_ok(), altered == message);
    }

    #[test]
    fn bytes_that_are_no_message_are_refused(bytes: Vec<u8>) {
        prop_assert!(envelope(16).decrypt(&bytes, &none()).is_err());
        prop_assert!(envelope(16).reader(&bytes[..], &none()).is_err());
    }
}
