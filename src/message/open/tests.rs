use super::*;
use crate::context::EncryptionContext;
use crate::crypto::DigestAlgorithm;
use crate::message::header::append_authentication;
use crate::message::testing::{
    BACKEND, EXAMPLE_PLAINTEXT, EXAMPLE_V1, EXAMPLE_V2, counting_from, example, example_data_key, message_id, opener,
    plaintext, sealed,
};
use crate::message::{
    AlgorithmSuite, EncryptedDataKey, HeaderParts, KeyDerivation, MessageSignature, MessageSigner, Sealer,
    SuiteSupport, inspect,
};

fn open_whole(message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let (header, opener) = opener(message, &Limits::default());
    let mut text = vec![0xEE; 100];
    let result = opener.open_whole(&message[header.encoded_length()..], &mut text);
    assert!(result.is_ok() || text.is_empty(), "plaintext was released");
    result.map(|()| text)
}

#[test]
fn the_worked_example_opens() {
    assert_eq!(open_whole(&example(EXAMPLE_V2)).as_deref(), Ok(EXAMPLE_PLAINTEXT));
}

#[test]
fn what_was_sealed_opens() {
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 160] {
        assert_eq!(open_whole(&sealed(16, &plaintext(length))), Ok(plaintext(length)), "{length}");
    }
}

#[test]
fn the_length_of_the_plaintext_is_known_from_that_of_the_body() {
    for length in 0..200 {
        let message = sealed(16, &plaintext(length));
        let (header, opener) = opener(&message, &Limits::default());
        assert_eq!(opener.plaintext_length(message.len() - header.encoded_length()), length);
    }
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let message = sealed(16, &plaintext(40));
    let header = inspect(&message).unwrap().encoded_length();
    for cut in header..message.len() {
        let refusal = open_whole(&message[..cut]).unwrap_err();
        assert!(matches!(refusal, MessageError::Truncated { .. }), "{cut}: {refusal:?}");
    }
    for added in 1..100 {
        let longer = [message.clone(), vec![0; added]].concat();
        assert_eq!(open_whole(&longer), Err(MessageError::TrailingData), "{added}");
    }
}

#[test]
fn every_flipped_bit_of_the_body_is_refused() {
    let message = sealed(16, &plaintext(20));
    let header = inspect(&message).unwrap().encoded_length();
    for bit in header * 8..message.len() * 8 {
        let mut altered = message.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(open_whole(&altered).is_err(), "{bit}");
    }
}

#[test]
fn frames_are_opened_in_order_and_once() -> Result<(), MessageError> {
    let message = sealed(16, &plaintext(40));
    let (header, mut opener) = opener(&message, &Limits::default());
    let body = &message[header.encoded_length()..];
    let mut text = [0; 16];
    let first = opener.read(body)?;
    opener.open(&first, &mut text)?;
    assert_eq!(opener.open(&first, &mut text), Err(MessageError::BadSequence { expected: 2, found: 1 }));
    assert_eq!(opener.read(&body[96..]).err(), Some(MessageError::BadSequence { expected: 2, found: 3 }));
    let second = opener.read(&body[48..])?;
    opener.open(&second, &mut text)?;
    let last = opener.read(&body[96..])?;
    opener.open(&last, &mut text[..8])?;
    assert!(opener.is_done());
    assert_eq!(opener.read(body).err(), Some(MessageError::TrailingData));
    Ok(())
}

#[test]
fn an_altered_frame_can_be_read_again_but_not_passed() -> Result<(), MessageError> {
    let mut message = sealed(16, &plaintext(40));
    let (header, mut opener) = opener(&message, &Limits::default());
    message[header.encoded_length() + 20] ^= 1;
    let body = &message[header.encoded_length()..];
    let frame = opener.read(body)?;
    assert_eq!(opener.open(&frame, &mut [0; 16]), Err(MessageError::BodyAuth { sequence: 1 }));
    assert_eq!(opener.read(&body[48..]).err(), Some(MessageError::BadSequence { expected: 1, found: 2 }));
    Ok(())
}

#[test]
fn another_data_key_is_refused_by_the_commitment() {
    let header = inspect(&example(EXAMPLE_V2)).unwrap();
    let refusal = Opener::new(BACKEND, &header, &[], &counting_from(0x21), &Limits::default()).err();
    assert_eq!(refusal, Some(MessageError::CommitmentMismatch));
}

