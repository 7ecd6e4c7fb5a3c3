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

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use cryptoki::error::{Error as CryptokiError, RvError};

    use super::*;

    fn of_login(code: RvError) -> TokenError {
        TokenError::from(CryptokiError::Pkcs11(code, Function::Login)).of_login()
    }

    #[test]
    fn the_code_of_a_failed_connection_says_what_to_do() {
        use ConnectionErrorCode::{
            InsufficientHsms, InternalError, InvalidCredentials, NetworkErrors, UserLockedOut, UserLoggedIn,
            UserNotFound,
        };
        let absent = || TokenError::new(ErrorClass::TokenLost, "there is no such token");
        let rows = [
            (of_login(RvError::PinIncorrect), InvalidCredentials),
            (of_login(RvError::PinLocked), UserLockedOut),
            (TokenError::rejects("CKF_USER_PIN_LOCKED", "locked"), UserLockedOut),
            (TokenError::rejects("CKF_USER_PIN_FINAL_TRY", "one more"), UserLockedOut),
            (of_login(RvError::UserPinNotInitialized), UserNotFound),
            (of_login(RvError::UserAnotherAlreadyLoggedIn), UserLoggedIn),
            (of_login(RvError::UserTooManyTypes), UserLoggedIn),
            (absent(), InsufficientHsms),
            (of_login(RvError::DeviceRemoved), NetworkErrors),
            (of_login(RvError::SessionClosed), NetworkErrors),
            (of_login(RvError::HostMemory), NetworkErrors),
            (TokenError::new(ErrorClass::Busy, "busy"), NetworkErrors),
            (of_login(RvError::GeneralError), InternalError),
            (of_login(RvError::ArgumentsBad), InternalError),
        ];
        for (error, code) in rows {
            let text = error.to_string();
            assert_eq!(connection_failure(vec![error]).code, code, "{text}");
        }
        assert_eq!(connection_failure(Vec::new()).code, InsufficientHsms);
        // A rejected password is the same everywhere, and needs an operator.
        for failures in [[absent(), of_login(RvError::PinIncorrect)], [of_login(RvError::PinIncorrect), absent()]] {
            let failure = connection_failure(failures.to_vec());
            assert_eq!(failure.code, InvalidCredentials);
            for error in failures {
                assert!(failure.error.to_string().contains(&error.to_string()), "{}", failure.error);
            }
        }
        assert_eq!(connection_failure(vec![absent(), of_login(RvError::GeneralError)]).code, InsufficientHsms);
    }

    #[test]
    fn only_the_input_of_an_operation_makes_its_ciphertext_invalid() {
        let lacks = || TokenError::lacks("CKM_AES_GCM", "no AES-GCM");
        for class in ErrorClass::ALL {
            let expected = match class {
                ErrorClass::BadInput => ErrorKind::InvalidCiphertext,
                ErrorClass::Fatal => ErrorKind::Internal,
                _ => ErrorKind::KeyUnavailable,
            };
            let error = TokenError::new(class, "it failed");
            assert_eq!(refusal(&error).kind(), expected, "{class}");
            let when_made = if class == ErrorClass::BadInput { ErrorKind::KeyUnavailable } else { expected };
            assert_eq!(refusal_to_make(&error).kind(), when_made, "{class}");
            for refused in [refusal(&error), refusal_to_make(&error)] {
                assert_eq!(refused.downcast_ref::<TokenError>(), Some(&error));
            }
        }
        for refused in [refusal(&lacks()), refusal_to_make(&lacks())] {
            assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
        }
    }
}
