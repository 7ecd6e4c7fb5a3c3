//! Names by which the same material is known again.

use std::fmt;

use crate::crypto::{CryptoBackend, DigestAlgorithm, MacKey};

/// A secret under which key material gets its identity: a name by which the same material is known again, and which is
/// no test of guesses at it for anyone without the secret.
///
/// ```text
/// identity = HMAC-SHA-256(secret, for each part: u64 length ‖ part)
/// ```
///
/// It is a secret of the store, not of the root key, so that identities stay when the root key is replaced.
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
    /// Takes over a secret of 32 random bytes.
    pub fn new(backend: &CryptoBackend, secret: &[u8; 32]) -> Self {
        Self(backend.mac().bind(DigestAlgorithm::Sha256, secret))
    }

    /// The identity of a sequence of parts. With its length before each part, no two sequences are the same bytes.
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
