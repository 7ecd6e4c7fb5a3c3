//! Results of metering.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::{KeyArn, KeyManager, Operation};

/// The last cryptographic operation that a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastUsage {
    /// When.
    pub time: Timestamp,
    /// Which.
    pub operation: Operation,
}

/// What [`Kms::get_key_last_usage`](crate::Kms::get_key_last_usage) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetKeyLastUsageResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// Its last successful cryptographic operation, if there was one.
    pub last_usage: Option<LastUsage>,
    /// Since when this is known: the creation of the key.
    pub tracking_start_date: Timestamp,
}

/// What is metered of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeteredKey {
    /// The key.
    pub key_arn: KeyArn,
    /// Its management type: customer managed or service managed, as keys that services own are not metered.
    pub manager: KeyManager,
    /// Successful requests that named or used it.
    pub requests: u64,
    /// How long it was kept; of customer managed keys only.
    pub key_time: Option<Duration>,
    /// Since when both are counted: its creation, or the last reset.
    pub since: Timestamp,
}
