//! A materials manager that uses data keys again.

use std::sync::Arc;
use std::time::Duration;

use super::cache::{CachedKey, DataKeyCache, Entrance, Terms};
use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use super::manager::MaterialsManager;
use crate::clock::{Clock, SystemClock};
use crate::crypto::{CryptoBackend, DigestAlgorithm, DigestValue};
use crate::envelope::policy::CommitmentPolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{AlgorithmSuite, EncryptedDataKey, KeyDerivation};
use crate::secret::SecretBytes;

/// The most messages that may be allowed for one data key.
pub const MAX_MESSAGES: u64 = 1 << 32;

/// Messages that one data key may encrypt unless told otherwise: as many as are allowed at all.
pub const DEFAULT_MAX_MESSAGES: u64 = MAX_MESSAGES;

/// Tells identities of this cache from any other use of the hash.
const IDENTITY_LABEL: &[u8] = b"strongroom data key cache v1";

/// Uses a data key for several messages, so that not each of them costs a call to the key source.
///
/// Every message still has its own identifier and its own content key, which is derived from both; a message does not
/// show that its data key was cached. What is given up is time: a key that was disabled, or a permission that was taken
/// away, bites only when the data keys that are held have reached their **maximum age**, which therefore has no default.
/// [`DataKeyCache::clear`] ends it at once.
///
/// A data key is found again only for the same suite, the same commitment policy, the same encryption context (all of it,
/// and the same pairs left out of the header; in the order of the header where other orders are accepted), the same partition, and on decrypt the same wrapped data keys. To encrypt, it
/// serves until its age, its number of messages or its number of bytes would be exceeded; to decrypt, until its age is.
/// While one thread fetches a data key, others that need the same wait for it; if that fails, all of them have that failure.
///
/// Not cached is what is written by [`Envelope::writer`](crate::Envelope::writer), as its length is not known beforehand,
/// what is longer than the limit of bytes, a signed message that is written, as it has a key pair of its own, and messages
/// of suites that use the data key as it is.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, KmsKeyring};
/// use strongroom::{EncryptionContext, Envelope, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let keyring = DefaultMaterialsManager::new(KmsKeyring::new(&kms, key)?);
/// let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(300)).max_messages(1000).build()?;
/// let envelope = Envelope::with_materials_manager(manager);
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
}

impl CachingMaterialsManager {
    /// Starts a manager that holds what `inner` fetches for up to `max_age`.
    pub fn builder(inner: impl MaterialsManager + 'static, max_age: Duration) -> CachingMaterialsManagerBuilder {
        CachingMaterialsManagerBuilder {
            inner: Box::new(inner),
            cache: None,
            partition: None,
            terms: Terms { max_age, max_messages: DEFAULT_MAX_MESSAGES, max_bytes: MAX_BYTES },
            clock: Arc::new(SystemClock),
        }
    }

    /// The cache, to read its statistics or to clear it.
    pub const fn cache(&self) -> &DataKeyCache {
        &self.cache
    }

    /// Bytes of a message to write whose data key may be shared.
    fn cachable_length(&self, materials: &EncryptionMaterials) -> Option<u64> {
        let length = materials.plaintext_length()?;
        // One message for each data key leaves nothing to share, so nobody should wait for another's.
        let suite = materials.suite();
        // And to a signed message belongs a key pair of its own, whose public half is in the context.
        let shared = derives(suite) && suite.signature().is_none() && self.terms.max_messages > 1;
        (shared && length <= self.terms.max_bytes).then_some(length)
    }

