//! Parameters and results of message authentication.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::algorithm::MacAlgorithm;
use crate::key::KeyArn;

/// Parameters for [`Kms::generate_mac`](crate::Kms::generate_mac).
#[derive(Clone, Debug)]
pub struct GenerateMacRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: MacAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> GenerateMacRequest<'a, K> {
    /// Authenticates a message of 1 to 4,096 bytes. The algorithm must be that of the key's spec.
    pub const fn new(key: K, algorithm: MacAlgorithm, message: &'a [u8]) -> Self {
        Self { key, algorithm, message, dry_run: false, grant_tokens: &[] }
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::generate_mac`](crate::Kms::generate_mac).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateMacResponse {
    /// The MAC, as long as the output of the hash function.
    pub mac: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub mac_algorithm: MacAlgorithm,
}

/// Parameters for [`Kms::verify_mac`](crate::Kms::verify_mac).
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
    /// Verifies the MAC of a message of 1 to 4,096 bytes.
    pub const fn new(key: K, algorithm: MacAlgorithm, message: &'a [u8], mac: &'a [u8]) -> Self {
        Self { key, algorithm, message, mac, dry_run: false, grant_tokens: &[] }
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::verify_mac`](crate::Kms::verify_mac). It is returned only if the MAC is
/// valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyMacResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub mac_algorithm: MacAlgorithm,
}
