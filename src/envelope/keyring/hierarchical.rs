//! A keyring with branch keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::counter_mode;
use super::{Keyring, UnwrapFailures};
use crate::clock::{Clock, SystemClock};
use crate::context::EncryptionContext;
use crate::crypto::{
    AeadAlgorithm, AeadKey, CryptoBackend, CryptoError, DigestAlgorithm, DigestValue, NONCE_LENGTH, TAG_LENGTH,
};
use crate::envelope::branch_keys::{BranchKey, BranchKeyStore, BranchKeyVersion};
use crate::envelope::materials::{CachedKey, DataKeyCache, DecryptionMaterials, EncryptionMaterials, Entrance, Terms};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;
use crate::text::sanitize_for_error;

/// The provider ID, as in the AWS Encryption SDK. It is also the label of the key derivation, and the
/// beginning of the additional authenticated data.
const PROVIDER_ID: &str = "aws-kms-hierarchy";

/// Separates identifiers of this keyring from other uses of the cache.
const IDENTITY_LABEL: &[u8] = b"strongroom branch key v1";

/// Length in bytes of the salt of the key derivation.
const SALT_LENGTH: usize = 16;

/// Length in bytes of the wrapping key.
const WRAPPING_KEY_LENGTH: u16 = 32;

type ChooseBranchKey = dyn Fn(&EncryptionContext) -> Result<String> + Send + Sync;

