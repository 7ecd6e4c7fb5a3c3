//! Equality search over an encrypted column.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::data_keys::{Caching, DataKeys};
use super::keys::ColumnKeys;
use super::names::place;
use super::normalization::Normalization;
use super::row_id::TENANT;
use crate::algorithm::MacAlgorithm;
use crate::clock::{Clock, SystemClock};
use crate::context::EncryptionContext;
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::envelope::{DataKeyCache, Terms};
use crate::error::{Error, ErrorKind, Result};

/// The length of a complete index value in bits.
const MAX_BITS: u16 = 256;

/// Computes index values, so that the database can find rows whose encrypted values are equal.
///
/// An index value is an HMAC of the normalized value. Store it in a second column, and search for
/// it. **It leaks which rows have equal values and how often each value occurs.** A caller that may
/// use the HMAC key can find a value by guessing. Do not index a column with few possible values.
///
/// ```text
/// index key   = GenerateMac(KMS key, "strongroom blind index v1" ‖ canonical context)
/// index value = HMAC-SHA-256(index key, normalized value), truncated
/// ```
///
/// The context has the pairs `table`, `column`, and `tenant` if one is given. Equal values of
/// different columns or tenants therefore have unrelated index values. By default, each index value
/// is a `GenerateMac` call of the KMS, with its checks and its audit event.
/// [`BlindIndexBuilder::cached_index_keys`] saves the calls.
///
/// The KMS key is an HMAC key. With [`ColumnKeys::per_tenant`], each tenant has its own. Such a key
/// has one version forever: to replace it, see [`BlindIndex::with_previous`].
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::columns::{BlindIndex, ColumnKeys, Normalization};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
/// let keys = ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?;
/// let email = BlindIndex::builder(&keys, "users", "email").normalize(Normalization::new().trim().lower_case()).build()?;
///
/// let stored = email.of_text(None, "Alice@Example.com")?; // INSERT INTO users (email_index, ...)
/// assert_eq!(stored.as_bytes().len(), 16);
/// assert_eq!(email.of_text(None, " alice@example.com")?, stored); // WHERE email_index = ?
/// assert_eq!(email.search_text(None, "ALICE@example.com")?, [stored.clone()]); // WHERE email_index IN (?, ...)
/// assert_ne!(email.of_text(Some("acme"), "alice@example.com")?, stored);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct BlindIndex {
    inner: Arc<Inner>,
    previous: Option<Arc<Self>>,
}

struct Inner {
    table: String,
    name: String,
    context: EncryptionContext,
    keys: DataKeys,
    algorithm: MacAlgorithm,
    normalization: Normalization,
    bits: u16,
}

impl BlindIndex {
    /// Returns a builder for the index of a column.
    pub fn builder(keys: &ColumnKeys, table: impl Into<String>, column: impl Into<String>) -> BlindIndexBuilder {
        BlindIndexBuilder {
            keys: keys.clone(),
            table: table.into(),
            name: column.into(),
            algorithm: MacAlgorithm::HmacSha256,
            normalization: Normalization::new(),
            bits: MAX_BITS / 2,
            max_age: None,
            cache: None,
            clock: Arc::new(SystemClock),
            backend: CryptoBackend::default(),
        }
    }

    /// Returns the index value of a text, after normalization.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_mac`](crate::Kms::generate_mac).
    pub fn of_text(&self, tenant: Option<&str>, text: &str) -> Result<IndexValue> {
        self.of_bytes(tenant, self.inner.normalization.apply(text).as_bytes())
    }

