//! Random numbers for HPKE, whose generators cannot fail.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};

use crate::crypto::{CryptoError, SecureRandom};

/// A generator that remembers a failure, so that the result of its use can be discarded.
pub(super) struct Drawn<'a> {
    random: &'a dyn SecureRandom,
    failure: Option<CryptoError>,
}

impl<'a> Drawn<'a> {
    pub(super) fn new(random: &'a dyn SecureRandom) -> Self {
        Self { random, failure: None }
    }

    /// Returns the first failure of the generator.
    pub(super) fn check(self) -> Result<(), CryptoError> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> Result<(), Infallible> {
        if let Err(error) = self.random.fill(output) {
            self.failure.get_or_insert(error);
            // A scalar that every curve accepts, so that no caller draws forever.
            output.fill(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn<'_> {}
