//! The data keys of a column: generated for each value, or cached.

use std::fmt;
use std::sync::Arc;

use super::keys::ColumnKeys;
use crate::algorithm::MacAlgorithm;
use crate::clock::Clock;
use crate::context::{EncryptionContext, too_long};
use crate::crypto::{CryptoBackend, DigestAlgorithm, DigestValue};
use crate::envelope::{CachedKey, DataKeyCache, Entrance, KMS_PROVIDER_ID, Terms};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyId, KeyIdentifier};
use crate::kms::{DecryptRequest, GenerateDataKeyRequest, GenerateMacRequest};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// Separates identifiers of entries from other uses of the cache.
const IDENTITY_LABEL: &[u8] = b"strongroom column data key v1";

/// Separates the MACs that are index keys from other MACs of the same key.
const INDEX_LABEL: &[u8] = b"strongroom blind index v1";

/// A cache, and the terms under which a column uses it.
#[derive(Clone)]
pub(super) struct Caching {
    pub(super) cache: DataKeyCache,
    pub(super) terms: Terms,
    pub(super) clock: Arc<dyn Clock>,
    /// Entries of this column only, because they have the permissions of its handle.
    pub(super) partition: [u8; 16],
}

/// Obtains data keys for a column and tenant.
#[derive(Clone)]
pub(super) struct DataKeys {
    pub(super) keys: ColumnKeys,
    pub(super) backend: CryptoBackend,
    pub(super) caching: Option<Caching>,
}

/// A data key, and its wrapped form if it is for encryption.
pub(super) struct DataKey(Arc<CachedKey>);

impl DataKey {
    fn new(data_key: &SecretBytes, wrapped: Option<&EncryptedDataKey>) -> Self {
        Self(Arc::new(entry(data_key, wrapped)))
    }

    /// Returns the 32 bytes of the key.
    pub(super) fn expose_secret(&self) -> &[u8] {
        self.0.data_key.expose_secret()
    }

    /// Returns the wrapped key, which is empty for decryption.
    pub(super) fn wrapped(&self) -> &[u8] {
        self.0.encrypted_data_keys.first().map_or(&[], EncryptedDataKey::ciphertext)
    }
}

fn entry(data_key: &SecretBytes, wrapped: Option<&EncryptedDataKey>) -> CachedKey {
    CachedKey {
        data_key: SecretBytes::copy_from_slice(data_key.expose_secret()),
        encrypted_data_keys: wrapped.cloned().into_iter().collect(),
        required_names: Vec::new(),
    }
}

impl DataKeys {
    /// Returns a data key for a new value of `bytes` bytes.
    pub(super) fn for_encryption(&self, context: &EncryptionContext, bytes: u64) -> Result<DataKey> {
        let key = self.keys.current(context)?;
        let fetch = || {
            let made = self.keys.kms().generate_data_key(GenerateDataKeyRequest::new(&key).context(context))?;
            let info = made.key_arn.to_string().into_bytes();
            Ok((made.plaintext, Some(EncryptedDataKey::new(KMS_PROVIDER_ID, info, made.ciphertext_blob))))
        };
        let Some(caching) = &self.caching else {
            let (data_key, wrapped) = fetch()?;
            return Ok(DataKey::new(&data_key, wrapped.as_ref()));
        };
        let id = self.identity(caching, b"encrypt", &key, context, &[])?;
        caching.get(id, bytes, &caching.terms, fetch)
    }

    /// Unwraps the data key of a stored value, if it was wrapped under the expected key.
    pub(super) fn for_decryption(&self, context: &EncryptionContext, wrapped: &[u8], stored: KeyId) -> Result<DataKey> {
        let key = self.keys.expected(context, stored)?;
        let fetch = || {
            let request = DecryptRequest::new(wrapped).key(&key)?.context(context);
            Ok((self.keys.kms().decrypt(request)?.plaintext, None))
        };
        let Some(caching) = &self.caching else {
            let (data_key, _) = fetch()?;
            return Ok(DataKey::new(&data_key, None));
        };
        let id = self.identity(caching, b"decrypt", &key, context, wrapped)?;
        let terms = Terms { max_messages: u64::MAX, max_bytes: u64::MAX, ..caching.terms };
        caching.get(id, 0, &terms, fetch)
    }

