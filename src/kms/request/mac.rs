//! Parameters and results of message authentication.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::algorithm::MacAlgorithm;
use crate::key::KeyArn;

/// Parameters for [`Kms::generate_mac`](crate::Kms::generate_mac).
///
/// # Examples
/// ```
/// use strongroom::algorithm::MacAlgorithm::{HmacSha256, HmacSha512};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, GenerateMacRequest};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Hmac512).usage(KeyUsage::GenerateVerifyMac);
/// let key = kms.create_key(request)?.key_id();
/// assert_eq!(kms.generate_mac(GenerateMacRequest::new(key, HmacSha512, b"a message"))?.mac.len(), 64);
/// // Each spec has one algorithm.
/// let refused = kms.generate_mac(GenerateMacRequest::new(key, HmacSha256, b"a message")).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidKeyUsage);
/// # Ok::<(), strongroom::Error>(())
/// ```
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
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::algorithm::MacAlgorithm::HmacSha224;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, GenerateMacRequest, VerifyMacRequest};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Hmac224).usage(KeyUsage::GenerateVerifyMac);
/// let key = kms.create_key(request)?.key_id();
/// let mac = kms.generate_mac(GenerateMacRequest::new(key, HmacSha224, b"a message"))?.mac;
/// assert!(kms.verify_mac(VerifyMacRequest::new(key, HmacSha224, b"a message", &mac)).is_ok());
/// assert!(kms.verify_mac(VerifyMacRequest::new(key, HmacSha224, b"another", &mac)).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
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

key_id_accessor!(GenerateMacResponse, VerifyMacResponse);