/// Wraps data keys under branch keys, like the AWS KMS Hierarchical keyring of the AWS Encryption SDK.
/// Each reads the messages of the other, if both have the branch key.
///
/// A [`BranchKeyStore`] contains the branch keys, which a KMS key wraps. The keyring caches a branch
/// key for its time to live and needs no call of the KMS meanwhile: not even for each encryption
/// context, as a [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager) does. Each
/// message has its own data key and its own wrapping key.
///
/// - The time to live is the time until a disabled KMS key, a revoked permission, or a new version of a
///   branch key takes effect. [`DataKeyCache::clear`] ends it immediately. After an outage began, the
///   keyring works until then.
/// - While one thread fetches a branch key, other threads that need it wait for it. If the fetch fails,
///   all of them get the error.
/// - The default cache has a capacity of [`DEFAULT_CACHE_CAPACITY`](crate::envelope::DEFAULT_CACHE_CAPACITY)
///   versions of branch keys and belongs to the keyring. [`with_cache`](Self::with_cache) and
///   [`with_partition`](Self::with_partition) share it.
///
/// On decryption, only data keys of the chosen branch key are unwrapped. The keyring cannot know on
/// whose behalf a message is decrypted. **If the encryption context selects the branch key, specify the
/// tenant of the caller in the expected context** of
/// [`Envelope::decrypt`](crate::Envelope::decrypt), as for a
/// [`KmsContextKeyring`](crate::envelope::KmsContextKeyring).
///
/// Provider ID: `aws-kms-hierarchy`. Provider information: the ID of the branch key. Ciphertext:
/// `salt 16 ‖ IV 12 ‖ version of the branch key 16 ‖ data key under AES-256-GCM ‖ tag 16`. The wrapping
/// key is derived from the branch key with SP 800-108 in counter mode and HMAC-SHA-256, with the label
/// `aws-kms-hierarchy` and the salt as the context. The additional authenticated data is
/// `aws-kms-hierarchy ‖ ID ‖ version ‖ canonical encryption context`. (AWS Encryption SDK
/// specification, "AWS KMS Hierarchical Keyring".)
///
/// # Examples
/// One KMS key and a branch key for each tenant:
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{BranchKeyStore, HierarchicalKeyring, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// for tenant in ["acme", "globex"] {
///     keys.create_branch_key_as(&format!("tenant/{tenant}"), &EncryptionContext::from([("tenant", tenant)]))?;
/// }
/// let keyring = HierarchicalKeyring::with_supplier(&keys, Duration::from_secs(600), |context| {
///     let tenant = context.get("tenant").ok_or_else(|| Error::new(ErrorKind::Validation, "no tenant"))?;
///     Ok(format!("tenant/{tenant}"))
/// })?;
/// let envelope = Envelope::new(keyring);
///
/// let [acme, globex] = ["acme", "globex"].map(|tenant| EncryptionContext::from([("tenant", tenant)]));
/// let message = envelope.encrypt(b"orders of acme", &acme)?;
/// assert_eq!(envelope.decrypt(&message, &acme)?, b"orders of acme");
/// assert!(envelope.decrypt(&message, &globex).is_err());
/// assert!(envelope.encrypt(b"orders", &EncryptionContext::from([("tenant", "initech")])).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct HierarchicalKeyring {
    keys: BranchKeyStore,
    choice: Choice,
    cache: DataKeyCache,
    partition: Partition,
    terms: Terms,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
enum Choice {
    Fixed(String),
    Supplier(Arc<ChooseBranchKey>),
}

/// The entries of a shared cache that a keyring uses.
#[derive(Clone)]
enum Partition {
    /// Entries of this keyring and its clones.
    Own([u8; 16]),
    /// Entries of all keyrings with this name.
    Named(String),
}

impl HierarchicalKeyring {
    /// Creates a keyring with one branch key, which is cached for `time_to_live`.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the time to live is zero.
    /// - [`ErrorKind::Internal`] if the random generator fails.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{BranchKeyStore, HierarchicalKeyring, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, Envelope, Kms, message};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let id = keys.create_branch_key(&EncryptionContext::new())?;
    /// let envelope = Envelope::new(HierarchicalKeyring::new(&keys, &id, Duration::from_secs(600))?);
    /// let message = envelope.encrypt(b"two pots of tea", &EncryptionContext::new())?;
    /// let header = message::inspect(&message)?;
    /// let data_key = &header.data_keys()[0];
    /// assert_eq!((data_key.provider_id(), data_key.provider_info()), ("aws-kms-hierarchy", id.as_bytes()));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(keys: &BranchKeyStore, branch_key_id: impl Into<String>, time_to_live: Duration) -> Result<Self> {
        Self::create(keys, Choice::Fixed(branch_key_id.into()), time_to_live)
    }

    /// Creates a keyring with the branch keys that a function returns for encryption contexts, for
    /// example that of a tenant. Each is cached for `time_to_live`.
    ///
    /// The function is called once for each message. It may block, for example to query a database.
    /// It receives the complete context, including pairs that the header omits. On decryption, the
    /// context is not authenticated yet. The function must return the same ID on decryption as on
    /// encryption.
    ///
    /// If the function fails for a message to be written, its error is returned. For a message to be
    /// read, the error is part of the [`UnwrapFailures`], and an outage keeps its kind.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the time to live is zero.
    /// - [`ErrorKind::Internal`] if the random generator fails.
    pub fn with_supplier(
        keys: &BranchKeyStore,
        time_to_live: Duration,
        choose: impl Fn(&EncryptionContext) -> Result<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::create(keys, Choice::Supplier(Arc::new(choose)), time_to_live)
    }

    fn create(keys: &BranchKeyStore, choice: Choice, max_age: Duration) -> Result<Self> {
        if max_age.is_zero() {
            return Err(Error::new(ErrorKind::Validation, "the time to live of branch keys must not be zero"));
        }
        let mut random = [0; 16];
        CryptoBackend::default().random().fill(&mut random)?;
        Ok(Self {
            keys: keys.clone(),
            choice,
            cache: DataKeyCache::default(),
            partition: Partition::Own(random),
            terms: Terms { max_age, max_messages: u64::MAX, max_bytes: u64::MAX },
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the cache for branch keys, which other keyrings and
    /// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager)s may use as well. Each
    /// version of a branch key counts as a data key, and the active version once more.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{BranchKeyStore, DataKeyCache, HierarchicalKeyring, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, key.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let id = keys.create_branch_key(&EncryptionContext::new())?;
    /// let cache = DataKeyCache::new(10_000)?;
    /// let envelope = Envelope::new(HierarchicalKeyring::new(&keys, id, Duration::from_secs(600))?.with_cache(&cache));
    /// let contexts = (0..100).map(|row| EncryptionContext::from([("row", row.to_string())]));
    /// contexts.into_iter().try_for_each(|context| envelope.encrypt(b"data", &context).map(drop))?;
    /// assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (1, 99));
    ///
    /// kms.disable_key(key.key_id())?;
    /// cache.clear();
    /// assert!(envelope.encrypt(b"data", &EncryptionContext::new()).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_cache(self, cache: &DataKeyCache) -> Self {
        Self { cache: cache.clone(), ..self }
    }

    /// Shares entries with all other keyrings that have the same cache, the same partition, and a
    /// store of branch keys with the same name in the same `KeyStore`. Use this only if the keyrings
    /// are interchangeable: any of them can then use whatever one of them may unwrap. Default: no
    /// sharing.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{BranchKeyStore, DataKeyCache, HierarchicalKeyring, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let (id, cache) = (keys.create_branch_key(&EncryptionContext::new())?, DataKeyCache::new(100)?);
    /// for _ in 0..2 {
    ///     let keyring = HierarchicalKeyring::new(&keys, &id, Duration::from_secs(600))?;
    ///     let keyring = keyring.with_cache(&cache).with_partition("orders");
    ///     Envelope::new(keyring).encrypt(b"two pots of tea", &EncryptionContext::new())?;
    /// }
    /// assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (1, 1));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_partition(self, name: impl Into<String>) -> Self {
        Self { partition: Partition::Named(name.into()), ..self }
    }

    /// Sets the clock that measures the time to live. Default: [`SystemClock`].
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use strongroom::envelope::{BranchKeyStore, HierarchicalKeyring, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, Kms, ManualClock, Timestamp};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, key.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let id = keys.create_branch_key(&EncryptionContext::new())?;
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let keyring = HierarchicalKeyring::new(&keys, id, Duration::from_secs(600))?.with_clock(Arc::clone(&clock));
    /// let envelope = Envelope::new(keyring);
    /// envelope.encrypt(b"one", &EncryptionContext::new())?;
    ///
    /// kms.disable_key(key.key_id())?;
    /// assert!(envelope.encrypt(b"two", &EncryptionContext::new()).is_ok());
    /// clock.advance(Duration::from_secs(601));
    /// let error = envelope.encrypt(b"three", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Disabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    fn choose(&self, context: &EncryptionContext) -> Result<String> {
        match &self.choice {
            Choice::Fixed(id) => Ok(id.clone()),
            Choice::Supplier(choose) => choose(context),
        }
    }

    /// Returns the version that encrypts.
    fn active(&self, backend: &CryptoBackend, id: &str) -> Result<(BranchKeyVersion, Arc<CachedKey>)> {
        let cached = self.cached(backend, id, b"active", || self.keys.active(id))?;
        let version = cached.encrypted_data_keys.first().and_then(|named| named.ciphertext().try_into().ok());
        let version = version.ok_or_else(|| Error::new(ErrorKind::Internal, "a cached branch key has no version"))?;
        Ok((BranchKeyVersion::from_bytes(version), cached))
    }

    /// Returns a branch key from the cache, or fetches it.
    fn cached(
        &self,
        backend: &CryptoBackend,
        id: &str,
        role: &[u8],
        fetch: impl FnOnce() -> Result<BranchKey>,
    ) -> Result<Arc<CachedKey>> {
        let identity = self.identity(backend, id, role);
        let task = match self.cache.enter(identity, 0, &self.terms, &*self.clock)? {
            Entrance::Hit(key) => return Ok(key),
            // A wrapper of branch keys that itself uses this keyring.
            Entrance::Reentered => return fetch().map(|key| Arc::new(entry(key))),
            Entrance::Fetch(task) => task,
        };
        match fetch() {
            Ok(key) => {
                let key = Arc::new(entry(key));
                task.keep(copy(&key), 0, &self.terms, &*self.clock);
                Ok(key)
            }
            Err(error) => {
                task.fail(&error);
                Err(error)
            }
        }
    }

    /// Computes the identifier of an entry. The length of each part is encoded before it, so that
    /// parts cannot be confused.
    fn identity(&self, backend: &CryptoBackend, id: &str, role: &[u8]) -> DigestValue {
        let (kind, partition) = match &self.partition {
            Partition::Own(random) => (&b"own"[..], &random[..]),
            Partition::Named(name) => (&b"named"[..], name.as_bytes()),
        };
        let (store, name) = (self.keys.store_id().0, self.keys.name().as_bytes());
        let mut bytes = Vec::with_capacity(256);
        for part in [IDENTITY_LABEL, kind, partition, &store, name, id.as_bytes(), role] {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        backend.digest().digest(DigestAlgorithm::Sha384, &[&bytes])
    }

    fn unwrap(&self, materials: &DecryptionMaterials, id: &str, data_key: &EncryptedDataKey) -> Result<SecretBytes> {
        if data_key.provider_id() != PROVIDER_ID {
            return Err(Error::new(ErrorKind::IncorrectKey, "it was not wrapped by a branch key"));
        }
        if data_key.provider_info() != id.as_bytes() {
            let text = format!("it was not wrapped by the branch key {}", sanitize_for_error(id));
            return Err(Error::new(ErrorKind::IncorrectKey, text));
        }
        let length = materials.suite().data_key_length();
        let wrapped = Wrapped::read(data_key.ciphertext(), length).ok_or_else(|| {
            let text = format!("it does not contain a data key of {length} bytes");
            Error::new(ErrorKind::InvalidCiphertext, text)
        })?;
        let (backend, version) = (materials.backend(), wrapped.version);
        let branch_key = self.cached(backend, id, version.as_bytes(), || self.keys.version(id, version))?;
        let key = wrapping_key(backend, &branch_key.data_key, wrapped.salt)?;
        let aad = additional_data(id, version, materials.canonical_context());
        let mut plaintext = SecretBytes::zeroed(length);
        let opened = key.open(wrapped.nonce, &aad, wrapped.ciphertext, wrapped.tag, plaintext.expose_secret_mut());
        opened.map(|()| plaintext).map_err(|error| match error {
            CryptoError::NotAuthentic => {
                let text = "it was altered, or bound to another encryption context";
                Error::new(ErrorKind::InvalidCiphertext, text)
            }
            other => other.into(),
        })
    }
}

/// Returns a branch key as an entry of the cache, with its version in the place of a wrapped key.
fn entry(key: BranchKey) -> CachedKey {
    let named = EncryptedDataKey::new(PROVIDER_ID, key.id(), *key.version().as_bytes());
    CachedKey { data_key: key.into_secret(), encrypted_data_keys: vec![named], required_names: Vec::new() }
}

fn copy(key: &CachedKey) -> CachedKey {
    CachedKey {
        data_key: SecretBytes::copy_from_slice(key.data_key.expose_secret()),
        encrypted_data_keys: key.encrypted_data_keys.clone(),
        required_names: Vec::new(),
    }
}

/// The parts of a wrapped data key.
struct Wrapped<'a> {
    salt: &'a [u8; SALT_LENGTH],
    nonce: &'a [u8; NONCE_LENGTH],
    version: BranchKeyVersion,
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Wrapped<'a> {
    fn read(bytes: &'a [u8], data_key_length: usize) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let version = BranchKeyVersion::from_bytes(*version);
        (ciphertext.len() == data_key_length).then_some(Self { salt, nonce, version, ciphertext, tag })
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.salt[..], self.nonce, self.version.as_bytes(), self.ciphertext, self.tag].concat()
    }
}

