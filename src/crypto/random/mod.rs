//! Random numbers: the randomness part of a backend, and adapters from and to `rand_core`.

mod locked_rng;
mod secure_rng;

use std::fmt::Debug;

pub use locked_rng::LockedRng;
pub use secure_rng::SecureRng;

use super::CryptoError;

/// The randomness part of a backend: a cryptographically secure generator.
///
/// [`LockedRng`] implements it for a generator of `rand_core`. In the other direction,
/// [`SecureRng`] passes any implementation to code that expects such a generator.
///
/// An implementation must not return the same bytes in a child of `fork` as in its parent.
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
