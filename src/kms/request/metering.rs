//! Results of metering.

use super::setters::key_id_accessor;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::{KeyArn, KeyManager, Operation};

/// The last cryptographic operation that used a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastUsage {
    /// The time of the operation.
    pub time: Timestamp,
    /// The operation.
    pub operation: Operation,
}

/// The result of [`Kms::get_key_last_usage`](crate::Kms::get_key_last_usage).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetKeyLastUsageResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The time at which the key was created.
    pub key_creation_date: Timestamp,
    /// The last successful cryptographic operation with the key, if any.
    pub last_usage: Option<LastUsage>,
    /// The start of tracking, which is the creation time of the key.
    pub tracking_start_date: Timestamp,
}

/// The metered usage of one key.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::identity::AccountId;
/// use strongroom::key::KeyManager;
/// use strongroom::request::EncryptRequest;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
/// let metered = &kms.metered_keys(AccountId::default())?[0];
/// assert_eq!((metered.manager, metered.requests), (KeyManager::Customer, 1));
/// assert!(metered.key_time.is_some()); // time counts only for customer managed keys
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeteredKey {
    /// The key.
    pub key_arn: KeyArn,
    /// Its management type: customer managed or service managed. Keys owned by services are not
    /// metered.
    pub manager: KeyManager,
    /// The number of successful requests that named or used the key.
    pub requests: u64,
    /// The duration for which the key was stored; only for customer managed keys.
    pub key_time: Option<Duration>,
    /// The start of both counts: the creation of the key or the last reset.
    pub since: Timestamp,
}

key_id_accessor!(MeteredKey, GetKeyLastUsageResponse);
