use super::*;
use crate::crypto::AeadAlgorithm;
use crate::message::AlgorithmSuite;
use crate::message::testing::{BACKEND, message_id, plaintext};

fn cipher() -> FrameCipher {
    let key = BACKEND.aead().bind(AeadAlgorithm::Aes256Gcm, &[9; 32]).unwrap();
    FrameCipher::new(key, message_id(AlgorithmSuite::default()))
}

fn regular(sequence: u32, text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; text.len() + REGULAR_OVERHEAD];
    cipher().seal_regular(sequence, text, &mut frame).unwrap();
    frame
}

fn last(sequence: u32, text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; text.len() + FINAL_OVERHEAD];
    cipher().seal_final(sequence, text, &mut frame).unwrap();
    frame
}

fn open(frame: &Frame<'_>) -> Result<Vec<u8>, MessageError> {
    let mut opened = vec![0xEE; frame.plaintext_length()];
    let result = cipher().open(frame, &mut opened);
    assert!(result.is_ok() || opened.iter().all(|byte| *byte == 0));
    result.map(|()| opened)
}

#[test]
fn frames_open_as_they_were_sealed() -> Result<(), MessageError> {
    let text = plaintext(20);
    let bytes = regular(5, &text);
    assert_eq!(&bytes[..16], hex::decode("00000005000000000000000000000005").unwrap());
    let frame = Frame::read(&bytes, 5, 20)?;
    assert_eq!((frame.encoded_length(), frame.is_last()), (bytes.len(), false));
    assert_eq!(open(&frame)?, text);

    let bytes = last(6, &text[..3]);
    assert_eq!(&bytes[..24], hex::decode("ffffffff0000000600000000000000000000000600000003").unwrap());
    let frame = Frame::read(&bytes, 6, 20)?;
    assert_eq!((frame.encoded_length(), frame.is_last()), (bytes.len(), true));
    assert_eq!(open(&frame)?, text[..3]);
    Ok(())
}

#[test]
fn a_fault_is_seen_as_soon_as_its_field_is_there() {
    let refusal = MessageError::BadSequence { expected: 2, found: 1 };
    assert_eq!(Frame::read(&regular(1, &[0; 16])[..4], 2, 16).err(), Some(refusal.clone()));
    assert_eq!(Frame::read(&last(1, &[])[..8], 2, 16).err(), Some(refusal));
    let refusal = MessageError::BadFinalLength { length: 17, frame_length: 16 };
    assert_eq!(Frame::read(&last(1, &[0; 17])[..24], 1, 16).err(), Some(refusal));
    let single = [[0; 12].as_slice(), &[0, 0, 0, 0, 0, 0, 0, 9]].concat();
    let refusal = MessageError::BodyTooLong { length: 9, limit: 8 };
    assert_eq!(Frame::read_single(&single, 8).err(), Some(refusal));
    let within = Frame::read_single(&single, 9).err();
    assert!(within.is_some_and(|error| error.bytes_needed().is_some()), "a body as long as the limit");
}

#[test]
fn every_truncation_asks_for_more() {
    for bytes in [regular(1, &[1; 16]), last(1, &[1; 5])] {
        for cut in 0..bytes.len() {
            let needed = Frame::read(&bytes[..cut], 1, 16).err().and_then(|error| error.bytes_needed());
            assert!(needed.is_some_and(|needed| needed > cut && needed <= bytes.len()), "{cut}");
        }
    }
}

#[test]
fn a_length_that_no_memory_has_only_asks_for_more() {
    let single = [[0; 12].as_slice(), &[0xFF; 8]].concat();
    assert!(Frame::read_single(&single, u64::MAX).err().and_then(|error| error.bytes_needed()).is_some());
}

#[test]
fn number_kind_and_iv_are_bound() -> Result<(), MessageError> {
    let text = [3; 16];
    let (as_regular, as_final) = (regular(1, &text), last(1, &text));
    // The sealed part of one kind of frame after the header of the other.
    let swapped = [&as_final[..24], &as_regular[16..]].concat();
    assert_eq!(open(&Frame::read(&swapped, 1, 16)?), Err(MessageError::BodyAuth { sequence: 1 }));
    // Different sequence number, same bytes.
    let mut renumbered = as_regular.clone();
    renumbered[3] = 2;
    assert_eq!(open(&Frame::read(&renumbered, 2, 16)?), Err(MessageError::BodyAuth { sequence: 2 }));
    let mut other_iv = as_regular;
    other_iv[4] = 1;
    assert_eq!(open(&Frame::read(&other_iv, 1, 16)?), Err(MessageError::BodyAuth { sequence: 1 }));
    Ok(())
}

#[test]
fn no_regular_frame_has_the_number_that_marks_the_final_one() {
    let mut output = [0; REGULAR_OVERHEAD + 1];
    assert_eq!(cipher().seal_regular(LAST_REGULAR_SEQUENCE, &[1], &mut output), Ok(()));
    assert_eq!(cipher().seal_regular(FINAL_MARKER, &[1], &mut output), Err(MessageError::TooManyFrames));
    let bytes = last(u32::MAX, &[1]);
    assert_eq!(Frame::read(&bytes, u32::MAX, 16).and_then(|frame| open(&frame)), Ok(vec![1]));
}

#[test]
fn an_output_that_is_too_short_is_an_error() {
    for length in 0..REGULAR_OVERHEAD + 3 {
        assert!(cipher().seal_regular(1, &[0; 3], &mut vec![0; length]).is_err(), "{length}");
    }
    for length in 0..FINAL_OVERHEAD + 3 {
        assert!(cipher().seal_final(1, &[0; 3], &mut vec![0; length]).is_err(), "{length}");
    }
}
