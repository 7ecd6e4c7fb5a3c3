//! AES-KW and AES-KWP in the module, with wrapping keys of 128 and 256 bits.

use super::module;
use super::name::MODULE;
use super::rejected::{AES_192_KW, rejected};
use crate::crypto::aws_lc::AwsLcKeyWrap;
use crate::crypto::{CryptoError, KeyWrap, KeyWrapMode};
use crate::secret::SecretBytes;

const IN_MODULE: AwsLcKeyWrap = AwsLcKeyWrap { library: MODULE };

#[derive(Debug)]
pub(super) struct FipsKeyWrap;

impl KeyWrap for FipsKeyWrap {
    fn library(&self) -> &'static str {
        MODULE
    }

    fn wrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check(wrapping_key)?;
        IN_MODULE.wrap(mode, wrapping_key, key)
    }

    fn unwrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError> {
        check(wrapping_key)?;
        IN_MODULE.unwrap(mode, wrapping_key, wrapped)
    }
}

fn check(wrapping_key: &[u8]) -> Result<(), CryptoError> {
    module::check_mode()?;
    if wrapping_key.len() == 24 { Err(rejected(AES_192_KW)) } else { Ok(()) }
}
