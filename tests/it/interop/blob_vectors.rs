//! Every file in `tests/vectors/blob` gets the verdict that it states. Blobs that this release opens
//! must also open in every later one. `blob_reference.py vectors` wrote the files.
//!
//! Each file is one case: a comment with its single reason, then `scheme`, the `material` of the
//! key, the `context` in JSON, the `blob`, and the verdict. The verdict is `expect: ok <plaintext>`
//! or `expect: refused <check>`. The check is a variant of `BlobError`, or `InvalidCiphertext` if
//! the blob is well-formed but does not open.

use std::collections::BTreeMap;
use std::fs;

use strongroom::blob::Scheme;
use strongroom::crypto::{AeadAlgorithm, CryptoBackend, CryptoError, FASTEST, NONCE_LENGTH, RUST_CRYPTO, TAG_LENGTH};
use strongroom::seal::CommittingKey;

use crate::support::blobs::{of_scheme, verdict};
use crate::support::external_tools;

const LABEL: &[u8] = b"strongroom blob v1";

/// Opens the body of scheme 2 as an HSM that contains the key does.
fn open_scheme_2(backend: &CryptoBackend, material: &[u8], bound: &[u8], body: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let key = backend.aead().bind(AeadAlgorithm::Aes256Gcm, material)?;
    let (nonce, rest) = body.split_first_chunk::<NONCE_LENGTH>().ok_or(CryptoError::NotAuthentic)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(CryptoError::NotAuthentic)?;
    let mut plaintext = vec![0; ciphertext.len()];
    key.open(nonce, bound, ciphertext, tag, &mut plaintext)?;
    Ok(plaintext)
}

#[test]
fn every_blob_of_scheme_1_gets_its_verdict() {
    for backend in [FASTEST, RUST_CRYPTO] {
        for vector in of_scheme(Scheme::Committing) {
            let key = CommittingKey::new(&backend, &vector.bytes("material")).expect("32 bytes");
            let verdict = verdict(&vector, &|prefix, context, body| {
                let opened = key.open(LABEL, prefix, context, body).ok()?;
                Some(opened.expose_secret().to_vec())
            });
            assert_eq!(verdict, vector.expected(), "{}", vector.file);
        }
    }
}

#[test]
fn every_blob_of_scheme_2_gets_its_verdict() {
    for backend in [FASTEST, RUST_CRYPTO] {
        for vector in of_scheme(Scheme::Provider) {
            let material = vector.bytes("material");
            let verdict = verdict(&vector, &|prefix, context, body| {
                open_scheme_2(&backend, &material, &[prefix, context].concat(), body).ok()
            });
            assert_eq!(verdict, vector.expected(), "{}", vector.file);
        }
    }
}

#[test]
fn the_reference_makes_the_vectors_that_are_kept() {
    let test = "the_reference_makes_the_vectors_that_are_kept";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has cryptography") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/blob_reference.py");
    let run = std::process::Command::new(python).args([script, "vectors"]).arg(folder.path()).status();
    assert!(run.expect("python starts").success());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/blob");
    let files = |folder: &std::path::Path| -> BTreeMap<_, _> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
        entries.map(|entry| (entry.file_name(), fs::read_to_string(entry.path()).expect("a file"))).collect()
    };
    assert_eq!(files(folder.path()), files(kept.as_ref()));
}
