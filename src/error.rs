//! The public error type.
//!
//! This module imports nothing from the crate, so it cannot be part of an import cycle. Each lower
//! layer has its own precise error type, with the conversion into [`Error`] next to it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The result type of fallible operations in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error type of this crate. A failed operation had no effect, unless the message says that the
/// change was committed, or may have been. The first happens when a step after the commit fails:
/// the audit trail does not accept the outcome, or the anchor of the store cannot be moved. The
/// second happens when the store cannot confirm a commit
/// ([`StoreError::is_ambiguous`](crate::store::StoreError::is_ambiguous)).
///
/// [`Error::kind`] is for programs and the `Display` text is for humans. The text says what failed
/// and names the identifier involved. It never contains key bytes, plaintext, or encryption context
/// values.
///
/// The text is complete, except that advice is left out where the text is exactly that of AWS KMS.
/// [`source`](std::error::Error::source) returns such advice, and causes whose text is not already
/// included, so printing the whole chain repeats nothing. In either case
/// [`Error::downcast_ref`] finds the precise error of a layer, for example a
/// [`MessageError`](crate::message::MessageError) or an [`io::Error`].
///
/// Cloning is cheap: clones share the same error.
///
/// # Examples
/// ```
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let error = kms.describe_key("alias/missing").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.kind().exception_name(), Some("NotFoundException"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    /// The number of errors, starting with the cause, whose text the message contains.
    told: usize,
}

impl Error {
    /// Creates an error with a kind and a human-readable message.
    ///
    /// This is public because custom providers, stores, policies, and keyrings report their
    /// failures with the same type. The message must not contain key bytes, plaintext, or
    /// encryption context values.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::KeyUnavailable, "token of slot 3 does not answer");
    /// assert_eq!(error.to_string(), "token of slot 3 does not answer");
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), cause: None, told: 0 }))
    }

    /// Attaches the underlying error.
    ///
    /// If this error's message contains the cause's text, [`source`](std::error::Error::source)
    /// skips the cause and returns the next error in the chain.
    ///
    /// # Examples
    /// ```
    /// use std::error::Error as _;
    /// use std::io;
    /// use strongroom::{Error, ErrorKind};
    ///
    /// let disk = || io::Error::other("the disk is gone");
    /// let complete = Error::new(ErrorKind::Io, "cannot read a.key: the disk is gone").with_source(disk());
    /// assert!(complete.source().is_none());
    /// assert!(complete.downcast_ref::<io::Error>().is_some());
    ///
    /// let short = Error::new(ErrorKind::Io, "cannot read a.key").with_source(disk());
    /// assert_eq!(short.source().map(ToString::to_string).as_deref(), Some("the disk is gone"));
    /// ```
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        let (kind, message) = (self.0.kind, self.0.message.clone());
        let mut told = 0;
        let mut next: Option<&(dyn StdError + 'static)> = Some(&source);
        while let Some(error) = next.filter(|error| told < LONGEST_CHAIN && message.contains(&error.to_string())) {
            told += 1;
            next = error.source();
        }
        Self(Arc::new(Inner { kind, message, cause: Some(Box::new(source)), told }))
    }

    /// Attaches advice to an error whose text is exactly that of AWS KMS.
    /// [`source`](std::error::Error::source) returns it.
    pub(crate) fn with_advice(self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.with_source(Advice(advice.into()))
    }

    /// Returns the kind of failure, which is stable across releases.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the first error of type `T` among the causes, including those that
    /// [`source`](std::error::Error::source) skips.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::{self, MessageError};
    ///
    /// let error = strongroom::Error::from(message::inspect(b"no message").unwrap_err());
    /// assert!(matches!(error.downcast_ref(), Some(MessageError::UnsupportedVersion(b'n'))));
    /// ```
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        find(self.cause())
    }

    /// Returns the error of this crate inside an [`io::Error`], for example inside an error of an
    /// [`EnvelopeReader`](crate::envelope::EnvelopeReader). Other errors may enclose it. The result
    /// is `None` if the failure did not come from this crate.
    ///
    /// [`MessageError::from_io`](crate::message::MessageError::from_io) returns the failed check of
    /// a message in the same way.
    ///
    /// # Examples
    /// ```
    /// use std::io;
    /// use strongroom::{Error, ErrorKind, Kms};
    ///
    /// fn describe() -> io::Result<()> {
    ///     let kms = Kms::in_memory()?;
    ///     kms.describe_key("alias/missing")?;
    ///     Ok(())
    /// }
    ///
    /// let error = describe().unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::NotFound);
    /// assert_eq!(Error::from_io(&error).map(Error::kind), Some(ErrorKind::NotFound));
    /// assert!(Error::from_io(&io::Error::other("the disk is gone")).is_none());
    /// ```
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        find_in_io(error)
    }

    /// Returns the attached error, even if [`source`](std::error::Error::source) skips it.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(without_markers)
    }
}

