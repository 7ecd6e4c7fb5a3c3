//! The builder of an encrypted store.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use super::binding::{BUCKET, PATH, PathBinding};
use super::cipher::ObjectCipher;
use super::geometry::{DEFAULT_HEADER_LENGTH, Geometry};
use super::store::EncryptedStore;
use crate::context::{EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::crypto::CryptoBackend;
use crate::envelope::{IntoMaterialsManager, MaterialsManager};
use crate::error::{Error, ErrorKind, Result};
use crate::message::DEFAULT_FRAME_LENGTH;

/// The number of tasks that work on one object, unless another is set.
const DEFAULT_THREADS: usize = 4;

/// The largest number of tasks that work on one object.
const MAX_THREADS: usize = 64;

/// A builder for [`EncryptedStore`].
///
/// The lengths of header and frames, the bucket and the context belong to the stored objects: a store
/// rejects objects that were written with others. To change them, use an
/// [`ObjectSweep`](super::ObjectSweep).
///
/// # Examples
/// A store in which many objects share a data key, as with the bucket keys of S3:
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::time::Duration;
/// use object_store::memory::InMemory;
/// use object_store::path::Path;
/// use object_store::ObjectStoreExt;
/// use strongroom::crypto::RUST_CRYPTO;
/// use strongroom::envelope::{CachingMaterialsManager, KmsKeyring};
/// use strongroom::objects::{EncryptedStore, PathBinding};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let keyring = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(300)).max_messages(10_000).build()?;
/// let cache = manager.cache().clone();
/// let store = EncryptedStore::builder(InMemory::new(), "reports", manager)
///     .path_binding(PathBinding::Header)
///     .context(&EncryptionContext::from([("tenant", "42")]))
///     .header_length(1_024)
///     .frame_length(16 << 10)
///     .threads(2)
///     .backend(RUST_CRYPTO)
///     .build()?;
///
/// for number in 0..10 {
///     store.put(&Path::from(format!("{number}.csv")), "1;2;3".into()).await?;
/// }
/// assert_eq!(cache.statistics().misses(), 1); // one data key for ten objects
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct EncryptedStoreBuilder<T> {
    inner: T,
    bucket: String,
    manager: Arc<dyn MaterialsManager>,
    context: EncryptionContext,
    binding: PathBinding,
    header_length: u32,
    frame_length: u32,
    backend: CryptoBackend,
    threads: usize,
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
    ) -> Result<Self> {
        Self::builder(inner, bucket, keys).build()
    }

    /// Returns a builder for a store with other settings.
    ///
    /// # Examples
    /// ```
    /// use object_store::memory::InMemory;
    /// use strongroom::SecretBytes;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::objects::EncryptedStore;
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let store = EncryptedStore::builder(InMemory::new(), "reports", keyring).header_length(512).build()?;
    /// assert_eq!(store.stored_size(0), Some(512 + 40));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn builder<Kind: ?Sized>(
        inner: T,
        bucket: impl Into<String>,
        keys: impl IntoMaterialsManager<Kind>,
    ) -> EncryptedStoreBuilder<T> {
        EncryptedStoreBuilder::new(inner, bucket.into(), Arc::new(keys.into_materials_manager()))
    }
}

impl<T: ObjectStore> EncryptedStoreBuilder<T> {
    pub(super) fn new(inner: T, bucket: String, manager: Arc<dyn MaterialsManager>) -> Self {
        Self {
            inner,
            bucket,
            manager,
            context: EncryptionContext::new(),
            binding: PathBinding::default(),
            header_length: DEFAULT_HEADER_LENGTH,
            frame_length: DEFAULT_FRAME_LENGTH,
            backend: CryptoBackend::default(),
            threads: DEFAULT_THREADS,
        }
    }

    /// Sets how objects are bound to their path. Default: [`PathBinding::Context`].
    pub const fn path_binding(mut self, binding: PathBinding) -> Self {
        self.binding = binding;
        self
    }

    /// Adds pairs to the encryption context of every object. The names `bucket` and `path` are taken.
    pub fn context(mut self, context: &EncryptionContext) -> Self {
        self.context.extend(context.iter());
        self
    }

    /// Sets the length of the header of every object: 256 to 65,536 bytes. Default: 2,048, which is
    /// enough for a path of 1,024 bytes and a KMS key. Unused bytes are zero.
    pub const fn header_length(mut self, bytes: u32) -> Self {
        self.header_length = bytes;
        self
    }

    /// Sets the number of plaintext bytes per frame: 16 to 16,777,216. Default: 65,536. Any part of a
    /// frame requires the whole frame to be read.
    pub const fn frame_length(mut self, bytes: u32) -> Self {
        self.frame_length = bytes;
        self
    }

    /// Sets the number of tasks that encrypt or decrypt one object at the same time: 1 to 64. Default:
    /// 4. Each buffers 2 MiB, or two frames if those are longer.
    pub const fn threads(mut self, count: usize) -> Self {
        self.threads = count;
        self
    }

    /// Sets the cryptographic backend for headers and frames. Default:
    /// [`FASTEST`](crate::crypto::FASTEST).
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Creates the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if a length or the number of threads is out of range, the bucket has
    ///   no name, or the context contains a reserved name.
    ///
    /// # Examples
    /// ```
    /// use object_store::memory::InMemory;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::objects::EncryptedStore;
    /// use strongroom::{EncryptionContext, ErrorKind, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let builder = || Ok::<_, strongroom::Error>(EncryptedStore::builder(InMemory::new(), "reports", keyring()?));
    /// let taken = EncryptionContext::from([("path", "elsewhere")]);
    /// let refused = [
    ///     builder()?.header_length(255).build(),
    ///     builder()?.frame_length(15).build(),
    ///     builder()?.threads(0).build(),
    ///     builder()?.context(&taken).build(),
    ///     EncryptedStore::new(InMemory::new(), "", keyring()?),
    /// ];
    /// assert!(refused.iter().all(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Validation)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn build(self) -> Result<EncryptedStore<T>> {
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if self.bucket.is_empty() {
            return refused("the bucket of an encrypted store needs a name".to_owned());
        }
        if !(1..=MAX_THREADS).contains(&self.threads) {
            return refused(format!("the number of threads must be 1 to {MAX_THREADS}, not {}", self.threads));
        }
        let is_taken = |name: &str| [BUCKET, PATH].contains(&name) || name.starts_with(RESERVED_CONTEXT_PREFIX);
        if let Some((name, _)) = self.context.iter().find(|(name, _)| is_taken(name)) {
            return refused(format!("the encryption context of a store must not contain {name:?}, which is reserved"));
        }
        let cipher = ObjectCipher {
            manager: self.manager,
            bucket: self.bucket,
            context: self.context,
            binding: self.binding,
            geometry: Geometry::new(self.header_length, self.frame_length)?,
            backend: self.backend,
            threads: self.threads,
        };
        Ok(EncryptedStore { inner: Arc::new(self.inner), cipher: Arc::new(cipher), wipes: false })
    }
}

impl<T: fmt::Debug> fmt::Debug for EncryptedStoreBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStoreBuilder")
            .field("inner", &self.inner)
            .field("bucket", &self.bucket)
            .field("binding", &self.binding)
            .field("header_length", &self.header_length)
            .field("frame_length", &self.frame_length)
            .finish_non_exhaustive()
    }
}
