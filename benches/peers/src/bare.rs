//! The bare algorithms of messages, without a message format.

use std::hint::black_box;
use std::time::Duration;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::SHA384;
use sha2::Digest;

use crate::subject::{Backend, Result, Subject, time};

const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; 12] = [0; 12];

/// AES-256-GCM of AWS-LC in a single out-of-place call.
pub(crate) struct AwsLcAead {
    key: LessSafeKey,
    ciphertext: Vec<u8>,
    tag: [u8; 16],
    plaintext: Vec<u8>,
}

impl AwsLcAead {
    pub(crate) fn new() -> Result<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY)?);
        Ok(Self { key, ciphertext: Vec::new(), tag: [0; 16], plaintext: Vec::new() })
    }
}

impl Subject for AwsLcAead {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        let Self { key, ciphertext, tag, .. } = self;
        ciphertext.resize(plaintext.len(), 0);
        time(times, || {
            let (nonce, input) = (Nonce::assume_unique_for_key(NONCE), black_box(plaintext));
            Ok(key.seal_out_of_place_scatter(nonce, Aad::empty(), input, ciphertext, &[], tag)?)
        })
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        let Self { key, ciphertext, tag, plaintext } = self;
        plaintext.resize(ciphertext.len(), 0);
        time(times, || {
            let (nonce, input) = (Nonce::assume_unique_for_key(NONCE), black_box(&ciphertext[..]));
            Ok(key.open_separate_gather(nonce, Aad::empty(), input, tag, plaintext)?)
        })
    }

    fn decrypted(&self) -> &[u8] {
        &self.plaintext
    }
}

/// AES-256-GCM of `RustCrypto` in a single out-of-place call.
pub(crate) struct RustCryptoAead {
    key: Aes256Gcm,
    ciphertext: Vec<u8>,
    tag: Tag,
    plaintext: Vec<u8>,
}

impl RustCryptoAead {
    pub(crate) fn new() -> Self {
        let key = Aes256Gcm::new(&KEY.into());
        Self { key, ciphertext: Vec::new(), tag: Tag::default(), plaintext: Vec::new() }
    }
}

impl Subject for RustCryptoAead {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        let Self { key, ciphertext, tag, .. } = self;
        ciphertext.resize(plaintext.len(), 0);
        time(times, || {
            let buffers = InOutBuf::new(black_box(plaintext), ciphertext)?;
            *tag = key.encrypt_inout_detached(&NONCE.into(), &[], buffers)?;
            Ok(())
        })
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        let Self { key, ciphertext, tag, plaintext } = self;
        plaintext.resize(ciphertext.len(), 0);
        time(times, || {
            let buffers = InOutBuf::new(black_box(&ciphertext[..]), plaintext)?;
            Ok(key.decrypt_inout_detached(&NONCE.into(), &[], buffers, tag)?)
        })
    }

    fn decrypted(&self) -> &[u8] {
        &self.plaintext
    }
}

/// SHA-384, which hashes an entire signed message during both encryption and decryption.
pub(crate) struct Sha384 {
    backend: Backend,
    input: Vec<u8>,
}

impl Sha384 {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, input: Vec::new() }
    }

    fn hash(&self, input: &[u8], times: u32) -> Result<Duration> {
        time(times, || {
            match self.backend {
                Backend::AwsLc => drop(black_box(aws_lc_rs::digest::digest(&SHA384, black_box(input)))),
                Backend::RustCrypto => drop(black_box(sha2::Sha384::digest(black_box(input)))),
            }
            Ok(())
        })
    }
}

impl Subject for Sha384 {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        self.input = plaintext.to_vec();
        self.hash(plaintext, times)
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        self.hash(&self.input, times)
    }

    fn decrypted(&self) -> &[u8] {
        &self.input
    }
}
