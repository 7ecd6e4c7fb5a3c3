//! Every message in `tests/vectors` produces the documented result, in memory and in a stream.

use strongroom::message::{Limits, MessageError};
use strongroom::{EncryptionContext, Error, ErrorKind, Result};

use crate::support::backend;
use crate::support::envelope::read_in_steps;
use crate::support::vectors::all;

/// Returns the name of the check that failed.
fn check(error: &Error) -> String {
    let text = match error.downcast_ref::<MessageError>() {
        Some(refusal) if matches!(error.kind(), ErrorKind::InvalidMessage | ErrorKind::MessagePolicy) => {
            format!("{refusal:?}")
        }
        _ => format!("{:?}", error.kind()),
    };
    text.chars().take_while(|character| character.is_alphanumeric()).collect()
}

#[test]
fn every_vector_gets_its_verdict() {
    let vectors = all();
    let (mut opened, mut refused, mut rejected) = (0, 0, 0);
    for vector in &vectors {
        let verdict = vector.decrypt();
        if verdict.as_ref().is_err_and(backend::is_rejection) {
            rejected += 1;
            continue;
        }
        assert_eq!(verdict.map_err(|error| check(&error)), vector.expected(), "{}", vector.file);
        *if vector.expected().is_ok() { &mut opened } else { &mut refused } += 1;
    }
    println!("{opened} vectors opened, {refused} refused, {rejected} rejected by the backend");
    let is_complete = opened >= 15 + 198 + 270 && refused >= 71 + 83 + 60;
    assert!(is_complete || rejected > 0, "vectors are missing: {opened} and {refused}");
    assert!(opened > 200 && refused > 100, "vectors are missing: {opened}, {refused} and {rejected}");
}

#[test]
fn a_body_in_one_piece_is_held_in_memory_up_to_a_limit() -> Result<()> {
    let vector = all().into_iter().find(|vector| vector.file == "0478_unframed_two_128.txt").expect("the vector");
    let envelope = |most| vector.builder()?.limits(Limits::default().with_max_unframed_body(most)).build();
    let (message, nothing) = (vector.bytes("ciphertext"), EncryptionContext::new());
    assert_eq!(envelope(128)?.decrypt(&message, &nothing)?, vector.expected().expect("decryption succeeds"));
    let refused = envelope(127)?.decrypt(&message, &nothing).expect_err("128 bytes are too many");
    assert_eq!(refused.kind(), ErrorKind::InvalidMessage, "{refused}");
    assert_eq!(read_in_steps(vector.reader(&envelope(127)?, &message), 16).0, b"", "no plaintext is released");
    Ok(())
}

#[test]
fn every_vector_gets_the_same_verdict_in_a_stream() {
    // The plaintext of every vector with more than one frame starts with one of these.
    let counting: Vec<u8> = (0..=250).cycle().take(300).collect();
    let truth: [&[u8]; 3] = [b"envelope encryption!envelope encryption!", &[b'x'; 32], &counting];
    for vector in all() {
        let envelope = match vector.envelope() {
            Ok(envelope) => envelope,
            Err(error) if backend::is_rejection(&error) => continue,
            Err(error) => panic!("{}: {error}", vector.file),
        };
        let message = vector.bytes("ciphertext");
        for step in [1, 5, 16, 1000] {
            let (released, verdict) = read_in_steps(vector.reader(&envelope, &message), step);
            if verdict.as_ref().is_err_and(backend::is_rejection) {
                continue;
            }
            let verdict = verdict.map(|()| released.clone()).map_err(|error| check(&error));
            assert_eq!(verdict, vector.expected(), "{} in steps of {step}", vector.file);
            assert!(truth.iter().any(|truth| truth.starts_with(&released)), "{} released {released:?}", vector.file);
        }
    }
}

#[test]
fn every_check_that_a_reader_makes_has_a_vector() {
    let checks: Vec<String> = all().iter().filter_map(|vector| vector.expected().err()).collect();
    // HeaderTooLong requires a header of 256 KiB, SignaturePolicy an envelope that has one, and
    // InvalidPublicKey a keyring that does not bind the context. Other tests cover them.
    let all_checks = "LooksBase64 UnsupportedVersion InvalidType UnknownSuite SuiteVersionMismatch \
        InvalidEncryptionContext NoDataKeys TooManyDataKeys InvalidDataKey InvalidContentType InvalidHeader \
        InvalidFrameLength Truncated CommitmentPolicy PublicKeyPresence ContextMismatch NoDataKeyUnwrapped \
        CommitmentMismatch HeaderAuth BadSequence BadFinalLength BodyTooLong BodyAuth Signature TrailingData";
    for check in all_checks.split_whitespace() {
        assert!(checks.iter().any(|found| found == check), "no vector is rejected with {check}");
    }
}
