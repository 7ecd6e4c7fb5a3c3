//! Validation of imported key material.

use std::ops::RangeInclusive;

use crate::crypto::{self, CryptoBackend, CryptoError, KeyPairKind, PrivateKey, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::provider::{GeneratedMaterial, key_pair_kind};
use crate::secret::SecretBytes;

/// Length of AES-256 key material in bytes.
const SYMMETRIC_LENGTH: usize = 32;

/// Validates unwrapped material and returns the form to store.
///
/// For a key pair, this is the private key as this crate encodes it, whatever PKCS#8 encoding was
/// imported, so that the same key is recognized when it is imported again. The public key is
/// computed. If the import contained one, it must match.
///
/// # Errors
/// - [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial) with a description of the material.
///   Only a caller that could wrap the material can cause this error, so it discloses nothing new.
pub(in crate::provider) fn check(
    backend: &CryptoBackend,
    spec: KeySpec,
    material: &SecretBytes,
) -> Result<GeneratedMaterial> {
    let bytes = material.expose_secret();
    match key_pair_kind(spec) {
        Some(kind) => {
            let key = backend.key_pairs().private_key(kind, bytes).map_err(|error| {
                if matches!(error, CryptoError::Rejected { .. }) {
                    return error.into();
                }
                let found = crypto::explain_private(backend.key_pairs(), &[kind], bytes);
                incorrect(format!("the key material is not a PKCS#8 private key for {spec}: {found}"))
                    .with_source(error)
            })?;
            self_test(backend, kind, &*key)?;
            Ok(GeneratedMaterial::key_pair(key.to_pkcs8()?, key.public_key_der()))
        }
        None => {
            let lengths = spec.mac_key_lengths().unwrap_or(SYMMETRIC_LENGTH..=SYMMETRIC_LENGTH);
            if !lengths.contains(&bytes.len()) {
                return Err(incorrect(wrong_length(spec, &lengths, bytes)));
            }
            Ok(GeneratedMaterial::secret(SecretBytes::copy_from_slice(bytes)))
        }
    }
}

/// Detects a key pair whose halves do not match. Nobody could verify its signatures, decrypt with
/// it, or share a secret with it.
fn self_test(backend: &CryptoBackend, kind: KeyPairKind, key: &dyn PrivateKey) -> Result<()> {
    let message = SignatureInput::Message(b"strongroom import self-test");
    let passes = || {
        let public = backend.key_pairs().public_key(kind, &key.public_key_der())?;
        match kind.signing_algorithms().first() {
            Some(&algorithm) => public.verify(algorithm, message, &key.sign(algorithm, message)?),
            None => {
                let sent = public.encapsulate(backend.random())?;
                let received = key.decapsulate(&sent.ciphertext)?;
                if received == sent.shared_secret { Ok(()) } else { Err(CryptoError::FaultyComputation) }
            }
        }
    };
    passes().map_err(|error| incorrect("the private and public key of the pair do not match".into()).with_source(error))
}

fn incorrect(text: String) -> Error {
    Error::new(ErrorKind::IncorrectKeyMaterial, text)
}

fn wrong_length(spec: KeySpec, lengths: &RangeInclusive<usize>, bytes: &[u8]) -> String {
    let wanted = match lengths.start() == lengths.end() {
        true => lengths.start().to_string(),
        false => format!("{} to {}", lengths.start(), lengths.end()),
    };
    let text = format!("the key material of {spec} must have {wanted} bytes, not {}", bytes.len());
    let without_line_end = [&b"\r\n"[..], b"\n"].into_iter().find_map(|end| bytes.strip_suffix(end));
    if let Some(form) = crypto::text_form(bytes) {
        format!("{text}: {form}")
    } else if without_line_end.is_some_and(|bytes| lengths.contains(&bytes.len())) {
        format!("{text}: it ends with a line ending, which must be removed")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::algorithm::SigningAlgorithm;
    use crate::crypto::{FASTEST, KeyPairs, PublicKey, RsaOaep, SecureRandom};

    /// A private key that signs with one key pair and reports the public key of another.
    struct Mismatched {
        private: Box<dyn PrivateKey>,
        public: Vec<u8>,
    }

    impl PrivateKey for Mismatched {
        fn kind(&self) -> KeyPairKind {
            self.private.kind()
        }

        fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
            self.private.to_pkcs8()
        }

        fn public_key_der(&self) -> Vec<u8> {
            self.public.clone()
        }

        fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
            self.private.sign(algorithm, input)
        }

        fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
            self.private.decrypt(oaep, ciphertext)
        }

        fn decrypt_pkcs1_v15_unauthenticated(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
            self.private.decrypt_pkcs1_v15_unauthenticated(ciphertext)
        }

        fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError> {
            self.private.agree(peer)
        }
    }

    /// A library without any checks: every private key is returned with this public key.
    #[derive(Debug)]
    struct Unchecked;

    static OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| generate(KeyPairKind::EccP256).public_key_der());

    fn generate(kind: KeyPairKind) -> Box<dyn PrivateKey> {
        FASTEST.key_pairs().generate(kind, FASTEST.random()).expect("a key pair")
    }

    impl KeyPairs for Unchecked {
        fn library(&self, kind: KeyPairKind) -> &'static str {
            FASTEST.key_pairs().library(kind)
        }

        fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
            FASTEST.key_pairs().generate(kind, random)
        }

        fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
            let private = FASTEST.key_pairs().private_key(kind, pkcs8)?;
            Ok(Box::new(Mismatched { private, public: OTHER.clone() }))
        }

        fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
            FASTEST.key_pairs().public_key(kind, spki)
        }

        fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
            FASTEST.key_pairs().public_key_of_point(kind, point)
        }
    }

    #[test]
    fn a_key_pair_whose_halves_do_not_belong_together_is_refused() -> Result<()> {
        let material = generate(KeyPairKind::EccP256).to_pkcs8()?;
        check(&FASTEST, KeySpec::EccNistP256, &material)?;
        let refused = check(&FASTEST.with_key_pairs(&Unchecked), KeySpec::EccNistP256, &material).map(drop);
        let refused = refused.expect_err("the public key belongs to another key pair");
        assert_eq!(refused.kind(), ErrorKind::IncorrectKeyMaterial);
        assert!(refused.to_string().contains("do not match"), "{refused}");
        Ok(())
    }

    #[test]
    fn secret_keys_have_the_lengths_of_their_spec_and_no_other() -> Result<()> {
        let mut specs = 0;
        for &spec in KeySpec::ALL.iter().filter(|spec| key_pair_kind(**spec).is_none()) {
            let lengths = spec.mac_key_lengths().unwrap_or(SYMMETRIC_LENGTH..=SYMMETRIC_LENGTH);
            for length in 0..=lengths.end() + 1 {
                let material = SecretBytes::copy_from_slice(&vec![0x80; length]);
                let checked = check(&FASTEST, spec, &material);
                assert_eq!(checked.is_ok(), lengths.contains(&length), "{spec} with {length} bytes");
                if let Ok(checked) = checked {
                    assert_eq!((checked.stored, checked.public_key), (material, None));
                }
            }
            specs += 1;
        }
        assert_eq!(specs, 5);
        Ok(())
    }
}
