//! The ciphertext blob. This module defines the prefix and the limits of blobs.
//! [`CommittingKey`](crate::seal::CommittingKey) creates the body of scheme 1, the provider that of
//! scheme 2.
//!
//! A blob is what [`Kms::encrypt`](crate::Kms::encrypt) returns for a symmetric key. [`BlobPrefix`]
//! shows which key and version encrypted it, without any key.
//!
//! # Examples
//! ```
//! use strongroom::Kms;
//! use strongroom::blob::{BlobPrefix, MAX_BLOB_LENGTH};
//! use strongroom::request::EncryptRequest;
//!
//! let kms = Kms::in_memory()?;
//! let key = kms.create_key(Default::default())?.key_id();
//! let blob = kms.encrypt(EncryptRequest::new(key, &[7; 4_096]))?.ciphertext_blob;
//! assert_eq!(blob.len(), 4_096 + 94);
//! assert!(blob.len() <= MAX_BLOB_LENGTH);
//! assert_eq!(BlobPrefix::parse(&blob)?.0.key_id, *key.as_bytes());
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
#![doc = include_str!("manual/blob_format.md")]

use crate::error::{Error, ErrorKind};
use crate::key::MAX_PLAINTEXT_BYTES;
use crate::seal::OVERHEAD;

/// The length of the prefix in bytes.
pub const PREFIX_LENGTH: usize = 22;

/// The maximum length of a blob in bytes, the same as for blobs of AWS KMS.
pub const MAX_BLOB_LENGTH: usize = 6144;

const VERSION: u8 = 1;

/// The definition of a blob's body.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::blob::{BlobPrefix, Scheme};
/// use strongroom::request::EncryptRequest;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let blob = kms.encrypt(EncryptRequest::new(key.key_id(), b"password"))?.ciphertext_blob;
/// assert_eq!(BlobPrefix::parse(&blob)?.0.scheme, Scheme::Committing);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// The body uses the committing construction of this crate.
    Committing,
    /// The body is defined by the provider that stores the key.
    Provider,
}

impl Scheme {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Committing => 1,
            Self::Provider => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Committing),
            2 => Some(Self::Provider),
            _ => None,
        }
    }
}

/// The prefix of a blob. It is authenticated by the body and not secret.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::blob::{BlobPrefix, Scheme};
/// use strongroom::request::EncryptRequest;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let blob = kms.encrypt(EncryptRequest::new(key.key_id(), b"password"))?.ciphertext_blob;
/// let (prefix, _body) = BlobPrefix::parse(&blob)?;
/// assert_eq!((prefix.scheme, prefix.key_version), (Scheme::Committing, 1));
/// assert_eq!(&prefix.key_id, key.key_id().as_bytes());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobPrefix {
    /// The definition of the body.
    pub scheme: Scheme,
    /// The id of the key that encrypted the blob.
    pub key_id: [u8; 16],
    /// The version of the key's material.
    pub key_version: u32,
}

impl BlobPrefix {
    /// Serializes the prefix.
    ///
    /// # Examples
    /// ```
    /// use strongroom::blob::{BlobPrefix, PREFIX_LENGTH, Scheme};
    ///
    /// let prefix = BlobPrefix { scheme: Scheme::Committing, key_id: [7; 16], key_version: 3 };
    /// let bytes = prefix.to_bytes();
    /// assert_eq!((bytes.len(), &bytes[..2], &bytes[18..]), (PREFIX_LENGTH, &[1, 1][..], &[0, 0, 0, 3][..]));
    /// ```
    pub fn to_bytes(&self) -> [u8; PREFIX_LENGTH] {
        let mut bytes = [0; PREFIX_LENGTH];
        bytes[0] = VERSION;
        bytes[1] = self.scheme.to_byte();
        bytes[2..18].copy_from_slice(&self.key_id);
        bytes[18..].copy_from_slice(&self.key_version.to_be_bytes());
        bytes
    }

