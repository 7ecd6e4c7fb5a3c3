//! What message authentication takes and returns.

use crate::algorithm::MacAlgorithm;
use crate::key::KeyArn;
use crate::kms::pipeline::grant_tokens::GrantToken;
use crate::kms::request::key_reference::KeyReference;

/// What [`Kms::generate_mac`](crate::Kms::generate_mac) takes.
#[derive(Clone, Debug)]
pub struct GenerateMacRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: MacAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> GenerateMacRequest<'a, K> {
    /// Authenticates 1 to 4,096 bytes. The algorithm is the one of the key's spec.
    pub const fn new(key: K, algorithm: MacAlgorithm, message: &'a [u8]) -> Self {
        Self { key, algorithm, message, dry_run: false, grant_tokens: &[] }
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

/// What [`Kms::generate_mac`](crate::Kms::generate_mac) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateMacResponse {
    /// The code, as long as the hash.
    pub mac: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub mac_algorithm: MacAlgorithm,
}

/// What [`Kms::verify_mac`](crate::Kms::verify_mac) takes.
#[derive(Clone, Debug)]
pub struct VerifyMacRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: MacAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) mac: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> VerifyMacRequest<'a, K> {
    /// Verifies the code of 1 to 4,096 bytes.
    pub const fn new(key: K, algorithm: MacAlgorithm, message: &'a [u8], mac: &'a [u8]) -> Self {
        Self { key, algorithm, message, mac, dry_run: false, grant_tokens: &[] }
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

/// What [`Kms::verify_mac`](crate::Kms::verify_mac) returns: that there is one says that the code is right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyMacResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub mac_algorithm: MacAlgorithm,
}
