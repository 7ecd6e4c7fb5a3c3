//! The stored form of a value.
//!
//! ```text
//! format 1: u8 1 | blob
//! format 2: u8 2 | u16 length | wrapped data key: a blob | salt (24) | commitment (32) | ciphertext | tag (16)
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use base64ct::{Base64, Encoding};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blob::{BlobError, BlobPrefix, MAX_BLOB_LENGTH};
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;
use crate::seal::OVERHEAD;

/// The maximum length of a value in bytes, before encryption and including its padding: 16 MiB.
pub const MAX_VALUE_BYTES: usize = 16 << 20;

/// The maximum length of a stored value in bytes.
pub const MAX_STORED_BYTES: usize = 3 + MAX_BLOB_LENGTH + OVERHEAD + MAX_VALUE_BYTES;

/// The first byte of a value that is a blob of the KMS.
pub(super) const BLOB: u8 = 1;

/// The first byte of a value with a wrapped data key.
pub(super) const DATA_KEY: u8 = 2;

/// The first byte that no format will have: plaintext begins with it, or with a later one.
const FIRST_CHARACTER: u8 = b' ';

/// An encrypted value as it is stored: bytes for a column of type `BLOB`, `BYTEA` or `VARBINARY`.
///
/// [`Column::encrypt`](super::Column::encrypt) returns it, and [`Column::decrypt`](super::Column::decrypt)
/// opens it. A missing value is `Option<Encrypted<T>>` and `NULL` in the database: it is neither
/// encrypted nor hidden. An empty text is a value like any other.
///
/// With serde, it is a byte string, or Base64 text in formats for people such as JSON. Bytes that
/// are no stored value are rejected wherever they enter, so an `Encrypted` is always well-formed. It
/// shows which key encrypted it. Only decryption shows that it is authentic.
///
/// `T` is the type of the value inside. It is not part of the bytes.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let column = Column::<String>::new(&ColumnKeys::new(&kms, key.key_id())?, "users", "phone")?;
/// let stored = column.encrypt(&RowId::new(1), "+44 20 7946 0123")?;
/// assert_eq!((stored.format(), stored.key_id(), stored.key_version()), (1, key.key_id(), 1));
///
/// // With a driver without support for the type, store the bytes.
/// let bytes: Vec<u8> = stored.clone().into_bytes();
/// assert_eq!(Encrypted::<String>::from_bytes(bytes)?.as_bytes(), stored.as_bytes());
/// let json = serde_json::to_string(&stored)?;
/// assert_eq!(serde_json::from_str::<Encrypted<String>>(&json)?, stored);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Encrypted<T> {
    bytes: Vec<u8>,
    key: BlobPrefix,
    value: PhantomData<fn() -> T>,
}

impl<T> Encrypted<T> {
    /// Accepts the bytes of a stored value, without checking that they can be decrypted.
    ///
    /// # Errors
    /// - [`StoredValueError`] if the bytes do not have the form of a stored value.
    ///
    /// # Examples
    /// ```
    /// use strongroom::columns::{Encrypted, StoredValueError};
    ///
    /// assert_eq!(Encrypted::<String>::from_bytes(Vec::new()), Err(StoredValueError::Empty));
    /// assert_eq!(Encrypted::<String>::from_bytes(vec![9, 9]), Err(StoredValueError::Format { format: 9 }));
    /// ```
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, StoredValueError> {
        let key = Parts::parse(&bytes)?.key();
        Ok(Self { bytes, key, value: PhantomData })
    }

    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Converts the value into the bytes to store.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the format: 1 for a blob of the KMS, 2 for a value with a wrapped data key.
    pub fn format(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// Returns the ID of the key that encrypted the value. It is not authenticated.
    pub const fn key_id(&self) -> KeyId {
        KeyId::from_bytes(self.key.key_id)
    }

    /// Returns the version of the key's material. It is not authenticated.
    pub const fn key_version(&self) -> u32 {
        self.key.key_version
    }

    /// Returns the key and version of the value.
    pub(super) const fn key(&self) -> BlobPrefix {
        self.key
    }

    /// Returns the parts of the value.
    pub(super) fn parts(&self) -> Result<Parts<'_>, StoredValueError> {
        Parts::parse(&self.bytes)
    }
}

/// The parts of a stored value.
pub(super) enum Parts<'a> {
    /// The value is a blob of the KMS.
    Blob {
        /// The blob.
        blob: &'a [u8],
        /// Its prefix.
        prefix: BlobPrefix,
    },
    /// The value is encrypted with a data key.
    DataKey {
        /// The wrapped data key.
        wrapped: &'a [u8],
        /// The prefix of the wrapped data key.
        prefix: BlobPrefix,
        /// The value under the data key.
        body: &'a [u8],
    },
}

