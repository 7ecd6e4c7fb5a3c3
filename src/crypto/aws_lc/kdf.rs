//! HKDF with AWS-LC.

use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, KeyType, Prk, Salt};

use crate::crypto::kdf::check_key;
use crate::crypto::{CryptoError, DigestAlgorithm, Kdf, PseudoRandomKey};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcKdf {
    pub(in crate::crypto) library: &'static str,
    /// Provides HKDF with SHA-224.
    pub(in crate::crypto) elsewhere: &'static dyn Kdf,
}

impl Kdf for AwsLcKdf {
    fn library(&self) -> &'static str {
        self.library
    }

    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[("HKDF with SHA-224", "hkdf")]
    }

    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey> {
        // The library repeats the extract step in each expand, because only the combination is
        // validated.
        match library_algorithm(algorithm) {
            Some(known) => Box::new(Prepared(Salt::new(known, salt).extract(input))),
            None => self.elsewhere.extract(algorithm, salt, input),
        }
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        check_key(algorithm, key)?;
        match library_algorithm(algorithm) {
            Some(known) => Ok(Box::new(Prepared(Prk::new_less_safe(known, key)))),
            None => self.elsewhere.bind(algorithm, key),
        }
    }
}

/// Returns `None` for SHA-224, for which the library has no HKDF. Nothing is derived with SHA-224.
fn library_algorithm(algorithm: DigestAlgorithm) -> Option<hkdf::Algorithm> {
    match algorithm {
        DigestAlgorithm::Sha224 => None,
        DigestAlgorithm::Sha256 => Some(HKDF_SHA256),
        DigestAlgorithm::Sha384 => Some(HKDF_SHA384),
        DigestAlgorithm::Sha512 => Some(HKDF_SHA512),
    }
}

/// The key in the library's form, which is wiped when it is dropped.
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
