//! The random number generator of AWS-LC. It is per thread, seeded by the operating system, and
//! safe across `fork`.

use crate::crypto::{CryptoError, SecureRandom};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcRandom {
    pub(in crate::crypto) library: &'static str,
}

impl SecureRandom for AwsLcRandom {
    fn library(&self) -> &'static str {
        self.library
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        aws_lc_rs::rand::fill(output).map_err(|_| CryptoError::RandomFailed)
    }
}
