//! Types of values, and the bytes that represent them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// A type that an encrypted column can hold, and the bytes that represent it before encryption.
///
/// | type | bytes |
/// |---|---|
/// | `String` | UTF-8 |
/// | `Vec<u8>`, [`SecretBytes`] | themselves |
/// | [`Json<T>`] | JSON, without spaces |
///
/// Numbers, dates and structures are stored as JSON: it is readable without this crate, and a field
/// that is added with a default does not make older values unreadable. Implement the trait for
/// another encoding, and never change the encoding of a type while values of it are stored.
///
/// # Examples
/// ```
/// use strongroom::columns::{Column, ColumnKeys, ColumnValue, RowId};
/// use strongroom::{Error, ErrorKind, Kms, Result, SecretBytes};
///
/// #[derive(Debug, PartialEq)]
/// struct Pin(u16);
///
/// impl ColumnValue for Pin {
///     type Borrowed = Self;
///
///     fn encode(value: &Self) -> Result<SecretBytes> {
///         Ok(SecretBytes::copy_from_slice(&value.0.to_be_bytes()))
///     }
///
///     fn as_borrowed(&self) -> &Self {
///         self
///     }
///
///     fn decode(bytes: &[u8]) -> Result<Self> {
///         let bytes = bytes.try_into().map_err(|_| Error::new(ErrorKind::Validation, "a PIN has two bytes"))?;
///         Ok(Self(u16::from_be_bytes(bytes)))
///     }
/// }
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let column = Column::<Pin>::new(&keys, "cards", "pin")?;
/// let stored = column.encrypt(&RowId::new(7), &Pin(4711))?;
/// assert_eq!(column.decrypt(&RowId::new(7), &stored)?, Pin(4711));
/// # Ok::<(), Error>(())
/// ```
pub trait ColumnValue: Sized {
    /// The form that is encrypted: `str` for `String`, `[u8]` for bytes, otherwise the type itself.
    type Borrowed: ?Sized;

    /// Returns the bytes of a value.
    ///
    /// # Errors
    /// - Any error, if the value has no bytes. Its text must not contain the value.
    fn encode(value: &Self::Borrowed) -> Result<SecretBytes>;

    /// Returns the form that is encrypted, for a value that was decrypted.
    fn as_borrowed(&self) -> &Self::Borrowed;

    /// Returns the value of bytes that were decrypted.
    ///
    /// # Errors
    /// - Any error, if the bytes represent no value. Its text must not contain them.
    fn decode(bytes: &[u8]) -> Result<Self>;
}

impl ColumnValue for String {
    type Borrowed = str;

    fn encode(value: &str) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(value.as_bytes()))
    }

    fn as_borrowed(&self) -> &str {
        self
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::new(ErrorKind::Validation, "it is not UTF-8 text"))
    }
}

impl ColumnValue for Vec<u8> {
    type Borrowed = [u8];

    fn encode(value: &[u8]) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(value))
    }

    fn as_borrowed(&self) -> &[u8] {
        self
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(bytes.to_vec())
    }
}

impl ColumnValue for SecretBytes {
    type Borrowed = [u8];

    fn encode(value: &[u8]) -> Result<SecretBytes> {
        Ok(Self::copy_from_slice(value))
    }

    fn as_borrowed(&self) -> &[u8] {
        self.expose_secret()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(Self::copy_from_slice(bytes))
    }
}

/// A value that is stored as JSON, for numbers, dates, enums and structures with serde.
///
/// JSON cannot represent every value: maps need keys that are text or numbers, and the numbers NaN
/// and infinity become `null`.
///
/// # Examples
/// ```
/// use serde::{Deserialize, Serialize};
/// use strongroom::Kms;
/// use strongroom::columns::{Column, ColumnKeys, Json, RowId};
///
/// #[derive(Debug, Deserialize, PartialEq, Serialize)]
/// struct Address {
///     street: String,
///     #[serde(default)]
///     floor: Option<i8>, // added later
/// }
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let column = Column::<Json<Address>>::new(&keys, "users", "address")?;
/// let address = Address { street: "12 Long Lane".to_owned(), floor: None };
/// let stored = column.encrypt(&RowId::new(1), &address)?;
/// let Json(read) = column.decrypt(&RowId::new(1), &stored)?;
/// assert_eq!(read, address);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(
    /// The value.
    pub T,
);

impl<T: Serialize + DeserializeOwned> ColumnValue for Json<T> {
    type Borrowed = T;

    fn encode(value: &T) -> Result<SecretBytes> {
        let failed = |error| json_error("it cannot be represented as JSON", &error);
        let length = length_of(value).map_err(failed)?;
        // An exact allocation: one that grows leaves copies of the value behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        serde_json::to_writer(&mut *bytes, value).map_err(failed)?;
        Ok(SecretBytes::from_vec(std::mem::take(&mut *bytes)))
    }

    fn as_borrowed(&self) -> &T {
        &self.0
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let failed = |error| json_error("its JSON does not fit the type", &error);
        serde_json::from_slice(bytes).map(Self).map_err(failed)
    }
}

/// Returns an error without the text of the serializer, which may contain the value.
fn json_error(what: &str, error: &serde_json::Error) -> Error {
    let category = match error.classify() {
        serde_json::error::Category::Io => "I/O",
        serde_json::error::Category::Syntax => "syntax",
        serde_json::error::Category::Data => "data",
        serde_json::error::Category::Eof => "unexpected end",
    };
    Error::new(ErrorKind::Validation, format!("{what} ({category} error)"))
}

/// Returns the length of a value as JSON, in bytes.
fn length_of<T: Serialize>(value: &T) -> Result<usize, serde_json::Error> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value)?;
    Ok(counter.0)
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
