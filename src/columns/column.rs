//! One encrypted column.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::cipher::Cipher;
use super::data_keys::{Caching, DataKeys};
use super::keys::ColumnKeys;
use super::names::{check_name, place};
use super::row_id::{ROW, RowId, TENANT};
use super::stored::Encrypted;
use super::value::ColumnValue;
use crate::blob::BlobPrefix;
use crate::clock::{Clock, SystemClock};
use crate::context::{EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::crypto::CryptoBackend;
use crate::envelope::{DataKeyCache, MAX_MESSAGES, Terms};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The largest multiple to which values can be padded, in bytes.
const MAX_PADDING: usize = 4_096;

/// Encrypts and decrypts the values of one column.
///
/// A stored value is bound to table, column, row and tenant through the encryption context: the
/// pairs `table`, `column`, `row` (and `row.2`, ... for a composite primary key) and `tenant`. A
/// value that was copied to another place does not open. An older value of the same place does.
///
/// By default, each value is a blob of the KMS: every encryption and decryption is one call, with
/// its audit event. [`ColumnBuilder::cached_data_keys`] saves the calls. Values above 4,095 bytes have
/// a data key each. A column reads both forms, so this choice can change at any time.
///
/// Cheap to clone. In an [async program](crate::manual::async_programs), call it on a blocking
/// thread, once for all values of a request. The page [columns](crate::manual::columns) of the manual
/// has the numbers.
///
/// # Examples
/// ```
/// use strongroom::columns::{Column, ColumnKeys, RowId};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(CreateKeyRequest::default().alias("alias/users"))?;
/// let keys = ColumnKeys::new(&kms, "alias/users")?;
/// let phone = Column::<String>::new(&keys, "users", "phone")?;
///
/// let stored = phone.encrypt(&RowId::new(1), "+44 20 7946 0123")?;
/// assert_eq!(phone.decrypt(&RowId::new(1), &stored)?, "+44 20 7946 0123");
///
/// let in_another_row = phone.decrypt(&RowId::new(2), &stored).unwrap_err();
/// assert_eq!(in_another_row.kind(), ErrorKind::InvalidCiphertext);
/// assert!(in_another_row.to_string().starts_with("cannot decrypt a value of users.phone: "));
///
/// // NULL stays NULL, and an empty text is a value.
/// let missing = None.map(|text: &str| phone.encrypt(&RowId::new(3), text)).transpose()?;
/// let empty = Some("").map(|text| phone.encrypt(&RowId::new(3), text)).transpose()?;
/// assert!(missing.is_none() && empty.is_some());
///
/// // With other settings than the default ones.
/// let note = Column::<String>::builder(&keys, "users", "note").pad_to(64).build()?;
/// assert_eq!((note.table(), note.name()), ("users", "note"));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Column<T> {
    cipher: Arc<Cipher>,
    value: PhantomData<fn() -> T>,
}

impl<T: ColumnValue> Column<T> {
    /// Creates a column with the default settings.
    ///
    /// `table` and `name` are part of the encryption context. Keep them when the table or the column
    /// is renamed in the database.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a name is empty, has more than 255 bytes, or
    ///   contains control characters.
    pub fn new(keys: &ColumnKeys, table: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        Self::builder(keys, table, name).build()
    }

    /// Returns a builder for a column.
    pub fn builder(keys: &ColumnKeys, table: impl Into<String>, name: impl Into<String>) -> ColumnBuilder<T> {
        ColumnBuilder::new(keys, table.into(), name.into())
    }

    /// Encrypts a value for a row.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the value is longer than
    ///   [`MAX_VALUE_BYTES`](super::MAX_VALUE_BYTES) with
    ///   its padding, or if the primary key has an empty part.
    /// - The errors of [`Kms::encrypt`](crate::Kms::encrypt), or of
    ///   [`Kms::generate_data_key`](crate::Kms::generate_data_key) for a value with a data key.
    /// - The errors of [`ColumnValue::encode`].
    pub fn encrypt(&self, row: &RowId, value: &T::Borrowed) -> Result<Encrypted<T>> {
        let encoded = T::encode(value).map_err(|error| self.cipher.failed("encrypt", &error))?;
        self.encrypt_encoded(row, &encoded)
    }

    /// Decrypts a value of a row.
    ///
    /// # Errors
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the value was damaged, or encrypted
    ///   for another row, column, table or tenant.
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) if it was encrypted under another key.
    /// - The errors of [`Kms::decrypt`](crate::Kms::decrypt).
    /// - The errors of [`ColumnValue::decode`].
    pub fn decrypt(&self, row: &RowId, stored: &Encrypted<T>) -> Result<T> {
        self.decrypt_encoded(row, stored).map(|(_, value)| value)
    }
}

