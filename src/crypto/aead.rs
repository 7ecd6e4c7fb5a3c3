//! Authenticated encryption with associated data.

use std::fmt::Debug;

use super::CryptoError;

/// Length of a nonce (the IV of GCM) in bytes.
pub const NONCE_LENGTH: usize = 12;

/// Length of an authentication tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// The maximum number of bytes encrypted with one nonce: 2^36 - 32 (NIST SP 800-38D, section
/// 5.2.1.1).
const MAX_BUFFER_LENGTH: u64 = (1 << 36) - 32;

/// An AEAD algorithm: AES-GCM with 12-byte nonces and 16-byte tags (NIST SP 800-38D).
///
/// # Examples
/// ```
/// use strongroom::crypto::AeadAlgorithm;
///
/// assert_eq!(AeadAlgorithm::ALL.map(AeadAlgorithm::key_length), [16, 24, 32]);
/// ```
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
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes192Gcm, Self::Aes256Gcm];

    /// Returns the length of a key in bytes: 16, 24, or 32.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes192Gcm => 24,
            Self::Aes256Gcm => 32,
        }
    }
}

/// The AEAD part of a backend.
///
/// # Examples
/// ```
/// use strongroom::crypto::{AeadAlgorithm, CryptoBackend, CryptoError, NONCE_LENGTH};
///
/// let key = CryptoBackend::default().aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32])?;
/// let (nonce, mut ciphertext) = ([0; NONCE_LENGTH], [0; 14]);
/// let tag = key.seal(&nonce, b"context", b"attack at dawn", &mut ciphertext)?;
///
/// let mut plaintext = [0; 14];
/// key.open(&nonce, b"context", &ciphertext, &tag, &mut plaintext)?;
/// assert_eq!(&plaintext, b"attack at dawn");
///
/// let refused = key.open(&nonce, b"another context", &ciphertext, &tag, &mut plaintext);
/// assert_eq!((refused, plaintext), (Err(CryptoError::NotAuthentic), [0; 14]));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait Aead: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Expands a key for use in many calls. The key schedule is wiped when the result is dropped.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the length of the key is not
    ///   [`AeadAlgorithm::key_length`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{AeadAlgorithm, CryptoBackend};
    ///
    /// let aead = CryptoBackend::default().aead();
    /// assert!(aead.bind(AeadAlgorithm::Aes128Gcm, &[7; 16]).is_ok());
    /// assert!(aead.bind(AeadAlgorithm::Aes128Gcm, &[7; 32]).is_err());
    /// ```
    fn bind(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>;
}

/// An expanded key. Both methods read from one buffer and write to another, so that callers need
/// not copy the input first.
///
/// # Examples
/// ```
/// use strongroom::crypto::{AeadAlgorithm, CryptoBackend, CryptoError, TAG_LENGTH};
///
/// let key = CryptoBackend::default().aead().bind(AeadAlgorithm::Aes128Gcm, &[7; 16])?;
/// let (mut ciphertext, mut plaintext) = ([0; 4], [0; 4]);
/// let tag: [u8; TAG_LENGTH] = key.seal(&[1; 12], b"", b"data", &mut ciphertext)?; // each nonce once
/// assert_ne!(&ciphertext, b"data");
/// key.open(&[1; 12], b"", &ciphertext, &tag, &mut plaintext)?;
/// assert_eq!(&plaintext, b"data");
/// assert!(key.seal(&[2; 12], b"", b"data", &mut [0; 5]).is_err()); // the lengths differ
/// # Ok::<(), CryptoError>(())
/// ```
pub trait AeadKey: Send + Sync {
    /// Encrypts `plaintext` into `ciphertext`, which must have the same length, and returns the
    /// tag.
    ///
    /// The caller must not use a nonce twice with the same key.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the buffers differ in length or exceed the limit of GCM.
    fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], CryptoError>;

    /// Decrypts `ciphertext` into `plaintext`, which must have the same length. If authentication
    /// fails, `plaintext` is filled with zeros.
    ///
    /// # Errors
    /// - [`CryptoError::NotAuthentic`] if authentication fails.
    /// - [`CryptoError::InvalidLength`] if the buffers differ in length or exceed the limit of GCM.
    fn open(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LENGTH],
        plaintext: &mut [u8],
    ) -> Result<(), CryptoError>;
}

/// Rejects buffers that differ in length or exceed the limit of GCM.
pub(super) fn check_buffers(input: &[u8], output: &[u8]) -> Result<(), CryptoError> {
    let fits = u64::try_from(input.len()).is_ok_and(|length| length <= MAX_BUFFER_LENGTH);
    if input.len() != output.len() || !fits {
        return Err(CryptoError::InvalidLength { what: "AES-GCM buffer", length: output.len() });
    }
    Ok(())
}
