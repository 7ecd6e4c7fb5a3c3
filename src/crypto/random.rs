//! Random numbers.

use std::fmt::Debug;

use super::CryptoError;

/// The randomness part of a backend: a cryptographically secure generator.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError};
///
/// let mut bytes = [0; 32];
/// CryptoBackend::default().random().fill(&mut bytes)?;
/// assert_ne!(bytes, [0; 32]);
/// # Ok::<(), CryptoError>(())
/// ```
pub trait SecureRandom: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Fills `output` with random bytes.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if the operating system provides no random bytes. `output`
    ///   must not be used in that case.
    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError>;
}