#[test]
fn an_altered_header_is_refused_by_its_tag() {
    for offset in [3, 38, 170, 184] {
        let mut message = example(EXAMPLE_V2);
        message[offset] ^= 1;
        let Ok(header) = inspect(&message) else { continue };
        let data_key = example_data_key();
        let refusal = Opener::new(BACKEND, &header, &[], &data_key, &Limits::default()).err();
        // The message id is also an input of the derivation.
        let expected = if offset == 3 { MessageError::CommitmentMismatch } else { MessageError::HeaderAuth };
        assert_eq!(refusal, Some(expected), "{offset}");
    }
}

#[test]
fn the_worked_example_of_version_1_opens() {
    assert_eq!(open_whole(&example(EXAMPLE_V1)).as_deref(), Ok(EXAMPLE_PLAINTEXT));
}

/// Returns a header whose context contains the public key, if there is one. Its tag is not valid.
fn header_of(suite: AlgorithmSuite, public_key: Option<&str>) -> Header {
    let context: EncryptionContext = public_key.into_iter().map(|key| (PUBLIC_KEY_NAME, key)).collect();
    let parts = HeaderParts {
        suite,
        message_id: &message_id(suite),
        context: &context.to_canonical_bytes().unwrap(),
        omitted_context: &[],
        data_keys: &[EncryptedDataKey::new("ns", *b"kn", [7; 4])],
        frame_length: 16,
    };
    let body = parts.write_body(suite.is_committing().then_some(&[0; 32])).unwrap();
    inspect(&append_authentication(body, suite.version(), &[0; 12], &[0; 16])).unwrap()
}

#[test]
fn the_presence_of_a_public_key_must_fit_the_suite() {
    for &suite in AlgorithmSuite::ALL {
        for public_key in [None, Some("key")] {
            let fits = suite.signature().is_some() == public_key.is_some();
            let expected = if fits { Ok(()) } else { Err(MessageError::PublicKeyPresence(suite)) };
            assert_eq!(check_readable(&header_of(suite, public_key)), expected, "{suite}");
        }
    }
}

const SIGNED: [AlgorithmSuite; 4] = [
    AlgorithmSuite::Aes128GcmHkdfSha256EcdsaP256,
    AlgorithmSuite::Aes192GcmHkdfSha384EcdsaP384,
    AlgorithmSuite::Aes256GcmHkdfSha384EcdsaP384,
    AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384,
];

/// Creates a signed message whose context contains its public key as modified by `edit`.
fn signed(suite: AlgorithmSuite, text: &[u8], edit: impl Fn(String) -> String) -> (Vec<u8>, SecretBytes) {
    let signer = MessageSigner::generate(BACKEND, suite.signature().unwrap()).unwrap();
    let context = EncryptionContext::from([(PUBLIC_KEY_NAME, edit(signer.public_key()).as_str())]);
    let parts = HeaderParts {
        suite,
        message_id: &message_id(suite),
        context: &context.to_canonical_bytes().unwrap(),
        omitted_context: &[],
        data_keys: &[EncryptedDataKey::new("ns", *b"kn", [7; 4])],
        frame_length: 16,
    };
    let data_key = SecretBytes::copy_from_slice(&example_data_key().expose_secret()[..suite.data_key_length()]);
    let sealer = Sealer::new(BACKEND, &parts, &data_key, Some(signer)).unwrap();
    let mut message = vec![0; sealer.message_length(text.len()).unwrap()];
    sealer.seal_whole(text, &mut message).unwrap();
    (message, data_key)
}

fn open_signed(message: &[u8], data_key: &SecretBytes) -> Result<Vec<u8>, MessageError> {
    let header = inspect(message)?;
    let opener = Opener::new(BACKEND, &header, &[], data_key, &Limits::default())?;
    assert!(opener.is_signed());
    let mut text = vec![0xEE; 100];
    let result = opener.open_whole(&message[header.encoded_length()..], &mut text);
    assert!(result.is_ok() || text.is_empty(), "plaintext was released");
    result.map(|()| text)
}

