//! Key wrapping.

use std::fmt::Debug;

use super::CryptoError;
use crate::secret::SecretBytes;

/// The key wrapping algorithm.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyWrapMode};
///
/// let wrap = CryptoBackend::default().key_wrap();
/// let length = |mode, key: &[u8]| wrap.wrap(mode, &[7; 32], key).ok().map(|wrapped| wrapped.len());
/// assert_eq!(length(KeyWrapMode::Plain, &[1; 32]), Some(40));
/// assert_eq!(length(KeyWrapMode::Plain, &[1; 30]), None);
/// assert_eq!(length(KeyWrapMode::Padded, &[1; 30]), Some(40));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyWrapMode {
    /// AES-KW (RFC 3394, SP 800-38F section 6.2). Wraps keys of at least 16 bytes whose length is a
    /// multiple of 8. The result is 8 bytes longer.
    Plain,
    /// AES-KWP, with padding (RFC 5649, SP 800-38F section 6.3). Wraps keys of at least 1 byte. The
    /// length of the result is the next multiple of 8, plus 8 bytes.
    Padded,
}

/// The maximum length of a key to wrap. An RSA-4096 private key has about 2,400 bytes.
pub const MAX_WRAPPED_KEY: usize = 65_536;

/// The key wrap part of a backend.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyWrapMode};
///
/// let wrap = CryptoBackend::default().key_wrap();
/// let wrapped = wrap.wrap(KeyWrapMode::Padded, &[7; 32], b"twenty bytes of key!")?;
/// assert_eq!(wrapped.len(), 32);
/// assert_eq!(wrap.unwrap(KeyWrapMode::Padded, &[7; 32], &wrapped)?.expose_secret(), b"twenty bytes of key!");
/// assert_eq!(wrap.unwrap(KeyWrapMode::Padded, &[8; 32], &wrapped), Err(CryptoError::NotAuthentic));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait KeyWrap: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Wraps `key` under `wrapping_key`, which must have 16, 24, or 32 bytes.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the mode does not accept a length, or if `key` is longer
    ///   than [`MAX_WRAPPED_KEY`].
    fn wrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Unwraps a key.
    ///
    /// # Errors
    /// - [`CryptoError::NotAuthentic`], without detail, if `wrapped` is invalid in any way.
    /// - [`CryptoError::InvalidLength`] if `wrapping_key` does not have 16, 24, or 32 bytes.
    fn unwrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError>;
}

/// Returns `true` if wrapped bytes have a valid length: a multiple of 8 that is at least 24, or at
/// least 16 with padding.
///
/// Shorter input contains no key, and input of 8 bytes would unwrap under any wrapping key.
pub(super) const fn is_wrapped_length(mode: KeyWrapMode, length: usize) -> bool {
    let least = match mode {
        KeyWrapMode::Plain => 24,
        KeyWrapMode::Padded => 16,
    };
    length >= least && length <= MAX_WRAPPED_KEY + 16 && length.is_multiple_of(8)
}

/// Returns the length of a wrapped key, or `None` if the mode does not accept the length of the
/// key.
pub(super) const fn wrapped_length(mode: KeyWrapMode, length: usize) -> Option<usize> {
    match mode {
        KeyWrapMode::Plain if length < 16 || !length.is_multiple_of(8) => None,
        KeyWrapMode::Padded if length == 0 => None,
        _ if length > MAX_WRAPPED_KEY => None,
        KeyWrapMode::Plain | KeyWrapMode::Padded => Some(length.next_multiple_of(8) + 8),
    }
}
