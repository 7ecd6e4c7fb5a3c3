//! A materials manager that reuses data keys.

use std::sync::Arc;
use std::time::Duration;

use super::cache::{CachedKey, DataKeyCache, Entrance, Terms};
use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use super::manager::{IntoMaterialsManager, MaterialsManager};
use crate::clock::{Clock, SystemClock};
use crate::crypto::{CryptoBackend, DigestAlgorithm, DigestValue};
use crate::envelope::policy::CommitmentPolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{AlgorithmSuite, EncryptedDataKey, KeyDerivation};
use crate::metrics::{CacheName, Lookup, Metrics, Recorder};
use crate::secret::SecretBytes;

/// The largest allowed number of messages per data key.
pub const MAX_MESSAGES: u64 = 1 << 32;

/// The default number of messages per data key, which is the largest allowed number.
pub const DEFAULT_MAX_MESSAGES: u64 = MAX_MESSAGES;

/// Separates identifiers of this cache from other uses of the hash function.
const IDENTITY_LABEL: &[u8] = b"strongroom data key cache v1";

/// Reuses a data key for several messages, to save calls to the key source.
///
/// Every message still has its own message ID and a content key derived from the data key and that
/// ID. A message does not reveal that its data key was cached. The trade-off is time: disabling a
/// key or revoking a permission takes effect only after the cached data keys have reached their
/// **maximum age**, which therefore has no default. [`DataKeyCache::clear`] removes them
/// immediately.
///
/// A data key is reused only for the same suite, commitment policy, encryption context, and
/// partition, and for decryption only for the same wrapped data keys. The whole encryption context
/// must be equal, including the pairs that are omitted from the header. If other orders are
/// accepted, its order in the header must be equal, too.
///
/// For encryption, an entry is used until its age, number of messages, or number of bytes would be
/// exceeded. For decryption, only its age is limited. While one thread fetches a data key, other
/// threads that need the same one wait for it. If the fetch fails, all of them get the error.
///
/// The following messages bypass the cache:
///
/// - messages written by [`Envelope::writer`](crate::Envelope::writer), whose length is not known
///   in advance,
/// - messages above the byte limit,
/// - signed messages on encryption, which have their own key pair,
/// - messages of suites that use the data key directly.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, KmsKeyring};
/// use strongroom::{EncryptionContext, Envelope, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let keyring = KmsKeyring::new(&kms, key)?;
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(300)).max_messages(1000).build()?;
/// let envelope = Envelope::new(manager);
///
/// let tenant = EncryptionContext::from([("tenant", "42")]);
/// let message = envelope.encrypt(b"one of many", &tenant)?;
/// assert_eq!(envelope.decrypt(&message, &tenant)?, b"one of many");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct CachingMaterialsManager {
    inner: Box<dyn MaterialsManager>,
    cache: DataKeyCache,
    partition: Partition,
    terms: Terms,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl CachingMaterialsManager {
    /// Returns a builder for a manager that caches the data keys from `inner`, a keyring or another
    /// manager, for up to `max_age`.
    pub fn builder<Kind: ?Sized>(
        inner: impl IntoMaterialsManager<Kind>,
        max_age: Duration,
    ) -> CachingMaterialsManagerBuilder {
        CachingMaterialsManagerBuilder {
            inner: Box::new(inner.into_materials_manager()),
            cache: None,
            partition: None,
            terms: Terms { max_age, max_messages: DEFAULT_MAX_MESSAGES, max_bytes: MAX_BYTES },
            clock: Arc::new(SystemClock),
            metrics: Metrics::default(),
        }
    }

    /// Returns the cache, for example to read its statistics or to clear it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, RawAesKeyring};
    /// use strongroom::SecretBytes;
    ///
    /// let keyring = DefaultMaterialsManager::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(60)).build()?;
    /// let cache = manager.cache().clone(); // for metrics, before the envelope takes over the manager
    /// assert_eq!(cache.statistics().entries(), 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn cache(&self) -> &DataKeyCache {
        &self.cache
    }

    /// Looks an entry up, and counts the lookup.
    fn enter(&self, id: DigestValue, bytes: u64, terms: &Terms) -> Result<Entrance> {
        let entrance = self.cache.enter(id, bytes, terms, &*self.clock)?;
        let lookup = match &entrance {
            Entrance::Hit(_) => Lookup::Hit,
            Entrance::Fetch(_) => Lookup::Miss,
            Entrance::Reentered => Lookup::Bypass,
        };
        self.metrics.count_lookup(CacheName::DataKeys, lookup);
        Ok(entrance)
    }

    fn note_bypass(&self) {
        self.cache.note_bypass();
        self.metrics.count_lookup(CacheName::DataKeys, Lookup::Bypass);
    }

    /// Returns the number of bytes of a message to be written, if it can share its data key.
    fn cachable_length(&self, materials: &EncryptionMaterials) -> Option<u64> {
        let length = materials.plaintext_length()?;
        // With one message per data key there is nothing to share, so no thread should wait for
        // another.
        let suite = materials.suite();
        // A signed message has its own key pair, whose public key is in the context.
        let shared = derives(suite) && suite.signature().is_none() && self.terms.max_messages > 1;
        (shared && length <= self.terms.max_bytes).then_some(length)
    }

    /// Computes the identifier of an entry. The length of each part is encoded before it, so that
    /// parts cannot be confused.
    fn identity(
        &self,
        backend: &CryptoBackend,
        action: &[u8],
        (suite, policy): (AlgorithmSuite, CommitmentPolicy),
        parts: &[&[u8]],
    ) -> DigestValue {
        let suite = suite.id().to_be_bytes();
        let (kind, partition) = self.partition.identity();
        let all = [IDENTITY_LABEL, action, kind, partition, &suite, policy_name(policy)]
            .into_iter()
            .chain(parts.iter().copied());
        let mut bytes = Vec::new();
        for part in all {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        backend.digest().digest(DigestAlgorithm::Sha384, &[&bytes])
    }
}

