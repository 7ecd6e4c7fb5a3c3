//! Failures of Vault, and whether another attempt helps.

use std::fmt;

use strongroom::{Error, ErrorKind};
use strongroom_upstream::{Retry, find_failure, shown};

/// The reason why Vault did not perform an operation.
///
/// | failure | [`ErrorKind`] | another attempt helps |
/// |---|---|---|
/// | [`Unreachable`](Self::Unreachable), [`TimedOut`](Self::TimedOut), [`Throttled`](Self::Throttled), [`Sealed`](Self::Sealed), [`Standby`](Self::Standby), [`ServiceFault`](Self::ServiceFault), [`InvalidResponse`](Self::InvalidResponse) | `KeyUnavailable` | [later](Retry::Later) |
/// | [`Token`](Self::Token), [`NamespaceLocked`](Self::NamespaceLocked), [`Lost`](Self::Lost) | `KeyUnavailable` | [after a change](Retry::AfterChange) |
/// | [`AccessDenied`](Self::AccessDenied) | `AccessDenied` | after a change |
/// | [`KeyNotFound`](Self::KeyNotFound), [`MountNotFound`](Self::MountNotFound) | `NotFound` | after a change |
/// | [`KeyVersion`](Self::KeyVersion), [`DeletionRefused`](Self::DeletionRefused) | `InvalidState` | after a change |
/// | [`IncorrectKey`](Self::IncorrectKey) | `IncorrectKey` | after a change |
/// | [`VersionTrimmed`](Self::VersionTrimmed) | `InvalidState` | never |
/// | [`KeyUsage`](Self::KeyUsage) | `InvalidKeyUsage` | never |
/// | [`InvalidCiphertext`](Self::InvalidCiphertext) | `InvalidCiphertext` | never |
/// | [`Rejected`](Self::Rejected) | `Validation` | never |
///
/// The kind `KeyUnavailable` is an outage: [`Envelope::decrypt`](strongroom::Envelope::decrypt)
/// returns it instead of [`NoDataKeyUnwrapped`](ErrorKind::NoDataKeyUnwrapped).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VaultFailure {
    /// No connection, or it broke.
    Unreachable,
    /// The deadline passed, or the timeout of the client.
    TimedOut,
    /// A quota rejects requests because there are too many.
    Throttled,
    /// Vault, or the namespace, is sealed.
    Sealed,
    /// The node is a standby that cannot forward the request, or a secondary of a replication.
    Standby,
    /// Vault failed, or its storage did.
    ServiceFault,
    /// The answer is not one of Vault, for example a page of a proxy.
    InvalidResponse,
    /// The token is missing, expired, revoked, or unknown. Some versions of Vault only say that the
    /// permission is denied, which is [`AccessDenied`](Self::AccessDenied).
    Token,
    /// An administrator locked the namespace.
    NamespaceLocked,
    /// The process was forked after the [`VaultTransit`](crate::VaultTransit) was created, which works only
    /// in the process that created it, or the client panicked.
    Lost,
    /// No policy of the token allows the operation.
    AccessDenied,
    /// The key does not exist in this mount.
    KeyNotFound,
    /// The namespace has no transit engine at this path.
    MountNotFound,
    /// The version of the key may not be used: `min_decryption_version` or `min_encryption_version` is
    /// higher.
    KeyVersion,
    /// The version of the key was trimmed, which deletes it forever.
    VersionTrimmed,
    /// The key has no version with this number: the ciphertext is of another key, or Vault was restored
    /// from a backup.
    IncorrectKey,
    /// Vault does not allow the deletion of the key.
    DeletionRefused,
    /// The type of the key does not support the operation.
    KeyUsage,
    /// The ciphertext is damaged, of another key, or bound to other associated data.
    InvalidCiphertext,
    /// Vault rejected the request for another reason.
    Rejected,
}

impl VaultFailure {
    /// Returns the condition under which another attempt can succeed.
    ///
    /// # Examples
    /// ```
    /// use strongroom_vault::{Retry, VaultFailure};
    ///
    /// assert_eq!(VaultFailure::Sealed.retry(), Retry::Later);
    /// assert_eq!(VaultFailure::Token.retry(), Retry::AfterChange);
    /// assert_eq!(VaultFailure::VersionTrimmed.retry(), Retry::Never);
    /// ```
    pub const fn retry(self) -> Retry {
        match self {
            Self::Unreachable
            | Self::TimedOut
            | Self::Throttled
            | Self::Sealed
            | Self::Standby
            | Self::ServiceFault
            | Self::InvalidResponse => Retry::Later,
            Self::Token
            | Self::NamespaceLocked
            | Self::Lost
            | Self::AccessDenied
            | Self::KeyNotFound
            | Self::MountNotFound
            | Self::KeyVersion
            | Self::IncorrectKey
            | Self::DeletionRefused => Retry::AfterChange,
            Self::VersionTrimmed | Self::KeyUsage | Self::InvalidCiphertext | Self::Rejected => Retry::Never,
        }
    }

    /// Returns `true` if the same request is sent again.
    pub(crate) const fn is_retried(self) -> bool {
        matches!(self, Self::Unreachable | Self::Throttled | Self::Sealed | Self::Standby | Self::ServiceFault)
    }

