//! Random numbers.

use std::fmt::Debug;

use super::CryptoError;

/// The randomness part of a backend: a cryptographically secure generator.
pub trait SecureRandom: Debug + Send + Sync {
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// Fills `output` with random bytes.
    ///
    /// # Errors
    /// [`CryptoError::RandomFailed`] if the operating system gives none; `output` must not be used then.
    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError>;
}