    /// What an entry is found by. Each part has its length before it, so that none can run into the next.
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
        // What lies behind sees one message of many, so its length says nothing there.
        materials.forget_plaintext_length();
        let Some(length) = length else {
            self.cache.note_bypass();
            return self.inner.on_encrypt(materials);
        };
        let parts: Vec<&[u8]> =
            [materials.canonical_context()].into_iter().chain(materials.required_names().map(str::as_bytes)).collect();
        let id =
            self.identity(materials.backend(), b"encrypt", (materials.suite(), materials.commitment_policy()), &parts);
        let fetch = match self.cache.enter(id, length, &self.terms, &*self.clock)? {
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
        // What lacks a part is no materials, and the envelope will refuse it.
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
            self.cache.note_bypass();
            return self.inner.on_decrypt(materials, data_keys);
        }
        let wrapped =
            data_keys.iter().flat_map(|key| [key.provider_id().as_bytes(), key.provider_info(), key.ciphertext()]);
        let names: Vec<_> = materials.reproduced_names().map(str::as_bytes).collect();
        // The count tells where names end and wrapped data keys begin.
        let count = names.len().to_be_bytes();
        // A data key that opened only in another order must not serve an envelope that accepts none.
        let order = materials.context_as_received().unwrap_or(b"canonical");
        let parts = [materials.canonical_context(), order, &count].into_iter().chain(names).chain(wrapped);
        let parts: Vec<&[u8]> = parts.collect();
        let id =
            self.identity(materials.backend(), b"decrypt", (materials.suite(), materials.commitment_policy()), &parts);
        let terms = Terms { max_messages: u64::MAX, max_bytes: u64::MAX, ..self.terms };
        let fetch = match self.cache.enter(id, 0, &terms, &*self.clock)? {
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

/// A name for each policy, so that materials made under one never serve another.
const fn policy_name(policy: CommitmentPolicy) -> &'static [u8] {
    match policy {
        CommitmentPolicy::ForbidEncryptAllowDecrypt => b"forbid encrypt, allow decrypt",
        CommitmentPolicy::RequireEncryptAllowDecrypt => b"require encrypt, allow decrypt",
        CommitmentPolicy::RequireEncryptRequireDecrypt => b"require encrypt, require decrypt",
    }
}

/// The most bytes that may be allowed for one data key, and the default.
const MAX_BYTES: u64 = u64::MAX >> 1;

/// Whether a data key of the suite may serve several messages: only if the content key is derived with the message id.
fn derives(suite: AlgorithmSuite) -> bool {
    suite.derivation() != KeyDerivation::None
}

/// Which entries of a shared cache are a manager's.
#[derive(Debug)]
enum Partition {
    /// Nobody else's.
    Own([u8; 16]),
    /// Those of all managers with this name.
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

/// A [`CachingMaterialsManager`] that is being set up.
#[derive(Debug)]
#[must_use]
pub struct CachingMaterialsManagerBuilder {
    inner: Box<dyn MaterialsManager>,
    cache: Option<DataKeyCache>,
    partition: Option<String>,
    terms: Terms,
    clock: Arc<dyn Clock>,
}

impl CachingMaterialsManagerBuilder {
    /// Sets how many messages one data key may encrypt. Default: [`DEFAULT_MAX_MESSAGES`].
    pub const fn max_messages(mut self, messages: u64) -> Self {
        self.terms.max_messages = messages;
        self
    }

    /// Sets how many bytes of plaintext one data key may encrypt. Default: 2^63 - 1.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.terms.max_bytes = bytes;
        self
    }

    /// Sets where data keys are held. Default: a cache of its own, for [`DEFAULT_CACHE_CAPACITY`](super::DEFAULT_CACHE_CAPACITY).
    pub fn cache(mut self, cache: &DataKeyCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Shares entries with the other managers over the same cache that have this partition. It says that they are
    /// interchangeable: what the key source of one may open, all of them then open. Default: nothing is shared.
    pub fn partition(mut self, name: impl Into<String>) -> Self {
        self.partition = Some(name.into());
        self
    }

    /// Sets the clock that age is told by. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the manager.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the maximum age is zero, the messages are not 1 to [`MAX_MESSAGES`], or the bytes are
    /// over 2^63 - 1; [`ErrorKind::Internal`] if the random generator fails.
    pub fn build(self) -> Result<CachingMaterialsManager> {
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if self.terms.max_age.is_zero() {
            return refused("a maximum age of zero is no cache".to_owned());
        }
        if !(1..=MAX_MESSAGES).contains(&self.terms.max_messages) {
            return refused(format!(
                "a data key may encrypt 1 to {MAX_MESSAGES} messages, not {}",
                self.terms.max_messages
            ));
        }
        if self.terms.max_bytes > MAX_BYTES {
            return refused(format!("a data key may encrypt up to {MAX_BYTES} bytes, not {}", self.terms.max_bytes));
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
        Ok(CachingMaterialsManager { inner: self.inner, cache, partition, terms: self.terms, clock: self.clock })
    }
}

#[cfg(test)]
mod tests;
