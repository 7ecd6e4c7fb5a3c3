//! The random number generator of the module (SP 800-90A).

use super::module;
use super::name::MODULE;
use crate::crypto::aws_lc::AwsLcRandom;
use crate::crypto::{CryptoError, SecureRandom};

#[derive(Debug)]
pub(super) struct FipsRandom;

impl SecureRandom for FipsRandom {
    fn library(&self) -> &'static str {
        MODULE
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        module::check_mode()?;
        AwsLcRandom { library: MODULE }.fill(output)
    }
}
