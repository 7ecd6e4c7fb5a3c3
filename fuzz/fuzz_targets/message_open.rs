//! A modified message does not open, and an unmodified one yields the plaintext. Reading in steps
//! agrees with opening in one call, and never releases anything but the plaintext.
//!
//! Input: a byte 0 and a message under the key of the worked examples. Any other byte precedes a
//! description of a message and its modifications.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::message::{AlgorithmSuite, SuiteSupport};
use strongroom::{EncryptionContext, Envelope, ErrorKind, RESERVED_CONTEXT_PREFIX};
use strongroom_fuzz::{Edit, context, envelope, read_in_steps};

#[derive(Arbitrary, Debug)]
struct Case {
    suite: u8,
    frame_length: u8,
    step: u8,
    pairs: Vec<(String, String)>,
    edits: Vec<Edit>,
    plaintext: Vec<u8>,
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, message)) => {
            open(&envelope(64, AlgorithmSuite::default()), message, 7);
        }
        Some((_, rest)) => {
            if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(rest)) {
                tampered(&case);
            }
        }
        None => {}
    }
});

fn tampered(case: &Case) {
    let written: Vec<_> =
        AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full).copied().collect();
    let envelope = envelope(1 + u32::from(case.frame_length), written[usize::from(case.suite) % written.len()]);
    let context = context(&case.pairs);
    let sealed = match envelope.encrypt(&case.plaintext, &context) {
        Ok(sealed) => sealed,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(context.iter().any(|(name, _)| name.starts_with(RESERVED_CONTEXT_PREFIX)));
            return;
        }
    };
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));

    let (opened, released) = open(&envelope, &received, 1 + usize::from(case.step));
    assert!(case.plaintext.starts_with(&released), "data other than the plaintext was released");
    if received == sealed {
        assert_eq!(opened.as_deref(), Some(&case.plaintext[..]));
        assert!(envelope.decrypt(&sealed, &context.with("expected", "the plaintext buffer was not cleared")).is_err());
    } else {
        assert_eq!(opened, None, "a tampered message was decrypted");
    }
}

/// Opens a message in one call and in steps. Returns the plaintext, if it opens, and the data
/// released in steps.
fn open(envelope: &Envelope, message: &[u8], step: usize) -> (Option<Vec<u8>>, Vec<u8>) {
    let anything = EncryptionContext::new();
    let at_once = envelope.decrypt(message, &anything).ok();
    let (released, ended) = match envelope.reader(message, &anything) {
        Ok(reader) => read_in_steps(reader, step),
        Err(_) => (Vec::new(), false),
    };
    assert_eq!(at_once.is_some(), ended, "decrypting at once and in steps differ");
    if let Some(plaintext) = &at_once {
        assert_eq!(plaintext, &released);
    }
    (at_once, released)
}