impl<T> Column<T> {
    fn from_cipher(cipher: Cipher) -> Self {
        Self { cipher: Arc::new(cipher), value: PhantomData }
    }

    /// Returns the name of the table.
    pub fn table(&self) -> &str {
        &self.cipher.table
    }

    /// Returns the name of the column.
    pub fn name(&self) -> &str {
        &self.cipher.name
    }

    /// Returns the cache of the column, for statistics and to clear it after a key was disabled.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use strongroom::Kms;
    /// use strongroom::columns::{Column, ColumnKeys, RowId};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let builder = Column::<String>::builder(&ColumnKeys::new(&kms, key)?, "visits", "notes");
    /// let notes = builder.cached_data_keys(Duration::from_secs(300)).build()?;
    /// let stored = notes.encrypt(&RowId::new(1), "all is well")?;
    ///
    /// kms.disable_key(key)?;
    /// assert!(notes.decrypt(&RowId::new(1), &stored).is_err()); // not yet cached for decryption
    /// assert!(notes.encrypt(&RowId::new(2), "still cached").is_ok());
    /// notes.cache().expect("the column has one").clear();
    /// assert!(notes.encrypt(&RowId::new(3), "no longer").is_err());
    /// assert_eq!((notes.table(), notes.name()), ("visits", "notes"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn cache(&self) -> Option<&DataKeyCache> {
        self.cipher.data_keys.caching.as_ref().map(|caching| &caching.cache)
    }
}

impl<T: ColumnValue> Column<T> {
    /// Encrypts the bytes of a value.
    pub(super) fn encrypt_encoded(&self, row: &RowId, encoded: &SecretBytes) -> Result<Encrypted<T>> {
        let bytes = self.cipher.encrypt(row, encoded).map_err(|error| self.cipher.failed("encrypt", &error))?;
        Encrypted::from_bytes(bytes).map_err(|error| self.cipher.failed("encrypt", &error.into()))
    }

    /// Returns the bytes of a value, and the value that they represent.
    pub(super) fn decrypt_encoded(&self, row: &RowId, stored: &Encrypted<T>) -> Result<(SecretBytes, T)> {
        let opened = self.cipher.decrypt(row, stored);
        let opened = opened.and_then(|encoded| T::decode(encoded.expose_secret()).map(|value| (encoded, value)));
        opened.map_err(|error| self.cipher.failed("decrypt", &error))
    }

    /// Returns the same column with a separate, empty cache.
    pub(super) fn with_empty_cache(&self) -> Self {
        let mut cipher = (*self.cipher).clone();
        if let Some(caching) = &mut cipher.data_keys.caching {
            caching.cache = DataKeyCache::default();
        }
        Self::from_cipher(cipher)
    }

    /// Returns the key and version that encrypt new values of a tenant, by encrypting one.
    pub(super) fn newest_key(&self, tenant: Option<&str>) -> Result<BlobPrefix> {
        let bytes = self.cipher.encrypt_probe(tenant).map_err(|error| self.cipher.failed("encrypt", &error))?;
        Ok(Encrypted::<T>::from_bytes(bytes)?.key())
    }
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        Self { cipher: Arc::clone(&self.cipher), value: PhantomData }
    }
}

impl<T> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column")
            .field("table", &self.cipher.table)
            .field("name", &self.cipher.name)
            .field("data_keys", &self.cipher.data_keys)
            .field("padding", &self.cipher.padding)
            .finish_non_exhaustive()
    }
}

/// A builder for [`Column`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use strongroom::columns::{Column, ColumnKeys, RowId};
/// use strongroom::crypto::RUST_CRYPTO;
/// use strongroom::envelope::DataKeyCache;
/// use strongroom::{Kms, ManualClock, Timestamp};
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let (cache, clock) = (DataKeyCache::new(100)?, Arc::new(ManualClock::new(Timestamp::from_unix_millis(0))));
/// let notes = Column::<String>::builder(&keys, "visits", "notes")
///     .context("service", "clinic")
///     .pad_to(32)
///     .cached_data_keys(Duration::from_secs(300))
///     .max_values_per_data_key(2)
///     .cache(&cache)
///     .clock(Arc::clone(&clock))
///     .backend(RUST_CRYPTO)
///     .build()?;
/// let [short, long] = ["yes", "no, but tomorrow"].map(|text| notes.encrypt(&RowId::new(1), text));
/// assert_eq!(short?.as_bytes().len(), long?.as_bytes().len());
/// notes.encrypt(&RowId::new(2), "a third value")?;
/// assert_eq!((cache.statistics().hits(), cache.statistics().misses()), (1, 2));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[must_use]
pub struct ColumnBuilder<T> {
    keys: ColumnKeys,
    table: String,
    name: String,
    context: EncryptionContext,
    padding: usize,
    max_age: Option<Duration>,
    max_values: u64,
    cache: Option<DataKeyCache>,
    clock: Arc<dyn Clock>,
    backend: CryptoBackend,
    value: PhantomData<fn() -> T>,
}

