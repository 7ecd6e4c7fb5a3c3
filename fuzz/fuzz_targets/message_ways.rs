//! All ways of reading give the same answer about the same bytes: in one call, as a stream, pushed in parts, with one
//! thread and several, and at random where that is possible. And all ways of writing give a message that opens.

#![no_main]

use std::io::{Cursor, Read, Write};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::envelope::{CommitmentPolicy, EnvelopeBuilder, RawAesKeyring, SignaturePolicy};
use strongroom::message::{AlgorithmSuite, MessageError, SuiteSupport};
use strongroom::{EncryptionContext, Envelope, Error, SecretBytes};
use strongroom_fuzz::{Edit, backend, read_in_steps};

#[derive(Arbitrary, Debug)]
struct Case {
    suite: u8,
    frame_length: u8,
    threads: u8,
    share: u8,
    step: u8,
    write: u8,
    edits: Vec<Edit>,
    length: u16,
    cut: Option<u16>,
}

type Outcome = Result<Vec<u8>, String>;

/// Whether two ways say the same. Those that wait for the end of the message see what follows it before they open its
/// last frame, the others after it: what is wrong in both places has two names.
fn agree(ended: &Outcome, expected: &Outcome) -> bool {
    ended == expected || matches!((ended, expected), (Err(told), Err(_)) if told.contains("TrailingData"))
}

fuzz_target!(|case: Case| {
    let one = builder(&case).build().expect("the settings are allowed");
    let many = builder(&case).threads(2 + usize::from(case.threads % 3)).share(1 + usize::from(case.share) * 4);
    let many = many.build().expect("the settings are allowed");
    let plaintext: Vec<u8> = (0..=250).cycle().take(usize::from(case.length % 4096)).collect();
    let step = 1 + usize::from(case.step) * 5;

    let sealed = write(&case, &one, &many, &plaintext, step);
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));
    received.truncate(case.cut.map_or(received.len(), usize::from));

    let expected = one.decrypt(&received, &none()).map_err(|error| told(&error));
    match &expected {
        Ok(opened) => assert!(*opened == plaintext && received == sealed, "a tampered message opened"),
        Err(_) => assert!(received != sealed, "a sound message did not open"),
    }
    for envelope in [&one, &many] {
        assert_eq!(envelope.decrypt(&received, &none()).map_err(|error| told(&error)), expected);
        for (released, ended) in [stream(envelope, &received, step), push(envelope, &received, step)] {
            assert!(plaintext.starts_with(&released), "something else than the plaintext was released");
            assert!(agree(&ended, &expected), "{ended:?} and {expected:?}");
        }
        at_random(envelope, &received, &plaintext, &expected);
    }
});

fn none() -> EncryptionContext {
    EncryptionContext::new()
}

fn builder(case: &Case) -> EnvelopeBuilder {
    let written: Vec<_> =
        AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full).copied().collect();
    let suite = written[usize::from(case.suite) % written.len()];
    let policy = match suite.is_committing() {
        true => CommitmentPolicy::RequireEncryptAllowDecrypt,
        false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
    };
    let backend = backend();
    let keyring = RawAesKeyring::with_backend(backend, "ns", "kn", SecretBytes::copy_of(&[7; 32])).expect("32 bytes");
    let builder = Envelope::builder(keyring).algorithm_suite(suite).commitment_policy(policy).backend(backend);
    builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification).frame_length(1 + u32::from(case.frame_length))
}

/// A message, by one of the ways.
fn write(case: &Case, one: &Envelope, many: &Envelope, plaintext: &[u8], step: usize) -> Vec<u8> {
    let envelope = if case.write & 1 == 0 { one } else { many };
    match case.write >> 1 & 3 {
        0 | 1 => envelope.encrypt(plaintext, &none()).expect("the backend does not fail"),
        2 => {
            let mut writer = envelope.writer(Vec::new(), &none()).expect("the backend does not fail");
            plaintext.chunks(step).for_each(|part| writer.write_all(part).expect("a vector takes everything"));
            writer.finish().expect("a vector takes everything")
        }
        _ => {
            let (mut encryptor, mut message) = (envelope.encryptor(&none()).expect("no failure"), Vec::new());
            plaintext.chunks(step).for_each(|part| encryptor.update(part, &mut message).expect("no failure"));
            encryptor.finish(&mut message).expect("no failure");
            message
        }
    }
}

fn told(error: &Error) -> String {
    let source = error.downcast_ref::<MessageError>();
    format!("{:?} {source:?}", error.kind())
}

fn stream(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let mut reader = match envelope.reader(message, &none()) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(told(&error))),
    };
    let (released, whole) = read_in_steps(&mut reader, step);
    if whole {
        return (released.clone(), Ok(released));
    }
    // Errors are final, and say the same again.
    let error = reader.read(&mut [0]).expect_err("it failed before").downcast::<Error>().expect("an error of ours");
    (released, Err(told(&error)))
}

fn push(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let (mut decryptor, mut released) = (envelope.decryptor(&none()), Vec::new());
    let updated = message.chunks(step).try_for_each(|part| decryptor.update(part, &mut released));
    let ended = updated.and_then(|()| decryptor.finish(&mut released).map(drop));
    let ended = ended.map(|()| released.clone()).map_err(|error| told(&error));
    (released, ended)
}

/// A part at random is right or refused; of a sound message it is right.
fn at_random(envelope: &Envelope, message: &[u8], plaintext: &[u8], expected: &Outcome) {
    let Ok(mut reader) = envelope.random_access_reader(Cursor::new(message), &none()) else { return };
    let mut opened = Vec::new();
    let whole = reader.read_to_end(&mut opened).is_ok();
    assert!(plaintext.starts_with(&opened));
    assert_eq!(whole && opened == plaintext, expected.is_ok(), "reading all of it at random disagrees");
}
