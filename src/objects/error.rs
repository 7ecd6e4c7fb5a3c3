//! Errors of an encrypted store, inside those of the crate `object_store`.

use std::error::Error as StdError;

use object_store::path::Path;

use crate::error::{Error, ErrorKind};

/// The name of the store in its errors.
const STORE: &str = "EncryptedStore";

/// The number of errors in a chain that are searched.
const LONGEST_CHAIN: usize = 16;

/// Returns the error of this crate inside an error of an [`EncryptedStore`](super::EncryptedStore),
/// or `None` if the failure did not come from this crate but from the store below.
///
/// | [kind](Error::kind) | reason |
/// |---|---|
/// | [`InvalidMessage`](ErrorKind::InvalidMessage) | the object is not encrypted, or was altered, truncated or extended |
/// | [`ContextMismatch`](ErrorKind::ContextMismatch) | the object belongs to another path or bucket |
/// | [`MessagePolicy`](ErrorKind::MessagePolicy) | the message does not commit to its key, or is signed |
/// | [`NoDataKeyUnwrapped`](ErrorKind::NoDataKeyUnwrapped), others | the keyring cannot unwrap the data key |
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use object_store::memory::InMemory;
/// use object_store::path::Path;
/// use object_store::{ObjectStore, ObjectStoreExt};
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::objects::{EncryptedStore, error_inside};
/// use strongroom::{ErrorKind, SecretBytes};
///
/// let memory = InMemory::new();
/// memory.put(&Path::from("notes.txt"), "not encrypted".into()).await?;
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let store = EncryptedStore::new(memory, "reports", keyring)?;
/// let refused = store.get(&Path::from("notes.txt")).await.unwrap_err();
/// assert_eq!(error_inside(&refused).map(|error| error.kind()), Some(ErrorKind::InvalidMessage));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_inside(error: &object_store::Error) -> Option<&Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    for _ in 0..LONGEST_CHAIN {
        let error = next?;
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Returns an error of this crate as one of an object.
pub(super) fn of_object(path: &Path, error: Error) -> object_store::Error {
    match error.kind() {
        ErrorKind::AccessDenied => {
            object_store::Error::PermissionDenied { path: path.to_string(), source: Box::new(error) }
        }
        _ => object_store::Error::Generic { store: STORE, source: Box::new(Failure { path: path.to_string(), error }) },
    }
}

/// Returns an error with a text that describes the defect of an object.
pub(super) fn invalid(path: &Path, text: &'static str) -> object_store::Error {
    of_object(path, Error::new(ErrorKind::InvalidMessage, text))
}

/// Returns an error that is not the fault of an object.
pub(super) fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: STORE, source: source.into() }
}

/// An object that cannot be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[error("cannot process the object {path}: {error}")]
struct Failure {
    path: String,
    #[source]
    error: Error,
}