    /// Returns the index value of bytes, without normalization.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_mac`](crate::Kms::generate_mac).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::{BlindIndex, ColumnKeys};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// let keys = ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?;
    /// // 12 bits: 4,096 buckets of many rows each. Decrypt the candidates and compare.
    /// let number = BlindIndex::builder(&keys, "cards", "number").bits(12).build()?;
    /// let bucket = number.of_bytes(None, b"4111 1111 1111 1111")?;
    /// assert_eq!(bucket.as_bytes().len(), 2);
    /// assert_eq!(bucket.as_bytes()[1] & 0x0F, 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn of_bytes(&self, tenant: Option<&str>, value: &[u8]) -> Result<IndexValue> {
        self.inner.index_value(tenant, value)
    }

    /// Also searches for index values of an earlier index: while its HMAC key, its normalization or
    /// its length is being replaced.
    ///
    /// Write values of the new index, search for both, and let a [sweep](super::Sweep) recompute the
    /// index values of the other rows. A unique constraint does not hold between old and new values:
    /// if you need it, write both into two columns until the sweep is complete.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::{BlindIndex, ColumnKeys};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let index = || {
    ///     let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    ///     BlindIndex::builder(&ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?, "users", "email").build()
    /// };
    /// let (old, new) = (index()?, index()?);
    /// let stored = old.of_text(None, "alice@example.com")?;
    ///
    /// let both = new.with_previous(old);
    /// let candidates = both.search_text(None, "alice@example.com")?; // WHERE email_index IN (?, ?)
    /// assert_eq!(candidates.len(), 2);
    /// assert!(candidates.contains(&stored) && candidates[0] == both.of_text(None, "alice@example.com")?);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_previous(self, previous: Self) -> Self {
        Self { inner: self.inner, previous: Some(Arc::new(previous)) }
    }

    /// Returns the index values to search for: that of this index first, then those of earlier ones.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_mac`](crate::Kms::generate_mac).
    pub fn search_text(&self, tenant: Option<&str>, text: &str) -> Result<Vec<IndexValue>> {
        self.chain().map(|index| index.of_text(tenant, text)).collect()
    }

    /// Returns the index values of bytes to search for, like [`search_text`](Self::search_text).
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_mac`](crate::Kms::generate_mac).
    ///
    /// # Examples
    /// ```
    /// # use strongroom::Kms;
    /// # use strongroom::columns::{BlindIndex, ColumnKeys};
    /// # use strongroom::key::{KeySpec, KeyUsage};
    /// # use strongroom::request::CreateKeyRequest;
    /// # let kms = Kms::in_memory()?;
    /// # let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// # let keys = ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?;
    /// let index = BlindIndex::builder(&keys, "devices", "serial").build()?;
    /// assert_eq!(index.search_bytes(None, b"\x07")?, [index.of_bytes(None, b"\x07")?]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn search_bytes(&self, tenant: Option<&str>, value: &[u8]) -> Result<Vec<IndexValue>> {
        self.chain().map(|index| index.of_bytes(tenant, value)).collect()
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |index| index.previous.as_deref())
    }
}

impl Inner {
    fn index_value(&self, tenant: Option<&str>, value: &[u8]) -> Result<IndexValue> {
        let mut context = self.context.clone();
        if let Some(tenant) = tenant {
            context.insert(TENANT, tenant);
        }
        let key = self.keys.for_index(&context, self.algorithm).map_err(|error| {
            let text = format!("cannot compute an index value of {}.{}: {error}", self.table, self.name);
            Error::new(error.kind(), text).with_source(error)
        })?;
        let mac = self.keys.backend.mac().bind(DigestAlgorithm::Sha256, key.expose_secret()).authenticate(&[value]);
        Ok(IndexValue::truncated(mac.expose_secret(), self.bits))
    }
}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlindIndex")
            .field("table", &self.inner.table)
            .field("name", &self.inner.name)
            .field("bits", &self.inner.bits)
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

/// A builder for [`BlindIndex`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::algorithm::MacAlgorithm;
/// use strongroom::columns::{BlindIndex, ColumnKeys, Normalization};
/// use strongroom::crypto::RUST_CRYPTO;
/// use strongroom::envelope::DataKeyCache;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{Kms, SystemClock};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Hmac512).usage(KeyUsage::GenerateVerifyMac);
/// let cache = DataKeyCache::default();
/// let index = BlindIndex::builder(&ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?, "users", "name")
///     .algorithm(MacAlgorithm::HmacSha512)
///     .normalize(Normalization::new().form_c())
///     .bits(64)
///     .cached_index_keys(Duration::from_secs(60))
///     .cache(&cache)
///     .clock(SystemClock)
///     .backend(RUST_CRYPTO)
///     .build()?;
/// for name in ["Ada", "Grace", "Ada"] {
///     index.of_text(None, name)?;
/// }
/// assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (1, 2));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[must_use]
pub struct BlindIndexBuilder {
    keys: ColumnKeys,
    table: String,
    name: String,
    algorithm: MacAlgorithm,
    normalization: Normalization,
    bits: u16,
    max_age: Option<Duration>,
    cache: Option<DataKeyCache>,
    clock: Arc<dyn Clock>,
    backend: CryptoBackend,
}

