use super::*;
use crate::message::testing::{
    BACKEND, EXAMPLE_PLAINTEXT, EXAMPLE_V1, EXAMPLE_V2, counting_from, example, opener, plaintext, sealed,
};
use crate::message::{AlgorithmSuite, inspect};

fn open_whole(message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let (header, opener) = opener(message, &Limits::default());
    let mut text = vec![0xEE; 100];
    let result = opener.open_whole(&message[header.encoded_length()..], &mut text);
    assert!(result.is_ok() || text.is_empty(), "something was released");
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
        let data_key = crate::message::testing::example_data_key();
        let refusal = Opener::new(BACKEND, &header, &[], &data_key, &Limits::default()).err();
        // The message id is an input of the derivation too.
        let expected = if offset == 3 { MessageError::CommitmentMismatch } else { MessageError::HeaderAuth };
        assert_eq!(refusal, Some(expected), "{offset}");
    }
}

#[test]
fn what_this_release_does_not_read_is_named() {
    let refusal = check_readable(&inspect(&example(EXAMPLE_V1)).unwrap());
    assert_eq!(refusal, Err(MessageError::SuiteNotSupported(AlgorithmSuite::Aes256GcmHkdfSha256)));
    assert_eq!(check_readable(&inspect(&example(EXAMPLE_V2)).unwrap()), Ok(()));
}
