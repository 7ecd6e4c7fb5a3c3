//! Parameters and results of key agreement.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::algorithm::KeyAgreementAlgorithm;
use crate::key::{KeyArn, Origin};
use crate::secret::SecretBytes;

/// Parameters for [`Kms::derive_shared_secret`](crate::Kms::derive_shared_secret).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::algorithm::KeyAgreementAlgorithm::Ecdh;
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, DeriveSharedSecretRequest};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::KeyAgreement);
/// let key = kms.create_key(request)?.key_id();
///
/// let backend = CryptoBackend::default();
/// let other = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
/// let other = other.public_key_der();
/// let secret = kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, Ecdh, &other))?.shared_secret;
/// assert_eq!(secret.len(), 32);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeriveSharedSecretRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: KeyAgreementAlgorithm,
    pub(in crate::kms) public_key: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> DeriveSharedSecretRequest<'a, K> {
    /// Agrees on a secret with the owner of a public key of the same curve. The public key is a
    /// SubjectPublicKeyInfo in DER of up to 8,192 bytes.
    pub const fn new(key: K, algorithm: KeyAgreementAlgorithm, public_key: &'a [u8]) -> Self {
        Self { key, algorithm, public_key, dry_run: false, grant_tokens: &[] }
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::derive_shared_secret`](crate::Kms::derive_shared_secret).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeriveSharedSecretResponse {
    /// The raw secret, as long as a coordinate of the curve; wiped when dropped. Do not use it as a
    /// key: derive one from it.
    pub shared_secret: SecretBytes,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub key_agreement_algorithm: KeyAgreementAlgorithm,
    /// The origin of the key material.
    pub key_origin: Origin,
}

key_id_accessor!(DeriveSharedSecretResponse);
