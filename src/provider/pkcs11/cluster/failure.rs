//! Converts errors of members into errors of the cluster.

use super::members::Member;
use crate::error::{Error, ErrorKind};
use crate::key::ConnectionErrorCode;
use crate::provider::ConnectionFailure;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};

/// Converts an error that would be the same on every member.
pub(super) fn refusal(error: &TokenError) -> Error {
    let kind = match error.class() {
        ErrorClass::BadInput => ErrorKind::InvalidCiphertext,
        ErrorClass::Fatal if error.missing_mechanism().is_some() => ErrorKind::UnsupportedOperation,
        ErrorClass::Fatal => ErrorKind::Internal,
        _ => ErrorKind::KeyUnavailable,
    };
    Error::new(kind, error.to_string()).with_source(error.clone())
}

/// Converts the error of a failed key creation. The rejected input is never a ciphertext here.
pub(super) fn refusal_to_make(error: &TokenError) -> Error {
    match error.class() {
        ErrorClass::BadInput => Error::new(ErrorKind::KeyUnavailable, error.to_string()).with_source(error.clone()),
        _ => refusal(error),
    }
}

/// Returns the error of an operation that no member can currently perform. Its source is the error
/// of the first member that was asked.
pub(super) fn unavailable(reasons: &[(&Member, TokenError)]) -> Error {
    let texts: Vec<String> = reasons.iter().map(|(member, error)| format!("{}: {error}", member.name)).collect();
    let text = if texts.is_empty() { "the cluster has no members".to_owned() } else { texts.join("; ") };
    let error =
        Error::new(ErrorKind::KeyUnavailable, format!("no member of the cluster can perform the operation: {text}"));
    match reasons.first() {
        Some((_, first)) => error.with_source(first.clone()),
        None => error,
    }
}

pub(super) trait WithMember {
    fn with_member(self, member: &Member) -> Self;
}

impl WithMember for Error {
    /// Adds the name of the member to the error.
    fn with_member(self, member: &Member) -> Self {
        Self::new(self.kind(), format!("{}: {self}", member.name)).with_source(self)
    }
}

/// Combines the failures of all members into one connection failure.
pub(super) fn connection_failure(failures: Vec<TokenError>) -> ConnectionFailure {
    let Some(worst) = failures.iter().find(|error| error.class() == ErrorClass::Denied).or(failures.first()) else {
        return ConnectionFailure::new(ConnectionErrorCode::InsufficientHsms, "the cluster has no members");
    };
    let code = match (worst.class(), worst.code().or(worst.rejected_for())) {
        (_, Some("CKR_PIN_LOCKED" | "CKF_USER_PIN_LOCKED" | "CKF_USER_PIN_FINAL_TRY")) => {
            ConnectionErrorCode::UserLockedOut
        }
        (_, Some("CKR_USER_PIN_NOT_INITIALIZED")) => ConnectionErrorCode::UserNotFound,
        (_, Some("CKR_USER_ANOTHER_ALREADY_LOGGED_IN" | "CKR_USER_TOO_MANY_TYPES")) => {
            ConnectionErrorCode::UserLoggedIn
        }
        (ErrorClass::Denied, _) => ConnectionErrorCode::InvalidCredentials,
        (ErrorClass::TokenLost, None) => ConnectionErrorCode::InsufficientHsms,
        (ErrorClass::TokenLost | ErrorClass::Busy | ErrorClass::SessionLost, _) => ConnectionErrorCode::NetworkErrors,
        _ => ConnectionErrorCode::InternalError,
    };
    let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
    ConnectionFailure::new(code, reasons.join("; "))
}
