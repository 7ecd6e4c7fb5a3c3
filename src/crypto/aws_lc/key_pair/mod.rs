//! Key pairs with AWS-LC. The libraries of the pure-Rust backend provide the operations that AWS-LC
//! lacks: Ed25519ph, PKCS#1 v1.5 decryption with implicit rejection, ML-DSA with a message
//! representative of the caller, and seeds of ML-KEM.

mod ed25519;
mod elliptic;
mod rsa;

use super::{ml_dsa, ml_kem};
use crate::crypto::{
    CryptoError, KeyPairFamily, KeyPairKind, KeyPairs, PrivateKey, PublicKey, SecureRandom, key_encoding,
};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcKeyPairs {
    pub(in crate::crypto) library: &'static str,
    /// Provides the operations that AWS-LC lacks.
    pub(in crate::crypto) elsewhere: &'static dyn KeyPairs,
}

impl KeyPairs for AwsLcKeyPairs {
    fn library(&self, kind: KeyPairKind) -> &'static str {
        match kind.family() {
            KeyPairFamily::MlDsa if !ml_dsa::HAS_ML_DSA => self.elsewhere.library(kind),
            _ => self.library,
        }
    }

    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Ed25519ph", "ed25519-dalek"),
            ("RSAES-PKCS1-v1_5 decryption", "rsa"),
            ("ML-DSA with EXTERNAL_MU", "ml-dsa"),
            ("checks and seeds of ML-KEM keys", "ml-kem"),
        ]
    }

    fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => rsa::generate(kind, self.elsewhere),
            KeyPairKind::Ed25519 => ed25519::generate(random, self.elsewhere),
            KeyPairKind::EccP256 | KeyPairKind::EccP384 | KeyPairKind::EccP521 | KeyPairKind::EccSecp256k1 => {
                elliptic::generate(kind, random)
            }
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => {
                ml_dsa::generate(kind, random, self.elsewhere)
            }
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => ml_kem::generate(kind, random),
        }
    }

    fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
        let parts = || key_encoding::parse_private(kind, pkcs8);
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => {
                rsa::private_key(kind, parts()?, self.elsewhere)
            }
            KeyPairKind::Ed25519 => ed25519::private_key(parts()?, self.elsewhere),
            KeyPairKind::EccP256 | KeyPairKind::EccP384 | KeyPairKind::EccP521 | KeyPairKind::EccSecp256k1 => {
                elliptic::private_key(kind, &parts()?)
            }
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => {
                ml_dsa::private_key(kind, pkcs8, self.elsewhere)
            }
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => {
                ml_kem::private_key(kind, parts()?)
            }
        }
    }

    fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        let content = key_encoding::parse_public(kind, spki)?;
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => rsa::public_key(kind, &content),
            KeyPairKind::Ed25519 => ed25519::public_key(&content, self.elsewhere),
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => {
                ml_dsa::public_key(kind, &content, self.elsewhere)
            }
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => {
                ml_kem::public_key(kind, &content, self.elsewhere)
            }
            KeyPairKind::EccP256 | KeyPairKind::EccP384 | KeyPairKind::EccP521 | KeyPairKind::EccSecp256k1 => {
                self.public_key_of_point(kind, &content)
            }
        }
    }

    fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        let is_curve = kind != KeyPairKind::Ed25519;
        if !is_curve || !kind.scalar_length().is_some_and(|length| key_encoding::is_point(point, length)) {
            return Err(CryptoError::InvalidPublicKey);
        }
        elliptic::public_key(kind, point)
    }
}
