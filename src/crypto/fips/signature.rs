//! ECDSA of messages in the module, with keys from its own generator.

use super::module;
use super::name::MODULE;
use super::rejected::check_generator;
use crate::crypto::aws_lc::{AwsLcSignature, generate_signing_key};
use crate::crypto::{CryptoError, SecureRandom, Signature, SignatureAlgorithm, SigningKey, VerifyingKey};

#[derive(Debug)]
pub(super) struct FipsSignature;

impl Signature for FipsSignature {
    fn library(&self) -> &'static str {
        MODULE
    }

    /// Generates a key in the module, with its own generator.
    fn generate(
        &self,
        algorithm: SignatureAlgorithm,
        random: &dyn SecureRandom,
    ) -> Result<Box<dyn SigningKey>, CryptoError> {
        module::check_mode()?;
        check_generator(random)?;
        generate_signing_key(algorithm)
    }

    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        public_key: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        module::check_mode()?;
        AwsLcSignature { library: MODULE }.verifying_key(algorithm, public_key)
    }
}
