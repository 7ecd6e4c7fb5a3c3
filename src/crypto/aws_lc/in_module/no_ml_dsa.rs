//! Takes the place of `ml_dsa` with `aws-lc-rs` 1.17.

use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey};

/// Fails: the strict backend rejects such keys before.
pub(in crate::crypto) fn generate_ml_dsa(
    _pairs: &dyn KeyPairs,
    _kind: KeyPairKind,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    Err(CryptoError::UnsuitableKey)
}
