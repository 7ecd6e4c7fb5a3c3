//! The result of asking for a public key.

use pkcs8::der::pem::{self, LineEnding};

use crate::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, SigningAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeySpec, KeyUsage};

/// What [`Kms::get_public_key`](crate::Kms::get_public_key) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetPublicKeyResponse {
    /// The public key, a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub public_key: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// Its kind and size.
    pub key_spec: KeySpec,
    /// What it is for.
    pub key_usage: KeyUsage,
    /// How it encrypts; nothing unless that is its usage.
    pub encryption_algorithms: &'static [EncryptionAlgorithm],
    /// How it signs; nothing unless that is its usage.
    pub signing_algorithms: &'static [SigningAlgorithm],
    /// How it agrees on secrets; nothing unless that is its usage.
    pub key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
}

impl GetPublicKeyResponse {
    /// The public key in PEM (RFC 7468, section 13), as command lines and web servers take it.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) if it is too long for that, which no key is.
    pub fn to_pem(&self) -> Result<String> {
        let pem = pem::encode_string("PUBLIC KEY", LineEnding::LF, &self.public_key);
        pem.map_err(|error| {
            Error::new(ErrorKind::Internal, "the public key cannot be written as PEM").with_source(error)
        })
    }
}
