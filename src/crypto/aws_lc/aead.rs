//! AES-GCM with AWS-LC.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

#[allow(unused_imports, reason = "unused if the library has the method")]
use super::out_of_place::SealOutOfPlace as _;
use crate::crypto::aead::check_buffers;
use crate::crypto::{Aead, AeadAlgorithm, AeadKey, CryptoError, NONCE_LENGTH, TAG_LENGTH};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcAead {
    pub(in crate::crypto) library: &'static str,
}

impl Aead for AwsLcAead {
    fn library(&self) -> &'static str {
        self.library
    }

    fn bind(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        let library_algorithm = match algorithm {
            AeadAlgorithm::Aes128Gcm => &AES_128_GCM,
            AeadAlgorithm::Aes192Gcm => &AES_192_GCM,
            AeadAlgorithm::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(library_algorithm, key)
            .map_err(|_| CryptoError::InvalidLength { what: "AES key", length: key.len() })?;
        Ok(Box::new(BoundKey(LessSafeKey::new(key))))
    }
}

/// An expanded key, which the library wipes when it is dropped. `LessSafeKey` leaves the choice of
/// nonces to the caller, as the trait requires.
struct BoundKey(LessSafeKey);

impl AeadKey for BoundKey {
    fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], CryptoError> {
        check_buffers(plaintext, ciphertext)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut tag = [0; TAG_LENGTH];
        self.0
            .seal_out_of_place_scatter(nonce, Aad::from(associated_data), plaintext, ciphertext, &[], &mut tag)
            .map_err(|_| CryptoError::InvalidLength { what: "AES-GCM buffer", length: plaintext.len() })?;
        Ok(tag)
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
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_separate_gather(nonce, Aad::from(associated_data), ciphertext, tag, plaintext);
        opened.map_err(|_| {
            // The library does not specify the content of the buffer after a failure.
            plaintext.fill(0);
            CryptoError::NotAuthentic
        })
    }
}
