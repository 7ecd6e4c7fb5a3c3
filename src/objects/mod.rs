//! Encrypted objects: a store of the crate `object_store` whose objects are encrypted before they
//! reach S3, Azure, Google Cloud, a folder, or memory.
//!
//! | type | purpose |
//! |---|---|
//! | [`EncryptedStore`] | implements the trait [`ObjectStore`](object_store::ObjectStore) over another store |
//! | [`PathBinding`] | what an object is bound to, and whether objects share data keys |
//! | [`ObjectSweep`] | encrypts the objects under a prefix again, after a change of keys or settings |
//! | [`error_inside`] | the error of this crate inside an error of the store |
//!
//! The page [objects](crate::manual::objects) of the manual compares the choices, and describes what an
//! attacker who reads or changes the store learns and can do.
//!
//! # Examples
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use object_store::ObjectStoreExt;
//! use object_store::memory::InMemory;
//! use object_store::path::Path;
//! use strongroom::SecretBytes;
//! use strongroom::envelope::RawAesKeyring;
//! use strongroom::objects::EncryptedStore;
//!
//! let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
//! let store = EncryptedStore::new(InMemory::new(), "reports", keyring)?;
//! store.put(&Path::from("2026.csv"), "1;2;3".into()).await?;
//! assert_eq!(store.get_range(&Path::from("2026.csv"), 2..5).await?, "2;3");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Format
//! An object is an unsigned, committing message of the AWS Encryption SDK (suite 0x0478,
//! [`message_format`](crate::manual::message_format)), with these additional rules:
//!
//! - The header has a constant length `h`, and all frames but the last have a constant length `f`. Both
//!   are settings of the store.
//! - The encryption context contains the pair `bucket` and, with [`PathBinding::Context`], the pair
//!   `path`: the path in the store, as encoded by [`Path`](object_store::path::Path).
//! - The last entry of the encrypted data keys has the provider ID `strongroom-object`, which readers
//!   ignore. Its information consists of the version 1, the code of the [`PathBinding`] (`Context` 1,
//!   `Header` 2, `Movable` 3) and, for `Header`, the path. Its ciphertext consists of the zero bytes that
//!   are missing to the length `h`, at least one.
//! - An object with `n` bytes of plaintext and `k` regular frames is stored as `h + n + 32 k + 40`
//!   bytes. If the length is known in advance, the final frame is empty only if the object is. An upload
//!   in parts fills every regular frame, and ends with a shorter, possibly empty final frame.

mod binding;
mod builder;
mod chunks;
mod cipher;
mod copy;
mod current_keys;
mod error;
pub(crate) mod fuzzing;
mod geometry;
mod implementation;
mod read;
mod seal;
mod source;
mod store;
mod sweep;
mod sweep_report;
mod tasks;
mod upload;
mod wrapping_key;
mod write;

pub use binding::PathBinding;
pub use builder::EncryptedStoreBuilder;
pub use error::error_inside;
pub use store::EncryptedStore;
pub use sweep::ObjectSweep;
pub use sweep_report::ObjectSweepReport;
