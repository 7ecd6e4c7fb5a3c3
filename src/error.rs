//! The one public error type.
//!
//! This module imports nothing of the crate: every lower layer has a precise error of its own and says beside that
//! type how it becomes an [`Error`], so that no cycle can start here.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What a fallible operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation failed and nothing was changed. Only if what comes after a change fails, its text says that it was committed:
/// when the audit trail does not take its outcome, or the anchor of the store cannot be moved.
///
/// [`Error::kind`] is for programs, the `Display` text is for people: it says what failed and with which identifier.
/// It never holds key bytes, plaintext or values of an encryption context.
///
/// The text is complete. [`source`](std::error::Error::source) returns only a cause whose text is not part of it, so printing the
/// whole chain repeats nothing. [`Error::downcast_ref`] finds the precise error of a layer in either case, for example a
/// [`MessageError`](crate::message::MessageError) or an [`io::Error`].
///
/// Cloning is cheap; a clone is the same error.
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
    /// The number of errors, from the cause on, whose text the message contains.
    told: usize,
}

impl Error {
    /// Makes an error of a kind with the text that people read.
    ///
    /// Public because a custom provider, store, policy or keyring reports its failures with the same type. The text
    /// must not hold key bytes, plaintext or values of an encryption context.
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

    /// Attaches the lower error that caused this one.
    ///
    /// If the message of this error contains the text of the cause, [`source`](std::error::Error::source) skips the cause and
    /// returns the next error of the chain.
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

    /// The kind of failure, stable across releases.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the first error of a type among the causes, including those that [`source`](std::error::Error::source) skips.
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
            // The `source` of these two skips errors.
            next = match (error.downcast_ref::<Self>(), error.downcast_ref::<io::Error>()) {
                (Some(error), _) => error.cause(),
                (None, Some(error)) => error.get_ref().map(without_markers),
                (None, None) => error.source(),
            };
        }
        None
    }

    /// The attached error, even if [`source`](std::error::Error::source) skips it.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(without_markers)
    }
}

