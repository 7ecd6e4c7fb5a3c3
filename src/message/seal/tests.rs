use super::*;
use crate::message::testing::{BACKEND, example_data_key, message_id, plaintext, sealed, sealer};
use crate::message::{AlgorithmSuite, EncryptedDataKey};

/// Feeds a plaintext in steps of the given length, and returns the message.
fn streamed(frame_length: u32, text: &[u8], step: usize) -> Result<Vec<u8>, MessageError> {
    let mut sealer = sealer(frame_length);
    let mut message = sealer.header().to_vec();
    let mut output = Vec::new();
    for mut chunk in text.chunks(step) {
        while !chunk.is_empty() {
            output.resize(sealer.update_length(chunk.len()), 0);
            let sealed = sealer.update(chunk, &mut output)?;
            assert!(sealed.consumed > 0);
            assert_eq!(sealer.update(&[], &mut [])?, Sealed { consumed: 0, written: 0 });
            message.extend_from_slice(&output[..sealed.written]);
            chunk = &chunk[sealed.consumed..];
        }
    }
    output.resize(sealer.finish_length(), 0);
    sealer.finish(&mut output)?;
    message.extend_from_slice(&output);
    Ok(message)
}

#[test]
fn a_stream_writes_the_same_bytes_whatever_its_steps() -> Result<(), MessageError> {
    for frame_length in [1, 7, 16] {
        let frame = usize::try_from(frame_length).unwrap();
        for length in [0, 1, frame - 1, frame, frame + 1, 2 * frame, 5 * frame + 3] {
            let text = plaintext(length);
            let whole = sealed(frame_length, &text);
            for step in [1, 3, frame.saturating_sub(1).max(1), frame, frame + 1, 1000] {
                assert_eq!(streamed(frame_length, &text, step)?, whole, "{frame_length} {length} {step}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_last_full_frame_is_the_final_one() {
    let header = sealer(16).header().len();
    for (length, overhead) in [(0, 40), (1, 40), (15, 40), (16, 40), (17, 72), (32, 72), (33, 104)] {
        assert_eq!(sealed(16, &plaintext(length)).len(), header + length + overhead, "{length}");
    }
}

#[test]
fn plaintext_is_held_only_until_it_fills_a_frame() -> Result<(), MessageError> {
    let mut sealer = sealer(16);
    let mut output = vec![0; 48];
    assert_eq!(sealer.update(&[1; 40], &mut output)?, Sealed { consumed: 16, written: 48 });
    assert!(sealer.held.is_empty());
    assert_eq!(sealer.update(&[1; 10], &mut output)?, Sealed { consumed: 10, written: 0 });
    assert_eq!(sealer.update(&[1; 40], &mut output)?, Sealed { consumed: 6, written: 0 });
    assert_eq!(sealer.update(&[1; 40], &mut output)?, Sealed { consumed: 16, written: 48 });
    assert!(sealer.held.capacity() <= 16);
    Ok(())
}

#[test]
fn numbers_never_wrap() -> Result<(), MessageError> {
    let mut sealer = sealer(1);
    let mut output = vec![0; 33];
    sealer.sequence = u32::MAX - 1;
    assert_eq!(sealer.update(&[0; 2], &mut output)?.written, 33);
    assert_eq!(sealer.update(&[0; 2], &mut output), Err(MessageError::TooManyFrames));
    assert_eq!(sealer.sequence, u32::MAX);
    Ok(())
}

#[test]
fn a_length_that_cannot_be_counted_has_no_message_length() {
    assert_eq!(sealer(1).message_length(usize::MAX), None);
}

#[test]
fn suites_that_this_release_does_not_write_are_refused() {
    for suite in AlgorithmSuite::ALL.iter().filter(|suite| suite.support() != SuiteSupport::Full) {
        let parts = HeaderParts {
            suite: *suite,
            message_id: &message_id(*suite),
            context: &[],
            omitted_context: &[],
            data_keys: &[EncryptedDataKey::new("ns", [], [])],
            frame_length: 16,
        };
        let refusal = Sealer::new(BACKEND, &parts, &example_data_key(), None).err();
        assert_eq!(refusal, Some(MessageError::SuiteNotWritten(*suite)));
    }
}
