//! ML-KEM with AWS-LC. `ml-kem` expands the seeds, because `aws-lc-rs` accepts only expanded keys,
//! and checks public keys.
//!
//! No other file uses the interface of `aws-lc-rs` for this algorithm.

use aws_lc_rs::kem::{
    Algorithm, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_512, ML_KEM_768, ML_KEM_1024, SharedSecret,
};

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::{check_encapsulation, check_input};
use crate::crypto::rust_crypto::expand_ml_kem;
use crate::crypto::{
    CryptoError, Encapsulated, KeyPairKind, KeyPairs, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput,
};
use crate::secret::SecretBytes;

fn algorithm(kind: KeyPairKind) -> Result<&'static Algorithm, CryptoError> {
    match kind {
        KeyPairKind::MlKem512 => Ok(&ML_KEM_512),
        KeyPairKind::MlKem768 => Ok(&ML_KEM_768),
        KeyPairKind::MlKem1024 => Ok(&ML_KEM_1024),
        _ => Err(CryptoError::UnsuitableKey),
    }
}

pub(super) fn generate(kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = SecretBytes::zeroed(64);
    random.fill(seed.expose_secret_mut())?;
    private_key(kind, PrivateParts { secret: seed, expanded: None, public: None })
}

pub(super) fn private_key(kind: KeyPairKind, parts: PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let expanded = expand_ml_kem(kind, &parts)?;
    let key = DecapsulationKey::new(algorithm(kind)?, expanded.decapsulation_key.expose_secret())
        .map_err(|_| CryptoError::InvalidPrivateKey)?;
    Ok(Box::new(Private { kind, key, seed: parts.secret, public: expanded.encapsulation_key }))
}

pub(super) fn public_key(
    kind: KeyPairKind,
    bytes: &[u8],
    elsewhere: &dyn KeyPairs,
) -> Result<Box<dyn PublicKey>, CryptoError> {
    let spki = key_encoding::write_public(kind, bytes)?;
    // AWS-LC would check the key only when it is used.
    elsewhere.public_key(kind, &spki)?;
    let key = EncapsulationKey::new(algorithm(kind)?, bytes).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, key, spki }))
}

fn shared(secret: &SharedSecret) -> SecretBytes {
    SecretBytes::copy_from_slice(secret.as_ref())
}

/// The expanded key, which the library wipes when it is dropped, and the seed.
struct Private {
    kind: KeyPairKind,
    key: DecapsulationKey,
    seed: SecretBytes,
    public: Vec<u8>,
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(self.kind, self.seed.expose_secret(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        key_encoding::write_public(self.kind, &self.public).expect("a key of ML-KEM is short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt(&self, _oaep: RsaOaep, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn agree(&self, _peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        check_encapsulation(self.kind, ciphertext)?;
        // With a key and a ciphertext of the right length, this does not fail.
        let secret = self.key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| CryptoError::FaultyComputation)?;
        Ok(shared(&secret))
    }
}

struct Public {
    kind: KeyPairKind,
    key: EncapsulationKey,
    spki: Vec<u8>,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        self.spki.clone()
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        None
    }

    fn verify(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>, _: &[u8]) -> Result<(), CryptoError> {
        check_input(self.kind, algorithm, input)?;
        Err(CryptoError::UnsuitableKey)
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    /// The library draws from its own generator.
    fn encapsulate(&self, _random: &dyn SecureRandom) -> Result<Encapsulated, CryptoError> {
        let (ciphertext, secret) = self.key.encapsulate().map_err(|_| CryptoError::RandomFailed)?;
        Ok(Encapsulated { shared_secret: shared(&secret), ciphertext: ciphertext.as_ref().to_vec() })
    }
}
