//! An adapter from the generator of a backend to the traits of `rand_core`.

use rand_core::utils::next_word_via_fill;
use rand_core::{TryCryptoRng, TryRng};

use super::SecureRandom;
use crate::crypto::CryptoError;

/// A generator of a backend as a generator of `rand_core` 0.10, for other crates that generate keys
/// or nonces. Returned by [`CryptoBackend::rng`](crate::crypto::CryptoBackend::rng).
///
/// It implements the fallible traits, because a generator can fail. For code that requires
/// `CryptoRng`, wrap it in `rand_core::UnwrapErr`, which panics if the generator fails.
///
/// # Examples
/// ```
/// use rand_core::{Rng, TryRng, UnwrapErr};
/// use strongroom::crypto::CryptoBackend;
///
/// let backend = CryptoBackend::default();
/// let mut salt = [0; 16];
/// backend.rng().try_fill_bytes(&mut salt)?;
///
/// let mut infallible = UnwrapErr(backend.rng());
/// assert_ne!(infallible.next_u64(), infallible.next_u64());
/// # Ok::<(), strongroom::crypto::CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SecureRng<'a> {
    random: &'a dyn SecureRandom,
}

impl<'a> SecureRng<'a> {
    /// Wraps a generator.
    pub const fn new(random: &'a dyn SecureRandom) -> Self {
        Self { random }
    }
}

impl TryRng for SecureRng<'_> {
    type Error = CryptoError;

    fn try_next_u32(&mut self) -> Result<u32, CryptoError> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, CryptoError> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> Result<(), CryptoError> {
        self.random.fill(output)
    }
}

impl TryCryptoRng for SecureRng<'_> {}
