//! Untrusted keys: both backends accept the same PKCS#8 and `SubjectPublicKeyInfo`, and serialize
//! accepted keys identically.
//!
//! Input: a byte for the kind, a byte for the encoding, and the key. If the first byte is greater
//! than 127, edits of a valid key instead.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::{CryptoError, KeyPairKind, SignatureInput};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::{BACKENDS, KEYS, PAIRS};

#[derive(Arbitrary, Debug)]
struct Case {
    key: u8,
    public: bool,
    edits: Vec<Edit>,
}

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [kind @ 0..=127, form, der @ ..] => {
            let kind = KeyPairKind::ALL[usize::from(*kind) % KeyPairKind::ALL.len()];
            try_form(kind, form % 2 == 0, der);
        }
        [_, rest @ ..] => {
            if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(rest)) {
                edited(&case);
            }
        }
        [] => {}
    }
});

fn edited(case: &Case) {
    let place = usize::from(case.key) % KEYS.len();
    let (kind, private) = KEYS[place];
    let mut der = if case.public { PAIRS[place][0].private.public_key_der() } else { private.to_vec() };
    case.edits.iter().for_each(|edit| edit.apply(&mut der));
    try_form(kind, case.public, &der);
}

fn try_form(kind: KeyPairKind, public: bool, der: &[u8]) {
    if public { try_public(kind, der) } else { try_private(kind, der) }
}

fn try_public(kind: KeyPairKind, der: &[u8]) {
    let [one, two] = BACKENDS.map(|backend| {
        let parsed = backend.key_pairs().public_key(kind, der);
        parsed.map(|key| key.to_spki()).inspect_err(|error| assert_eq!(*error, CryptoError::InvalidPublicKey))
    });
    assert_eq!(one, two, "{kind:?}");
    if let Ok(spki) = one {
        let again = BACKENDS[0].key_pairs().public_key(kind, &spki).expect("the serialized key can be parsed");
        assert_eq!(again.to_spki(), spki);
    }
}

fn try_private(kind: KeyPairKind, der: &[u8]) {
    let [one, two] = BACKENDS.map(|backend| backend.key_pairs().private_key(kind, der));
    match (one, two) {
        (Ok(one), Ok(two)) => {
            let written = [&one, &two].map(|key| key.to_pkcs8().expect("the key is valid"));
            assert_eq!(written[0].expose_secret(), written[1].expose_secret());
            assert_eq!(one.public_key_der(), two.public_key_der());
            let public = BACKENDS[1].key_pairs().public_key(kind, &one.public_key_der()).expect("its own");
            let Some(&algorithm) = kind.signing_algorithms().first() else {
                let sent = public.encapsulate(BACKENDS[1].random()).expect("random bytes are available");
                for key in [&one, &two] {
                    assert_eq!(key.decapsulate(&sent.ciphertext).as_ref(), Ok(&sent.shared_secret));
                }
                return;
            };
            let message = SignatureInput::Message(b"m");
            for key in [&one, &two] {
                match key.sign(algorithm, message) {
                    Ok(signature) => public.verify(algorithm, message, &signature).expect("a valid key verifies"),
                    // A factor is not prime, which is detected only here.
                    Err(error) => assert_eq!(error, CryptoError::FaultyComputation),
                }
            }
        }
        (Err(one), Err(two)) => {
            assert_eq!((one, two), (CryptoError::InvalidPrivateKey, CryptoError::InvalidPrivateKey))
        }
        (one, two) => panic!("{kind:?}: {:?} and {:?}", one.map(drop), two.map(drop)),
    }
}
