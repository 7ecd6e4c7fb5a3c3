//! Hash functions.

use std::fmt::Debug;

/// A hash function of the SHA-2 family (FIPS 180-4).
///
/// # Examples
/// ```
/// use strongroom::crypto::DigestAlgorithm;
///
/// assert_eq!(DigestAlgorithm::Sha384.output_length(), 48);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256: 32 bytes.
    Sha256,
    /// SHA-384: 48 bytes.
    Sha384,
    /// SHA-512: 64 bytes.
    Sha512,
    /// SHA-224: 28 bytes. Used only for HMAC keys of that size.
    Sha224,
}

impl DigestAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha224];

    /// Returns the length of a hash value in bytes: 28, 32, 48, or 64.
    pub const fn output_length(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A hash value of up to 64 bytes, stored without allocation. It is not secret; see
/// [`MacTag`](super::MacTag) for MACs.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let value = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha512, &[b"abc"]);
/// assert_eq!((value.as_ref().len(), value.as_ref()[0]), (64, 0xdd));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DigestValue {
    bytes: [u8; 64],
    length: usize,
}

impl DigestValue {
    /// Copies a value of at most 64 bytes. Truncates longer values, which no algorithm here
    /// produces.
    pub(crate) fn from_slice(value: &[u8]) -> Self {
        let length = value.len().min(64);
        let mut bytes = [0; 64];
        bytes[..length].copy_from_slice(&value[..length]);
        Self { bytes, length }
    }
}

impl AsRef<[u8]> for DigestValue {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The hash part of a backend.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let digest = CryptoBackend::default().digest();
/// let mut hasher = digest.hasher(DigestAlgorithm::Sha256);
/// hasher.update(b"a");
/// hasher.update(b"bc");
/// assert_eq!(hasher.finish(), digest.digest(DigestAlgorithm::Sha256, &[b"abc"]));
/// ```
pub trait Digest: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Starts an incremental hash computation.
    fn hasher(&self, algorithm: DigestAlgorithm) -> Box<dyn Hasher>;

    /// Hashes the concatenation of `parts`.
    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> DigestValue;
}

/// A hash in progress.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let mut hasher = CryptoBackend::default().digest().hasher(DigestAlgorithm::Sha384);
/// for part in ["a message, ", "in pieces"] {
///     hasher.update(part.as_bytes());
/// }
/// assert_eq!(hasher.finish().as_ref().len(), 48);
/// ```
pub trait Hasher: Send + Sync {
    /// Appends bytes.
    fn update(&mut self, bytes: &[u8]);

    /// Finishes the computation and returns the hash value.
    fn finish(self: Box<Self>) -> DigestValue;
}
