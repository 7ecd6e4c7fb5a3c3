//! Work that the FIPS module does itself: it generates keys for curves and ML-DSA, and judges RSA keys.

#[cfg(aws_lc_ml_dsa)]
mod ml_dsa;
#[cfg(not(aws_lc_ml_dsa))]
mod no_ml_dsa;

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, RsaKeyPair,
};

#[cfg(aws_lc_ml_dsa)]
pub(in crate::crypto) use ml_dsa::generate_ml_dsa;
#[cfg(not(aws_lc_ml_dsa))]
pub(in crate::crypto) use no_ml_dsa::generate_ml_dsa;

use super::signature;
use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, SignatureAlgorithm, SigningKey, key_encoding};

/// Generates a key for one message with the generator of the module.
pub(in crate::crypto) fn generate_signing_key(
    algorithm: SignatureAlgorithm,
) -> Result<Box<dyn SigningKey>, CryptoError> {
    let library_algorithm = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        SignatureAlgorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
    };
    Ok(Box::new(signature::Secret { algorithm, key: generate(library_algorithm)? }))
}

/// Generates a key on a NIST curve with the generator of the module, which checks the pair
/// (SP 800-56A, section 5.6.2.1.4).
pub(in crate::crypto) fn generate_on_curve(
    pairs: &dyn KeyPairs,
    kind: KeyPairKind,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let key = generate(match kind {
        KeyPairKind::EccP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyPairKind::EccP384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyPairKind::EccP521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => return Err(CryptoError::UnsuitableKey),
    })?;
    let scalar: EcPrivateKeyBin<'_> = key.private_key().as_be_bytes().map_err(|_| CryptoError::InvalidPrivateKey)?;
    let pkcs8 = key_encoding::write_private(kind, scalar.as_ref(), &[])?;
    pairs.private_key(kind, pkcs8.expose_secret())
}

fn generate(algorithm: &'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, CryptoError> {
    EcdsaKeyPair::generate(algorithm).map_err(|_| CryptoError::RandomFailed)
}

/// Returns `true` if the module accepts an RSA private key (PKCS#8) as approved.
pub(in crate::crypto) fn is_approved_rsa_key(pkcs8: &[u8]) -> bool {
    RsaKeyPair::from_pkcs8(pkcs8).is_ok_and(|key| key.is_valid_fips_key())
}