impl BlindIndexBuilder {
    /// Sets the MAC algorithm of the KMS key, which its spec determines. Default:
    /// [`MacAlgorithm::HmacSha256`], for a key of spec `HMAC_256`.
    pub const fn algorithm(mut self, algorithm: MacAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the normalization of text. Default: none.
    pub const fn normalize(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// Truncates index values to this number of bits, 1 to 256. Default: 128, at which different
    /// values never have the same index value in practice.
    ///
    /// With fewer bits, several values share an index value: an attacker learns less, and a search
    /// also finds rows with other values, which the caller removes after decryption. Unused bits of
    /// the last byte are zero.
    pub const fn bits(mut self, bits: u16) -> Self {
        self.bits = bits;
        self
    }

    /// Keeps the index key of each tenant for up to `max_age`, instead of calling the KMS for each
    /// index value.
    ///
    /// The index values are the same. The audit trail then contains the fetch of each index key,
    /// and disabling the HMAC key takes effect only after `max_age`.
    pub const fn cached_index_keys(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Uses this cache instead of a new one.
    pub fn cache(mut self, cache: &DataKeyCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Sets the clock that determines the age of cached index keys. Default: the system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the cryptographic backend. Default: [`FASTEST`](crate::crypto::FASTEST).
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Creates the index.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a name is empty, too long, or contains control
    ///   characters, or if a number is outside its range.
    /// - [`Internal`](ErrorKind::Internal) if the random generator fails.
    pub fn build(self) -> Result<BlindIndex> {
        let context = place(&self.table, &self.name)?;
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if !(1..=MAX_BITS).contains(&self.bits) {
            return refused(format!("an index value has 1 to {MAX_BITS} bits, not {}", self.bits));
        }
        let terms = |max_age| Terms { max_age, max_messages: u64::MAX, max_bytes: u64::MAX };
        let caching = Caching::new(self.max_age.map(terms), self.cache, self.clock, &self.backend)?;
        let keys = DataKeys { keys: self.keys, backend: self.backend, caching };
        let Self { table, name, algorithm, normalization, bits, .. } = self;
        let inner = Inner { table, name, context, keys, algorithm, normalization, bits };
        Ok(BlindIndex { inner: Arc::new(inner), previous: None })
    }
}

impl fmt::Debug for BlindIndexBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlindIndexBuilder")
            .field("table", &self.table)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An index value as it is stored: bytes for an indexed column of type `BLOB` or `BYTEA`.
///
/// # Examples
/// ```
/// # use strongroom::Kms;
/// # use strongroom::columns::{BlindIndex, ColumnKeys};
/// # use strongroom::key::{KeySpec, KeyUsage};
/// # use strongroom::request::CreateKeyRequest;
/// # let kms = Kms::in_memory()?;
/// # let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
/// # let keys = ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?;
/// let value = BlindIndex::builder(&keys, "users", "email").build()?.of_text(None, "alice@example.com")?;
/// assert_eq!(format!("{value:?}"), "IndexValue(16 bytes)");
/// assert_eq!(value.as_bytes().to_vec(), value.clone().into_bytes());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexValue(Vec<u8>);

impl IndexValue {
    fn truncated(mac: &[u8], bits: u16) -> Self {
        let length = usize::from(bits.div_ceil(8));
        let mut bytes: Vec<u8> = mac.iter().copied().take(length).collect();
        if let Some(last) = bytes.last_mut() {
            *last &= 0xFF << ((8 - bits % 8) % 8);
        }
        Self(bytes)
    }

    /// Returns the bytes to store or to search for.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Converts the value into its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for IndexValue {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Shows the length only: an index value in a log allows guesses like one in the table.
impl fmt::Debug for IndexValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexValue({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_bits_are_zero() {
        let mac = [0xFF; 32];
        for (bits, bytes) in [
            (1, &[0x80][..]),
            (7, &[0xFE]),
            (8, &[0xFF]),
            (9, &[0xFF, 0x80]),
            (12, &[0xFF, 0xF0]),
            (16, &[0xFF, 0xFF]),
            (256, &[0xFF; 32]),
        ] {
            assert_eq!(IndexValue::truncated(&mac, bits).as_bytes(), bytes, "{bits}");
        }
    }
}
