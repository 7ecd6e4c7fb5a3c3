//! What SQLite's errors mean for a store.

use rusqlite::ErrorCode;

use crate::error::Error;
use crate::store::error::StoreError;

/// Sorts an error of SQLite by what the caller can do about it. Its text names no values.
pub(super) fn reason(error: rusqlite::Error) -> StoreError {
    let (code, extended) = (error.sqlite_error_code(), error.sqlite_error().map(|error| error.extended_code));
    let cause = Box::new(error);
    if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ) {
        // Only in the log: a main file that is too short reads as zeros.
        return StoreError::LogLost(cause);
    }
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
