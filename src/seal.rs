//! The committing construction, which encrypts ciphertext blobs and seals everything persisted.
//!
//! [`CommittingKey`] is scheme 1 of the ciphertext blob. The same construction, with a different
//! label, seals the records of a store under a version of its root key. The store contains these
//! versions, wrapped by a [`RootKeyHolder`].
//!
//! ```text
//! a holder (a file, a passphrase, an HSM ...)  wraps  the versions of the root key  seal  records and material
//! ```
//!
//! The caller provides a [`RootKey`], the source of the root key's holder. The versions themselves
//! are generated randomly when the store is created and when its root key is rotated. They are
//! never visible outside this crate. The page [persistent
//! keys](crate::manual::persistence#the-root-key) of the manual compares the sources and describes
//! rotation.
//!
//! [`PrivateFile`] reads other files with secrets with the same checks as a root key file.
//!
//! # Examples
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use strongroom::seal::RootKey;
//! use strongroom::{ErrorKind, Kms};
//!
//! let folder = tempfile::tempdir()?;
//! let [keys, root] = ["keys.db", "root.key"].map(|name| folder.path().join(name));
//! RootKey::generate_file(&root)?; // keep it on another device than the store
//! let key = Kms::open(&keys, RootKey::from_file(&root)?)?.create_key(Default::default())?.key_id();
//!
//! assert_eq!(Kms::open(&keys, RootKey::from_file(&root)?)?.describe_key(key)?.key_id(), key);
//! assert_eq!(Kms::open(&keys, RootKey::generate()).unwrap_err().kind(), ErrorKind::RootKey);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod committing;
mod error;
mod holder;
mod identity;
#[cfg(feature = "passphrase")]
pub(crate) mod passphrase;
mod root_file;
mod root_key;
mod root_record;
mod versions;

pub use committing::{COMMITMENT_LENGTH, CommittingKey, OVERHEAD, SALT_LENGTH};
pub use error::SealError;
pub use holder::RootKeyHolder;
pub use identity::IdentityKey;
#[cfg(feature = "passphrase")]
pub use passphrase::{PassphraseCost, UnsuitablePassphrase};
pub use root_key::RootKey;
pub(crate) use root_record::{RootRecord, WrappedVersion, rewritten_root_record};
pub(crate) use versions::RootKeyVersions;

pub use crate::private_file::{LockedFile, PrivateFile};

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

#[cfg(test)]
mod tests;
