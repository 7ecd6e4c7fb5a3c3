//! Reasons why sealed data cannot be opened.

use crate::crypto::CryptoError;
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
        "cannot open the store: its root key is held by '{expected}', not '{given}'; the store is intact: open it \
         with the root key that it was created with or last moved to"
    )]
    HolderMismatch {
        /// The holder of the store's root key.
        expected: String,
        /// The holder that the caller supplied.
        given: String,
    },
    /// The holder has the expected name but cannot unwrap the root key, for example because of a
    /// mistyped passphrase.
    #[error("cannot open the store: wrong root key: '{holder}' cannot unwrap it; the store is intact")]
    WrongRootKey {
        /// The holder that the caller supplied.
        holder: String,
    },
    /// The passphrase was not tried because the cost recorded in the store exceeds the limit.
    #[error(
        "the passphrase was not tried: the store requires {memory_kib} KiB of memory, {passes} passes and {lanes} \
         lanes, above the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you \
         trust the store, open it with this passphrase cost"
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
        "the root key is sealed in format {found}, but this release supports formats only up to {known}: use a \
         later release"
    )]
    NewerFormat {
        /// The format found.
        found: u8,
        /// The latest format that this release supports.
        known: u8,
    },
    /// The cryptographic backend rejects the algorithm of the root key.
    #[error("cannot open the store: {reason}")]
    Rejected {
        /// The error of the backend.
        reason: CryptoError,
    },
    /// The record that contains the wrapped root key is damaged, so the root key cannot be
    /// verified.
    #[error("the record of the store's root key is corrupt: restore the store from a backup")]
    DamagedRootRecord,
    /// The root key is correct, but a record was altered, moved, or rolled back to an older
    /// revision.
    #[error("a stored record was altered or moved: the root key is correct, but the record cannot be decrypted")]
    Altered,
    /// The record specifies an unknown version of the root key.
    #[error("a stored record is sealed under version {version} of the root key, which is missing from the store")]
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
            SealError::Rejected { .. } => ErrorKind::UnsupportedOperation,
            SealError::OutOfMemory { .. } => ErrorKind::KeyUnavailable,
            SealError::DamagedRootRecord | SealError::Altered | SealError::UnknownVersion { .. } => {
                ErrorKind::Integrity
            }
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
