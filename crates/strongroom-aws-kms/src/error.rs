//! Failures of AWS KMS, and whether another attempt helps.

use std::fmt;

use strongroom::{Error, ErrorKind};
use strongroom_upstream::{Retry, find_failure, shown};

/// The reason why AWS KMS did not perform an operation.
///
/// | failure | [`ErrorKind`] | another attempt helps |
/// |---|---|---|
/// | [`Unreachable`](Self::Unreachable), [`TimedOut`](Self::TimedOut), [`Throttled`](Self::Throttled), [`ServiceFault`](Self::ServiceFault), [`InvalidResponse`](Self::InvalidResponse) | `KeyUnavailable` | [later](Retry::Later) |
/// | [`Credentials`](Self::Credentials), [`Lost`](Self::Lost) | `KeyUnavailable` | [after a change](Retry::AfterChange) |
/// | [`AccessDenied`](Self::AccessDenied) | `AccessDenied` | after a change |
/// | [`KeyDisabled`](Self::KeyDisabled) | `Disabled` | after a change |
/// | [`KeyState`](Self::KeyState) | `InvalidState` | after a change |
/// | [`KeyNotFound`](Self::KeyNotFound), [`WrongRegion`](Self::WrongRegion) | `NotFound` | after a change |
/// | [`KeyUsage`](Self::KeyUsage) | `InvalidKeyUsage` | never |
/// | [`InvalidCiphertext`](Self::InvalidCiphertext) | `InvalidCiphertext` | never |
/// | [`IncorrectKey`](Self::IncorrectKey) | `IncorrectKey` | never |
/// | [`Rejected`](Self::Rejected) | the kind of the exception, or `Validation` | never |
///
/// The kind `KeyUnavailable` is an outage: [`Envelope::decrypt`](strongroom::Envelope::decrypt)
/// returns it instead of [`NoDataKeyUnwrapped`](ErrorKind::NoDataKeyUnwrapped).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AwsKmsFailure {
    /// No connection, or it broke.
    Unreachable,
    /// The deadline passed, or a timeout of the client.
    TimedOut,
    /// AWS KMS rejects requests because there are too many.
    Throttled,
    /// AWS KMS failed, or it cannot reach its key material at the moment.
    ServiceFault,
    /// The response is not one of AWS KMS, for example a page of a proxy.
    InvalidResponse,
    /// The credentials are missing, expired, or unknown to AWS.
    Credentials,
    /// The process was forked after the [`AwsKms`](crate::AwsKms) was created, which works only in the
    /// process that created it, or the client panicked.
    Lost,
    /// A policy does not allow the caller to use the key.
    AccessDenied,
    /// The key is disabled.
    KeyDisabled,
    /// The state of the key does not allow its use, for example because its deletion is scheduled.
    KeyState,
    /// The key or alias does not exist.
    KeyNotFound,
    /// The key is in another Region than the client.
    WrongRegion,
    /// The key has another purpose, for example to sign.
    KeyUsage,
    /// The ciphertext is damaged, or is bound to another encryption context.
    InvalidCiphertext,
    /// The ciphertext was encrypted under another key.
    IncorrectKey,
    /// AWS KMS rejected the request for another reason.
    Rejected,
}

impl AwsKmsFailure {
    /// Returns the condition under which another attempt can succeed.
    ///
    /// # Examples
    /// ```
    /// use strongroom_aws_kms::{AwsKmsFailure, Retry};
    ///
    /// assert_eq!(AwsKmsFailure::Throttled.retry(), Retry::Later);
    /// assert_eq!(AwsKmsFailure::KeyDisabled.retry(), Retry::AfterChange);
    /// assert_eq!(AwsKmsFailure::InvalidCiphertext.retry(), Retry::Never);
    /// ```
    pub const fn retry(self) -> Retry {
        match self {
            Self::Unreachable | Self::TimedOut | Self::Throttled | Self::ServiceFault | Self::InvalidResponse => {
                Retry::Later
            }
            Self::Credentials
            | Self::Lost
            | Self::AccessDenied
            | Self::KeyDisabled
            | Self::KeyState
            | Self::KeyNotFound
            | Self::WrongRegion => Retry::AfterChange,
            Self::KeyUsage | Self::InvalidCiphertext | Self::IncorrectKey | Self::Rejected => Retry::Never,
        }
    }

    /// Returns the kind of the error of strongroom, except for `Rejected`, whose kind depends on the
    /// exception.
    const fn kind(self) -> ErrorKind {
        match self {
            Self::Unreachable
            | Self::TimedOut
            | Self::Throttled
            | Self::ServiceFault
            | Self::InvalidResponse
            | Self::Credentials
            | Self::Lost => ErrorKind::KeyUnavailable,
            Self::AccessDenied => ErrorKind::AccessDenied,
            Self::KeyDisabled => ErrorKind::Disabled,
            Self::KeyState => ErrorKind::InvalidState,
            Self::KeyNotFound | Self::WrongRegion => ErrorKind::NotFound,
            Self::KeyUsage => ErrorKind::InvalidKeyUsage,
            Self::InvalidCiphertext => ErrorKind::InvalidCiphertext,
            Self::IncorrectKey => ErrorKind::IncorrectKey,
            Self::Rejected => ErrorKind::Validation,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it did not respond in time",
            Self::Throttled => "it throttles requests",
            Self::ServiceFault => "it failed",
            Self::InvalidResponse => "the response is not one of AWS KMS",
            Self::Credentials => "the credentials are missing, expired, or unknown: renew them",
            Self::Lost => "this process was forked, or the client failed: create another `AwsKms` in this process",
            Self::AccessDenied => "access denied",
            Self::KeyDisabled => "the key is disabled",
            Self::KeyState => "the state of the key does not allow it",
            Self::KeyNotFound => "the key does not exist",
            Self::WrongRegion => "the key is in another Region: use a client for that Region",
            Self::KeyUsage => "the usage of the key does not allow it",
            Self::InvalidCiphertext => "the ciphertext is invalid, or has another encryption context",
            Self::IncorrectKey => "the ciphertext was encrypted under another key",
            Self::Rejected => "the request was rejected",
        }
    }
}