/// Drops `Send` and `Sync` from the type, as [`StdError::source`] does.
fn without_markers<'a>(error: &'a (dyn StdError + Send + Sync + 'static)) -> &'a (dyn StdError + 'static) {
    error
}

/// Bounds the walk along a chain of causes, in case one of them contains itself.
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
    /// The nearest cause whose text is not part of the message.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        (0..self.0.told).try_fold(self.cause()?, |error, _| error.source())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:expr,)*) => {
        /// What kind of failure an [`Error`] is: the exceptions of the AWS KMS API, and what a library adds to them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $kind,)* }

        impl ErrorKind {
            /// The name of the AWS KMS exception of this kind, where that service has one.
            pub const fn exception_name(self) -> Option<&'static str> {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// An argument is outside its documented range or combination.
    Validation => Some("ValidationException"),
    /// No such key, alias or record; also what another account's keys look like.
    NotFound => Some("NotFoundException"),
    /// A key ARN or alias ARN is malformed.
    InvalidArn => Some("InvalidArnException"),
    /// An alias name is malformed.
    InvalidAliasName => Some("InvalidAliasNameException"),
    /// The name is taken.
    AlreadyExists => Some("AlreadyExistsException"),
    /// The policy does not allow the principal to do this.
    AccessDenied => Some("AccessDeniedException"),
    /// A policy document is malformed, or has something that is not supported.
    MalformedPolicyDocument => Some("MalformedPolicyDocumentException"),
    /// The name is reserved.
    NotAuthorized => Some("NotAuthorizedException"),
    /// The key is disabled.
    Disabled => Some("DisabledException"),
    /// The state of the key does not allow the operation.
    InvalidState => Some("KMSInvalidStateException"),
    /// The usage of the key, or the algorithm asked for, does not fit the operation.
    InvalidKeyUsage => Some("InvalidKeyUsageException"),
    /// The operation does not exist for keys of this origin or spec.
    UnsupportedOperation => Some("UnsupportedOperationException"),
    /// A quota is used up.
    LimitExceeded => Some("LimitExceededException"),
    /// Tags are malformed, duplicate, reserved or too many.
    Tag => Some("TagException"),
    /// A marker does not come from an earlier page.
    InvalidMarker => Some("InvalidMarkerException"),
    /// A ciphertext does not open: damaged, made under another key, or bound to another encryption context.
    InvalidCiphertext => Some("InvalidCiphertextException"),
    /// A signature is malformed, or does not fit key and message.
    InvalidSignature => Some("KMSInvalidSignatureException"),
    /// A message authentication code is not that of the message under the key.
    InvalidMac => Some("KMSInvalidMacException"),
    /// An import token is malformed, of another key or of another store.
    InvalidImportToken => Some("InvalidImportTokenException"),
    /// An import token is over 24 hours old.
    ExpiredImportToken => Some("ExpiredImportTokenException"),
    /// A grant token is malformed, or of another store.
    InvalidGrantToken => Some("InvalidGrantTokenException"),
    /// Imported material is not what the key needs, or not the same as before.
    IncorrectKeyMaterial => Some("IncorrectKeyMaterialException"),
    /// The ciphertext was not made under the key that the request names.
    IncorrectKey => Some("IncorrectKeyException"),
    /// The key exists but its material cannot be reached now.
    KeyUnavailable => Some("KeyUnavailableException"),
    /// There is no such custom key store.
    CustomKeyStoreNotFound => Some("CustomKeyStoreNotFoundException"),
    /// The connection state of the custom key store does not allow the operation.
    CustomKeyStoreInvalidState => Some("CustomKeyStoreInvalidStateException"),
    /// The custom key store holds keys; those whose deletion is pending count.
    CustomKeyStoreHasKeys => Some("CustomKeyStoreHasCMKsException"),
    /// Another custom key store of the account has the name.
    CustomKeyStoreNameInUse => Some("CustomKeyStoreNameInUseException"),
    /// Another custom key store uses the cluster.
    ClusterInUse => Some("CloudHsmClusterInUseException"),
    /// The cluster has fewer active HSMs, or in fewer zones, than the operation needs.
    ClusterInvalidConfiguration => Some("CloudHsmClusterInvalidConfigurationException"),
    /// No cluster of that name was given to the builder.
    ClusterNotFound => Some("CloudHsmClusterNotFoundException"),
    /// The cluster does not hold the keys of the cluster that it is to replace.
    ClusterNotRelated => Some("CloudHsmClusterNotRelatedException"),
    /// The request would have succeeded, but it was a dry run.
    DryRun => Some("DryRunOperationException"),
    /// Another change to the same key kept winning; try again.
    Conflict => Some("ConflictException"),
    /// The store is a copy, or a copy of it took over: it creates, destroys and undoes nothing in an HSM before
    /// [`Kms::declare_successor`](crate::Kms::declare_successor).
    CopiedStore => None,
    /// Something that must hold did not: a broken random generator, a record that makes no sense.
    Internal => Some("KMSInternalException"),
    /// The store cannot be read or written.
    Store => None,
    /// The root key is not that of the store. The store itself is whole.
    RootKey => None,
    /// Something in the store was altered, moved, set back, added or taken away, with the right root key.
    Integrity => None,
    /// The audit trail cannot be written, so the result is withheld.
    Audit => None,
    /// An export of keys does not open; an `ExportError` ([`Error::downcast_ref`]) says why.
    InvalidExport => None,
    /// An encrypted message was refused; a `MessageError` ([`Error::downcast_ref`]) names the check.
    InvalidMessage => None,
    /// A message is sound, and the commitment or signature policy of the envelope refuses it.
    MessagePolicy => None,
    /// No wrapped data key of a message could be opened by the keyring; `UnwrapFailures` ([`Error::downcast_ref`]) say why.
    NoDataKeyUnwrapped => None,
    /// The context of a message lacks what the caller expects of it.
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
