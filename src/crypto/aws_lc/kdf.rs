//! HKDF with AWS-LC.

use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, KeyType, Prk, Salt};

use super::LIBRARY;
use crate::crypto::kdf::check_key;
use crate::crypto::{CryptoError, DigestAlgorithm, Kdf, PseudoRandomKey};

#[derive(Debug)]
pub(super) struct AwsLcKdf;

impl Kdf for AwsLcKdf {
    fn library(&self) -> &'static str {
        LIBRARY
    }

    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey> {
        // The library runs the extract step again in each expand: it is validated only as one whole.
        Box::new(Prepared(Salt::new(library_algorithm(algorithm), salt).extract(input)))
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        check_key(algorithm, key)?;
        Ok(Box::new(Prepared(Prk::new_less_safe(library_algorithm(algorithm), key))))
    }
}

fn library_algorithm(algorithm: DigestAlgorithm) -> hkdf::Algorithm {
    match algorithm {
        DigestAlgorithm::Sha256 => HKDF_SHA256,
        DigestAlgorithm::Sha384 => HKDF_SHA384,
        DigestAlgorithm::Sha512 => HKDF_SHA512,
    }
}

/// The key as the library keeps it, which wipes it when it is dropped.
struct Prepared(Prk);

impl PseudoRandomKey for Prepared {
    fn expand(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError> {
        let invalid = CryptoError::InvalidLength { what: "HKDF output", length: output.len() };
        let expanded = self.0.expand(info, OutputLength(output.len())).map_err(|_| invalid)?;
        expanded.fill(output).map_err(|_| invalid)
    }
}

struct OutputLength(usize);

impl KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}
