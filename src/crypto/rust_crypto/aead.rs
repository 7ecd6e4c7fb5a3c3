//! AES-GCM with `aes-gcm`.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};

use crate::crypto::aead::check_buffers;
use crate::crypto::{Aead, AeadAlgorithm, AeadKey, CryptoError, NONCE_LENGTH, TAG_LENGTH};

#[derive(Debug)]
pub(super) struct RustCryptoAead;

impl Aead for RustCryptoAead {
    fn library(&self) -> &'static str {
        "aes-gcm"
    }

    fn bind(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        match algorithm {
            AeadAlgorithm::Aes128Gcm => bind::<Aes128Gcm>(key),
            AeadAlgorithm::Aes192Gcm => bind::<AesGcm<Aes192, U12>>(key),
            AeadAlgorithm::Aes256Gcm => bind::<Aes256Gcm>(key),
        }
    }
}

/// An expanded key. The cipher types wipe their key schedules when they are dropped.
struct BoundKey<C>(C);

fn bind<C>(key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>
where
    C: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16> + Send + Sync + 'static,
{
    let cipher =
        C::new_from_slice(key).map_err(|_| CryptoError::InvalidLength { what: "AES key", length: key.len() })?;
    Ok(Box::new(BoundKey(cipher)))
}

impl<C> AeadKey for BoundKey<C>
where
    C: AeadInOut<NonceSize = U12, TagSize = U16> + Send + Sync,
{
    fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], CryptoError> {
        check_buffers(plaintext, ciphertext)?;
        let invalid = CryptoError::InvalidLength { what: "AES-GCM buffer", length: plaintext.len() };
        let buffers = InOutBuf::new(plaintext, ciphertext).map_err(|_| invalid)?;
        let tag = self.0.encrypt_inout_detached(nonce.into(), associated_data, buffers).map_err(|_| invalid)?;
        Ok(tag.into())
    }

    fn open(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LENGTH],
        plaintext: &mut [u8],
    ) -> Result<(), CryptoError> {
        check_buffers(ciphertext, plaintext)?;
        let buffers = InOutBuf::new(ciphertext, plaintext)
            .map_err(|_| CryptoError::InvalidLength { what: "AES-GCM buffer", length: ciphertext.len() })?;
        let opened = self.0.decrypt_inout_detached(nonce.into(), associated_data, buffers, tag.into());
        opened.map_err(|_| {
            // The cipher leaves the buffer unchanged. Callers must not find anything in it that
            // looks like plaintext.
            plaintext.fill(0);
            CryptoError::NotAuthentic
        })
    }
}
