//! Keys under other keys.

use std::fmt::Debug;

use super::CryptoError;
use crate::secret::SecretBytes;

/// How a key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyWrapMode {
    /// AES-KW (RFC 3394, SP 800-38F section 6.2): 16 bytes and more, a multiple of 8; the result is 8 bytes longer.
    Plain,
    /// AES-KWP, with padding (RFC 5649, SP 800-38F section 6.3): 1 byte and more; the result is the next multiple of 8,
    /// and 8 bytes longer.
    Padded,
}

/// The most bytes that are wrapped: a private key of RSA-4096 has about 2,400.
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
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// Wraps `key` under `wrapping_key`, which has 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if a length is none that the mode takes, or `key` is over [`MAX_WRAPPED_KEY`].
    fn wrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Unwraps a key.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`], without detail, whatever is wrong with `wrapped`; [`CryptoError::InvalidLength`] if
    /// `wrapping_key` has none of its three lengths.
    fn unwrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError>;
}

/// Whether wrapped bytes have a length that wrapping makes: 24 bytes and more, with padding 16 and more, a multiple of 8.
///
/// Shorter ones hold no key, and one of 8 bytes would open under any wrapping key.
pub(super) const fn is_wrapped_length(mode: KeyWrapMode, length: usize) -> bool {
    let least = match mode {
        KeyWrapMode::Plain => 24,
        KeyWrapMode::Padded => 16,
    };
    length >= least && length <= MAX_WRAPPED_KEY + 16 && length.is_multiple_of(8)
}

/// The length of a key when it is wrapped, if the mode takes it.
pub(super) const fn wrapped_length(mode: KeyWrapMode, length: usize) -> Option<usize> {
    match mode {
        KeyWrapMode::Plain if length < 16 || !length.is_multiple_of(8) => None,
        KeyWrapMode::Padded if length == 0 => None,
        _ if length > MAX_WRAPPED_KEY => None,
        KeyWrapMode::Plain | KeyWrapMode::Padded => Some(length.next_multiple_of(8) + 8),
    }
}
