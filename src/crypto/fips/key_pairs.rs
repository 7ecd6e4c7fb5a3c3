//! Key pairs in the module: RSA, the curves P-256, P-384 and P-521, and ML-DSA if the module has it.

use super::module;
use super::rejected::{
    ED25519, EXTERNAL_MU, HASH_VALUES, ML_DSA, ML_KEM, PKCS1_DECRYPTION, RSA_KEYS, SECP256K1, check_generator, rejected,
};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::aws_lc::{AwsLcKeyPairs, HAS_ML_DSA, generate_ml_dsa, generate_on_curve, is_approved_rsa_key};
use crate::crypto::{
    CryptoError, KeyPairFamily, KeyPairKind, KeyPairs, PrivateKey, PublicKey, REJECTED, RsaOaep, SecureRandom,
    SignatureInput,
};
use crate::secret::SecretBytes;

#[derive(Debug)]
pub(super) struct FipsKeyPairs {
    pub(super) module: AwsLcKeyPairs,
}

/// Rejects every kind of key that the module does not offer.
fn check(kind: KeyPairKind) -> Result<(), CryptoError> {
    match kind {
        KeyPairKind::Rsa2048
        | KeyPairKind::Rsa3072
        | KeyPairKind::Rsa4096
        | KeyPairKind::EccP256
        | KeyPairKind::EccP384
        | KeyPairKind::EccP521 => module::check_mode(),
        KeyPairKind::EccSecp256k1 => Err(rejected(SECP256K1)),
        KeyPairKind::Ed25519 => Err(rejected(ED25519)),
        KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => {
            if HAS_ML_DSA {
                module::check_mode()
            } else {
                Err(rejected(ML_DSA))
            }
        }
        // The interface of the module accepts only expanded keys, which another library would have to
        // expand: keys are stored as seeds.
        KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => Err(rejected(ML_KEM)),
    }
}

impl KeyPairs for FipsKeyPairs {
    fn library(&self, kind: KeyPairKind) -> &'static str {
        if check(kind).is_ok() { self.module.library } else { REJECTED }
    }

    /// Generates a key in the module, with its own generator.
    fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
        check(kind)?;
        check_generator(random)?;
        let key = match kind.family() {
            KeyPairFamily::Rsa => self.module.generate(kind, random)?,
            KeyPairFamily::MlDsa => generate_ml_dsa(&self.module, kind)?,
            _ => generate_on_curve(&self.module, kind)?,
        };
        Ok(Box::new(Strict(key)))
    }

    fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
        check(kind)?;
        let key = self.module.private_key(kind, pkcs8)?;
        if kind.modulus_bits().is_some() && !is_approved_rsa_key(key.to_pkcs8()?.expose_secret()) {
            return Err(rejected(RSA_KEYS));
        }
        Ok(Box::new(Strict(key)))
    }

    fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        check(kind)?;
        Ok(Box::new(StrictPublic(self.module.public_key(kind, spki)?)))
    }

    fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        check(kind)?;
        Ok(Box::new(StrictPublic(self.module.public_key_of_point(kind, point)?)))
    }
}

/// Accepts only messages: the module does not approve signatures of hash values, which may have been
/// computed elsewhere, and does not accept message representatives.
fn check_message(input: SignatureInput<'_>) -> Result<(), CryptoError> {
    match input {
        SignatureInput::Message(_) => Ok(()),
        SignatureInput::Digest(_) => Err(rejected(HASH_VALUES)),
        SignatureInput::ExternalMu(_) => Err(rejected(EXTERNAL_MU)),
    }
}

struct Strict(Box<dyn PrivateKey>);

impl PrivateKey for Strict {
    fn kind(&self) -> KeyPairKind {
        self.0.kind()
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        self.0.to_pkcs8()
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.0.public_key_der()
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_message(input)?;
        self.0.sign(algorithm, input)
    }

    fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        self.0.decrypt(oaep, ciphertext)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(rejected(PKCS1_DECRYPTION))
    }

    fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        self.0.agree(peer)
    }
}

struct StrictPublic(Box<dyn PublicKey>);

impl PublicKey for StrictPublic {
    fn kind(&self) -> KeyPairKind {
        self.0.kind()
    }

    fn to_spki(&self) -> Vec<u8> {
        self.0.to_spki()
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        self.0.to_compressed_point()
    }

    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_message(input)?;
        self.0.verify(algorithm, input, signature)
    }

    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        self.0.encrypt(oaep, plaintext, random)
    }
}