/// Advice about an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Advice(Cow<'static, str>);

/// Returns the first error of type `T` inside an I/O error.
pub(crate) fn find_in_io<T: StdError + 'static>(error: &io::Error) -> Option<&T> {
    find(error.get_ref().map(without_markers))
}

/// Returns the first error of type `T` in a chain of causes, including those that `source` methods
/// skip.
fn find<'a, T: StdError + 'static>(mut next: Option<&'a (dyn StdError + 'static)>) -> Option<&'a T> {
    for _ in 0..LONGEST_CHAIN {
        let error = next?;
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The `source` methods of these two types skip errors.
        next = match (error.downcast_ref::<Error>(), error.downcast_ref::<io::Error>()) {
            (Some(error), _) => error.cause(),
            (None, Some(error)) => error.get_ref().map(without_markers),
            (None, None) => error.source(),
        };
    }
    None
}

/// Removes `Send` and `Sync` from the type, as required by [`StdError::source`].
fn without_markers<'a>(error: &'a (dyn StdError + Send + Sync + 'static)) -> &'a (dyn StdError + 'static) {
    error
}

/// Limits the walk along a chain of causes, in case a cause contains itself.
const LONGEST_CHAIN: usize = 64;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(source) = self.source() {
            out.field("source", &source);
        }
        out.finish()
    }
}

impl StdError for Error {
    /// Returns the nearest cause whose text is not part of the message.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        (0..self.0.told).try_fold(self.cause()?, |error, _| error.source())
    }
}

impl From<Error> for io::Error {
    /// Encloses the error, so that [`Error::from_io`] and
    /// [`get_ref`](std::io::Error::get_ref)`().downcast_ref()` return it. The text is the same.
    ///
    /// If a failure to read or write a file, a store, the audit trail or a key source has an
    /// [`io::Error`] as its cause, the kind is that of the cause. Otherwise it is the kind that
    /// corresponds to [`Error::kind`], such as [`NotFound`](io::ErrorKind::NotFound),
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an argument, and
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a message or ciphertext that is rejected. It
    /// is [`Other`](io::ErrorKind::Other) if there is no corresponding kind.
    ///
    /// # Examples
    /// ```
    /// use std::io;
    /// use strongroom::{Error, ErrorKind};
    ///
    /// let error = io::Error::from(Error::new(ErrorKind::AccessDenied, "alice cannot use the key"));
    /// assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    /// assert_eq!(error.to_string(), "alice cannot use the key");
    /// ```
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Audit | ErrorKind::Io | ErrorKind::KeyUnavailable | ErrorKind::RootKey | ErrorKind::Store => {
                error.downcast_ref().map_or(io::ErrorKind::Other, io::Error::kind)
            }
            kind => kind.as_io(),
        };
        Self::new(kind, error)
    }
}

/// The side whose fault an error is, as in the models of AWS services.
///
/// # Examples
/// ```
/// use strongroom::{ErrorKind, Fault};
///
/// assert_eq!(ErrorKind::Disabled.fault(), Fault::Client);
/// assert_eq!(ErrorKind::KeyUnavailable.fault(), Fault::Server);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request fails for as long as neither it nor the key or policy that it meets changes.
    Client,
    /// The KMS, its store, or its key source failed. The same request may succeed later.
    Server,
}