#[test]
fn a_signed_message_opens_and_every_flipped_bit_behind_its_header_is_refused() {
    if crate::crypto::default_lacks(
        "a_signed_message_opens_and_every_flipped_bit_behind_its_header_is_refused",
        &["AES-192-GCM"],
    ) {
        return;
    }
    for suite in SIGNED {
        for length in [0, 16, 40] {
            let (message, data_key) = signed(suite, &plaintext(length), |key| key);
            assert_eq!(open_signed(&message, &data_key), Ok(plaintext(length)), "{suite}");
            let header = inspect(&message).unwrap().encoded_length();
            // Verifying signatures is slow: alter every byte of one message and some bytes of the
            // others.
            let step = if length == 16 { 1 } else { 13 };
            for offset in (header..message.len()).step_by(step) {
                let mut altered = message.clone();
                altered[offset] ^= 1 << (offset % 8);
                assert!(open_signed(&altered, &data_key).is_err(), "{suite} {offset}");
                assert!(open_signed(&message[..offset], &data_key).is_err(), "{suite} {offset}");
            }
            let longer = [&message[..], &[0]].concat();
            assert_eq!(open_signed(&longer, &data_key), Err(MessageError::TrailingData));
        }
    }
}

#[test]
fn the_last_frame_does_not_stay_in_the_buffer_when_the_signature_fails() -> Result<(), MessageError> {
    if crate::crypto::default_lacks(
        "the_last_frame_does_not_stay_in_the_buffer_when_the_signature_fails",
        &["AES-192-GCM"],
    ) {
        return Ok(());
    }
    for suite in SIGNED {
        let (mut message, data_key) = signed(suite, &plaintext(40), |key| key);
        let at = message.len() - 1;
        message[at] ^= 1;
        let header = inspect(&message)?;
        let mut opener = Opener::new(BACKEND, &header, &[], &data_key, &Limits::default())?;
        let (mut body, mut text) = (&message[header.encoded_length()..], [0xEE; 16]);
        for sequence in 1..=2 {
            let frame = opener.read(body)?;
            opener.open(&frame, &mut text)?;
            assert_eq!(text, plaintext(40)[(sequence - 1) * 16..sequence * 16], "{suite}");
            body = &body[frame.encoded_length()..];
        }
        let last = opener.read(body)?;
        let mut text = [0xEE; 8];
        assert_eq!(opener.open(&last, &mut text), Err(MessageError::Signature), "{suite}");
        assert_eq!(text, [0; 8], "{suite}: unsigned plaintext");
    }
    Ok(())
}

#[test]
fn frames_behind_a_bad_one_do_not_stay_in_the_buffer_of_several_threads() {
    for threads in [2, 3, 8] {
        for bad in [0, 3, 20, 62, 63] {
            let mut message = sealed(16, &plaintext(64 * 16 + 1));
            let (header, opener) = opener(&message, &Limits::default());
            message[header.encoded_length() + bad * 48 + 20] ^= 1;
            let mut opener = opener.with_parallelism(Parallelism { threads, chunk_size: 32 });
            let mut text = [0xEE; 64 * 16];
            assert_eq!(opener.open_chunks(&message[header.encoded_length()..], &mut text), bad);
            assert_eq!(text[..bad * 16], plaintext(64 * 16)[..bad * 16], "{threads} threads, frame {bad}");
            assert!(text[bad * 16..].iter().all(|byte| *byte == 0), "{threads} threads: data after frame {bad}");
        }
    }
}

#[test]
fn a_signature_of_another_key_is_refused() {
    if crate::crypto::default_lacks("a_signature_of_another_key_is_refused", &["AES-192-GCM"]) {
        return;
    }
    for suite in SIGNED {
        let (one, data_key) = signed(suite, b"text", |key| key);
        let (two, _) = signed(suite, b"text", |key| key);
        let footer = one.len() - 2 - if suite.id() == 0x0214 { 71 } else { 103 };
        let exchanged = [&one[..footer], &two[footer..]].concat();
        assert_eq!(open_signed(&exchanged, &data_key), Err(MessageError::Signature), "{suite}");
    }
}

#[test]
fn a_public_key_that_is_none_is_refused_before_anything_is_opened() {
    if crate::crypto::default_lacks("a_public_key_that_is_none_is_refused_before_anything_is_opened", &["AES-192-GCM"])
    {
        return;
    }
    for suite in SIGNED {
        let other_curve = MessageSigner::generate(
            BACKEND,
            if suite.id() == 0x0214 { MessageSignature::EcdsaP384Sha384 } else { MessageSignature::EcdsaP256Sha256 },
        )
        .unwrap()
        .public_key();
        let edits: [&dyn Fn(String) -> String; 7] = [
            &|_| String::new(),
            &|key| key[4..].to_owned(),
            &|key| format!("{key}AAAA"),
            &|key| format!(" {key}"),
            &|key| key.replacen('A', "B", 1).to_lowercase(),
            &|key| format!("B{}", &key[1..]),
            &|_| other_curve.clone(),
        ];
        for edit in edits {
            let (message, data_key) = signed(suite, b"text", edit);
            assert_eq!(open_signed(&message, &data_key), Err(MessageError::InvalidPublicKey), "{suite}");
        }
    }
}

