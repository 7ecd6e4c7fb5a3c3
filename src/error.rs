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
/// change was committed. That happens when a step after the commit fails: the audit trail does not
/// accept the outcome, or the anchor of the store cannot be moved.
///
/// [`Error::kind`] is for programs and the `Display` text is for humans. The text says what failed
/// and names the identifier involved. It never contains key bytes, plaintext, or encryption context
/// values.
///
/// The text is complete. [`source`](std::error::Error::source) returns only causes whose text is
/// not already included, so printing the whole chain repeats nothing. In either case
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
        let mut next = self.cause();
        for _ in 0..LONGEST_CHAIN {
            let error = next?;
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // The `source` methods of these two types skip errors.
            next = match (error.downcast_ref::<Self>(), error.downcast_ref::<io::Error>()) {
                (Some(error), _) => error.cause(),
                (None, Some(error)) => error.get_ref().map(without_markers),
                (None, None) => error.source(),
            };
        }
        None
    }

    /// Returns the attached error, even if [`source`](std::error::Error::source) skips it.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(without_markers)
    }
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

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:expr,)*) => {
        /// The kind of an [`Error`]: the exceptions of the AWS KMS API, plus kinds specific to this
        /// library.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $kind,)* }

        impl ErrorKind {
            /// Returns the name of the corresponding AWS KMS exception, if there is one.
            pub const fn exception_name(self) -> Option<&'static str> {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// An argument, or a combination of arguments, is outside its documented range.
    Validation => Some("ValidationException"),
    /// The key, alias, or record does not exist. Keys of other accounts that the caller cannot
    /// access also look like this.
    NotFound => Some("NotFoundException"),
    /// A key ARN or alias ARN is malformed.
    InvalidArn => Some("InvalidArnException"),
    /// An alias name is malformed.
    InvalidAliasName => Some("InvalidAliasNameException"),
    /// The name is already in use.
    AlreadyExists => Some("AlreadyExistsException"),
    /// The policy does not allow the principal to perform the operation.
    AccessDenied => Some("AccessDeniedException"),
    /// A policy document is malformed or uses an unsupported feature.
    MalformedPolicyDocument => Some("MalformedPolicyDocumentException"),
    /// The name is reserved.
    NotAuthorized => Some("NotAuthorizedException"),
    /// The key is disabled.
    Disabled => Some("DisabledException"),
    /// The state of the key does not allow the operation.
    InvalidState => Some("KMSInvalidStateException"),
    /// The key usage or the requested algorithm does not fit the operation.
    InvalidKeyUsage => Some("InvalidKeyUsageException"),
    /// The operation does not support keys of this origin or spec.
    UnsupportedOperation => Some("UnsupportedOperationException"),
    /// A quota is exhausted.
    LimitExceeded => Some("LimitExceededException"),
    /// Tags are malformed, duplicated, reserved, or too numerous.
    Tag => Some("TagException"),
    /// A pagination marker was not returned by an earlier page.
    InvalidMarker => Some("InvalidMarkerException"),
    /// A ciphertext cannot be decrypted: it is damaged, or was encrypted under another key or with
    /// another encryption context.
    InvalidCiphertext => Some("InvalidCiphertextException"),
    /// A signature is malformed, or does not match the key and message.
    InvalidSignature => Some("KMSInvalidSignatureException"),
    /// A message authentication code does not match the key and message.
    InvalidMac => Some("KMSInvalidMacException"),
    /// An import token is malformed, or belongs to another key or another store.
    InvalidImportToken => Some("InvalidImportTokenException"),
    /// An import token is older than 24 hours.
    ExpiredImportToken => Some("ExpiredImportTokenException"),
    /// A grant token is malformed or belongs to another store.
    InvalidGrantToken => Some("InvalidGrantTokenException"),
    /// Imported material does not fit the key, or differs from the material imported before.
    IncorrectKeyMaterial => Some("IncorrectKeyMaterialException"),
    /// The ciphertext was not encrypted under the key that the request names.
    IncorrectKey => Some("IncorrectKeyException"),
    /// The key exists, but its material is currently unreachable.
    KeyUnavailable => Some("KeyUnavailableException"),
    /// The custom key store does not exist.
    CustomKeyStoreNotFound => Some("CustomKeyStoreNotFoundException"),
    /// The connection state of the custom key store does not allow the operation.
    CustomKeyStoreInvalidState => Some("CustomKeyStoreInvalidStateException"),
    /// The custom key store contains keys, including any that are pending deletion.
    CustomKeyStoreHasKeys => Some("CustomKeyStoreHasCMKsException"),
    /// Another custom key store of the account has this name.
    CustomKeyStoreNameInUse => Some("CustomKeyStoreNameInUseException"),
    /// Another custom key store uses the cluster.
    ClusterInUse => Some("CloudHsmClusterInUseException"),
    /// The cluster has too few active HSMs, or active HSMs in too few zones, for the operation.
    ClusterInvalidConfiguration => Some("CloudHsmClusterInvalidConfigurationException"),
    /// The builder was not given a cluster of that name.
    ClusterNotFound => Some("CloudHsmClusterNotFoundException"),
    /// The cluster does not hold the keys of the cluster that it is supposed to replace.
    ClusterNotRelated => Some("CloudHsmClusterNotRelatedException"),
    /// The request would have succeeded, but it was a dry run.
    DryRun => Some("DryRunOperationException"),
    /// Concurrent changes to the same key kept winning. Try again.
    Conflict => Some("ConflictException"),
    /// The store is a copy, or a copy of it took over. It cannot create, destroy, or undo anything
    /// in an HSM until [`Kms::declare_successor`](crate::Kms::declare_successor) is called.
    CopiedStore => None,
    /// An invariant was violated, for example by a broken random generator or an inconsistent
    /// record.
    Internal => Some("KMSInternalException"),
    /// The store cannot be read or written.
    Store => None,
    /// The root key does not match the store. The store itself is intact.
    RootKey => None,
    /// Data in the store was modified, moved, rolled back, added, or removed, although the root key
    /// is correct.
    Integrity => None,
    /// The audit trail cannot be written, so the result is withheld.
    Audit => None,
    /// An export of keys cannot be opened. An `ExportError` ([`Error::downcast_ref`]) contains the
    /// reason.
    InvalidExport => None,
    /// An encrypted message was rejected. A `MessageError` ([`Error::downcast_ref`]) identifies the
    /// failed check.
    InvalidMessage => None,
    /// A message is valid, but the commitment or signature policy of the envelope rejects it.
    MessagePolicy => None,
    /// The keyring could not unwrap any data key of the message. `UnwrapFailures`
    /// ([`Error::downcast_ref`]) contains the reasons.
    NoDataKeyUnwrapped => None,
    /// The encryption context of a message lacks something that the caller requires.
    ContextMismatch => None,
    /// Reading or writing a stream failed.
    Io => None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_kept_and_debug_is_complete() {
        let error = Error::new(ErrorKind::Store, "cannot read").with_source(io::Error::other("disk"));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk"));
        let text = format!("{error:?}");
        assert!(text.contains("Store") && text.contains("cannot read") && text.contains("disk"), "{text}");
    }

    #[test]
    fn what_the_message_says_already_is_passed_over() {
        let lowest = Error::new(ErrorKind::Io, "lowest");
        let middle = Error::new(ErrorKind::Store, "middle").with_source(lowest);
        let top = Error::new(ErrorKind::Internal, "top: middle").with_source(middle.clone());
        assert_eq!(top.source().map(ToString::to_string).as_deref(), Some("lowest"));
        assert_eq!(top.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Store));
        assert_eq!(format!("{top:?}").matches("middle").count(), 1, "{top:?}");

        let whole = Error::new(ErrorKind::Internal, "top: middle: lowest").with_source(middle);
        assert!(whole.source().is_none());
        assert!(Error::new(ErrorKind::Internal, "top").source().is_none());
    }

    #[test]
    fn a_cause_is_found_below_errors_that_hide_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("the token is locked")]
        struct Locked;

        let locked = Error::new(ErrorKind::KeyUnavailable, Locked.to_string()).with_source(Locked);
        let read = Error::new(ErrorKind::Io, "cannot read: the token is locked").with_source(io::Error::other(locked));
        assert!(read.source().is_none());
        assert!(read.downcast_ref::<Locked>().is_some() && read.downcast_ref::<io::Error>().is_some());
        assert!(read.downcast_ref::<fmt::Error>().is_none());
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
