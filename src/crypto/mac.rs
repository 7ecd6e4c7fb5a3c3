//! Message authentication with HMAC.

use std::fmt::{self, Debug};

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use super::DigestAlgorithm;

/// The MAC part of a backend: HMAC (RFC 2104, FIPS 198-1).
///
/// # Examples
/// The first 4 bytes of test case 2 of RFC 4231, section 4.3:
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let key = CryptoBackend::default().mac().bind(DigestAlgorithm::Sha256, b"Jefe");
/// let tag = key.authenticate(&[b"what do ya want ", b"for nothing?"]);
/// assert_eq!(tag.expose_secret()[..4], [0x5b, 0xdc, 0xc1, 0x46]);
/// assert!(key.verify(&[b"what do ya want for nothing?"], tag.expose_secret()));
/// assert!(!key.verify(&[b"what do ya want for nothing?"], &tag.expose_secret()[..16]));
/// ```
pub trait Mac: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Prepares a key of any length for use in many calls. The key is wiped when the result is
    /// dropped.
    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Box<dyn MacKey>;
}

/// A MAC key that is ready for use.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let key = CryptoBackend::default().mac().bind(DigestAlgorithm::Sha256, &[7; 32]);
/// let tag = key.authenticate(&[b"a message"]);
/// assert!(key.verify(&[b"a ", b"message"], tag.expose_secret()));
/// assert!(!key.verify(&[b"another message"], tag.expose_secret()));
/// ```
pub trait MacKey: Send + Sync {
    /// Returns the MAC of the concatenation of `parts`, which is as long as the hash output.
    fn authenticate(&self, parts: &[&[u8]]) -> MacTag;

    /// Returns `true` if `tag` is the complete MAC of the concatenation of `parts`. The comparison
    /// takes constant time.
    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.authenticate(parts).expose_secret().ct_eq(tag).into()
    }
}

/// A MAC of up to 64 bytes, stored without allocation. It may be the output of a key derivation, so
/// it is treated like [`SecretBytes`](crate::SecretBytes): wiped when dropped, neither `Copy` nor
/// `Clone`, redacted in `Debug`, and compared in constant time.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
///
/// let key = CryptoBackend::default().mac().bind(DigestAlgorithm::Sha256, b"key");
/// let tag = key.authenticate(&[b"message"]);
/// assert_eq!(tag.expose_secret().len(), 32);
/// assert_eq!(format!("{tag:?}"), "MacTag(32 bytes)");
/// assert_ne!(tag, key.authenticate(&[b"another message"]));
/// ```
pub struct MacTag {
    bytes: [u8; 64],
    length: usize,
}

impl MacTag {
    /// Copies a value of at most 64 bytes. Truncates longer values, which no algorithm here
    /// produces.
    pub(crate) fn copy_from_slice(value: &[u8]) -> Self {
        let length = value.len().min(64);
        let mut bytes = [0; 64];
        bytes[..length].copy_from_slice(&value[..length]);
        Self { bytes, length }
    }

    /// Returns the bytes. The caller is responsible for every copy of them.
    pub fn expose_secret(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for MacTag {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl ConstantTimeEq for MacTag {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose_secret().ct_eq(other.expose_secret())
    }
}

impl PartialEq for MacTag {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for MacTag {}

impl Debug for MacTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacTag({} bytes)", self.length)
    }
}
