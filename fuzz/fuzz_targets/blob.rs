//! A ciphertext blob opens only with its context, whatever modifications were applied to it.
//!
//! Input: a byte 0 and a blob under one of the two keys of a KMS with reproducible randomness. The
//! second key is in a cluster of HSMs. Alternatively, a byte 1 and a description of a blob under
//! the second key and its modifications. Any other byte precedes a description of a blob under the
//! first key.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::key::{ClusterId, KeyId};
use strongroom::provider::MemoryCluster;
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{ErrorKind, Kms, Result as KmsResult, SecretBytes};
use strongroom_fuzz::{Edit, backend, context};

/// Difference between the lengths of blob and plaintext for each scheme, in bytes.
const OVERHEAD: [usize; 2] = [94, 50];

#[derive(Arbitrary, Debug)]
struct Case {
    pairs: Vec<(String, String)>,
    other_pairs: Vec<(String, String)>,
    edits: Vec<Edit>,
    plaintext: Vec<u8>,
}

/// A KMS and its keys, indexed by the scheme of their blobs.
static KMS: LazyLock<(Kms, [KeyId; 2])> = LazyLock::new(|| make().expect("a KMS in memory"));

fn make() -> KmsResult<(Kms, [KeyId; 2])> {
    let vault = ClusterId::parse("vault")?;
    let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"password");
    let kms = Kms::builder().backend(backend()).cluster(vault.clone(), cluster).build()?;
    let software = kms.create_key(CreateKeyRequest::default())?.key_id();
    let store = CreateCustomKeyStoreRequest::new("safe", vault);
    let store = kms.create_custom_key_store(store.key_store_password(SecretBytes::copy_from_slice(b"password")))?;
    kms.connect_custom_key_store(store)?;
    let in_hsm = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    Ok((kms, [software, in_hsm]))
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, blob)) => match open(blob, &[]) {
            Ok(plaintext) => assert_eq!(plaintext.len() + OVERHEAD[usize::from(blob[1] == 2)], blob.len()),
            Err(kind) => assert_refusal(blob, kind),
        },
        Some((first, rest)) => {
            if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(rest)) {
                tampered(&case, usize::from(*first == 1));
            }
        }
        None => {}
    }
});

fn tampered(case: &Case, scheme: usize) {
    let (kms, key) = (&KMS.0, KMS.1[scheme]);
    let bound = context(&case.pairs);
    let sealed = match kms.encrypt(EncryptRequest::new(key, &case.plaintext).context(&bound)) {
        Ok(sealed) => sealed.ciphertext_blob,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(case.plaintext.is_empty() || case.plaintext.len() > 4096);
            return;
        }
    };
    assert_eq!(sealed.len(), case.plaintext.len() + OVERHEAD[scheme]);
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));

    match open(&received, &case.pairs) {
        Ok(plaintext) => assert!(received == sealed && plaintext == case.plaintext, "a tampered blob was decrypted"),
        Err(kind) => {
            assert_ne!(received, sealed);
            assert_refusal(&received, kind);
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

/// A blob that does not open fails in one of two ways: it is invalid, or its key does not exist
/// here. A blob of a length that the API does not allow is not looked at.
fn assert_refusal(blob: &[u8], kind: ErrorKind) {
    match (1..=6_144).contains(&blob.len()) {
        true => assert!(matches!(kind, ErrorKind::InvalidCiphertext | ErrorKind::AccessDenied), "{kind:?}"),
        false => assert_eq!(kind, ErrorKind::Validation),
    }
}
