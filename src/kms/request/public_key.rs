//! The result of retrieving a public key.

use pkcs8::der::pem::{self, LineEnding};

use crate::algorithm::{EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, SigningAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::jose::{JoseAlgorithm, Jwk, JwkUse};
use crate::key::{KeyArn, KeySpec, KeyUsage};
use crate::provider::key_pair_kind;

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
    /// The supported encapsulation algorithms; empty for other usages.
    pub encapsulation_algorithms: &'static [EncapsulationAlgorithm],
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

    /// Returns the public key as a JSON Web Key (RFC 7517), the form that verifiers of tokens
    /// accept.
    ///
    /// - `use` is `sig` for signing keys, and `enc` for keys for encryption and key agreement.
    /// - `alg` is set for signing keys with exactly one JOSE algorithm: P-256, P-384, P-521, and
    ///   secp256k1. For RSA and Ed25519, choose one with [`Jwk::with_algorithm`].
    /// - `kid` is the thumbprint of the key (RFC 7638). [`Jwk::with_kid`] replaces it.
    ///
    /// # Errors
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for ML-DSA and ML-KEM, for which
    ///   this crate has no JSON Web Keys.
    /// - [`Validation`](ErrorKind::Validation) if `public_key` was changed and is not a key of
    ///   `key_spec`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::jose::{JoseAlgorithm, JwkUse};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let jwk = kms.get_public_key(kms.create_key(request)?.key_id())?.to_jwk()?;
    /// assert_eq!((jwk.algorithm(), jwk.key_use()), (Some(JoseAlgorithm::Es256), Some(JwkUse::Signature)));
    /// assert!(jwk.to_string().starts_with(r#"{"kty":"EC","crv":"P-256","x":""#));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn to_jwk(&self) -> Result<Jwk> {
        let unsupported = || {
            let text = format!("a {} key for {} cannot be a JSON Web Key", self.key_spec, self.key_usage);
            Error::new(ErrorKind::UnsupportedOperation, text)
        };
        let kind = key_pair_kind(self.key_spec).ok_or_else(unsupported)?;
        let key_use = match self.key_usage {
            KeyUsage::SignVerify => JwkUse::Signature,
            KeyUsage::EncryptDecrypt | KeyUsage::KeyAgreement => JwkUse::Encryption,
            KeyUsage::GenerateVerifyMac | KeyUsage::EncapsulateDecapsulate => return Err(unsupported()),
        };
        if !Jwk::supports(kind) {
            return Err(unsupported());
        }
        Ok(Jwk::from_public_key(kind, &self.public_key)?.with_use(key_use))
    }

    /// Returns the public key as a JSON Web Key for one of its signing algorithms.
    pub(in crate::kms) fn to_jwk_for(&self, algorithm: SigningAlgorithm) -> Result<Jwk> {
        let jwk = self.to_jwk()?;
        match key_pair_kind(self.key_spec).and_then(|kind| JoseAlgorithm::of(kind, algorithm)) {
            Some(name) => jwk.with_algorithm(name),
            None => Ok(jwk),
        }
    }
}
