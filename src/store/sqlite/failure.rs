//! Maps SQLite errors to store errors.

use rusqlite::ErrorCode;

use crate::error::Error;
use crate::store::error::StoreError;

/// Classifies an error of SQLite by what the caller can do about it. The text contains no values.
pub(super) fn reason(error: rusqlite::Error) -> StoreError {
    let (code, extended) = (error.sqlite_error_code(), error.sqlite_error().map(|error| error.extended_code));
    let cause = Box::new(error);
    if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ) {
        // This can only occur in the log, because a main file that is too short reads as zeros.
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