#[test]
fn a_signer_must_be_there_exactly_for_suites_with_signatures() {
    if crate::crypto::default_lacks("a_signer_must_be_there_exactly_for_suites_with_signatures", &["AES-192-GCM"]) {
        return;
    }
    for &suite in AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full) {
        let parts = HeaderParts {
            suite,
            message_id: &message_id(suite),
            context: &[],
            omitted_context: &[],
            data_keys: &[EncryptedDataKey::new("ns", *b"kn", [7; 4])],
            frame_length: 16,
        };
        let data_key = SecretBytes::zeroed(suite.data_key_length());
        let signer = || MessageSigner::generate(BACKEND, MessageSignature::EcdsaP256Sha256).unwrap();
        for signer in [None, Some(signer())] {
            let fits = signer.is_some() == suite.signature().is_some();
            assert_eq!(Sealer::new(BACKEND, &parts, &data_key, signer).is_ok(), fits, "{suite}");
        }
    }
}

/// Creates a message in the form of version 4.0.0 of the SDK for .NET, with the omitted pairs of
/// its context.
fn of_dotnet_4_0_0(suite: AlgorithmSuite, omitted: &[u8], text: &[u8]) -> (Vec<u8>, SecretBytes) {
    let id = message_id(suite);
    let data_key = SecretBytes::copy_from_slice(&example_data_key().expose_secret()[..suite.data_key_length()]);
    let parts = HeaderParts {
        suite,
        message_id: &id,
        context: &[],
        omitted_context: omitted,
        data_keys: &[EncryptedDataKey::new("ns", *b"kn", [7; 4])],
        frame_length: 16,
    };
    let keys = derive::derive(BACKEND, suite, &data_key, &id, HeaderForm::DotNet400).unwrap();
    let body = parts.write_body(keys.commitment()).unwrap();
    let key = keys.into_content_key();
    let suffix = if omitted.is_empty() { &[0, 0] } else { omitted };
    let tag = key.seal(&[0; 12], &[body.as_bytes(), suffix].concat(), &[], &mut []).unwrap();
    let mut message = append_authentication(body, suite.version(), &[0; 12], &tag);
    let mut frame = vec![0; text.len() + FINAL_OVERHEAD];
    FrameCipher::new(key, id).seal_final(1, text, &mut frame).unwrap();
    message.extend_from_slice(&frame);
    (message, data_key)
}

#[test]
fn messages_of_dotnet_4_0_0_are_read_in_their_form_only() {
    if crate::crypto::default_lacks("messages_of_dotnet_4_0_0_are_read_in_their_form_only", &["AES-192-GCM"]) {
        return;
    }
    let unsigned = AlgorithmSuite::ALL.iter().copied().filter(|suite| suite.signature().is_none());
    for suite in unsigned {
        for omitted in [&[][..], b"\0\x01\0\x01a\0\x01b"] {
            let (message, data_key) = of_dotnet_4_0_0(suite, omitted, b"text");
            let header = inspect(&message).unwrap();
            let open = |form| Opener::in_form(form, BACKEND, &header, omitted, &data_key, &Limits::default());
            // Only the two bytes and the derivation differ.
            let is_standard = !omitted.is_empty() && suite.derivation() != KeyDerivation::Hkdf(DigestAlgorithm::Sha256);
            assert_eq!(open(HeaderForm::Standard).err(), (!is_standard).then_some(MessageError::HeaderAuth), "{suite}");
            let mut text = Vec::new();
            let body = &message[header.encoded_length()..];
            open(HeaderForm::DotNet400).unwrap().open_whole(body, &mut text).unwrap();
            assert_eq!(text, b"text", "{suite}");
        }
        let header = sealed(16, b"text");
        let header = inspect(&header).unwrap();
        let open =
            Opener::in_form(HeaderForm::DotNet400, BACKEND, &header, &[], &example_data_key(), &Limits::default());
        assert_eq!(open.err(), Some(MessageError::HeaderAuth), "the message is not in the usual form");
    }
}
