//! Why an export of keys is not imported.

use crate::error::{Error, ErrorKind};

/// Why an export does not open: found with [`Error::downcast_ref`] in an error of kind [`ErrorKind::InvalidExport`]. Nothing
/// was imported.
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
    /// The bytes are something else.
    #[error("this is no export of keys")]
    NotAnExport,
    /// A later release has written the export.
    #[error("the export has format {found} and this release reads formats up to {known}: use a later release")]
    NewerFormat {
        /// The format of the export.
        found: u8,
        /// The latest that this release knows.
        known: u8,
    },
    /// The checksum over the whole does not fit: something was lost or altered on the way.
    #[error("the export is damaged or not whole: fetch it again")]
    Damaged,
    /// The export is for another kind of recipient.
    #[error("the export is for {recipient}, and was to be opened with {given}")]
    RecipientMismatch {
        /// Who can open it.
        recipient: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// The passphrase does not open the export, which is whole.
    #[error("this is not the passphrase of the export, which is not damaged")]
    WrongPassphrase,
    /// No export is made under a passphrase like the one given.
    #[error("this is not the passphrase of the export: {reason}")]
    UnsuitablePassphrase {
        /// What is wrong with it.
        reason: String,
    },
    /// The passphrase was not tried, since the export asks for more work than is allowed.
    #[error(
        "the passphrase was not tried: the export asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, over \
         the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you trust where it comes from, \
         raise the limit"
    )]
    TooCostly {
        /// The memory that the export asks for.
        memory_kib: u32,
        /// The passes that it asks for.
        passes: u32,
        /// The lanes that it asks for.
        lanes: u32,
        /// The most memory that is allowed.
        memory_limit_kib: u32,
        /// The most passes.
        pass_limit: u32,
        /// The most lanes.
        lane_limit: u32,
    },
    /// The passphrase was not tried, since there is too little memory.
    #[error("the passphrase was not tried: {memory_kib} KiB of memory could not be allocated")]
    OutOfMemory {
        /// The memory that it takes.
        memory_kib: u32,
    },
    /// The private key belongs to another public key than the one that the export is for.
    #[error("the export is for another RSA key than the one given")]
    WrongKey,
    /// The recipient fits and the checksum too, and what is sealed does not open: somebody has altered the export.
    #[error("the export was altered after it was made")]
    Altered,
    /// What was sealed is not what this library writes.
    #[error("the export holds no keys that this release can read: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        Self::new(ErrorKind::InvalidExport, error.to_string()).with_source(error)
    }
}
