//! What key agreement and asking for a public key take and return.

use pkcs8::der::pem::{self, LineEnding};

use crate::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, SigningAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeySpec, KeyUsage, Origin};
use crate::kms::pipeline::grant_tokens::GrantToken;
use crate::kms::request::key_reference::KeyReference;
use crate::secret::SecretBytes;

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

/// What [`Kms::derive_shared_secret`](crate::Kms::derive_shared_secret) takes.
#[derive(Clone, Debug)]
pub struct DeriveSharedSecretRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: KeyAgreementAlgorithm,
    pub(in crate::kms) public_key: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> DeriveSharedSecretRequest<'a, K> {
    /// Agrees on a secret with the owner of a public key of the same curve, a SubjectPublicKeyInfo in DER of at most
    /// 8,192 bytes.
    pub const fn new(key: K, algorithm: KeyAgreementAlgorithm, public_key: &'a [u8]) -> Self {
        Self { key, algorithm, public_key, dry_run: false, grant_tokens: &[] }
    }

    /// Names grants that may allow the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

/// What [`Kms::derive_shared_secret`](crate::Kms::derive_shared_secret) returns.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeriveSharedSecretResponse {
    /// The raw secret, as long as a coordinate of the curve; wiped when dropped. It is no key yet: derive one from it.
    pub shared_secret: SecretBytes,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub key_agreement_algorithm: KeyAgreementAlgorithm,
    /// Where the material of the key comes from.
    pub key_origin: Origin,
}
