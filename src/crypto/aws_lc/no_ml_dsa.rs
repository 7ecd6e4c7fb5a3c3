//! Takes the place of `ml_dsa` with `aws-lc-rs` 1.17, which has no stable interface for ML-DSA: the
//! other library computes everything.

use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, PublicKey, SecureRandom, key_encoding};

/// `true` if AWS-LC computes ML-DSA.
pub(in crate::crypto) const HAS_ML_DSA: bool = false;

pub(super) fn generate(
    kind: KeyPairKind,
    random: &dyn SecureRandom,
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    elsewhere.generate(kind, random)
}

pub(super) fn private_key(
    kind: KeyPairKind,
    pkcs8: &[u8],
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    elsewhere.private_key(kind, pkcs8)
}

pub(super) fn public_key(
    kind: KeyPairKind,
    bytes: &[u8],
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PublicKey>, CryptoError> {
    elsewhere.public_key(kind, &key_encoding::write_public(kind, bytes)?)
}
