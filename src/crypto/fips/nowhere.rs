//! The place of the second library, which the strict backend does not have.

use super::rejected::{ED25519, HKDF_SHA_224, rejected};
use crate::crypto::{
    CryptoError, DigestAlgorithm, Kdf, KeyPairKind, KeyPairs, PrivateKey, PseudoRandomKey, PublicKey, REJECTED,
    SecureRandom,
};

/// Rejects everything. No part calls it, because each rejects such a call before.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Kdf for Nowhere {
    fn library(&self) -> &'static str {
        REJECTED
    }

    fn extract(&self, _algorithm: DigestAlgorithm, _salt: &[u8], _input: &[u8]) -> Box<dyn PseudoRandomKey> {
        Box::new(Self)
    }

    fn bind(&self, _algorithm: DigestAlgorithm, _key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        Err(rejected(HKDF_SHA_224))
    }
}

impl PseudoRandomKey for Nowhere {
    fn expand(&self, _info: &[&[u8]], _output: &mut [u8]) -> Result<(), CryptoError> {
        Err(rejected(HKDF_SHA_224))
    }
}

impl KeyPairs for Nowhere {
    fn library(&self, _kind: KeyPairKind) -> &'static str {
        REJECTED
    }

    fn generate(&self, _kind: KeyPairKind, _random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
        Err(rejected(ED25519))
    }

    fn private_key(&self, _kind: KeyPairKind, _pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
        Err(rejected(ED25519))
    }

    fn public_key(&self, _kind: KeyPairKind, _spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        Err(rejected(ED25519))
    }

    fn public_key_of_point(&self, _kind: KeyPairKind, _point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        Err(rejected(ED25519))
    }
}
