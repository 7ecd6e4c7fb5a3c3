//! A ciphertext blob opens with its context and not otherwise, whatever was done to it.
//!
//! Input: a byte 0 and a blob under the first key of a KMS with repeatable randomness, or anything else and a
//! description of a blob and of what happens to it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::{DecryptRequest, EncryptRequest, ErrorKind, KeyId, Kms};
use strongroom_fuzz::{Edit, backend, context};

/// Bytes that a blob is longer than its plaintext.
const OVERHEAD: usize = 94;

#[derive(Arbitrary, Debug)]
struct Case {
    pairs: Vec<(String, String)>,
    other_pairs: Vec<(String, String)>,
    edits: Vec<Edit>,
    plaintext: Vec<u8>,
}

static KMS: LazyLock<(Kms, KeyId)> = LazyLock::new(|| {
    let kms = Kms::builder().backend(backend()).build().expect("a KMS in memory");
    let key = kms.create_key(Default::default()).expect("a key");
    (kms, key.key_id())
});

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, blob)) => match open(blob, &[]) {
            Ok(plaintext) => assert_eq!(plaintext.len() + OVERHEAD, blob.len()),
            Err(kind) => assert_refusal(kind),
        },
        Some((_, rest)) => {
            if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(rest)) {
                tampered(&case);
            }
        }
        None => {}
    }
});

fn tampered(case: &Case) {
    let (kms, key) = &*KMS;
    let bound = context(&case.pairs);
    let sealed = match kms.encrypt(EncryptRequest::new(key, &case.plaintext).context(&bound)) {
        Ok(sealed) => sealed.ciphertext_blob,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(case.plaintext.is_empty() || case.plaintext.len() > 4096);
            return;
        }
    };
    assert_eq!(sealed.len(), case.plaintext.len() + OVERHEAD);
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));

    match open(&received, &case.pairs) {
        Ok(plaintext) => assert!(received == sealed && plaintext == case.plaintext, "a tampered blob opened"),
        Err(kind) => {
            assert_ne!(received, sealed);
            assert_refusal(kind);
        }
    }
    if context(&case.other_pairs) != bound {
        assert_eq!(open(&sealed, &case.other_pairs), Err(ErrorKind::InvalidCiphertext));
    }
}

fn open(blob: &[u8], pairs: &[(String, String)]) -> Result<Vec<u8>, ErrorKind> {
    let context = context(pairs);
    let opened = KMS.0.decrypt(DecryptRequest::new(blob).context(&context));
    opened.map(|opened| opened.plaintext.expose_secret().to_vec()).map_err(|error| error.kind())
}

/// A blob that does not open says so in one of two ways: it is no good, or it names a key that is not here.
fn assert_refusal(kind: ErrorKind) {
    assert!(matches!(kind, ErrorKind::InvalidCiphertext | ErrorKind::AccessDenied), "{kind:?}");
}