/// A failure of a call to AWS KMS. It is the cause of an [`Error`]: retrieve it with
/// [`AwsKmsError::find`].
///
/// The text contains no plaintext and no values of encryption contexts.
///
/// # Examples
/// The kind of the error shows that there is an outage, and the failure if another attempt helps:
/// ```
/// use std::time::Duration;
///
/// use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
/// use strongroom::{EncryptionContext, Envelope, ErrorKind};
/// use strongroom_aws_kms::{AwsKms, AwsKmsError, AwsKmsFailure, AwsKmsKeyring, Retry};
///
/// // Nothing listens at the endpoint of this client.
/// let config = aws_sdk_kms::Config::builder()
///     .behavior_version(BehaviorVersion::latest())
///     .region(Region::new("eu-west-1"))
///     .credentials_provider(Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "example"))
///     .endpoint_url("http://127.0.0.1:1")
///     .http_client(aws_smithy_http_client::Builder::new().build_http());
/// let kms = AwsKms::new(aws_sdk_kms::Client::from_conf(config.build()))?;
/// let envelope = Envelope::new(AwsKmsKeyring::new(&kms, "alias/orders")?);
///
/// let error = envelope.encrypt(b"two pots of tea", &EncryptionContext::new()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
/// let failure = AwsKmsError::find(&error).expect("a failure of AWS KMS");
/// assert_eq!((failure.failure(), failure.operation()), (AwsKmsFailure::Unreachable, "GenerateDataKey"));
/// assert_eq!(failure.failure().retry(), Retry::Later); // the client has retried it twice
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AwsKmsError {
    failure: AwsKmsFailure,
    operation: &'static str,
    key: String,
    code: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
}

impl AwsKmsError {
    pub(crate) fn new(failure: AwsKmsFailure, operation: &'static str, key: &str) -> Self {
        Self { failure, operation, key: key.to_owned(), code: None, detail: None, request_id: None }
    }

    pub(crate) fn with_code(mut self, code: Option<&str>, request_id: Option<&str>) -> Self {
        self.code = code.map(shown);
        self.request_id = request_id.map(shown);
        self
    }

    pub(crate) fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Some(shown(detail)).filter(|detail| !detail.is_empty());
        self
    }

    /// Returns the failure of AWS KMS that caused an error. Returns `None` if another failure did.
    ///
    /// If a message could not be decrypted, each of its data keys can have a failure
    /// ([`UnwrapFailures`](strongroom::envelope::UnwrapFailures)). The result is the first of those for which another attempt helps soonest:
    /// [`Retry::Later`] precedes [`Retry::AfterChange`], which precedes [`Retry::Never`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Error, ErrorKind};
    /// use strongroom_aws_kms::{AwsKmsError, Retry};
    ///
    /// fn should_try_again(error: &Error) -> bool {
    ///     AwsKmsError::find(error).is_some_and(|failure| failure.failure().retry() == Retry::Later)
    /// }
    ///
    /// assert!(!should_try_again(&Error::new(ErrorKind::InvalidMessage, "not a message")));
    /// ```
    pub fn find(error: &Error) -> Option<&Self> {
        find_failure(error, |error: &Self| error.failure.retry())
    }

    /// Returns the reason.
    pub const fn failure(&self) -> AwsKmsFailure {
        self.failure
    }

    /// Returns the operation that failed, such as `Decrypt`.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the exception of AWS KMS, such as `DisabledException`, if it sent one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns the ID of the request, with which AWS CloudTrail and the support of AWS find it.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn kind(&self) -> ErrorKind {
        match (self.failure, self.code()) {
            (AwsKmsFailure::Rejected, Some("LimitExceededException")) => ErrorKind::LimitExceeded,
            (AwsKmsFailure::Rejected, Some("InvalidGrantTokenException")) => ErrorKind::InvalidGrantToken,
            (AwsKmsFailure::Rejected, Some("InvalidArnException")) => ErrorKind::InvalidArn,
            (AwsKmsFailure::Rejected, Some("UnsupportedOperationException")) => ErrorKind::UnsupportedOperation,
            (failure, _) => failure.kind(),
        }
    }
}

impl fmt::Display for AwsKmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot perform {} of AWS KMS with {}: {}", self.operation, self.key, self.failure.text())?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match &self.request_id {
            Some(request_id) => write!(f, " [request {request_id}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AwsKmsError {}

impl From<AwsKmsError> for Error {
    fn from(error: AwsKmsError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