    /// Splits a complete blob into prefix and body. Parsing does not show that the body can be
    /// decrypted.
    ///
    /// # Errors
    /// - [`BlobError`] if `blob` is not a valid ciphertext blob
    ///
    /// # Examples
    /// The prefix shows which version of a key encrypted a blob, for example to find blobs to re-encrypt:
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::blob::BlobPrefix;
    /// use strongroom::request::EncryptRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// kms.rotate_key_on_demand(key)?;
    /// let blob = kms.encrypt(EncryptRequest::new(key, b"password"))?.ciphertext_blob;
    /// let (prefix, body) = BlobPrefix::parse(&blob)?;
    /// assert_eq!((prefix.key_version, body.len()), (2, blob.len() - 22));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn parse(blob: &[u8]) -> Result<(Self, &[u8]), BlobError> {
        if looks_base64_encoded(blob) {
            return Err(BlobError::Base64);
        }
        if is_envelope_message(blob) {
            return Err(BlobError::EnvelopeMessage);
        }
        if blob.len() > MAX_BLOB_LENGTH {
            return Err(BlobError::TooLong { length: blob.len(), limit: MAX_BLOB_LENGTH });
        }
        let (prefix, body) = blob.split_first_chunk().ok_or_else(|| too_short(blob, PREFIX_LENGTH))?;
        let prefix = Self::from_bytes(prefix)?;
        prefix.check_length(blob)?;
        Ok((prefix, body))
    }

    fn from_bytes(bytes: &[u8; PREFIX_LENGTH]) -> Result<Self, BlobError> {
        let [version, scheme, rest @ ..] = *bytes;
        if version != VERSION {
            return Err(BlobError::Version { version });
        }
        let scheme = Scheme::from_byte(scheme).ok_or(BlobError::Scheme { scheme })?;
        let mut key_id = [0; 16];
        key_id.copy_from_slice(&rest[..16]);
        let mut key_version = [0; 4];
        key_version.copy_from_slice(&rest[16..]);
        Ok(Self { scheme, key_id, key_version: u32::from_be_bytes(key_version) })
    }

    /// Rejects a blob whose length is impossible for its scheme. Bodies of providers are limited
    /// only by the maximum length of a blob.
    fn check_length(&self, blob: &[u8]) -> Result<(), BlobError> {
        let (shortest, longest) = match self.scheme {
            Scheme::Committing => (PREFIX_LENGTH + OVERHEAD + 1, PREFIX_LENGTH + OVERHEAD + MAX_PLAINTEXT_BYTES),
            Scheme::Provider => (PREFIX_LENGTH + 1, MAX_BLOB_LENGTH),
        };
        match blob.len() {
            length if length < shortest => Err(too_short(blob, shortest)),
            length if length > longest => Err(BlobError::TooLong { length, limit: longest }),
            _ => Ok(()),
        }
    }
}

/// The first two bytes of a blob determine two base64 characters and leave four choices for the
/// third one per scheme.
const fn looks_base64_encoded(blob: &[u8]) -> bool {
    matches!(blob, [b'A', b'Q', b'E'..=b'L', ..])
}

/// Recognizes the first bytes of either version of a message: version and type, or version and suite.
const fn is_envelope_message(blob: &[u8]) -> bool {
    matches!(blob, [1, 0x80, ..] | [2, 4 | 5, 0x78, ..])
}

const fn too_short(blob: &[u8], needed: usize) -> BlobError {
    BlobError::TooShort { length: blob.len(), needed }
}

/// The reason why bytes are not a ciphertext blob.
///
/// # Examples
/// ```
/// use strongroom::blob::{BlobError, BlobPrefix};
///
/// assert_eq!(BlobPrefix::parse(b"AQEBase64 text of a blob"), Err(BlobError::Base64));
/// assert_eq!(BlobPrefix::parse(b"short"), Err(BlobError::TooShort { length: 5, needed: 22 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The bytes start like the base64 encoding of a blob.
    #[error("it looks base64-encoded: decode it to bytes first")]
    Base64,
    /// The bytes start like a message of an [`Envelope`](crate::Envelope).
    #[error("it is a message of an envelope: decrypt it with Envelope::decrypt")]
    EnvelopeMessage,
    /// The blob is longer than its scheme allows.
    #[error("it has {length} bytes, but at most {limit} are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The blob is truncated.
    #[error("it has {length} bytes, but at least {needed} are required")]
    TooShort {
        /// The length in bytes.
        length: usize,
        /// The minimum length in bytes.
        needed: usize,
    },
    /// This release does not support the version of the blob.
    #[error("its version is {version}, but only version 1 is supported")]
    Version {
        /// The version of the blob.
        version: u8,
    },
    /// This release does not support the scheme of the blob.
    #[error("its scheme is {scheme}, but only schemes 1 and 2 are supported")]
    Scheme {
        /// The scheme of the blob.
        scheme: u8,
    },
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        Self::new(ErrorKind::InvalidCiphertext, format!("the bytes are not a ciphertext blob: {error}"))
            .with_source(error)
    }
}

#[cfg(test)]
mod tests;
