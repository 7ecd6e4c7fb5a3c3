//! Results of key deletion operations.

use super::setters::key_id_accessor;
use crate::clock::Timestamp;
use crate::key::{DeletionWindow, KeyArn, KeyState};

/// The result of [`Kms::schedule_key_deletion`](crate::kms::Kms::schedule_key_deletion).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleKeyDeletionResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The time from which the key is deleted.
    pub deletion_date: Timestamp,
    /// The waiting period.
    pub pending_window: DeletionWindow,
    /// The state of the key after the call.
    pub key_state: KeyState,
}

key_id_accessor!(ScheduleKeyDeletionResponse);
