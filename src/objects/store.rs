//! An encrypted store: the store below, and what encrypts its objects.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use super::cipher::ObjectCipher;

/// An [`ObjectStore`] whose objects are encrypted before they reach another one.
///
/// Every object is a message of the AWS Encryption SDK, which other implementations can decrypt. All
/// objects of a store have headers and frames of the same length, so sizes in listings are those of the
/// plaintext, and no object has to be opened for them. A range needs two concurrent requests, for the
/// header and for the frames that contain it. Plaintext is released after its frame is authenticated,
/// and the end of an object only if it is authentic.
///
/// An object is bound to its bucket and path, so [`copy`](object_store::ObjectStoreExt::copy) and
/// [`rename`](object_store::ObjectStoreExt::rename) decrypt and encrypt it: see [`PathBinding`].
/// Attributes and tags are stored in plaintext and not authenticated. Copies keep attributes, but no
/// tags, because the trait cannot read tags.
///
/// Reads and writes of a stream buffer a few mebibytes for each of [`threads`], whatever the size of
/// the object. Encryption and calls to the key source run on blocking threads of Tokio, if there is a
/// runtime, and otherwise in place. Cheap to clone.
///
/// [`error_inside`](super::error_inside) returns the error of this crate inside an error of the store.
///
/// [`PathBinding`]: super::PathBinding
/// [`threads`]: super::EncryptedStoreBuilder::threads
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use object_store::memory::InMemory;
/// use object_store::path::Path;
/// use object_store::ObjectStoreExt;
/// use strongroom::Kms;
/// use strongroom::envelope::KmsKeyring;
/// use strongroom::objects::EncryptedStore;
///
/// let kms = Kms::in_memory()?;
/// let keyring = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let store = EncryptedStore::new(InMemory::new(), "reports", keyring)?; // or S3, Azure, a folder
///
/// let path = Path::from("2026/november.csv");
/// store.put(&path, vec![b'.'; 1_000_000].into()).await?;
/// assert_eq!(store.head(&path).await?.size, 1_000_000);
/// assert_eq!(store.get_range(&path, 700_000..700_004).await?, "....");
///
/// // In the store below, the object is not readable, and cannot take the place of another one.
/// let below = store.inner();
/// below.copy(&path, &Path::from("2026/october.csv")).await?;
/// assert!(store.get(&Path::from("2026/october.csv")).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EncryptedStore<T> {
    pub(super) inner: Arc<T>,
    pub(super) cipher: Arc<ObjectCipher>,
    /// `true` if plaintext that was read is wiped when it is dropped. Callers of the trait own theirs.
    pub(super) wipes: bool,
}

impl<T: ObjectStore> EncryptedStore<T> {
    /// Returns the store below, which contains the encrypted objects.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Returns the stored size of an object that is written in one call, in bytes, or `None` if it is
    /// too large. An upload in parts may have 32 bytes more.
    ///
    /// # Examples
    /// ```
    /// use object_store::memory::InMemory;
    /// use strongroom::SecretBytes;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::objects::EncryptedStore;
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let store = EncryptedStore::new(InMemory::new(), "reports", keyring)?;
    /// assert_eq!(store.stored_size(0), Some(2_088));
    /// assert_eq!(store.stored_size(1 << 20), Some((1 << 20) + 2_088 + 15 * 32));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn stored_size(&self, plaintext: u64) -> Option<u64> {
        self.cipher.geometry.stored_size(plaintext)
    }
}

impl<T> EncryptedStore<T> {
    /// Returns the store for plaintext that this crate reads for itself, to encrypt it again.
    pub(super) fn wiping(&self) -> Self {
        Self { wipes: true, ..self.clone() }
    }
}

impl<T> Clone for EncryptedStore<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), cipher: Arc::clone(&self.cipher), wipes: self.wipes }
    }
}

impl<T: fmt::Display> fmt::Display for EncryptedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedStore({})", self.inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for EncryptedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStore").field("inner", &self.inner).field("cipher", &self.cipher).finish()
    }
}
