//! The encrypted store, and its implementation of the trait of the crate `object_store`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::builder::EncryptedStoreBuilder;
use super::cipher::ObjectCipher;
use super::error::of_object;
use super::geometry::Geometry;
use super::tasks::run;
use super::upload::EncryptedUpload;
use crate::envelope::IntoMaterialsManager;

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
/// [`threads`]: EncryptedStoreBuilder::threads
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
}

impl<T: ObjectStore> EncryptedStore<T> {
    /// Creates a store with the default settings. `bucket` is a name that becomes a part of the
    /// encryption context of every object. It need not be the name of the bucket, but must not change.
    ///
    /// Data keys come from a keyring, or from a materials manager such as
    /// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager).
    ///
    /// # Errors
    /// - The errors of [`EncryptedStoreBuilder::build`].
    pub fn new<Kind: ?Sized>(
        inner: T,
        bucket: impl Into<String>,
        keys: impl IntoMaterialsManager<Kind>,
    ) -> crate::error::Result<Self> {
        Self::builder(inner, bucket, keys).build()
    }

    /// Returns a builder for a store with other settings.
    pub fn builder<Kind: ?Sized>(
        inner: T,
        bucket: impl Into<String>,
        keys: impl IntoMaterialsManager<Kind>,
    ) -> EncryptedStoreBuilder<T> {
        EncryptedStoreBuilder::new(inner, bucket.into(), Arc::new(keys.into_materials_manager()))
    }

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

    /// Starts an upload under a name, of an object that is encrypted for a path.
    pub(super) async fn start_upload(
        &self,
        path: &Path,
        name: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (cipher, owned) = (Arc::clone(&self.cipher), path.clone());
        // Before the upload below, which would remain if the key source failed.
        let begun = run(move || cipher.seal_header(&owned, None).map_err(|error| of_object(&owned, error)));
        let (header, sealer) = begun.await?;
        let upload = self.inner.put_multipart_opts(name, options).await?;
        Ok(Box::new(EncryptedUpload::new(path, self.cipher.geometry.frame_bytes(), header, sealer, upload)))
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for EncryptedStore<T> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let sealed = self.seal(location, payload).await?;
        self.inner.put_opts(location, sealed, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.start_upload(location, location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match options.head {
            true => self.read_head(location, options).await,
            false => self.read(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let geometry = self.cipher.geometry;
        self.inner.list(prefix).map_ok(move |meta| with_plaintext_size(geometry, meta)).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let geometry = self.cipher.geometry;
        self.inner.list_with_offset(prefix, offset).map_ok(move |meta| with_plaintext_size(geometry, meta)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        let objects = listed.objects.into_iter();
        listed.objects = objects.map(|meta| with_plaintext_size(self.cipher.geometry, meta)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.copy_object(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.rename_object(from, to, options).await
    }
}

/// Replaces the stored size. An object of a size that no encrypted one has keeps its stored size, so
/// that a listing shows it; reading it is an error.
fn with_plaintext_size(geometry: Geometry, meta: ObjectMeta) -> ObjectMeta {
    let size = geometry.plaintext_size(meta.size).unwrap_or(meta.size);
    ObjectMeta { size, ..meta }
}

impl<T> Clone for EncryptedStore<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), cipher: Arc::clone(&self.cipher) }
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
