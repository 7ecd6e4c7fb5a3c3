//! An adapter from a generator of `rand_core` to the randomness part of a backend.

use std::any::type_name;
use std::fmt;
use std::sync::Mutex;

use rand_core::TryCryptoRng;
use zeroize::Zeroize;

use super::SecureRandom;
use crate::crypto::CryptoError;
use crate::fork_guard::ForkGuard;

/// The number of equal bytes in a row that are treated as a failure of the generator.
const STUCK: usize = 16;

/// A generator of `rand_core` 0.10 as the randomness part of a backend.
/// [`CryptoBackend::with_rng`](crate::crypto::CryptoBackend::with_rng) creates one and installs it.
///
/// Threads share the generator through a lock. The generator is never used again after it panics.
///
/// **Forks.** A child of `fork` receives a copy of the generator, which would return the same bytes
/// as its parent's. The child would encrypt other data with the parent's keys and nonces.
/// [`LockedRng::new`] therefore returns errors in a child. If the state of your generator is outside
/// the process, use [`LockedRng::assume_fork_safe`].
///
/// **Stuck generators.** Output with 16 equal bytes in a row is rejected. This is the repetition
/// count test of NIST SP 800-90B, section 4.4.1, within one request. It detects a source that is
/// disconnected or stuck. A working generator fails it once in 2^120 bytes. It does not detect a
/// generator that is merely predictable.
///
/// # Examples
/// ```
/// use std::sync::LazyLock;
///
/// use rand_core::UnwrapErr;
/// use strongroom::crypto::{CryptoBackend, LockedRng, RUST_CRYPTO, SecureRng};
///
/// // Your own generator; here the one of the operating system.
/// static RNG: LazyLock<LockedRng<SecureRng<'static>>> =
///     LazyLock::new(|| LockedRng::assume_fork_safe(RUST_CRYPTO.rng()));
///
/// let backend = CryptoBackend::default().with_random(&*RNG);
/// assert!(backend.random().library().ends_with("SecureRng"));
/// let kms = strongroom::Kms::builder().backend(backend).build()?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct LockedRng<R> {
    rng: Mutex<R>,
    /// The process in which the generator was created, unless the generator is fork-safe.
    process: Option<ForkGuard>,
}

impl<R: TryCryptoRng> LockedRng<R> {
    /// Wraps a generator that only the calling process may use.
    pub fn new(rng: R) -> Self {
        Self { rng: Mutex::new(rng), process: Some(ForkGuard::here()) }
    }

    /// Wraps a generator that children of `fork` may use, such as a hardware generator or one of
    /// the operating system.
    ///
    /// A child that was forked while another thread of its parent used the generator waits forever
    /// for the lock.
    pub const fn assume_fork_safe(rng: R) -> Self {
        Self { rng: Mutex::new(rng), process: None }
    }

    fn draw(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        if self.process.as_ref().is_some_and(|process| !process.is_here()) {
            return Err(CryptoError::RandomForked);
        }
        // Unlike the locks of this crate, this one respects poisoning: after a panic, the state of
        // the generator is unknown.
        let mut rng = self.rng.lock().map_err(|_| CryptoError::RandomFailed)?;
        rng.try_fill_bytes(output).map_err(|_| CryptoError::RandomFailed)?;
        drop(rng);
        if is_stuck(output) { Err(CryptoError::RandomFailed) } else { Ok(()) }
    }
}

impl<R: TryCryptoRng + Send> SecureRandom for LockedRng<R> {
    fn library(&self) -> &'static str {
        type_name::<R>().split('<').next().unwrap_or_default()
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        self.draw(output).inspect_err(|_| output.zeroize())
    }
}

impl<R> fmt::Debug for LockedRng<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedRng").field("rng", &type_name::<R>()).finish_non_exhaustive()
    }
}

/// Returns `true` if the bytes contain [`STUCK`] equal ones in a row.
fn is_stuck(bytes: &[u8]) -> bool {
    bytes.chunk_by(|one, next| one == next).any(|run| run.len() >= STUCK)
}

#[cfg(test)]
mod tests {
    use super::is_stuck;

    #[test]
    fn sixteen_equal_bytes_anywhere_are_a_stuck_generator() {
        let mut bytes: Vec<u8> = (0..100).collect();
        assert!(!is_stuck(&bytes));
        for start in [0, 40, 84] {
            bytes[start..start + 15].fill(0xEE);
            assert!(!is_stuck(&bytes), "{start}");
            bytes[start + 15] = 0xEE;
            assert!(is_stuck(&bytes), "{start}");
            bytes = (0..100).collect();
        }
        assert!(!is_stuck(&[]) && !is_stuck(&[0; 15]));
    }
}
