//! Maps errors of the server, of the connection and of the driver to store errors.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::error::{DbError, SqlState};

use crate::store::error::{Cause, StoreError};

/// The maximum length of a server's message in a text, in characters.
const MAX_MESSAGE: usize = 200;

/// Classifies an error by what the caller can do about it. The text contains no values.
pub(super) fn reason(error: tokio_postgres::Error) -> StoreError {
    let (code, cause) = (error.code().cloned(), cause(error));
    // Without a code, the server has not answered.
    let Some(code) = code else { return StoreError::Unreachable(cause) };
    match code {
        SqlState::DISK_FULL => StoreError::Full(cause),
        SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::ReadOnly(cause),
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::QUERY_CANCELED
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE => StoreError::Busy(cause),
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED | SqlState::BAD_COPY_FILE_FORMAT => {
            StoreError::Damaged(cause)
        }
        SqlState::IO_ERROR => StoreError::Io(cause),
        SqlState::TOO_MANY_CONNECTIONS => StoreError::TooManyConnections(cause),
        SqlState::INSUFFICIENT_PRIVILEGE => StoreError::AccessDenied(cause),
        code => by_class(code.code(), cause),
    }
}

/// Classifies an error by the class of its code: its first two characters.
fn by_class(code: &str, cause: Cause) -> StoreError {
    match code.get(..2) {
        // A failed login.
        Some("28") => StoreError::AccessDenied(cause),
        // A lost connection, resources such as memory, and an operator who stops the server.
        Some("08" | "53" | "57" | "25") => StoreError::Unreachable(cause),
        _ => StoreError::Rejected(cause),
    }
}

/// Returns the error as a text for people. The details that the server reports about rows are
/// omitted.
pub(super) fn cause(error: tokio_postgres::Error) -> Cause {
    match error.as_db_error() {
        Some(answer) => described(answer).into(),
        None => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                // A string accepts every text.
                let _ = write!(text, ": {error}");
                source = error.source();
            }
            text.into()
        }
    }
}

fn described(answer: &DbError) -> String {
    let message: String = answer.message().chars().filter(|char| !char.is_control()).take(MAX_MESSAGE).collect();
    format!("{message} (SQLSTATE {})", answer.code().code())
}

/// Returns `true` if the server has answered with an error: the request had no effect.
pub(super) fn is_answer(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some()
}

/// Returns the reason inside an error without its general advice.
pub(super) fn text(error: &StoreError) -> String {
    match error {
        StoreError::Unreachable(cause) => cause.to_string(),
        StoreError::Closed(_) => "the store was closed meanwhile".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the same error for another caller whose changes were in the same transaction.
pub(super) fn copy(error: &StoreError) -> StoreError {
    let text = |cause: &Cause| Cause::from(cause.to_string());
    match error {
        StoreError::Full(cause) => StoreError::Full(text(cause)),
        StoreError::ReadOnly(cause) => StoreError::ReadOnly(text(cause)),
        StoreError::Busy(cause) => StoreError::Busy(text(cause)),
        StoreError::Io(cause) => StoreError::Io(text(cause)),
        StoreError::Damaged(cause) => StoreError::Damaged(text(cause)),
        StoreError::Unreachable(cause) => StoreError::Unreachable(text(cause)),
        StoreError::TooManyConnections(cause) => StoreError::TooManyConnections(text(cause)),
        StoreError::Ambiguous(cause) => StoreError::Ambiguous(text(cause)),
        StoreError::AccessDenied(cause) => StoreError::AccessDenied(text(cause)),
        StoreError::Closed(store) => StoreError::Closed(store.clone()),
        StoreError::AnotherStore => StoreError::AnotherStore,
        StoreError::RolledBack { from, to } => StoreError::RolledBack { from: *from, to: *to },
        StoreError::NewerFormat { found, known } => StoreError::NewerFormat { found: *found, known: *known },
        StoreError::OlderFormat { found, known } => StoreError::OlderFormat { found: *found, known: *known },
        StoreError::NoSchema { schema } => StoreError::NoSchema { schema: schema.clone() },
        StoreError::UnknownTables { schema, difference } => {
            StoreError::UnknownTables { schema: schema.clone(), difference: difference.clone() }
        }
        StoreError::UnsuitableServer { setting, found, wanted } => {
            StoreError::UnsuitableServer { setting, found: found.clone(), wanted }
        }
        StoreError::Fenced { age, limit, source } => {
            StoreError::Fenced { age: *age, limit: *limit, source: source.as_ref().map(text) }
        }
        StoreError::Rejected(cause) => StoreError::Rejected(text(cause)),
        other => StoreError::Rejected(other.to_string().into()),
    }
}

pub(super) fn timed_out(timeout: Duration) -> StoreError {
    StoreError::Unreachable(format!("no answer within {timeout:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_classified() {
        let class = |code: &str| by_class(code, code.into());
        assert!(matches!(class("28P01"), StoreError::AccessDenied(_)));
        for code in ["08006", "53200", "57P01", "25P02"] {
            assert!(matches!(class(code), StoreError::Unreachable(_)), "{code}");
        }
        for code in ["42P01", "XX000", "", "é"] {
            assert!(matches!(class(code), StoreError::Rejected(_)), "{code}");
        }
    }
}
