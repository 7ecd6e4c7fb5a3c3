//! AES-KW and AES-KWP with `aes-kw`.

use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_kw::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, typenum::U16};
use aes_kw::{AesKw, AesKwp};

use crate::crypto::key_wrap::{is_wrapped_length, wrapped_length};
use crate::crypto::{CryptoError, KeyWrap, KeyWrapMode};
use crate::secret::SecretBytes;

#[derive(Debug)]
pub(in crate::crypto) struct RustCryptoKeyWrap;

impl KeyWrap for RustCryptoKeyWrap {
    fn library(&self) -> &'static str {
        "aes-kw"
    }

    fn wrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match wrapping_key.len() {
            16 => wrap::<Aes128>(mode, wrapping_key, key),
            24 => wrap::<Aes192>(mode, wrapping_key, key),
            32 => wrap::<Aes256>(mode, wrapping_key, key),
            length => Err(CryptoError::InvalidLength { what: "wrapping key", length }),
        }
    }

    fn unwrap(&self, mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError> {
        match wrapping_key.len() {
            16 => unwrap::<Aes128>(mode, wrapping_key, wrapped),
            24 => unwrap::<Aes192>(mode, wrapping_key, wrapped),
            32 => unwrap::<Aes256>(mode, wrapping_key, wrapped),
            length => Err(CryptoError::InvalidLength { what: "wrapping key", length }),
        }
    }
}

fn wrap<C>(mode: KeyWrapMode, wrapping_key: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError>
where
    C: KeyInit + BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt,
{
    let invalid = CryptoError::InvalidLength { what: "wrapped key", length: key.len() };
    let mut wrapped = vec![0; wrapped_length(mode, key.len()).ok_or(invalid)?];
    let done = match mode {
        KeyWrapMode::Plain => {
            AesKw::<C>::new_from_slice(wrapping_key).map_err(|_| invalid)?.wrap_key(key, &mut wrapped)
        }
        KeyWrapMode::Padded => {
            AesKwp::<C>::new_from_slice(wrapping_key).map_err(|_| invalid)?.wrap_key(key, &mut wrapped)
        }
    };
    let length = done.map_err(|_| invalid)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

fn unwrap<C>(mode: KeyWrapMode, wrapping_key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, CryptoError>
where
    C: KeyInit + BlockSizeUser<BlockSize = U16> + BlockCipherDecrypt,
{
    let refused = CryptoError::NotAuthentic;
    if !is_wrapped_length(mode, wrapped.len()) {
        return Err(refused);
    }
    let mut buffer = SecretBytes::zeroed(wrapped.len());
    let output = buffer.expose_secret_mut();
    let key = match mode {
        KeyWrapMode::Plain => {
            AesKw::<C>::new_from_slice(wrapping_key).map_err(|_| refused)?.unwrap_key(wrapped, output)
        }
        KeyWrapMode::Padded => {
            AesKwp::<C>::new_from_slice(wrapping_key).map_err(|_| refused)?.unwrap_key(wrapped, output)
        }
    };
    match key {
        Ok(key) if !key.is_empty() => Ok(SecretBytes::copy_from_slice(key)),
        Ok(_) | Err(_) => Err(refused),
    }
}
