//! The one public error type.
//!
//! This module imports nothing of the crate: every lower layer has a precise error of its own and says beside that
//! type how it becomes an [`Error`], so that no cycle can start here.

use std::borrow::Cow;
use std::fmt;

/// What a fallible operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation failed and nothing was changed. Only if what comes after a change fails, its text says that it was committed:
/// when the audit trail does not take its outcome, or the anchor of the store cannot be moved.
///
/// [`Error::kind`] is for programs, the `Display` text is for people: it says what failed and with which identifier.
/// It never holds key bytes, plaintext or values of an encryption context. Failures inside one layer (a message that
/// does not parse, say) keep their precise type as [`std::error::Error::source`].
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
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
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
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// Attaches the lower error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The kind of failure, stable across releases.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
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
    /// An export of keys does not open; the source is an `ExportError` that says why.
    InvalidExport => None,
    /// An encrypted message was refused; the source is a `MessageError` that names the check.
    InvalidMessage => None,
    /// A message is sound, and the commitment or signature policy of the envelope refuses it.
    MessagePolicy => None,
    /// No wrapped data key of a message could be opened by the keyring.
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
        let error = Error::new(ErrorKind::Store, "cannot read").with_source(std::io::Error::other("disk"));
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("disk"));
        let text = format!("{error:?}");
        assert!(text.contains("Store") && text.contains("cannot read") && text.contains("disk"), "{text}");
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
