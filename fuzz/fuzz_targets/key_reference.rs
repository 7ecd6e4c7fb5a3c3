//! The stored state of a token key is inside a sealed record, but is parsed as carefully as
//! unsealed data. Accepted state respects its limits and has a single encoding: the input.
//!
//! Input: a stored reference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::provider::pkcs11::{KEY_ID_LENGTH, TokenKeyHandle, TokenKeyKind};

/// Maximum lengths of a label and of a public key, in bytes.
const MAX_LABEL: usize = 255;
const MAX_PUBLIC_KEY: usize = 1_024;

fuzz_target!(|bytes: &[u8]| {
    let Some(key) = TokenKeyHandle::from_bytes(bytes) else { return };
    assert_eq!(key.to_bytes().expect("parsed values fit their length fields"), bytes, "accepted bytes are canonical");
    assert!((1..=KEY_ID_LENGTH).contains(&key.id().len()));
    assert!(key.label().len() <= MAX_LABEL);
    match (key.kind(), key.public_key()) {
        (TokenKeyKind::Aes256 | TokenKeyKind::WrappingAes256, None) => {}
        (TokenKeyKind::Signing(_) | TokenKeyKind::Decryption(_), Some(public)) => {
            assert!(public.len() <= MAX_PUBLIC_KEY)
        }
        (kind, public) => panic!("a key of kind {kind} has the public key {public:?}"),
    }
    assert!(key.to_string().contains(key.label()));
});