impl<T> ColumnBuilder<T> {
    fn new(keys: &ColumnKeys, table: String, name: String) -> Self {
        Self {
            keys: keys.clone(),
            table,
            name,
            context: EncryptionContext::new(),
            padding: 1,
            max_age: None,
            max_values: MAX_MESSAGES,
            cache: None,
            clock: Arc::new(SystemClock),
            backend: CryptoBackend::default(),
            value: PhantomData,
        }
    }

    /// Adds a pair to the encryption context of every value, for policies and the audit trail.
    pub fn context(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.insert(name, value);
        self
    }

    /// Pads values to a multiple of `multiple` bytes, 1 to 4,096, before encryption, so that the
    /// stored length reveals only the multiple. Default: 1. Every value has at least one byte of
    /// padding (ISO/IEC 7816-4), so a later change does not affect stored values.
    pub const fn pad_to(mut self, multiple: usize) -> Self {
        self.padding = multiple;
        self
    }

    /// Encrypts values with data keys that are cached for up to `max_age`, one for each tenant,
    /// instead of calling the KMS for each value.
    ///
    /// The audit trail then contains the data keys and not the values, and disabling a key takes
    /// effect only after `max_age`. [`DataKeyCache::clear`] removes cached data keys immediately.
    /// Values written with one data key are also read with one call.
    pub const fn cached_data_keys(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the maximum number of values per cached data key. Default: 2^32, the largest allowed
    /// number.
    pub const fn max_values_per_data_key(mut self, values: u64) -> Self {
        self.max_values = values;
        self
    }

    /// Uses this cache instead of a new one, so that several columns share its capacity. A column
    /// uses only its own entries.
    pub fn cache(mut self, cache: &DataKeyCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Sets the clock that determines the age of cached data keys. Default: the system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the cryptographic backend of values with a data key. Default:
    /// [`FASTEST`](crate::crypto::FASTEST).
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Creates the column.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a name is empty, too long, or contains control
    ///   characters, if a context pair has a name that the column uses itself, or if a number is
    ///   outside its range.
    /// - [`Internal`](ErrorKind::Internal) if the random generator fails.
    ///
    /// # Examples
    /// ```
    /// use strongroom::columns::{Column, ColumnKeys};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let keys = ColumnKeys::new(&Kms::in_memory()?, "alias/users")?;
    /// let reserved = Column::<String>::builder(&keys, "users", "phone").context("row", "1").build().unwrap_err();
    /// assert_eq!(reserved.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn build(self) -> Result<Column<T>> {
        let mut context = place(&self.table, &self.name)?;
        for (name, value) in self.context.iter() {
            check_pair(name)?;
            context.insert(name, value);
        }
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if !(1..=MAX_PADDING).contains(&self.padding) {
            return refused(format!("values are padded to a multiple of 1 to {MAX_PADDING}, not {}", self.padding));
        }
        if !(1..=MAX_MESSAGES).contains(&self.max_values) {
            return refused(format!(
                "the limit of values per data key must be 1 to {MAX_MESSAGES}, not {}",
                self.max_values
            ));
        }
        let terms = |max_age| Terms { max_age, max_messages: self.max_values, max_bytes: u64::MAX };
        let caching = Caching::new(self.max_age.map(terms), self.cache, self.clock, &self.backend)?;
        let data_keys = DataKeys { keys: self.keys, backend: self.backend, caching };
        Ok(Column::from_cipher(Cipher {
            table: self.table,
            name: self.name,
            context,
            data_keys,
            padding: self.padding,
        }))
    }
}

/// Rejects names of context pairs that a column sets itself.
fn check_pair(name: &str) -> Result<()> {
    check_name("a name in the encryption context", name)?;
    let own = ["table", "column", TENANT, ROW].contains(&name) || name.starts_with("row.");
    if own || name.starts_with(RESERVED_CONTEXT_PREFIX) {
        let text = format!("the name {name:?} in the encryption context is reserved");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(())
}

impl<T> fmt::Debug for ColumnBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnBuilder").field("table", &self.table).field("name", &self.name).finish_non_exhaustive()
    }
}
