//! The result of retrieving a public key.

use pkcs8::der::pem::{self, LineEnding};

use crate::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, SigningAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeySpec, KeyUsage};

/// The result of [`Kms::get_public_key`](crate::Kms::get_public_key).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetPublicKeyResponse {
    /// The public key, a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub public_key: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The key spec.
    pub key_spec: KeySpec,
    /// The key usage.
    pub key_usage: KeyUsage,
    /// The supported encryption algorithms; empty for other usages.
    pub encryption_algorithms: &'static [EncryptionAlgorithm],
    /// The supported signing algorithms; empty for other usages.
    pub signing_algorithms: &'static [SigningAlgorithm],
    /// The supported key agreement algorithms; empty for other usages.
    pub key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
}

impl GetPublicKeyResponse {
    /// Returns the public key in PEM (RFC 7468, section 13), the form that command-line tools and
    /// web servers accept.
    ///
    /// # Errors
    /// - [`Internal`](crate::ErrorKind::Internal) if the key is too long for PEM, which never
    ///   happens.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistEdwards25519).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let pem = kms.get_public_key(key)?.to_pem()?;
    /// assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn to_pem(&self) -> Result<String> {
        let pem = pem::encode_string("PUBLIC KEY", LineEnding::LF, &self.public_key);
        pem.map_err(|error| {
            Error::new(ErrorKind::Internal, "the public key cannot be written as PEM").with_source(error)
        })
    }
}
