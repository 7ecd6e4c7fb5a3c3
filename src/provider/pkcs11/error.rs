//! Errors of tokens: one total table over the return values of PKCS#11.

use std::borrow::Cow;
use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::RvError;

use crate::error::{Error, ErrorKind};

/// Classification of a token failure.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::ErrorClass;
///
/// let elsewhere = ErrorClass::ALL.into_iter().filter(|class| !class.is_token_specific());
/// assert_eq!(elsewhere.collect::<Vec<_>>(), [ErrorClass::BadInput, ErrorClass::Fatal]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The input is invalid, such as a ciphertext that is not authentic, or data of a length that
    /// the mechanism does not accept. The token is healthy.
    BadInput,
    /// The token rejects the request: a wrong or locked PIN, or a key that may not be used for
    /// this. Retrying does not help.
    Denied,
    /// The key is missing, or is not the expected key, or another key has the same id. This never
    /// means that the key was deleted.
    KeyMissing,
    /// The session, the login or a handle is no longer valid. A new session helps.
    SessionLost,
    /// The token or the module does not respond.
    TokenLost,
    /// No sessions or no memory are available at the moment.
    Busy,
    /// An error on this side, or a mechanism that the token does not support.
    Fatal,
    /// Tokens return this both for invalid input and after they are gone. A second request to the
    /// token distinguishes the two.
    Ambiguous,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::BadInput,
        Self::Denied,
        Self::KeyMissing,
        Self::SessionLost,
        Self::TokenLost,
        Self::Busy,
        Self::Fatal,
        Self::Ambiguous,
    ];

    /// Returns `true` if another token that holds the same key may well succeed.
    pub const fn is_token_specific(self) -> bool {
        match self {
            Self::BadInput | Self::Fatal => false,
            Self::Denied | Self::KeyMissing | Self::SessionLost | Self::TokenLost | Self::Busy | Self::Ambiguous => {
                true
            }
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A request that a token failed to perform.
///
/// The message names the token, the PKCS#11 function and its return value. It contains no PIN, key
/// or plaintext.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::{ErrorClass, Module, TokenError};
/// use strongroom::{Error, ErrorKind};
///
/// let missing: TokenError = Module::load("/no/such/module.so").unwrap_err();
/// assert_eq!((missing.class(), missing.code()), (ErrorClass::Fatal, None));
///
/// let error = Error::from(missing);
/// assert!(error.downcast_ref::<TokenError>().is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    class: ErrorClass,
    code: Option<&'static str>,
    mechanism: Option<&'static str>,
    rejected_for: Option<&'static str>,
    login: bool,
    message: Cow<'static, str>,
}

impl TokenError {
    pub(crate) fn new(class: ErrorClass, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, code: None, mechanism: None, rejected_for: None, login: false, message: message.into() }
    }

    /// Creates the rejection of a key for one of its attributes, or of a token for one of its
    /// flags.
    pub(super) fn rejects(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { rejected_for: Some(name), ..Self::new(ErrorClass::Denied, message) }
    }

    /// Creates an error for a missing mechanism, before the token is called.
    pub(super) fn lacks(mechanism: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { mechanism: Some(mechanism), ..Self::new(ErrorClass::Fatal, message) }
    }

    /// Returns the class of the failure.
    pub const fn class(&self) -> ErrorClass {
        self.class
    }

    /// Returns the name of the return value, if the token returned one, such as `CKR_DEVICE_ERROR`.
    pub const fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// Returns the mechanism whose absence caused the failure, such as `CKM_AES_GCM`.
    pub const fn missing_mechanism(&self) -> Option<&'static str> {
        self.mechanism
    }

    /// Returns the attribute of a key, or the flag of a token, for which this crate rejected the
    /// key or did not log in. Examples are `CKA_EXTRACTABLE` and `CKF_USER_PIN_FINAL_TRY`. The
    /// token itself rejected nothing.
    pub const fn rejected_for(&self) -> Option<&'static str> {
        self.rejected_for
    }

    /// Returns the failure as a failure of a login, with advice on how to fix it.
    pub(super) fn of_login(self) -> Self {
        let advice = match self.code {
            Some("CKR_PIN_INCORRECT" | "CKR_PIN_INVALID" | "CKR_PIN_LEN_RANGE") => {
                ": the PIN is wrong and will not be tried again until a different one is configured"
            }
            Some("CKR_PIN_LOCKED") => {
                ": the PIN is locked after too many wrong attempts, and the token's security officer must set a \
                 new one"
            }
            Some("CKR_PIN_EXPIRED" | "CKR_NEW_PIN_MODE" | "CKR_USER_PIN_NOT_INITIALIZED") => {
                ": the token's security officer must set a new PIN"
            }
            Some("CKR_USER_ANOTHER_ALREADY_LOGGED_IN" | "CKR_USER_TOO_MANY_TYPES") => {
                ": another user is logged in and must log out first"
            }
            _ => "",
        };
        Self { login: true, message: format!("{}{advice}", self.message).into(), ..self }
    }

    /// Returns `true` if a login failed with it.
    pub(super) const fn is_of_login(&self) -> bool {
        self.login
    }

    /// Returns `true` if a login failed with it and it is unclear whether the PIN was wrong.
    pub(super) const fn is_of_unclear_login(&self) -> bool {
        self.login && matches!(self.class, ErrorClass::Ambiguous)
    }

    /// Returns the failure reclassified, with the reason prepended to its message.
    pub(super) fn found_to_be(self, class: ErrorClass, reason: &str) -> Self {
        Self { class, message: format!("{reason}: {}", self.message).into(), ..self }
    }

    /// Returns the failure with the name of its location prepended to its message.
    pub(super) fn at(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message).into(), ..self }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TokenError {}