impl<'a> Parts<'a> {
    /// Splits a stored value.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, StoredValueError> {
        if bytes.len() > MAX_STORED_BYTES {
            return Err(StoredValueError::TooLong { length: bytes.len(), limit: MAX_STORED_BYTES });
        }
        match *bytes {
            [] => Err(StoredValueError::Empty),
            [BLOB, ref blob @ ..] => Ok(Self::Blob { blob, prefix: BlobPrefix::parse(blob)?.0 }),
            [DATA_KEY, ref rest @ ..] => Self::with_data_key(bytes.len(), rest),
            [format @ ..FIRST_CHARACTER, ..] => Err(StoredValueError::Format { format }),
            [..] => Err(StoredValueError::NotEncrypted),
        }
    }

    fn with_data_key(length: usize, rest: &'a [u8]) -> Result<Self, StoredValueError> {
        let short = |needed| StoredValueError::Truncated { length, needed };
        let (wrapped_length, rest) = rest.split_first_chunk().ok_or_else(|| short(3))?;
        let wrapped_length = usize::from(u16::from_be_bytes(*wrapped_length));
        // At least one byte is encrypted: the padding.
        let needed = 3 + wrapped_length + OVERHEAD + 1;
        if length < needed {
            return Err(short(needed));
        }
        let (wrapped, body) = rest.split_at(wrapped_length);
        if body.len() > OVERHEAD + MAX_VALUE_BYTES {
            return Err(StoredValueError::TooLong { length: body.len(), limit: OVERHEAD + MAX_VALUE_BYTES });
        }
        Ok(Self::DataKey { wrapped, prefix: BlobPrefix::parse(wrapped)?.0, body })
    }

    const fn key(&self) -> BlobPrefix {
        match self {
            Self::Blob { prefix, .. } | Self::DataKey { prefix, .. } => *prefix,
        }
    }
}

/// Reasons why bytes are no stored value of an encrypted column.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::columns::{Encrypted, StoredValueError};
///
/// let plaintext = Encrypted::<String>::from_bytes(b"+44 20 7946 0123".to_vec()).unwrap_err();
/// assert_eq!(plaintext, StoredValueError::NotEncrypted);
/// assert_eq!(strongroom::Error::from(plaintext).kind(), ErrorKind::InvalidCiphertext);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredValueError {
    /// There are no bytes. A missing value is `NULL`, and an encrypted empty value has bytes.
    #[error("it has no bytes, but every encrypted value has some")]
    Empty,
    /// This release does not support the format.
    #[error("its format is {format}, but only formats 1 and 2 are supported")]
    Format {
        /// The first byte, a control character.
        format: u8,
    },
    /// The bytes were never encrypted. The error does not contain the first of them, because it may be
    /// the only one.
    #[error("it was not encrypted by a column")]
    NotEncrypted,
    /// The value is truncated.
    #[error("it has {length} bytes, but at least {needed} are required")]
    Truncated {
        /// The length in bytes.
        length: usize,
        /// The minimum length in bytes.
        needed: usize,
    },
    /// The value is longer than allowed.
    #[error("it has {length} bytes, but at most {limit} are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The blob, or the wrapped data key, is malformed.
    #[error("its blob is malformed")]
    Blob(#[from] BlobError),
    /// Text is not Base64.
    #[error("its text is not Base64 with padding")]
    Base64,
}

impl StoredValueError {
    /// Returns the text with that of its cause, for errors that consist of one text.
    fn with_reason(self) -> String {
        match self {
            Self::Blob(reason) => format!("{self}: {reason}"),
            error => error.to_string(),
        }
    }
}

impl From<StoredValueError> for Error {
    fn from(error: StoredValueError) -> Self {
        let text = format!("the bytes are not an encrypted value: {}", error.with_reason());
        Self::new(ErrorKind::InvalidCiphertext, text).with_source(error)
    }
}

impl<T> Clone for Encrypted<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), key: self.key, value: PhantomData }
    }
}

impl<T> PartialEq for Encrypted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Encrypted<T> {}

impl<T> Hash for Encrypted<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<T> AsRef<[u8]> for Encrypted<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> TryFrom<Vec<u8>> for Encrypted<T> {
    type Error = StoredValueError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, StoredValueError> {
        Self::from_bytes(bytes)
    }
}

impl<T> TryFrom<&[u8]> for Encrypted<T> {
    type Error = StoredValueError;

    /// Checks the bytes before it copies them.
    fn try_from(bytes: &[u8]) -> Result<Self, StoredValueError> {
        let key = Parts::parse(bytes)?.key();
        Ok(Self { bytes: bytes.to_vec(), key, value: PhantomData })
    }
}

impl<T> From<Encrypted<T>> for Vec<u8> {
    fn from(value: Encrypted<T>) -> Self {
        value.bytes
    }
}

/// Shows format, key and length, and no byte of the value.
impl<T> fmt::Debug for Encrypted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("format", &self.format())
            .field("key_id", &self.key_id())
            .field("key_version", &self.key_version())
            .field("length", &self.bytes.len())
            .finish()
    }
}

impl<T> Serialize for Encrypted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&Base64::encode_string(&self.bytes))
        } else {
            serializer.serialize_bytes(&self.bytes)
        }
    }
}

impl<'de, T> Deserialize<'de> for Encrypted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = if deserializer.is_human_readable() {
            deserializer.deserialize_str(StoredBytes)?
        } else {
            deserializer.deserialize_byte_buf(StoredBytes)?
        };
        Self::from_bytes(found).map_err(|error| D::Error::custom(error.with_reason()))
    }
}

/// Deserializes at most [`MAX_STORED_BYTES`].
struct StoredBytes;

impl StoredBytes {
    fn check(length: usize) -> Result<(), StoredValueError> {
        match length {
            length if length > MAX_STORED_BYTES => Err(StoredValueError::TooLong { length, limit: MAX_STORED_BYTES }),
            _ => Ok(()),
        }
    }
}

impl<'de> Visitor<'de> for StoredBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encrypted value: bytes, or text in Base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Self::check(text.len() / 4 * 3).map_err(E::custom)?;
        Base64::decode_vec(text).map_err(|_| E::custom(StoredValueError::Base64))
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Self::check(bytes.len()).map_err(E::custom)?;
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Self::check(bytes.len()).map_err(E::custom)?;
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
            Self::check(bytes.len()).map_err(A::Error::custom)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
