//! What SQLite's errors mean for a store.

use rusqlite::ErrorCode;

use crate::error::Error;
use crate::store::error::StoreError;

/// Sorts an error of SQLite by what the caller can do about it. Its text names no values.
pub(super) fn reason(error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let cause = Box::new(error);
    match code {
        Some(ErrorCode::DiskFull) => StoreError::Full(cause),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(cause),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreError::Busy(cause)
        }
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::SchemaChanged
            | ErrorCode::TooBig,
        )
        | None => StoreError::Damaged(cause),
        Some(_) => StoreError::Io(cause),
    }
}

pub(super) fn failed(error: rusqlite::Error) -> Error {
    reason(error).into()
}
