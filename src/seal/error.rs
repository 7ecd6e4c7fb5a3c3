//! Why something sealed does not open.

use crate::error::{Error, ErrorKind};

/// Why a root key does not fit a store, or something in it does not open: the source of an error of kind
/// [`ErrorKind::RootKey`] or [`ErrorKind::Integrity`].
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
    OtherHolder {
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
            SealError::OtherHolder { .. } | SealError::WrongRootKey { .. } => ErrorKind::RootKey,
            SealError::DamagedRootRecord | SealError::Altered | SealError::UnknownVersion { .. } => {
                ErrorKind::Integrity
            }
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
