//! Untrusted ML-KEM ciphertexts: both backends return the same secret for any bytes of the right
//! length, and reject every other length. Only the ciphertext that was created gives its secret.
//!
//! Input: bytes as a ciphertext, cut or repeated to the right length, or edits of a valid one.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::{CryptoError, KeyPairKind};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::{BACKENDS, PAIRS};

#[derive(Arbitrary, Debug)]
enum Case {
    Bytes(Vec<u8>),
    Stretched(Vec<u8>),
    Edited(Vec<Edit>),
}

fuzz_target!(|case: Case| {
    let [one, two] = PAIRS.iter().find(|pair| pair[0].kind == KeyPairKind::MlKem768).expect("a key of this kind");
    let length = one.kind.encapsulation_length().expect("an ML-KEM key");
    let sent = two.public.encapsulate(BACKENDS[1].random()).expect("random bytes are available");
    let ciphertext = match case {
        Case::Bytes(bytes) => bytes,
        Case::Stretched(bytes) => bytes.iter().copied().cycle().take(length).collect(),
        Case::Edited(edits) => {
            let mut edited = sent.ciphertext.clone();
            edits.iter().for_each(|edit| edit.apply(&mut edited));
            edited
        }
    };
    let secrets = [one, two].map(|pair| pair.private.decapsulate(&ciphertext));
    assert_eq!(secrets[0], secrets[1]);
    match &secrets[0] {
        Ok(secret) => {
            assert_eq!((ciphertext.len(), secret.len()), (length, 32));
            assert_eq!(*secret == sent.shared_secret, ciphertext == sent.ciphertext);
        }
        Err(error) => {
            let expected = CryptoError::InvalidLength { what: "ciphertext", length: ciphertext.len() };
            assert_eq!((*error, ciphertext.len() != length), (expected, true));
        }
    }
});
