//! Maps errors of the server, of the connection and of the driver to store errors.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::store::error::StoreError;

/// Classifies an error by what the caller can do about it. The text contains no values.
pub(super) fn reason(error: tokio_postgres::Error) -> StoreError {
    let code = error.code().cloned();
    let cause = Box::new(error);
    let Some(code) = code else { return StoreError::Unreachable(cause) };
    match code {
        SqlState::DISK_FULL => StoreError::Full(cause),
        SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::ReadOnly(cause),
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::QUERY_CANCELED
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE => StoreError::Busy(cause),
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => StoreError::Damaged(cause),
        _ => StoreError::Unreachable(cause),
    }
}

pub(super) fn timed_out(timeout: Duration) -> StoreError {
    StoreError::Unreachable(format!("no answer within {timeout:?}").into())
}

pub(super) fn stopped() -> StoreError {
    StoreError::Unreachable("the thread of the store has ended".into())
}
