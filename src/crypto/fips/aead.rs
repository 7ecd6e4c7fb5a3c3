//! AES-GCM in the module, with keys of 128 and 256 bits.

use super::module;
use super::name::MODULE;
use super::rejected::{AES_192_GCM, rejected};
use crate::crypto::aws_lc::AwsLcAead;
use crate::crypto::{Aead, AeadAlgorithm, AeadKey, CryptoError};

#[derive(Debug)]
pub(super) struct FipsAead;

impl Aead for FipsAead {
    fn library(&self) -> &'static str {
        MODULE
    }

    fn bind(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        module::check_mode()?;
        match algorithm {
            AeadAlgorithm::Aes128Gcm | AeadAlgorithm::Aes256Gcm => AwsLcAead { library: MODULE }.bind(algorithm, key),
            AeadAlgorithm::Aes192Gcm => Err(rejected(AES_192_GCM)),
        }
    }
}
