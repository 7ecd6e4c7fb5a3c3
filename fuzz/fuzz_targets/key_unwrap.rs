//! Untrusted wrapped keys: everything that unwraps is the output of wrapping, and both backends
//! agree.
//!
//! Input: the mode, and either wrapped bytes, or a key and modifications of its wrapped form.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::{CryptoError, KeyWrapMode};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::BACKENDS;

#[derive(Arbitrary, Debug)]
enum Wrapped {
    Bytes(Vec<u8>),
    Edited { key: Vec<u8>, edits: Vec<Edit> },
}

#[derive(Arbitrary, Debug)]
struct Case {
    padded: bool,
    wrapping_key: [u8; 32],
    wrapped: Wrapped,
}

fuzz_target!(|case: Case| {
    let mode = if case.padded { KeyWrapMode::Padded } else { KeyWrapMode::Plain };
    let wrapped = match &case.wrapped {
        Wrapped::Bytes(bytes) => bytes.clone(),
        Wrapped::Edited { key, edits } => {
            let [one, two] = BACKENDS.map(|backend| backend.key_wrap().wrap(mode, &case.wrapping_key, key));
            assert_eq!(one, two);
            let Ok(made) = one else { return };
            let mut edited = made.clone();
            edits.iter().for_each(|edit| edit.apply(&mut edited));
            if edited == made {
                let opened = BACKENDS[0]
                    .key_wrap()
                    .unwrap(mode, &case.wrapping_key, &made)
                    .expect("the ciphertext was created here");
                assert_eq!(opened.expose_secret(), key);
            }
            edited
        }
    };
    let [one, two] = BACKENDS.map(|backend| backend.key_wrap().unwrap(mode, &case.wrapping_key, &wrapped));
    assert_eq!(one, two);
    match one {
        Ok(key) => {
            let again = BACKENDS[0].key_wrap().wrap(mode, &case.wrapping_key, key.expose_secret());
            assert_eq!(again.expect("the unwrapped key can be wrapped"), wrapped);
        }
        Err(error) => assert_eq!(error, CryptoError::NotAuthentic),
    }
});