impl ErrorKind {
    /// Returns the status of an HTTP response that reports the error: 400 for a fault of the
    /// client, as AWS KMS answers whatever the exception is, and 500 for a fault of the server.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::NotFound.http_status(), 400); // not 404
    /// assert_eq!(ErrorKind::Internal.http_status(), 500);
    /// ```
    pub const fn http_status(self) -> u16 {
        match self.fault() {
            Fault::Client => 400,
            Fault::Server => 500,
        }
    }

    /// Returns the name of the AWS KMS exception with which an endpoint reports the error. A kind
    /// without an [`exception_name`](Self::exception_name) becomes `KMSInternalException` or
    /// `ValidationException`, depending on its [`fault`](Self::fault).
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::Disabled.aws_name(), "DisabledException");
    /// assert_eq!(ErrorKind::Store.aws_name(), "KMSInternalException");
    /// assert_eq!(ErrorKind::InvalidExport.aws_name(), "ValidationException");
    /// ```
    pub const fn aws_name(self) -> &'static str {
        match (self.exception_name(), self.fault()) {
            (Some(name), _) => name,
            (None, Fault::Client) => "ValidationException",
            (None, Fault::Server) => "KMSInternalException",
        }
    }

    /// Returns the `errorCode` of the audit trail: the name of the AWS KMS exception, or the name of
    /// the variant if there is none.
    pub(crate) const fn code(self) -> &'static str {
        match self.exception_name() {
            Some(name) => name,
            None => self.name(),
        }
    }

    /// Returns the kind of an I/O error that corresponds best.
    const fn as_io(self) -> io::ErrorKind {
        match self {
            Self::Validation
            | Self::InvalidArn
            | Self::InvalidAliasName
            | Self::MalformedPolicyDocument
            | Self::InvalidKeyUsage
            | Self::Tag
            | Self::InvalidMarker
            | Self::Serialization
            | Self::InvalidImportToken
            | Self::InvalidGrantId
            | Self::InvalidGrantToken => io::ErrorKind::InvalidInput,
            Self::NotFound | Self::CustomKeyStoreNotFound | Self::ClusterNotFound => io::ErrorKind::NotFound,
            Self::AlreadyExists | Self::CustomKeyStoreNameInUse => io::ErrorKind::AlreadyExists,
            Self::AccessDenied | Self::NotAuthorized => io::ErrorKind::PermissionDenied,
            Self::UnsupportedOperation | Self::UnknownOperation => io::ErrorKind::Unsupported,
            Self::LimitExceeded => io::ErrorKind::QuotaExceeded,
            Self::Conflict | Self::ClusterInUse => io::ErrorKind::ResourceBusy,
            Self::InvalidCiphertext
            | Self::InvalidSignature
            | Self::InvalidMac
            | Self::IncorrectKeyMaterial
            | Self::IncorrectKey
            | Self::Integrity
            | Self::InvalidExport
            | Self::InvalidMessage
            | Self::MessagePolicy
            | Self::NoDataKeyUnwrapped
            | Self::ContextMismatch => io::ErrorKind::InvalidData,
            Self::Disabled
            | Self::InvalidState
            | Self::ExpiredImportToken
            | Self::KeyUnavailable
            | Self::CustomKeyStoreInvalidState
            | Self::CustomKeyStoreHasKeys
            | Self::ClusterInvalidConfiguration
            | Self::ClusterNotRelated
            | Self::DryRun
            | Self::CopiedStore
            | Self::Closed
            | Self::Internal
            | Self::Store
            | Self::RootKey
            | Self::Audit
            | Self::Io => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for ErrorKind {
    /// Writes the name of the AWS KMS exception, or the name of the variant if there is none:
    /// `DisabledException`, `Integrity`. This is the `errorCode` of the event in the audit trail.
    /// The text is stable across releases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($fault:ident) => $name:expr,)*) => {
        /// The kind of an [`Error`]: the exceptions of the AWS KMS API, plus kinds specific to this
        /// library.
        ///
        /// The `Display` text is the name of the exception, or the name of the variant if there is
        /// none. It is the `errorCode` of the audit trail and suits logs and metrics.
        ///
        /// # Examples
        /// ```
        /// use strongroom::request::DecryptRequest;
        /// use strongroom::{Error, ErrorKind, Kms};
        ///
        /// /// Returns `true` if the caller should try again later.
        /// fn is_temporary(error: &Error) -> bool {
        ///     let kinds = [ErrorKind::Conflict, ErrorKind::KeyUnavailable, ErrorKind::Store];
        ///     kinds.contains(&error.kind())
        /// }
        ///
        /// let kms = Kms::in_memory()?;
        /// let error = kms.decrypt(DecryptRequest::new(b"damaged")).unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
        /// assert!(!is_temporary(&error));
        /// assert_eq!(error.kind().to_string(), "InvalidCiphertextException");
        /// # Ok::<(), strongroom::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $kind,)* }

        impl ErrorKind {
            /// Returns the name of the corresponding AWS KMS exception, if there is one.
            ///
            /// # Examples
            /// ```
            /// use strongroom::ErrorKind;
            ///
            /// assert_eq!(ErrorKind::Disabled.exception_name(), Some("DisabledException"));
            /// assert_eq!(ErrorKind::Integrity.exception_name(), None); // AWS KMS has no such error
            /// ```
            pub const fn exception_name(self) -> Option<&'static str> {
                match self { $(Self::$kind => $name,)* }
            }

            /// Returns the side whose fault the error is. AWS KMS has three exceptions that are faults of
            /// the server; this crate adds its own failures, such as [`Store`](Self::Store) and
            /// [`Integrity`](Self::Integrity).
            ///
            /// # Examples
            /// ```
            /// use strongroom::{ErrorKind, Fault};
            ///
            /// assert_eq!(ErrorKind::LimitExceeded.fault(), Fault::Client);
            /// assert_eq!(ErrorKind::Store.fault(), Fault::Server);
            /// ```
            pub const fn fault(self) -> Fault {
                match self { $(Self::$kind => Fault::$fault,)* }
            }

            /// Returns the name of the variant.
            const fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];
        }
    };
}

