//! Identifiers by which key material is recognized.

use std::fmt;

use crate::crypto::{CryptoBackend, DigestAlgorithm, MacKey};

/// A secret from which identifiers of key material are computed. The same material always has the
/// same identifier. Without the secret, an identifier cannot be used to test guesses at the
/// material.
///
/// ```text
/// identity = HMAC-SHA-256(secret, for each part: u64 length ‖ part)
/// ```
///
/// The secret belongs to the store, not to the root key, so identifiers do not change when the root
/// key is replaced.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::seal::IdentityKey;
///
/// let key = IdentityKey::new(&CryptoBackend::default(), &[7; 32]);
/// assert_eq!(key.identify(&[b"key 1", b"material"]), key.identify(&[b"key 1", b"material"]));
/// assert_ne!(key.identify(&[b"key 1", b"material"]), key.identify(&[b"key 1m", b"aterial"]));
/// ```
pub struct IdentityKey(Box<dyn MacKey>);

impl IdentityKey {
    /// Creates a key from a secret of 32 random bytes.
    pub fn new(backend: &CryptoBackend, secret: &[u8; 32]) -> Self {
        Self(backend.mac().bind(DigestAlgorithm::Sha256, secret))
    }

    /// Returns the identifier of a sequence of parts. The length of each part is encoded before it,
    /// so no two sequences encode to the same bytes.
    pub fn identify(&self, parts: &[&[u8]]) -> [u8; 32] {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| length_bytes(part)).collect();
        let encoded: Vec<&[u8]> =
            lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), *part]).collect();
        let mut identity = [0; 32];
        identity.copy_from_slice(self.0.authenticate(&encoded).expose_secret());
        identity
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(..)")
    }
}

fn length_bytes(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).expect("no slice is longer than 2^64 bytes").to_be_bytes()
}
