//! HKDF in the module.

use super::module;
use super::rejected::{HKDF_SHA_224, HKDF_WITHOUT_INFO, rejected};
use crate::crypto::aws_lc::AwsLcKdf;
use crate::crypto::kdf::check_key;
use crate::crypto::{CryptoError, DigestAlgorithm, Kdf, PseudoRandomKey};

/// The longest hash output, in bytes.
const MAX_OUTPUT: usize = 64;

#[derive(Debug)]
pub(super) struct FipsKdf {
    pub(super) module: AwsLcKdf,
}

impl Kdf for FipsKdf {
    fn library(&self) -> &'static str {
        self.module.library
    }

    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey> {
        if algorithm == DigestAlgorithm::Sha224 {
            return Box::new(Refused(rejected(HKDF_SHA_224)));
        }
        if let Err(error) = module::check_mode() {
            return Box::new(Refused(error));
        }
        // The module requires a salt (SP 800-56C, section 5.1). The default salt of RFC 5869 is as many
        // zero bytes as a hash value has, and the result is the same.
        let default = &[0; MAX_OUTPUT][..algorithm.output_length()];
        let salt = if salt.is_empty() { default } else { salt };
        Box::new(WithInfo(self.module.extract(algorithm, salt, input)))
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        module::check_mode()?;
        check_key(algorithm, key)?;
        if algorithm == DigestAlgorithm::Sha224 {
            return Err(rejected(HKDF_SHA_224));
        }
        Ok(Box::new(WithInfo(self.module.bind(algorithm, key)?)))
    }
}

/// A key that derives only with info, as the module requires.
struct WithInfo(Box<dyn PseudoRandomKey>);

impl PseudoRandomKey for WithInfo {
    fn expand(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError> {
        if info.iter().all(|part| part.is_empty()) {
            return Err(rejected(HKDF_WITHOUT_INFO));
        }
        self.0.expand(info, output)
    }
}

/// The result of an extract step that the backend rejects: the step itself cannot fail.
struct Refused(CryptoError);

impl PseudoRandomKey for Refused {
    fn expand(&self, _info: &[&[u8]], _output: &mut [u8]) -> Result<(), CryptoError> {
        Err(self.0)
    }
}
