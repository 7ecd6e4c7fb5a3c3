//! AES-KW and AES-KWP with AWS-LC.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrap as _, KeyWrapPadded as _};

use crate::crypto::key_wrap::{is_wrapped_length, wrapped_length};
use crate::crypto::{CryptoError, KeyWrap, KeyWrapMode};
use crate::secret::SecretBytes;

/// Key wrapping with wrapping keys of 128 and 256 bits. The library copies the wrapping key, and
/// wipes the copy since 1.18.
#[derive(Debug)]
pub(in crate::crypto) struct AwsLcKeyWrap {
    pub(in crate::crypto) library: &'static str,
}

impl KeyWrap for AwsLcKeyWrap {
    fn library(&self) -> &'static str {
        self.library
    }

    fn wrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let invalid = CryptoError::InvalidLength { what: "wrapped key", length: key.len() };
        let wrapping_key = prepare(wrapping_key)?;
        // The library requires 7 bytes more than it writes with padding.
        let mut wrapped = vec![0; wrapped_length(mode, key.len()).ok_or(invalid)? + 7];
        let done: Result<&mut [u8], Unspecified> = match mode {
            KeyWrapMode::Plain => wrapping_key.wrap(key, &mut wrapped),
            KeyWrapMode::Padded => wrapping_key.wrap_with_padding(key, &mut wrapped),
        };
        let length = done.map_err(|_| invalid)?.len();
        wrapped.truncate(length);
        Ok(wrapped)
    }

    fn unwrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError> {
        let refused = CryptoError::NotAuthentic;
        let wrapping_key = prepare(wrapping_key)?;
        if !is_wrapped_length(mode, wrapped.len()) {
            return Err(refused);
        }
        let mut buffer = SecretBytes::zeroed(wrapped.len());
        let key = match mode {
            KeyWrapMode::Plain => wrapping_key.unwrap(wrapped, buffer.expose_secret_mut()),
            KeyWrapMode::Padded => wrapping_key.unwrap_with_padding(wrapped, buffer.expose_secret_mut()),
        };
        match key {
            Ok(key) if !key.is_empty() => Ok(SecretBytes::copy_from_slice(key)),
            Ok(_) | Err(_) => Err(refused),
        }
    }
}

fn prepare(wrapping_key: &[u8]) -> Result<AesKek, CryptoError> {
    let invalid = CryptoError::InvalidLength { what: "wrapping key", length: wrapping_key.len() };
    let cipher: &'static AesBlockCipher = match wrapping_key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(invalid),
    };
    AesKek::new(cipher, wrapping_key).map_err(|_| invalid)
}
