//! Reasons why an object is rejected.

use crate::error::{Error, ErrorKind};

/// The reason why an object, its metadata, or its instruction file is rejected.
///
/// # Examples
/// ```
/// use strongroom::s3_encryption::{ObjectError, ObjectMetadata};
/// use strongroom::{Error, ErrorKind};
///
/// let mixed = [("x-amz-key-v2", "AA=="), ("x-amz-3", "AA==")];
/// let error = ObjectMetadata::from_pairs(mixed).unwrap_err();
/// assert!(matches!(error, ObjectError::MixedVersions { .. }));
/// assert_eq!(Error::from(error).kind(), ErrorKind::InvalidMessage);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The metadata of the object does not contain the wrapped data key.
    #[error(
        "its metadata does not contain a wrapped data key: the key is in an instruction file, or the object was not \
         encrypted by a client of this format"
    )]
    InstructionFileNeeded,
    /// The metadata of the object already contains the wrapped data key.
    #[error("its metadata contains the wrapped data key, so its instruction file must be ignored")]
    UnexpectedInstructionFile,
    /// The instruction file is not a JSON object of strings with different names.
    #[error("its instruction file is not a JSON object of strings, each with a different name")]
    MalformedInstructionFile,
    /// The instruction file contains a name that the format does not have.
    #[error("its instruction file contains a name that is not part of the format")]
    UnknownName,
    /// A name is in the instruction file, but belongs into the metadata of the object, or the reverse.
    #[error("{name} is in the wrong place: in the instruction file instead of the metadata, or the reverse")]
    Misplaced {
        /// The name.
        name: &'static str,
    },
    /// A name is missing.
    #[error("{name} is missing")]
    Missing {
        /// The name.
        name: &'static str,
    },
    /// A name occurs twice.
    #[error("{name} occurs twice")]
    Repeated {
        /// The name.
        name: &'static str,
    },
    /// A value is malformed.
    #[error("{name} is malformed: it must be {expected}")]
    Malformed {
        /// The name.
        name: &'static str,
        /// A description of valid values.
        expected: &'static str,
    },
    /// A value is well-formed, but this release does not support it.
    #[error("{name} is not supported: it must be {expected}")]
    Unsupported {
        /// The name.
        name: &'static str,
        /// The supported values.
        expected: &'static str,
    },
    /// Names of different versions are present. An attacker may add them, so that a reader uses the
    /// weaker version.
    #[error("{first} and {second} belong to different versions of the format")]
    MixedVersions {
        /// A name.
        first: &'static str,
        /// A name of another version.
        second: &'static str,
    },
    /// Metadata, instruction file, or object are longer than allowed.
    #[error("its {what} is longer than {limit} bytes")]
    TooLong {
        /// The part of the object.
        what: &'static str,
        /// The maximum length in bytes.
        limit: u64,
    },
    /// The object does not commit to its key, which the commitment policy requires.
    #[error(
        "it does not commit to its key, which the commitment policy requires: use RequireEncryptAllowDecrypt to read \
         such objects"
    )]
    NotCommitting,
    /// The content is not authenticated.
    #[error(
        "its content is not authenticated (AES-CBC): call accept_unauthenticated_cbc to read such objects from a source \
         that you trust"
    )]
    Unauthenticated,
    /// The data key is wrapped in the way of the first version.
    #[error(
        "its data key is not bound to the content algorithm (wrapping algorithm kms): call accept_kms_without_algorithm \
         to read such objects"
    )]
    KmsWithoutAlgorithm,
    /// The data key is wrapped with a key of another kind.
    #[error("its data key was wrapped with {stored}, but the configured key is for {configured}")]
    OtherWrap {
        /// The wrapping algorithm of the object.
        stored: &'static str,
        /// The wrapping algorithm of the configured key.
        configured: &'static str,
    },
    /// The private key is required.
    #[error("its data key can be unwrapped only with the private key, but the public key is configured")]
    NoPrivateKey,
    /// The caller's encryption context differs from that of the object.
    #[error("it has another encryption context than expected")]
    ContextMismatch,
    /// The encryption context contains another content algorithm than the metadata.
    #[error("its encryption context contains another content algorithm than its metadata")]
    AlgorithmMismatch,
    /// The object is damaged or was altered, or it belongs to other metadata or another key.
    #[error("it is damaged, or was encrypted with another key or other metadata")]
    NotAuthentic,
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        let kind = match error {
            ObjectError::NotAuthentic | ObjectError::AlgorithmMismatch => ErrorKind::InvalidCiphertext,
            ObjectError::ContextMismatch => ErrorKind::ContextMismatch,
            ObjectError::OtherWrap { .. } => ErrorKind::IncorrectKey,
            ObjectError::NoPrivateKey => ErrorKind::InvalidKeyUsage,
            ObjectError::NotCommitting
            | ObjectError::Unauthenticated
            | ObjectError::KmsWithoutAlgorithm
            | ObjectError::TooLong { .. } => ErrorKind::MessagePolicy,
            _ => ErrorKind::InvalidMessage,
        };
        Self::new(kind, format!("the object is rejected: {error}")).with_source(error)
    }
}
