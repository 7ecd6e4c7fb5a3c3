//! Generating keys for ML-DSA with the generator of the module.

use aws_lc_rs::signature::{ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair};

use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey};

/// Generates a key in the module, which checks the pair (FIPS 204, section 6.1), and loads it from its
/// seed.
pub(in crate::crypto) fn generate_ml_dsa(
    pairs: &dyn KeyPairs,
    kind: KeyPairKind,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let algorithm = match kind {
        KeyPairKind::MlDsa44 => &ML_DSA_44_SIGNING,
        KeyPairKind::MlDsa65 => &ML_DSA_65_SIGNING,
        KeyPairKind::MlDsa87 => &ML_DSA_87_SIGNING,
        _ => return Err(CryptoError::UnsuitableKey),
    };
    let key = PqdsaKeyPair::generate(algorithm).map_err(|_| CryptoError::RandomFailed)?;
    let pkcs8 = key.to_pkcs8v1().map_err(|_| CryptoError::InvalidPrivateKey)?;
    pairs.private_key(kind, pkcs8.as_ref())
}
