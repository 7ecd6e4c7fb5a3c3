//! Opening a KMS with a file-backed store.

use std::path::Path;

use super::KmsBuilder;
use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::seal::RootKey;
use crate::store::SqliteStore;

impl Kms {
    /// Opens a KMS whose keys are in a file, or creates an empty one, with default settings. Each
    /// change is on disk before it is acknowledged, and several processes may open the same file.
    ///
    /// For other settings, use [`KmsBuilder::open`]. To call it with options of the store, pass a
    /// [`SqliteStore`] to [`KmsBuilder::store`].
    ///
    /// # Errors
    /// - [`Store`](crate::ErrorKind::Store) if the file is not a store or cannot be opened. The
    ///   source is a [`StoreError`](crate::store::StoreError).
    /// - [`RootKey`](crate::ErrorKind::RootKey) if the root key does not match the store.
    /// - [`Integrity`](crate::ErrorKind::Integrity) if the root key is correct and the store was
    ///   altered.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("keys.strongroom");
    /// let secret = directory.path().join("root.key"); // in production, store it elsewhere
    ///
    /// let kms = Kms::open(&path, RootKey::generate_file(&secret)?)?;
    /// let key = kms.create_key(Default::default())?;
    /// let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"four words"))?;
    /// drop(kms);
    ///
    /// let kms = Kms::open(&path, RootKey::from_file(&secret)?)?;
    /// let opened = kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?;
    /// assert_eq!(opened.plaintext.expose_secret(), b"four words");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, root: RootKey) -> Result<Self> {
        Self::builder().open(path, root)
    }
}

impl KmsBuilder {
    /// Opens the store in a file, or creates an empty one, and builds the KMS on it. The file is
    /// the store of the KMS, even if the builder was given another one.
    ///
    /// # Errors
    /// - The errors of [`Kms::open`] and [`KmsBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::AccountId;
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("keys.strongroom");
    /// let account = AccountId::parse("123456789012")?;
    /// let kms = Kms::builder().account(account).open(&path, RootKey::from_bytes(&[7; 32]))?;
    /// assert_eq!(kms.create_key(Default::default())?.account(), account);
    /// assert!(path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(self, path: impl AsRef<Path>, root: RootKey) -> Result<Kms> {
        let store = SqliteStore::open(path, &self.backend)?;
        self.store(store, root).build()
    }
}
