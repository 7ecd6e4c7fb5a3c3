//! Reasons why an export of keys cannot be imported.

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
/// assert!(error.to_string().contains("damaged"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The bytes are not an export.
    #[error("this is no export of keys")]
    NotAnExport,
    /// The export was created by a later release.
    #[error("the export has format {found} and this release reads formats up to {known}: use a later release")]
    NewerFormat {
        /// The format of the export.
        found: u8,
        /// The latest format that this release supports.
        known: u8,
    },
    /// The checksum of the file does not match: it was damaged or truncated in transit.
    #[error("the export is damaged or not whole: fetch it again")]
    Damaged,
    /// The export is for another kind of recipient.
    #[error("the export is for {recipient}, and was to be opened with {given}")]
    RecipientMismatch {
        /// The kind of recipient that can open the export.
        recipient: &'static str,
        /// The kind of identity that was provided.
        given: &'static str,
    },
    /// The passphrase is wrong. The export is intact.
    #[error("this is not the passphrase of the export, which is not damaged")]
    WrongPassphrase,
    /// Exports cannot be created with a passphrase like the one provided.
    #[error("this is not the passphrase of the export: {reason}")]
    UnsuitablePassphrase {
        /// The problem with the passphrase.
        reason: String,
    },
    /// The passphrase was not tried, because the export requires more work than the limit allows.
    #[error(
        "the passphrase was not tried: the export asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, over \
         the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you trust where it comes from, \
         raise the limit"
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
    /// The private key does not match the public key that the export is for.
    #[error("the export is for another RSA key than the one given")]
    WrongKey,
    /// The recipient and the checksum match, but the sealed part cannot be unsealed: the export was
    /// altered.
    #[error("the export was altered after it was made")]
    Altered,
    /// The sealed content is not in the format that this library writes.
    #[error("the export holds no keys that this release can read: {reason}")]
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
