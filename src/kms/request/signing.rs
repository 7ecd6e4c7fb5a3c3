//! What signing and verifying take and return.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::algorithm::{MessageType, SigningAlgorithm};
use crate::key::KeyArn;

/// What [`Kms::sign`](crate::Kms::sign) takes.
#[derive(Clone, Debug)]
pub struct SignRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: SigningAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) message_type: MessageType,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> SignRequest<'a, K> {
    /// Signs a message of at most 4,096 bytes. Sign the digest of a longer one.
    pub const fn new(key: K, algorithm: SigningAlgorithm, message: &'a [u8]) -> Self {
        Self { key, algorithm, message, message_type: MessageType::Raw, dry_run: false, grant_tokens: &[] }
    }

    /// Says what the bytes are; without it, the message itself.
    #[must_use]
    pub const fn message_type(mut self, message_type: MessageType) -> Self {
        self.message_type = message_type;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::sign`](crate::Kms::sign) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignResponse {
    /// The signature: for ECDSA in DER, for RSA as long as the modulus, for Ed25519 64 bytes.
    pub signature: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub signing_algorithm: SigningAlgorithm,
}

/// What [`Kms::verify`](crate::Kms::verify) takes.
#[derive(Clone, Debug)]
pub struct VerifyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: SigningAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) message_type: MessageType,
    pub(in crate::kms) signature: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> VerifyRequest<'a, K> {
    /// Verifies a signature of at most 6,144 bytes over a message of at most 4,096.
    pub const fn new(key: K, algorithm: SigningAlgorithm, message: &'a [u8], signature: &'a [u8]) -> Self {
        Self { key, algorithm, message, message_type: MessageType::Raw, signature, dry_run: false, grant_tokens: &[] }
    }

    /// Says what the bytes of the message are; without it, the message itself.
    #[must_use]
    pub const fn message_type(mut self, message_type: MessageType) -> Self {
        self.message_type = message_type;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::verify`](crate::Kms::verify) returns: that there is one says that the signature is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub signing_algorithm: SigningAlgorithm,
}
