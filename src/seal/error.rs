//! Why something sealed does not open.

use crate::error::{Error, ErrorKind};

/// Why a root key does not fit a store, or something in it does not open: found with [`Error::downcast_ref`] in an error
/// of kind [`ErrorKind::RootKey`], [`ErrorKind::KeyUnavailable`] or [`ErrorKind::Integrity`].
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
    /// The store's root key is held by another holder.
    #[error(
        "this is not the store's root key: it is held by '{expected}', and '{given}' was given; the store is whole"
    )]
    HolderMismatch {
        /// Who holds the root key of the store.
        expected: String,
        /// The holder that was given.
        given: String,
    },
    /// The holder is of the right kind and does not unwrap the root key: a passphrase with a typing error, for instance.
    #[error("this is not the store's root key: '{holder}' does not unwrap it; the store is whole")]
    WrongRootKey {
        /// The holder that was given.
        holder: String,
    },
    /// The passphrase was not tried, since the store asks for more work than is allowed.
    #[error(
        "the passphrase was not tried: the store asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, over \
         the limit of {memory_limit_kib} KiB, {pass_limit} passes and {lane_limit} lanes; if you trust the store, open it with \
         a passphrase cost of that size"
    )]
    TooCostly {
        /// The memory that the store asks for.
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
    /// The passphrase was not tried, since there is too little memory: [`ErrorKind::KeyUnavailable`].
    #[error("the passphrase was not tried: {memory_kib} KiB of memory could not be allocated")]
    OutOfMemory {
        /// The memory that it takes.
        memory_kib: u32,
    },
    /// A later release has sealed the root key under the passphrase.
    #[error(
        "the root key was sealed in format {found}, and this release reads formats up to {known}: use a later release"
    )]
    NewerFormat {
        /// The format that was found.
        found: u8,
        /// The latest that this release knows.
        known: u8,
    },
    /// The record that holds the wrapped root key is broken. Whether the root key is right cannot be told.
    #[error("the record of the store's root key is damaged: restore the store from a backup")]
    DamagedRootRecord,
    /// The root key is right, and a record was altered, moved, or set back to an older revision number.
    #[error("a stored record does not open: it was altered or moved, though the root key is right")]
    Altered,
    /// The record names a version of the root key that is not known.
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
