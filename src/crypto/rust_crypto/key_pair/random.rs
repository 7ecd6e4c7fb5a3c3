//! An adapter from the backend's generator to the trait that the libraries expect.

use std::fmt;

use ::rsa::rand_core::{TryCryptoRng, TryRng};

use crate::crypto::{CryptoError, SecureRandom};

/// A generator that can fail.
pub(super) struct Generator<'a>(pub(super) &'a dyn SecureRandom);

/// The error of the generator.
#[derive(Debug)]
pub(super) struct Failed(#[expect(dead_code, reason = "only for `Debug`")] CryptoError);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random number generator failed")
    }
}

impl std::error::Error for Failed {}

impl TryRng for Generator<'_> {
    type Error = Failed;

    fn try_next_u32(&mut self) -> Result<u32, Failed> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Failed> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> Result<(), Failed> {
        self.0.fill(output).map_err(Failed)
    }
}

impl TryCryptoRng for Generator<'_> {}
