//! Untrusted signatures: both backends return the same verdict for any bytes, and only a generated
//! signature is valid.
//!
//! Input: the key, algorithm and message, and either bytes as a signature or edits of a valid one.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{CryptoError, KeyPairKind, SignatureInput};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::{PAIRS, Pair};

#[derive(Arbitrary, Debug)]
enum Signature {
    Bytes(Vec<u8>),
    Edited(Vec<Edit>),
}

#[derive(Arbitrary, Debug)]
struct Case {
    key: u8,
    algorithm: u8,
    message: Vec<u8>,
    signature: Signature,
}

fuzz_target!(|case: Case| {
    let [one, two] = &PAIRS[usize::from(case.key) % PAIRS.len()];
    let algorithms = one.kind.signing_algorithms();
    if algorithms.is_empty() {
        return;
    }
    let algorithm = algorithms[usize::from(case.algorithm) % algorithms.len()];
    let input = SignatureInput::Message(&case.message);
    let (signature, made) = match &case.signature {
        Signature::Bytes(bytes) => (bytes.clone(), None),
        Signature::Edited(edits) => {
            let made = two.private.sign(algorithm, input).expect("a valid key signs");
            let mut edited = made.clone();
            edits.iter().for_each(|edit| edit.apply(&mut edited));
            (edited, Some(made))
        }
    };
    let verdicts = [one, two].map(|pair: &Pair| pair.public.verify(algorithm, input, &signature));
    assert_eq!(verdicts[0], verdicts[1], "{algorithm} with {:?}", one.kind);
    match verdicts[0] {
        Ok(()) => assert!(
            made.is_some_and(|made| made == signature) || is_known_malleable(one.kind, algorithm),
            "the signature was never created"
        ),
        Err(error) => assert_eq!(error, CryptoError::InvalidSignature),
    }
});

/// From an ECDSA signature (r, s) anyone can compute (r, -s), which is also valid (FIPS 186-5 does
/// not prohibit it).
fn is_known_malleable(kind: KeyPairKind, algorithm: SigningAlgorithm) -> bool {
    kind != KeyPairKind::Ed25519
        && matches!(
            algorithm,
            SigningAlgorithm::EcdsaSha256 | SigningAlgorithm::EcdsaSha384 | SigningAlgorithm::EcdsaSha512
        )
}
