//! Random bytes from the operating system with `getrandom`.

use crate::crypto::{CryptoError, SecureRandom};

#[derive(Debug)]
pub(super) struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn library(&self) -> &'static str {
        "getrandom"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(output).map_err(|_| CryptoError::RandomFailed)
    }
}
