//! The ciphertext blob. This module owns its prefix and its limits; the body of scheme 1 is made by
//! [`CommittingKey`](crate::seal::CommittingKey), that of scheme 2 by the provider.
//!
#![doc = include_str!("manual/blob_format.md")]

use crate::error::{Error, ErrorKind};
use crate::key::MAX_PLAINTEXT_BYTES;
use crate::seal::OVERHEAD;

/// Bytes of the prefix.
pub const PREFIX_LENGTH: usize = 22;

/// The most bytes a blob may have: what AWS KMS takes for its own.
pub const MAX_BLOB_LENGTH: usize = 6144;

const VERSION: u8 = 1;

/// Who defines the body of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// The committing construction of this crate.
    Committing,
    /// The provider that keeps the key.
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

/// What stands before the body of a blob. It is authenticated by the body and not secret.
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
    /// Who defines the body.
    pub scheme: Scheme,
    /// The key it was made under.
    pub key_id: [u8; 16],
    /// The version of that key's material.
    pub key_version: u32,
}

impl BlobPrefix {
    /// Writes the prefix.
    pub fn to_bytes(&self) -> [u8; PREFIX_LENGTH] {
        let mut bytes = [0; PREFIX_LENGTH];
        bytes[0] = VERSION;
        bytes[1] = self.scheme.to_byte();
        bytes[2..18].copy_from_slice(&self.key_id);
        bytes[18..].copy_from_slice(&self.key_version.to_be_bytes());
        bytes
    }

    /// Takes a whole blob apart into prefix and body. Says nothing yet of whether the body opens.
    ///
    /// # Errors
    /// [`BlobError`] says what is wrong.
    pub fn parse(blob: &[u8]) -> Result<(Self, &[u8]), BlobError> {
        if looks_base64_encoded(blob) {
            return Err(BlobError::Base64);
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

    /// Refuses a blob that is shorter or longer than its scheme makes any. Bodies of providers have the limit of the
    /// whole only.
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

/// The first two bytes of a blob fix two characters of base64 and leave four choices of the third for each scheme.
const fn looks_base64_encoded(blob: &[u8]) -> bool {
    matches!(blob, [b'A', b'Q', b'E'..=b'L', ..])
}

const fn too_short(blob: &[u8], needed: usize) -> BlobError {
    BlobError::TooShort { length: blob.len(), needed }
}

/// Why bytes are not a ciphertext blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// It starts as the base64 encoding of a blob does.
    #[error("it looks base64-encoded: decode it first")]
    Base64,
    /// It is longer than any blob of its scheme.
    #[error("it has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// It is cut off.
    #[error("it has {length} bytes, at least {needed} are needed")]
    TooShort {
        /// Its length in bytes.
        length: usize,
        /// The fewest that are needed.
        needed: usize,
    },
    /// It is of a version that this release does not know.
    #[error("its version is {version}, only version 1 is known")]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// It is of a scheme that this release does not know.
    #[error("its scheme is {scheme}, only schemes 1 and 2 are known")]
    Scheme {
        /// The scheme that it names.
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