kinds! {
    /// An argument, or a combination of arguments, is outside its documented range.
    Validation(Client) => Some("ValidationException"),
    /// The key, alias, or record does not exist. Keys of other accounts that the caller cannot
    /// access also look like this.
    NotFound(Client) => Some("NotFoundException"),
    /// A key ARN or alias ARN is malformed.
    InvalidArn(Client) => Some("InvalidArnException"),
    /// An alias name is malformed.
    InvalidAliasName(Client) => Some("InvalidAliasNameException"),
    /// The name is already in use.
    AlreadyExists(Client) => Some("AlreadyExistsException"),
    /// The policy does not allow the principal to perform the operation.
    AccessDenied(Client) => Some("AccessDeniedException"),
    /// A policy document is malformed or uses an unsupported feature.
    MalformedPolicyDocument(Client) => Some("MalformedPolicyDocumentException"),
    /// The name is reserved.
    NotAuthorized(Client) => Some("NotAuthorizedException"),
    /// The key is disabled.
    Disabled(Client) => Some("DisabledException"),
    /// The state of the key does not allow the operation.
    InvalidState(Client) => Some("KMSInvalidStateException"),
    /// The key usage or the requested algorithm does not fit the operation.
    InvalidKeyUsage(Client) => Some("InvalidKeyUsageException"),
    /// The operation does not support keys of this origin or spec.
    UnsupportedOperation(Client) => Some("UnsupportedOperationException"),
    /// A quota is exhausted.
    LimitExceeded(Client) => Some("LimitExceededException"),
    /// Tags are malformed, duplicated, reserved, or too numerous.
    Tag(Client) => Some("TagException"),
    /// A pagination marker was not returned by an earlier page.
    InvalidMarker(Client) => Some("InvalidMarkerException"),
    /// A ciphertext cannot be decrypted: it is damaged, or was encrypted under another key or with
    /// another encryption context.
    InvalidCiphertext(Client) => Some("InvalidCiphertextException"),
    /// A signature is malformed, or does not match the key and message.
    InvalidSignature(Client) => Some("KMSInvalidSignatureException"),
    /// A message authentication code does not match the key and message.
    InvalidMac(Client) => Some("KMSInvalidMacException"),
    /// An import token is malformed, or belongs to another key or another store.
    InvalidImportToken(Client) => Some("InvalidImportTokenException"),
    /// An import token is older than 24 hours.
    ExpiredImportToken(Client) => Some("ExpiredImportTokenException"),
    /// A grant id is malformed.
    InvalidGrantId(Client) => Some("InvalidGrantIdException"),
    /// A grant token is malformed or belongs to another store.
    InvalidGrantToken(Client) => Some("InvalidGrantTokenException"),
    /// Imported material does not fit the key, or differs from the material imported before.
    IncorrectKeyMaterial(Client) => Some("IncorrectKeyMaterialException"),
    /// The ciphertext was not encrypted under the key that the request names.
    IncorrectKey(Client) => Some("IncorrectKeyException"),
    /// The key exists, but its material is currently unreachable.
    KeyUnavailable(Server) => Some("KeyUnavailableException"),
    /// The custom key store does not exist.
    CustomKeyStoreNotFound(Client) => Some("CustomKeyStoreNotFoundException"),
    /// The connection state of the custom key store does not allow the operation.
    CustomKeyStoreInvalidState(Client) => Some("CustomKeyStoreInvalidStateException"),
    /// The custom key store contains keys, including any that are pending deletion.
    CustomKeyStoreHasKeys(Client) => Some("CustomKeyStoreHasCMKsException"),
    /// Another custom key store of the account has this name.
    CustomKeyStoreNameInUse(Client) => Some("CustomKeyStoreNameInUseException"),
    /// Another custom key store uses the cluster.
    ClusterInUse(Client) => Some("CloudHsmClusterInUseException"),
    /// The cluster has too few active HSMs, or active HSMs in too few zones, for the operation.
    ClusterInvalidConfiguration(Client) => Some("CloudHsmClusterInvalidConfigurationException"),
    /// The builder was not given a cluster of that name.
    ClusterNotFound(Client) => Some("CloudHsmClusterNotFoundException"),
    /// The cluster does not hold the keys of the cluster that it is supposed to replace.
    ClusterNotRelated(Client) => Some("CloudHsmClusterNotRelatedException"),
    /// A request in a wire format cannot be parsed, or a member has the wrong type.
    Serialization(Client) => Some("SerializationException"),
    /// A request in a wire format names an operation that AWS KMS does not have.
    UnknownOperation(Client) => Some("UnknownOperationException"),
    /// The request would have succeeded, but it was a dry run.
    DryRun(Client) => Some("DryRunOperationException"),
    /// Concurrent changes to the same key kept winning. Try again.
    Conflict(Client) => Some("ConflictException"),
    /// The store is a copy, or a copy of it took over. It cannot create, destroy, or undo anything
    /// in an HSM until [`Kms::declare_successor`](crate::Kms::declare_successor) is called.
    CopiedStore(Server) => None,
    /// The `Kms` was closed ([`Kms::close`](crate::Kms::close)).
    Closed(Server) => None,
    /// An invariant was violated, for example by a broken random generator or an inconsistent
    /// record.
    Internal(Server) => Some("KMSInternalException"),
    /// The store cannot be read or written.
    Store(Server) => None,
    /// The root key does not match the store. The store itself is intact.
    RootKey(Server) => None,
    /// Data in the store was modified, moved, rolled back, added, or removed, although the root key
    /// is correct.
    Integrity(Server) => None,
    /// The audit trail cannot be written, so the result is withheld.
    Audit(Server) => None,
    /// An export of keys cannot be opened. An `ExportError` ([`Error::downcast_ref`]) contains the
    /// reason.
    InvalidExport(Client) => None,
    /// An encrypted message was rejected. A `MessageError` ([`Error::downcast_ref`]) identifies the
    /// failed check.
    InvalidMessage(Client) => None,
    /// A message is valid, but the commitment or signature policy of the envelope rejects it.
    MessagePolicy(Client) => None,
    /// The keyring could not unwrap any data key of the message. `UnwrapFailures`
    /// ([`Error::downcast_ref`]) contains the reasons.
    NoDataKeyUnwrapped(Client) => None,
    /// The encryption context of a message lacks something that the caller requires.
    ContextMismatch(Client) => None,
    /// Reading or writing a stream failed.
    Io(Server) => None,
}

#[cfg(test)]
mod tests;