impl From<cryptoki::error::Error> for TokenError {
    fn from(error: cryptoki::error::Error) -> Self {
        match error {
            cryptoki::error::Error::Pkcs11(code, function) => of_code(code, function),
            cryptoki::error::Error::LibraryLoading(source) => {
                Self::new(ErrorClass::Fatal, format!("the module cannot be loaded: {source}"))
            }
            other => Self::new(ErrorClass::Fatal, format!("the module cannot be used: {other}")),
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        let kind = match error.class {
            ErrorClass::Fatal if error.mechanism.is_some() => ErrorKind::UnsupportedOperation,
            ErrorClass::BadInput | ErrorClass::Fatal => ErrorKind::Internal,
            ErrorClass::Denied
            | ErrorClass::KeyMissing
            | ErrorClass::SessionLost
            | ErrorClass::TokenLost
            | ErrorClass::Busy
            | ErrorClass::Ambiguous => ErrorKind::KeyUnavailable,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

fn of_code(code: RvError, function: Function) -> TokenError {
    let (name, class) = match (facts(code), function) {
        // No value was passed that could be invalid. SoftHSM returns this when its files disappear
        // while they are read.
        ((name, _), Function::GetAttributeValue) if code == RvError::AttributeValueInvalid => {
            (name, ErrorClass::Ambiguous)
        }
        (facts, _) => facts,
    };
    let message = match code {
        RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => {
            format!("C_{function:?} returned {name} {number:#x}")
        }
        _ => format!("C_{function:?} returned {name}"),
    };
    TokenError { code: Some(name), ..TokenError::new(class, message) }
}

/// Returns the name of a return value and its class (PKCS#11 v3.1, section 5.1, and measurements of
/// real tokens).
pub(super) const fn facts(code: RvError) -> (&'static str, ErrorClass) {
    use ErrorClass::{Ambiguous, BadInput, Busy, Denied, Fatal, SessionLost, TokenLost};
    match code {
        // Depending on the vendor, these mean either that the ciphertext is invalid or that the
        // token is gone.
        RvError::GeneralError => ("CKR_GENERAL_ERROR", Ambiguous),
        RvError::FunctionFailed => ("CKR_FUNCTION_FAILED", Ambiguous),
        RvError::DeviceError => ("CKR_DEVICE_ERROR", Ambiguous),
        RvError::FunctionRejected => ("CKR_FUNCTION_REJECTED", Ambiguous),
        RvError::VendorDefined(_) => ("CKR_VENDOR_DEFINED", Ambiguous),
        RvError::UnknownErrorCode(_) => ("an unknown code", Ambiguous),

        RvError::DeviceRemoved => ("CKR_DEVICE_REMOVED", TokenLost),
        RvError::TokenNotPresent => ("CKR_TOKEN_NOT_PRESENT", TokenLost),
        RvError::TokenNotRecognized => ("CKR_TOKEN_NOT_RECOGNIZED", TokenLost),
        RvError::SlotIdInvalid => ("CKR_SLOT_ID_INVALID", TokenLost),
        RvError::CryptokiNotInitialized => ("CKR_CRYPTOKI_NOT_INITIALIZED", TokenLost),
        RvError::FipsSelfTestFailed => ("CKR_FIPS_SELF_TEST_FAILED", TokenLost),
        RvError::LibraryLoadFailed => ("CKR_LIBRARY_LOAD_FAILED", TokenLost),

        RvError::SessionHandleInvalid => ("CKR_SESSION_HANDLE_INVALID", SessionLost),
        RvError::SessionClosed => ("CKR_SESSION_CLOSED", SessionLost),
        RvError::UserNotLoggedIn => ("CKR_USER_NOT_LOGGED_IN", SessionLost),
        RvError::KeyHandleInvalid => ("CKR_KEY_HANDLE_INVALID", SessionLost),
        RvError::ObjectHandleInvalid => ("CKR_OBJECT_HANDLE_INVALID", SessionLost),
        RvError::UnwrappingKeyHandleInvalid => ("CKR_UNWRAPPING_KEY_HANDLE_INVALID", SessionLost),
        RvError::WrappingKeyHandleInvalid => ("CKR_WRAPPING_KEY_HANDLE_INVALID", SessionLost),
        RvError::KeyChanged => ("CKR_KEY_CHANGED", SessionLost),
        RvError::OperationNotInitialized => ("CKR_OPERATION_NOT_INITIALIZED", SessionLost),

        RvError::SessionCount => ("CKR_SESSION_COUNT", Busy),
        RvError::OperationActive => ("CKR_OPERATION_ACTIVE", Busy),
        RvError::HostMemory => ("CKR_HOST_MEMORY", Busy),
        RvError::DeviceMemory => ("CKR_DEVICE_MEMORY", Busy),
        RvError::Cancel => ("CKR_CANCEL", Busy),
        RvError::FunctionCanceled => ("CKR_FUNCTION_CANCELED", Busy),

        RvError::EncryptedDataInvalid => ("CKR_ENCRYPTED_DATA_INVALID", BadInput),
        RvError::EncryptedDataLenRange => ("CKR_ENCRYPTED_DATA_LEN_RANGE", BadInput),
        RvError::DataInvalid => ("CKR_DATA_INVALID", BadInput),
        RvError::DataLenRange => ("CKR_DATA_LEN_RANGE", BadInput),
        RvError::SignatureInvalid => ("CKR_SIGNATURE_INVALID", BadInput),
        RvError::SignatureLenRange => ("CKR_SIGNATURE_LEN_RANGE", BadInput),
        RvError::WrappedKeyInvalid => ("CKR_WRAPPED_KEY_INVALID", BadInput),
        RvError::WrappedKeyLenRange => ("CKR_WRAPPED_KEY_LEN_RANGE", BadInput),
        RvError::PublicKeyInvalid => ("CKR_PUBLIC_KEY_INVALID", BadInput),

        RvError::PinIncorrect => ("CKR_PIN_INCORRECT", Denied),
        RvError::PinInvalid => ("CKR_PIN_INVALID", Denied),
        RvError::PinLenRange => ("CKR_PIN_LEN_RANGE", Denied),
        RvError::PinExpired => ("CKR_PIN_EXPIRED", Denied),
        RvError::PinLocked => ("CKR_PIN_LOCKED", Denied),
        RvError::PinTooWeak => ("CKR_PIN_TOO_WEAK", Denied),
        RvError::UserPinNotInitialized => ("CKR_USER_PIN_NOT_INITIALIZED", Denied),
        RvError::UserTypeInvalid => ("CKR_USER_TYPE_INVALID", Denied),
        RvError::UserAnotherAlreadyLoggedIn => ("CKR_USER_ANOTHER_ALREADY_LOGGED_IN", Denied),
        RvError::UserAlreadyLoggedIn => ("CKR_USER_ALREADY_LOGGED_IN", Denied),
        RvError::UserTooManyTypes => ("CKR_USER_TOO_MANY_TYPES", Denied),
        RvError::NewPinMode => ("CKR_NEW_PIN_MODE", Denied),
        RvError::NextOtp => ("CKR_NEXT_OTP", Denied),
        RvError::TokenWriteProtected => ("CKR_TOKEN_WRITE_PROTECTED", Denied),
        RvError::SessionReadOnly => ("CKR_SESSION_READ_ONLY", Denied),
        RvError::SessionReadWriteSoExists => ("CKR_SESSION_READ_WRITE_SO_EXISTS", Denied),
        RvError::ActionProhibited => ("CKR_ACTION_PROHIBITED", Denied),
        RvError::AttributeSensitive => ("CKR_ATTRIBUTE_SENSITIVE", Denied),
        RvError::AttributeReadOnly => ("CKR_ATTRIBUTE_READ_ONLY", Denied),
        RvError::InformationSensitive => ("CKR_INFORMATION_SENSITIVE", Denied),
        RvError::KeyFunctionNotPermitted => ("CKR_KEY_FUNCTION_NOT_PERMITTED", Denied),
        RvError::KeyNotWrappable => ("CKR_KEY_NOT_WRAPPABLE", Denied),
        RvError::KeyUnextractable => ("CKR_KEY_UNEXTRACTABLE", Denied),
        RvError::ExceededMaxIterations => ("CKR_EXCEEDED_MAX_ITERATIONS", Denied),

        RvError::ArgumentsBad => ("CKR_ARGUMENTS_BAD", Fatal),
        RvError::NoEvent => ("CKR_NO_EVENT", Fatal),
        RvError::NeedToCreateThreads => ("CKR_NEED_TO_CREATE_THREADS", Fatal),
        RvError::CantLock => ("CKR_CANT_LOCK", Fatal),
        RvError::AttributeTypeInvalid => ("CKR_ATTRIBUTE_TYPE_INVALID", Fatal),
        RvError::AttributeValueInvalid => ("CKR_ATTRIBUTE_VALUE_INVALID", Fatal),
        RvError::FunctionNotParallel => ("CKR_FUNCTION_NOT_PARALLEL", Fatal),
        RvError::FunctionNotSupported => ("CKR_FUNCTION_NOT_SUPPORTED", Fatal),
        RvError::CurveNotSupported => ("CKR_CURVE_NOT_SUPPORTED", Fatal),
        RvError::KeySizeRange => ("CKR_KEY_SIZE_RANGE", Fatal),
        RvError::KeyTypeInconsistent => ("CKR_KEY_TYPE_INCONSISTENT", Fatal),
        RvError::KeyNotNeeded => ("CKR_KEY_NOT_NEEDED", Fatal),
        RvError::KeyNeeded => ("CKR_KEY_NEEDED", Fatal),
        RvError::KeyIndigestible => ("CKR_KEY_INDIGESTIBLE", Fatal),
        RvError::MechanismInvalid => ("CKR_MECHANISM_INVALID", Fatal),
        RvError::MechanismParamInvalid => ("CKR_MECHANISM_PARAM_INVALID", Fatal),
        RvError::SessionParallelNotSupported => ("CKR_SESSION_PARALLEL_NOT_SUPPORTED", Fatal),
        RvError::SessionExists => ("CKR_SESSION_EXISTS", Fatal),
        RvError::SessionReadOnlyExists => ("CKR_SESSION_READ_ONLY_EXISTS", Fatal),
        RvError::TemplateIncomplete => ("CKR_TEMPLATE_INCOMPLETE", Fatal),
        RvError::TemplateInconsistent => ("CKR_TEMPLATE_INCONSISTENT", Fatal),
        RvError::UnwrappingKeySizeRange => ("CKR_UNWRAPPING_KEY_SIZE_RANGE", Fatal),
        RvError::UnwrappingKeyTypeInconsistent => ("CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", Fatal),
        RvError::WrappingKeySizeRange => ("CKR_WRAPPING_KEY_SIZE_RANGE", Fatal),
        RvError::WrappingKeyTypeInconsistent => ("CKR_WRAPPING_KEY_TYPE_INCONSISTENT", Fatal),
        RvError::RandomSeedNotSupported => ("CKR_RANDOM_SEED_NOT_SUPPORTED", Fatal),
        RvError::RandomNoRng => ("CKR_RANDOM_NO_RNG", Fatal),
        RvError::DomainParamsInvalid => ("CKR_DOMAIN_PARAMS_INVALID", Fatal),
        RvError::BufferTooSmall => ("CKR_BUFFER_TOO_SMALL", Fatal),
        RvError::SavedStateInvalid => ("CKR_SAVED_STATE_INVALID", Fatal),
        RvError::StateUnsaveable => ("CKR_STATE_UNSAVEABLE", Fatal),
        RvError::CryptokiAlreadyInitialized => ("CKR_CRYPTOKI_ALREADY_INITIALIZED", Fatal),
        RvError::MutexBad => ("CKR_MUTEX_BAD", Fatal),
        RvError::MutexNotLocked => ("CKR_MUTEX_NOT_LOCKED", Fatal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_only_read_is_not_our_fault() {
        let read = of_code(RvError::AttributeValueInvalid, Function::GetAttributeValue);
        let given = of_code(RvError::AttributeValueInvalid, Function::GenerateKey);
        assert_eq!((read.class(), given.class()), (ErrorClass::Ambiguous, ErrorClass::Fatal));
        assert_eq!(read.code(), given.code());
        for code in [RvError::DeviceRemoved, RvError::ObjectHandleInvalid, RvError::AttributeTypeInvalid] {
            assert_eq!(of_code(code, Function::GetAttributeValue).class(), facts(code).1, "{code:?}");
        }
    }

    #[test]
    fn a_code_is_named_and_the_number_of_an_unknown_one_is_told() {
        let text = |code| of_code(code, Function::Login).to_string();
        assert_eq!(text(RvError::PinIncorrect), "C_Login returned CKR_PIN_INCORRECT");
        assert_eq!(text(RvError::VendorDefined(0x8000_1234)), "C_Login returned CKR_VENDOR_DEFINED 0x80001234");
        assert_eq!(text(RvError::UnknownErrorCode(0x7fff_0001)), "C_Login returned an unknown code 0x7fff0001");
    }

    #[test]
    fn a_failed_login_says_who_can_help() {
        let advice = |code| of_code(code, Function::Login).of_login().to_string();
        for (codes, expected) in [
            (&[RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange][..], "the PIN is wrong"),
            (&[RvError::PinLocked], "the PIN is locked after too many wrong attempts"),
            (&[RvError::PinExpired, RvError::NewPinMode, RvError::UserPinNotInitialized], "must set a new PIN"),
            (&[RvError::UserAnotherAlreadyLoggedIn, RvError::UserTooManyTypes], "another user is logged in"),
        ] {
            for code in codes {
                assert!(advice(*code).contains(expected), "{}", advice(*code));
            }
        }
        assert_eq!(advice(RvError::DeviceRemoved), "C_Login returned CKR_DEVICE_REMOVED");
    }

    #[test]
    fn only_a_login_that_may_have_failed_for_its_pin_is_unclear() {
        for class in ErrorClass::ALL {
            let error = TokenError::new(class, "it failed");
            assert!(!error.is_of_login() && !error.is_of_unclear_login(), "{class}");
            let error = error.of_login();
            assert!(error.is_of_login());
            assert_eq!(error.is_of_unclear_login(), class == ErrorClass::Ambiguous, "{class}");
            assert_eq!(class.is_token_specific(), !matches!(class, ErrorClass::BadInput | ErrorClass::Fatal));
        }
    }

    #[test]
    fn a_missing_mechanism_is_not_supported_and_a_lost_token_is_unavailable() {
        for class in ErrorClass::ALL {
            let expected = match class {
                ErrorClass::BadInput | ErrorClass::Fatal => ErrorKind::Internal,
                _ => ErrorKind::KeyUnavailable,
            };
            let error = Error::from(TokenError::new(class, "it failed"));
            assert_eq!((error.kind(), error.to_string().as_str()), (expected, "it failed"), "{class}");
        }
        let error = Error::from(TokenError::lacks("CKM_AES_GCM", "no AES-GCM"));
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
        let found = error.downcast_ref::<TokenError>().expect("it is its source");
        assert_eq!((found.missing_mechanism(), found.rejected_for(), found.code()), (Some("CKM_AES_GCM"), None, None));
        let rejected = TokenError::rejects("CKA_SENSITIVE", "it can be read");
        assert_eq!((rejected.rejected_for(), rejected.missing_mechanism()), (Some("CKA_SENSITIVE"), None));
        assert_eq!(rejected.class(), ErrorClass::Denied);
    }
}