    const fn kind(self) -> ErrorKind {
        match self {
            Self::Unreachable
            | Self::TimedOut
            | Self::Throttled
            | Self::Sealed
            | Self::Standby
            | Self::ServiceFault
            | Self::InvalidResponse
            | Self::Token
            | Self::NamespaceLocked
            | Self::Lost => ErrorKind::KeyUnavailable,
            Self::AccessDenied => ErrorKind::AccessDenied,
            Self::KeyNotFound | Self::MountNotFound => ErrorKind::NotFound,
            Self::KeyVersion | Self::VersionTrimmed | Self::DeletionRefused => ErrorKind::InvalidState,
            Self::IncorrectKey => ErrorKind::IncorrectKey,
            Self::KeyUsage => ErrorKind::InvalidKeyUsage,
            Self::InvalidCiphertext => ErrorKind::InvalidCiphertext,
            Self::Rejected => ErrorKind::Validation,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it did not respond in time",
            Self::Throttled => "a quota limits requests",
            Self::Sealed => "it is sealed",
            Self::Standby => "the node is a standby, and does not reach the active node",
            Self::ServiceFault => "it failed",
            Self::InvalidResponse => "the response is not one of Vault",
            Self::Token => "the token is missing, expired, revoked, or unknown: set another with `set_token`",
            Self::NamespaceLocked => "an administrator locked the namespace",
            Self::Lost => {
                "this process was forked, or the client failed: create another `VaultTransit` in this process"
            }
            Self::AccessDenied => "permission denied",
            Self::KeyNotFound => "the key does not exist in this mount",
            Self::MountNotFound => "the namespace has no transit engine at this path: check mount and namespace",
            Self::KeyVersion => "the settings of the key do not allow the use of this version",
            Self::VersionTrimmed => "the version of the key was trimmed, which deleted it",
            Self::IncorrectKey => "the key has no such version: it is another key, or was restored from a backup",
            Self::DeletionRefused => "the key may not be deleted: set `deletion_allowed`",
            Self::KeyUsage => "the type of the key does not support it",
            Self::InvalidCiphertext => "the ciphertext is invalid, or has other associated data",
            Self::Rejected => "the request was rejected",
        }
    }
}

/// A failure of a call to Vault. It is the cause of an [`Error`]: retrieve it with
/// [`VaultError::find`].
///
/// The text contains no plaintext, no token, and no associated data.
///
/// # Examples
/// The kind of the error shows that there is an outage, and the failure if another attempt helps:
/// ```
/// use strongroom::seal::{RootKey, RootKeyHolder};
/// use strongroom::{ErrorKind, SecretBytes};
/// use strongroom_vault::{Retry, VaultError, VaultFailure, VaultRootKey, VaultTransit};
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
///
/// // Nothing listens at the address of this client.
/// let settings = VaultClientSettingsBuilder::default().address("http://127.0.0.1:1").token("example").build()?;
/// let vault = VaultTransit::new(&VaultClient::new(settings)?, "transit")?;
/// let holder = VaultRootKey::new(&vault, "orders")?;
///
/// let error = holder.unwrap(b"store", &[0, 0, 0, 1, 17]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
/// let failure = VaultError::find(&error).expect("a failure of Vault");
/// assert_eq!((failure.failure(), failure.operation()), (VaultFailure::Unreachable, "decrypt"));
/// assert_eq!(failure.failure().retry(), Retry::Later); // it was retried twice
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VaultError {
    failure: VaultFailure,
    operation: &'static str,
    key: String,
    status: Option<u16>,
    detail: Option<String>,
}

impl VaultError {
    pub(crate) fn new(failure: VaultFailure, operation: &'static str, key: &str) -> Self {
        Self { failure, operation, key: key.to_owned(), status: None, detail: None }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Some(shown(detail)).filter(|detail| !detail.is_empty());
        self
    }

    pub(crate) fn with_failure(mut self, failure: VaultFailure) -> Self {
        self.failure = failure;
        self
    }

    /// Returns the failure of Vault that caused an error. Returns `None` if another failure did.
    ///
    /// If a message could not be decrypted, each of its data keys can have a failure
    /// ([`UnwrapFailures`](strongroom::envelope::UnwrapFailures)). The result is the first of those for
    /// which another attempt helps soonest: [`Retry::Later`] precedes [`Retry::AfterChange`], which
    /// precedes [`Retry::Never`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Error, ErrorKind};
    /// use strongroom_vault::{Retry, VaultError};
    ///
    /// fn should_try_again(error: &Error) -> bool {
    ///     VaultError::find(error).is_some_and(|failure| failure.failure().retry() == Retry::Later)
    /// }
    ///
    /// assert!(!should_try_again(&Error::new(ErrorKind::InvalidMessage, "not a message")));
    /// ```
    pub fn find(error: &Error) -> Option<&Self> {
        find_failure(error, |error: &Self| error.failure.retry())
    }

    /// Returns the reason.
    pub const fn failure(&self) -> VaultFailure {
        self.failure
    }

    /// Returns the operation of the transit engine that failed, such as `decrypt`.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the path of the key: namespace, mount, and name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the HTTP status of the response, if there is one.
    pub const fn status(&self) -> Option<u16> {
        self.status
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot perform {} of Vault with {}: {}", self.operation, self.key, self.failure.text())?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VaultError {}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Self::new(error.failure.kind(), error.to_string()).with_source(error)
    }
}
