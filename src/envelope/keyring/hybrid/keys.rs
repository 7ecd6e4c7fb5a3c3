//! Keys of hybrid key encapsulation mechanisms.

use super::kem::HybridKem;
use super::wrapping;
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::secret::SecretBytes;

impl HybridKem {
    /// Generates a private key: a seed of 32 random bytes. Keep it as you would keep an AES key.
    ///
    /// # Errors
    /// - [`ErrorKind::UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) with the strict
    ///   backend of the feature `fips`.
    /// - [`ErrorKind::Internal`](crate::ErrorKind::Internal) if the generator fails.
    pub fn generate(self, backend: &CryptoBackend) -> Result<SecretBytes> {
        backend.check_allowed(wrapping::HPKE)?;
        let mut seed = SecretBytes::zeroed(wrapping::SEED_LENGTH);
        backend.random().fill(seed.expose_secret_mut())?;
        Ok(seed)
    }

    /// Computes the public key of a private key.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the private key does not have 32
    ///   bytes.
    pub fn public_key(self, private: &SecretBytes) -> Result<Vec<u8>> {
        Ok(wrapping::from_private(self, private)?.public_key())
    }
}