fn wrapping_key(
    backend: &CryptoBackend,
    branch_key: &SecretBytes,
    salt: &[u8; SALT_LENGTH],
) -> Result<Box<dyn AeadKey>> {
    let parts = (PROVIDER_ID.as_bytes(), &salt[..]);
    let key = counter_mode::derive(backend, DigestAlgorithm::Sha256, branch_key, parts, WRAPPING_KEY_LENGTH);
    Ok(backend.aead().bind(AeadAlgorithm::Aes256Gcm, key.expose_secret())?)
}

fn additional_data(id: &str, version: BranchKeyVersion, context: &[u8]) -> Vec<u8> {
    [PROVIDER_ID.as_bytes(), id.as_bytes(), version.as_bytes(), context].concat()
}

impl Keyring for HierarchicalKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let backend = *materials.backend();
        let id = self.choose(materials.context())?;
        let (version, branch_key) = self.active(&backend, &id)?;
        let (mut salt, mut nonce) = ([0; SALT_LENGTH], [0; NONCE_LENGTH]);
        materials.fill_random(&mut salt)?;
        materials.fill_random(&mut nonce)?;
        let mut ciphertext = vec![0; materials.data_key_or_generate()?.len()];
        let key = wrapping_key(&backend, &branch_key.data_key, &salt)?;
        let aad = additional_data(&id, version, materials.canonical_context());
        let data_key = materials.data_key().map(SecretBytes::expose_secret).unwrap_or_default();
        let tag = key.seal(&nonce, &aad, data_key, &mut ciphertext)?;
        let wrapped = Wrapped { salt: &salt, nonce: &nonce, version, ciphertext: &ciphertext, tag: &tag };
        materials.push(EncryptedDataKey::new(PROVIDER_ID, id.as_str(), wrapped.to_bytes()))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let id = self.choose(materials.context()).map_err(|error| UnwrapFailures::before_any(error).into_error())?;
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            match self.unwrap(materials, &id, data_key) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for HierarchicalKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("HierarchicalKeyring");
        if let Choice::Fixed(id) = &self.choice {
            out.field("branch_key_id", id);
        }
        out.field("keys", &self.keys).field("time_to_live", &self.terms.max_age).finish_non_exhaustive()
    }
}
