//! The random number generator of AWS-LC. It is per thread, seeded by the operating system, and
//! safe across `fork`.

use super::library::LIBRARY;
use crate::crypto::{CryptoError, SecureRandom};

#[derive(Debug)]
pub(super) struct AwsLcRandom;

impl SecureRandom for AwsLcRandom {
    fn library(&self) -> &'static str {
        LIBRARY
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        aws_lc_rs::rand::fill(output).map_err(|_| CryptoError::RandomFailed)
    }
}
