//! Parameters and results of key agreement.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::algorithm::KeyAgreementAlgorithm;
use crate::key::{KeyArn, Origin};
use crate::secret::SecretBytes;

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

    grant_tokens_setter!();

    dry_run_setter!();
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
