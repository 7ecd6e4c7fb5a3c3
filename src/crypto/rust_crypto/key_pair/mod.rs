//! Key pairs with `rsa`, `p256`, `p384`, `p521`, `k256`, `ed25519-dalek`, `ml-dsa` and `ml-kem`.

mod ed25519;
mod elliptic;
mod ml_dsa;
mod ml_kem;
mod rsa;

#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
pub(super) mod expansion;

use k256::Secp256k1;
use p256::NistP256;
use p384::NistP384;
use p521::NistP521;

use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, PublicKey, SecureRandom, key_encoding};

#[derive(Debug)]
pub(super) struct RustCryptoKeyPairs;

impl KeyPairs for RustCryptoKeyPairs {
    fn library(&self, kind: KeyPairKind) -> &'static str {
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => "rsa",
            KeyPairKind::EccP256 => "p256",
            KeyPairKind::EccP384 => "p384",
            KeyPairKind::EccP521 => "p521",
            KeyPairKind::EccSecp256k1 => "k256",
            KeyPairKind::Ed25519 => "ed25519-dalek",
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => "ml-dsa",
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => "ml-kem",
        }
    }

    fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => rsa::generate(kind, random),
            KeyPairKind::EccP256 => elliptic::generate::<NistP256>(kind, random),
            KeyPairKind::EccP384 => elliptic::generate::<NistP384>(kind, random),
            KeyPairKind::EccP521 => elliptic::generate::<NistP521>(kind, random),
            KeyPairKind::EccSecp256k1 => elliptic::generate::<Secp256k1>(kind, random),
            KeyPairKind::Ed25519 => ed25519::generate(random),
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => ml_dsa::generate(kind, random),
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => ml_kem::generate(kind, random),
        }
    }

    fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
        let parts = key_encoding::parse_private(kind, pkcs8)?;
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => rsa::private_key(kind, parts),
            KeyPairKind::EccP256 => elliptic::private_key::<NistP256>(kind, &parts),
            KeyPairKind::EccP384 => elliptic::private_key::<NistP384>(kind, &parts),
            KeyPairKind::EccP521 => elliptic::private_key::<NistP521>(kind, &parts),
            KeyPairKind::EccSecp256k1 => elliptic::private_key::<Secp256k1>(kind, &parts),
            KeyPairKind::Ed25519 => ed25519::private_key(&parts),
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => ml_dsa::private_key(kind, &parts),
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => ml_kem::private_key(kind, &parts),
        }
    }

    fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        let content = key_encoding::parse_public(kind, spki)?;
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => rsa::public_key(kind, &content),
            KeyPairKind::Ed25519 => ed25519::public_key(&content),
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => ml_dsa::public_key(kind, &content),
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => {
                ml_kem::public_key(kind, &content)
            }
            KeyPairKind::EccP256 | KeyPairKind::EccP384 | KeyPairKind::EccP521 | KeyPairKind::EccSecp256k1 => {
                self.public_key_of_point(kind, &content)
            }
        }
    }

    fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        if !kind.scalar_length().is_some_and(|length| key_encoding::is_point(point, length)) {
            return Err(CryptoError::InvalidPublicKey);
        }
        match kind {
            KeyPairKind::EccP256 => elliptic::public_key::<NistP256>(kind, point),
            KeyPairKind::EccP384 => elliptic::public_key::<NistP384>(kind, point),
            KeyPairKind::EccP521 => elliptic::public_key::<NistP521>(kind, point),
            KeyPairKind::EccSecp256k1 => elliptic::public_key::<Secp256k1>(kind, point),
            _ => Err(CryptoError::InvalidPublicKey),
        }
    }
}