impl MaterialsManager for CachingMaterialsManager {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        materials.expect_no_data_key()?;
        let length = self.cachable_length(materials);
        // The inner manager sees only one message of many, so the length of this one has no meaning
        // there.
        materials.forget_plaintext_length();
        let Some(length) = length else {
            self.note_bypass();
            return self.inner.on_encrypt(materials);
        };
        let parts: Vec<&[u8]> =
            [materials.canonical_context()].into_iter().chain(materials.required_names().map(str::as_bytes)).collect();
        let id =
            self.identity(materials.backend(), b"encrypt", (materials.suite(), materials.commitment_policy()), &parts);
        let fetch = match self.enter(id, length, &self.terms)? {
            Entrance::Hit(key) => {
                materials.set_data_key(SecretBytes::copy_from_slice(key.data_key.expose_secret()))?;
                key.encrypted_data_keys.iter().try_for_each(|data_key| materials.push(data_key.clone()))?;
                return key.required_names.iter().try_for_each(|name| materials.require_context(name));
            }
            Entrance::Reentered => return self.inner.on_encrypt(materials),
            Entrance::Fetch(fetch) => fetch,
        };
        if let Err(error) = self.inner.on_encrypt(materials) {
            fetch.fail(&error);
            return Err(error);
        }
        // Incomplete materials are invalid, and the envelope will reject them.
        if let (Some(data_key), [_, ..]) = (materials.data_key(), materials.encrypted_data_keys()) {
            let data_key = SecretBytes::copy_from_slice(data_key.expose_secret());
            let encrypted_data_keys = materials.encrypted_data_keys().to_vec();
            let required_names = materials.required_names().map(str::to_owned).collect();
            fetch.keep(CachedKey { data_key, encrypted_data_keys, required_names }, length, &self.terms, &*self.clock);
        }
        Ok(())
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        if !derives(materials.suite()) {
            self.note_bypass();
            return self.inner.on_decrypt(materials, data_keys);
        }
        let wrapped =
            data_keys.iter().flat_map(|key| [key.provider_id().as_bytes(), key.provider_info(), key.ciphertext()]);
        let names: Vec<_> = materials.reproduced_names().map(str::as_bytes).collect();
        // The count separates the names from the wrapped data keys.
        let count = names.len().to_be_bytes();
        // A data key that was unwrapped only in another order must not be used for an envelope that
        // accepts no other order.
        let order = materials.context_as_received().unwrap_or(b"canonical");
        let parts = [materials.canonical_context(), order, &count].into_iter().chain(names).chain(wrapped);
        let parts: Vec<&[u8]> = parts.collect();
        let id =
            self.identity(materials.backend(), b"decrypt", (materials.suite(), materials.commitment_policy()), &parts);
        let terms = Terms { max_messages: u64::MAX, max_bytes: u64::MAX, ..self.terms };
        let fetch = match self.enter(id, 0, &terms)? {
            Entrance::Hit(key) => {
                return materials.set_data_key(SecretBytes::copy_from_slice(key.data_key.expose_secret()));
            }
            Entrance::Reentered => return self.inner.on_decrypt(materials, data_keys),
            Entrance::Fetch(fetch) => fetch,
        };
        if let Err(error) = self.inner.on_decrypt(materials, data_keys) {
            fetch.fail(&error);
            return Err(error);
        }
        if let Some(data_key) = materials.data_key() {
            let data_key = SecretBytes::copy_from_slice(data_key.expose_secret());
            fetch.keep(
                CachedKey { data_key, encrypted_data_keys: Vec::new(), required_names: Vec::new() },
                0,
                &terms,
                &*self.clock,
            );
        }
        Ok(())
    }
}

