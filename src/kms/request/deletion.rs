//! Results of the operations on the deletion of keys.

use crate::clock::Timestamp;
use crate::key::{DeletionWindow, KeyArn, KeyState};

/// What [`Kms::schedule_key_deletion`](crate::kms::Kms::schedule_key_deletion) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleKeyDeletionResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// From when on it is gone.
    pub deletion_date: Timestamp,
    /// The waiting period.
    pub pending_window: DeletionWindow,
    /// Its state from now on.
    pub key_state: KeyState,
}
