//! Reasons why sealed data cannot be opened.

use crate::error::{Error, ErrorKind};

/// The reason why a root key does not match a store, or why sealed data cannot be opened. It is the
/// source of errors of kind [`ErrorKind::RootKey`], [`ErrorKind::KeyUnavailable`], and
/// [`ErrorKind::Integrity`]. Retrieve it with [`Error::downcast_ref`].
///
/// # Examples
/// ```
/// use strongroom::seal::SealError;
/// use strongroom::{Error, ErrorKind};
///
/// let error = Error::from(SealError::WrongRootKey { holder: "passphrase".to_owned() });
/// assert_eq!(error.kind(), ErrorKind::RootKey);
/// assert_eq!(Error::from(SealError::DamagedRootRecord).kind(), ErrorKind::Integrity);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The store's root key belongs to another holder.
    #[error(
        "this is not the store's root key: it is held by '{expected}', and '{given}' was given; the store is whole"
    )]
    HolderMismatch {
        /// The holder of the store's root key.
        expected: String,
        /// The holder that the caller supplied.
        given: String,
    },
    /// The holder has the expected name but cannot unwrap the root key, for example because of a
    /// mistyped passphrase.
    #[error("this is not the store's root key: '{holder}' does not unwrap it; the store is whole")]
    WrongRootKey {
        /// The holder that the caller supplied.
        holder: String,
    },
    /// The passphrase was not tried because the cost recorded in the store exceeds the limit.
    #[error(
        "the passphrase was not tried: the store asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, over \
         the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you trust the store, open it with \
         a passphrase cost of that size"
    )]
    TooCostly {
        /// The memory that the store requires.
        memory_kib: u32,
        /// The number of passes that the store requires.
        passes: u32,
        /// The number of lanes that the store requires.
        lanes: u32,
        /// The memory limit.
        memory_limit_kib: u32,
        /// The limit on passes.
        pass_limit: u32,
        /// The limit on lanes.
        lane_limit: u32,
    },
    /// The passphrase was not tried because too little memory is available. The kind is
    /// [`ErrorKind::KeyUnavailable`].
    #[error("the passphrase was not tried: {memory_kib} KiB of memory could not be allocated")]
    OutOfMemory {
        /// The memory required.
        memory_kib: u32,
    },
    /// The root key was sealed under the passphrase by a later release.
    #[error(
        "the root key was sealed in format {found}, and this release reads formats up to {known}: use a later release"
    )]
    NewerFormat {
        /// The format found.
        found: u8,
        /// The latest format that this release supports.
        known: u8,
    },
    /// The record that contains the wrapped root key is damaged, so the root key cannot be
    /// verified.
    #[error("the record of the store's root key is damaged: restore the store from a backup")]
    DamagedRootRecord,
    /// The root key is correct, but a record was altered, moved, or rolled back to an older
    /// revision.
    #[error("a stored record does not open: it was altered or moved, though the root key is right")]
    Altered,
    /// The record specifies an unknown version of the root key.
    #[error("a stored record is sealed under version {version} of the root key, which the store does not have")]
    UnknownVersion {
        /// The version.
        version: u32,
    },
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        let kind = match error {
            SealError::HolderMismatch { .. }
            | SealError::WrongRootKey { .. }
            | SealError::TooCostly { .. }
            | SealError::NewerFormat { .. } => ErrorKind::RootKey,
            SealError::OutOfMemory { .. } => ErrorKind::KeyUnavailable,
            SealError::DamagedRootRecord | SealError::Altered | SealError::UnknownVersion { .. } => {
                ErrorKind::Integrity
            }
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
