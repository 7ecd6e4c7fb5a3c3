//! Key derivation with HKDF.

use std::fmt::Debug;

use super::{CryptoError, DigestAlgorithm};

/// The key derivation part of a backend: HKDF (RFC 5869).
pub trait Kdf: Debug + Send + Sync {
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// What another library does because that one lacks it, as (algorithm, library).
    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// HKDF-Extract. An empty salt stands for the RFC's default of as many zero bytes as the hash has.
    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey>;

    /// Takes over a pseudo-random key that is already uniform, skipping the extract step.
    ///
    /// RFC 5869 allows longer keys than the extract step makes; libraries differ in how long, so none is taken.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] unless it is as long as the hash's output.
    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError>;
}

/// A pseudo-random key from which keys are derived; wiped when dropped.
pub trait PseudoRandomKey: Send + Sync {
    /// HKDF-Expand into `output`, with the concatenation of `info` as the context.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `output` is over 255 times the hash's output length.
    fn expand(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError>;
}

/// Refuses a pseudo-random key that is not as long as the extract step would make it.
pub(super) fn check_key(algorithm: DigestAlgorithm, key: &[u8]) -> Result<(), CryptoError> {
    if key.len() != algorithm.output_length() {
        return Err(CryptoError::InvalidLength { what: "HKDF pseudo-random key", length: key.len() });
    }
    Ok(())
}
