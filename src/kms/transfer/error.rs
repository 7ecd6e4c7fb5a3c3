//! Reasons why an export of keys cannot be imported.

use crate::crypto::CryptoError;
use crate::error::{Error, ErrorKind};

/// Reasons why an export cannot be opened. Returned by [`Error::downcast_ref`] for an error of kind
/// [`ErrorKind::InvalidExport`]. Nothing was imported.
///
/// # Examples
/// ```
/// use strongroom::export::ExportError;
/// use strongroom::{Error, ErrorKind};
///
/// let error = Error::from(ExportError::Damaged);
/// assert_eq!(error.kind(), ErrorKind::InvalidExport);
/// assert!(error.to_string().contains("corrupt"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The bytes are not an export.
    #[error("the data is not a key export")]
    NotAnExport,
    /// The export was created by a later release.
    #[error("the export has format {found}, but this release supports formats only up to {known}: use a later release")]
    NewerFormat {
        /// The format of the export.
        found: u8,
        /// The latest format that this release supports.
        known: u8,
    },
    /// The checksum of the file does not match: it was damaged or truncated in transit.
    #[error("the export is corrupt or truncated: transfer it again")]
    Damaged,
    /// The export is for another kind of recipient.
    #[error("cannot open the export with {given}: it was encrypted for {recipient}")]
    RecipientMismatch {
        /// The kind of recipient that can open the export.
        recipient: &'static str,
        /// The kind of identity that was provided.
        given: &'static str,
    },
    /// The passphrase is wrong. The export is intact.
    #[error("cannot open the export: wrong passphrase; the export is intact")]
    WrongPassphrase,
    /// Exports cannot be created with a passphrase like the one provided.
    #[error("cannot open the export: invalid passphrase: {reason}")]
    UnsuitablePassphrase {
        /// The problem with the passphrase.
        reason: String,
    },
    /// The passphrase was not tried, because the export requires more work than the limit allows.
    #[error(
        "the passphrase was not tried: the export requires {memory_kib} KiB of memory, {passes} passes and {lanes} \
         lanes, above the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you \
         trust its source, raise the limit"
    )]
    TooCostly {
        /// The memory that the export requires.
        memory_kib: u32,
        /// The number of passes that it requires.
        passes: u32,
        /// The number of lanes that it requires.
        lanes: u32,
        /// The maximum memory.
        memory_limit_kib: u32,
        /// The maximum number of passes.
        pass_limit: u32,
        /// The maximum number of lanes.
        lane_limit: u32,
    },
    /// The passphrase was not tried, because there is not enough memory.
    #[error("the passphrase was not tried: {memory_kib} KiB of memory could not be allocated")]
    OutOfMemory {
        /// The required memory.
        memory_kib: u32,
    },
    /// The passphrase was not tried, because the cryptographic backend rejects its algorithm.
    #[error("cannot open the export: {reason}")]
    Rejected {
        /// The error of the backend.
        reason: CryptoError,
    },
    /// The private key does not match the public key that the export is for.
    #[error("cannot open the export: it was encrypted for another RSA key")]
    WrongKey,
    /// The recipient and the checksum match, but the sealed part cannot be unsealed: the export was
    /// altered.
    #[error("the export was altered after it was written")]
    Altered,
    /// The sealed content is not in the format that this library writes.
    #[error("cannot read the keys of the export: {reason}")]
    Malformed {
        /// The problem with the content.
        reason: String,
    },
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        Self::new(ErrorKind::InvalidExport, error.to_string()).with_source(error)
    }
}
