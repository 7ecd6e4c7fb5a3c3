//! strongroom.

use std::time::Duration;

use strongroom::crypto::{FASTEST, RUST_CRYPTO};
use strongroom::envelope::RawAesKeyring;
use strongroom::message::AlgorithmSuite;
use strongroom::{EncryptionContext, Envelope, SecretBytes};

use crate::subject::{Backend, Result, Subject, Suite, time};

pub(crate) struct Strongroom {
    envelope: Envelope,
    context: EncryptionContext,
    message: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Strongroom {
    pub(crate) fn new(backend: Backend, suite: Suite, threads: usize) -> Result<Self> {
        let keyring = RawAesKeyring::new("peers", "key", SecretBytes::copy_from_slice(&[7; 32]))?;
        let backend = match backend {
            Backend::AwsLc => FASTEST,
            Backend::RustCrypto => RUST_CRYPTO,
        };
        let suite = match suite {
            Suite::Unsigned => AlgorithmSuite::Aes256GcmHkdfSha512Commit,
            Suite::Signed => AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384,
        };
        Ok(Self {
            envelope: Envelope::builder(keyring).backend(backend).algorithm_suite(suite).threads(threads).build()?,
            context: EncryptionContext::from([("tenant", "42")]),
            message: Vec::new(),
            plaintext: Vec::new(),
        })
    }
}

impl Subject for Strongroom {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        time(times, || Ok(self.envelope.encrypt_into(plaintext, &self.context, &mut self.message)?))
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        time(times, || {
            self.envelope.decrypt_into(&self.message, &self.context, &mut self.plaintext)?;
            Ok(())
        })
    }

    fn decrypted(&self) -> &[u8] {
        &self.plaintext
    }
}