    /// Returns the key of a blind index: a MAC of the context under the HMAC key of the KMS.
    pub(super) fn for_index(&self, context: &EncryptionContext, algorithm: MacAlgorithm) -> Result<DataKey> {
        let key = self.keys.current(context)?;
        let fetch = || {
            let message = [INDEX_LABEL, &context.to_canonical_bytes().map_err(too_long)?].concat();
            let request = GenerateMacRequest::new(&key, algorithm, &message);
            Ok((SecretBytes::from_vec(self.keys.kms().generate_mac(request)?.mac), None))
        };
        let Some(caching) = &self.caching else {
            let (index_key, _) = fetch()?;
            return Ok(DataKey::new(&index_key, None));
        };
        let id = self.identity(caching, b"index", &key, context, &[])?;
        caching.get(id, 0, &caching.terms, fetch)
    }

    /// Computes the identifier of an entry. The length of each part is encoded before it, so that
    /// parts cannot be confused.
    fn identity(
        &self,
        caching: &Caching,
        action: &[u8],
        key: &KeyIdentifier,
        context: &EncryptionContext,
        wrapped: &[u8],
    ) -> Result<DigestValue> {
        let (key, context) = (key.to_string(), context.to_canonical_bytes().map_err(too_long)?);
        let mut bytes = Vec::with_capacity(256);
        for part in [IDENTITY_LABEL, action, &caching.partition, key.as_bytes(), &context, wrapped] {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(self.backend.digest().digest(DigestAlgorithm::Sha256, &[&bytes]))
    }
}

impl Caching {
    /// Returns the caching of a column or index with these terms, or `None` without terms.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the maximum age is zero, or if there is a cache without terms.
    /// - [`ErrorKind::Internal`] if the random generator fails.
    pub(super) fn new(
        terms: Option<Terms>,
        cache: Option<DataKeyCache>,
        clock: Arc<dyn Clock>,
        backend: &CryptoBackend,
    ) -> Result<Option<Self>> {
        let refused = |text| Err(Error::new(ErrorKind::Validation, text));
        match (terms, cache) {
            (None, None) => Ok(None),
            (None, Some(_)) => refused("a cache needs a maximum age of the keys in it"),
            (Some(terms), _) if terms.max_age.is_zero() => refused("the maximum age of cached keys must not be zero"),
            (Some(terms), cache) => {
                let mut partition = [0; 16];
                backend.random().fill(&mut partition)?;
                Ok(Some(Self { cache: cache.unwrap_or_default(), terms, clock, partition }))
            }
        }
    }

    /// Returns an entry, or fetches it while other threads wait for it.
    fn get(
        &self,
        id: DigestValue,
        bytes: u64,
        terms: &Terms,
        fetch: impl FnOnce() -> Result<(SecretBytes, Option<EncryptedDataKey>)>,
    ) -> Result<DataKey> {
        let task = match self.cache.enter(id, bytes, terms, &*self.clock)? {
            Entrance::Hit(entry) => return Ok(DataKey(entry)),
            Entrance::Fetch(task) => Some(task),
            Entrance::Reentered => None,
        };
        match (fetch(), task) {
            (Ok((data_key, wrapped)), task) => {
                if let Some(task) = task {
                    task.keep(entry(&data_key, wrapped.as_ref()), bytes, terms, &*self.clock);
                }
                Ok(DataKey::new(&data_key, wrapped.as_ref()))
            }
            (Err(error), task) => {
                if let Some(task) = task {
                    task.fail(&error);
                }
                Err(error)
            }
        }
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cache = self.caching.as_ref().map(|caching| &caching.cache);
        f.debug_struct("DataKeys").field("keys", &self.keys).field("cache", &cache).finish_non_exhaustive()
    }
}