/// Returns a name for each policy, so that materials created under one policy are never used under
/// another.
const fn policy_name(policy: CommitmentPolicy) -> &'static [u8] {
    match policy {
        CommitmentPolicy::ForbidEncryptAllowDecrypt => b"forbid encrypt, allow decrypt",
        CommitmentPolicy::RequireEncryptAllowDecrypt => b"require encrypt, allow decrypt",
        CommitmentPolicy::RequireEncryptRequireDecrypt => b"require encrypt, require decrypt",
    }
}

/// The largest allowed number of bytes per data key, which is also the default.
const MAX_BYTES: u64 = u64::MAX >> 1;

/// Returns `true` if a data key of the suite can be used for several messages. This requires that
/// the content key is derived with the message ID.
fn derives(suite: AlgorithmSuite) -> bool {
    suite.derivation() != KeyDerivation::None
}

/// The entries of a shared cache that a manager uses.
#[derive(Debug)]
enum Partition {
    /// Entries of this manager only.
    Own([u8; 16]),
    /// Entries of all managers with this name.
    Named(String),
}

impl Partition {
    fn identity(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Own(random) => (b"own", random),
            Self::Named(name) => (b"named", name.as_bytes()),
        }
    }
}

/// A builder for [`CachingMaterialsManager`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, DefaultMaterialsManager, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, ManualClock, SecretBytes, Timestamp};
///
/// let keyring = DefaultMaterialsManager::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let (cache, clock) = (DataKeyCache::new(100)?, Arc::new(ManualClock::new(Timestamp::from_unix_millis(0))));
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(3_600))
///     .max_messages(1_000)
///     .max_bytes(10 << 20)
///     .cache(&cache)
///     .clock(Arc::clone(&clock))
///     .build()?;
/// let envelope = Envelope::new(manager);
/// envelope.encrypt(b"one", &EncryptionContext::new())?;
/// clock.advance_days(1);
/// envelope.encrypt(b"two", &EncryptionContext::new())?;
/// assert_eq!((cache.statistics().misses(), cache.statistics().expirations()), (2, 1));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct CachingMaterialsManagerBuilder {
    inner: Box<dyn MaterialsManager>,
    cache: Option<DataKeyCache>,
    partition: Option<String>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl CachingMaterialsManagerBuilder {
    /// Sets the maximum number of messages to encrypt with one data key. Default:
    /// [`DEFAULT_MAX_MESSAGES`].
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, RawAesKeyring};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = DefaultMaterialsManager::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(60)).max_messages(2).build()?;
    /// let cache = manager.cache().clone();
    /// let envelope = Envelope::new(manager);
    /// for _ in 0..4 {
    ///     envelope.encrypt(b"data", &EncryptionContext::new())?;
    /// }
    /// assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (2, 2));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn max_messages(mut self, messages: u64) -> Self {
        self.terms.max_messages = messages;
        self
    }

    /// Sets the maximum number of plaintext bytes to encrypt with one data key. Default: 2^63 - 1.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.terms.max_bytes = bytes;
        self
    }

    /// Sets the cache for data keys. Default: a separate cache with
    /// [`DEFAULT_CACHE_CAPACITY`](super::DEFAULT_CACHE_CAPACITY).
    pub fn cache(mut self, cache: &DataKeyCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Shares entries with all other managers that have the same cache and the same partition. Use
    /// this only if the managers are interchangeable: any of them can then decrypt whatever the key
    /// source of one of them may decrypt. Default: no sharing.
    ///
    /// # Examples
    /// Two envelopes with the same keys share data keys:
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{CachingMaterialsManager, DataKeyCache, DefaultMaterialsManager, KmsKeyring};
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let cache = DataKeyCache::new(100)?;
    /// let manager = || {
    ///     let keyring = DefaultMaterialsManager::new(KmsKeyring::new(&kms, key)?);
    ///     CachingMaterialsManager::builder(keyring, Duration::from_secs(60)).cache(&cache).partition("orders").build()
    /// };
    /// for manager in [manager()?, manager()?] {
    ///     Envelope::new(manager).encrypt(b"two pots of tea", &EncryptionContext::new())?;
    /// }
    /// assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (1, 1));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn partition(mut self, name: impl Into<String>) -> Self {
        self.partition = Some(name.into());
        self
    }

    /// Sets the clock that measures age. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the recorder of hits, misses and bypasses of the cache by this manager: see
    /// [`Recorder`]. Default: none.
    pub fn metrics(mut self, recorder: impl Recorder + 'static) -> Self {
        self.metrics = Metrics::new(Arc::new(recorder));
        self
    }

    /// Creates the manager.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the maximum age is zero, if the number of messages is not
    ///   between 1 and [`MAX_MESSAGES`], or if the number of bytes exceeds 2^63 - 1.
    /// - [`ErrorKind::Internal`] if the random generator fails.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, RawAesKeyring};
    /// use strongroom::{ErrorKind, SecretBytes};
    ///
    /// let keyring = DefaultMaterialsManager::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let no_cache = CachingMaterialsManager::builder(keyring, Duration::ZERO).build().unwrap_err();
    /// assert_eq!(no_cache.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn build(self) -> Result<CachingMaterialsManager> {
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if self.terms.max_age.is_zero() {
            return refused("the maximum age of cached data keys must not be zero".to_owned());
        }
        if !(1..=MAX_MESSAGES).contains(&self.terms.max_messages) {
            return refused(format!(
                "the limit of messages per data key must be 1 to {MAX_MESSAGES}, not {}",
                self.terms.max_messages
            ));
        }
        if self.terms.max_bytes > MAX_BYTES {
            return refused(format!(
                "the limit of bytes per data key must be at most {MAX_BYTES}, not {}",
                self.terms.max_bytes
            ));
        }
        let partition = match self.partition {
            Some(name) => Partition::Named(name),
            None => {
                let mut random = [0; 16];
                CryptoBackend::default().random().fill(&mut random)?;
                Partition::Own(random)
            }
        };
        let cache = self.cache.unwrap_or_default();
        Ok(CachingMaterialsManager {
            inner: self.inner,
            cache,
            partition,
            terms: self.terms,
            clock: self.clock,
            metrics: self.metrics,
        })
    }
}

#[cfg(test)]
mod tests;
