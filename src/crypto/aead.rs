//! Authenticated encryption with associated data.

use std::fmt::Debug;

use super::CryptoError;

/// Bytes of a nonce (the IV of GCM).
pub const NONCE_LENGTH: usize = 12;

/// Bytes of an authentication tag.
pub const TAG_LENGTH: usize = 16;

/// The most bytes that one nonce may encrypt: 2^36 - 32 (NIST SP 800-38D, section 5.2.1.1).
const MAX_BUFFER_LENGTH: u64 = (1 << 36) - 32;

/// An AEAD algorithm: AES-GCM with 12-byte nonces and 16-byte tags (NIST SP 800-38D).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AeadAlgorithm {
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-192-GCM.
    Aes192Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl AeadAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes192Gcm, Self::Aes256Gcm];

    /// Bytes of a key: 16, 24 or 32.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes192Gcm => 24,
            Self::Aes256Gcm => 32,
        }
    }
}

/// The AEAD part of a backend.
pub trait Aead: Debug + Send + Sync {
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// Expands a key, once for many calls. The key schedule is wiped when the result is dropped.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] unless the key has [`AeadAlgorithm::key_length`] bytes.
    fn bind(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>;
}

/// A key that is ready for use. Both calls work from one buffer to another, so that nothing is copied first.
pub trait AeadKey: Send + Sync {
    /// Encrypts `plaintext` into `ciphertext`, which has the same length, and returns the tag.
    ///
    /// The caller owes that no nonce is used twice with one key.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if the buffers differ in length or exceed what GCM allows.
    fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], CryptoError>;

    /// Decrypts `ciphertext` into `plaintext`, which has the same length. If the tag does not fit, `plaintext` is left
    /// all zero.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] if the tag does not fit, [`CryptoError::InvalidLength`] if the buffers differ in
    /// length or exceed what GCM allows.
    fn open(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LENGTH],
        plaintext: &mut [u8],
    ) -> Result<(), CryptoError>;
}

/// Refuses buffers that differ in length or exceed what GCM allows.
pub(super) fn check_buffers(input: &[u8], output: &[u8]) -> Result<(), CryptoError> {
    let fits = u64::try_from(input.len()).is_ok_and(|length| length <= MAX_BUFFER_LENGTH);
    if input.len() != output.len() || !fits {
        return Err(CryptoError::InvalidLength { what: "AES-GCM buffer", length: output.len() });
    }
    Ok(())
}
