//! Keys in Vault, ready for use.

use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{CryptoBackend, DigestAlgorithm, SignatureInput};
use strongroom::provider::{Cipher, CipherScheme, MacGeneration, Signing};
use strongroom::{Error, ErrorKind, Result, SecretBytes};
use strongroom_upstream::unavailable;

use super::kinds::signature_names;
use crate::calls::Signature;
use crate::ciphertext::Versioned;
use crate::client::VaultTransit;

/// The beginning of the associated data of a ciphertext. The SHA-384 hash of the canonical context of the
/// caller follows, which therefore does not leave the process, and then the header of strongroom.
const LABEL: &[u8] = b"strongroom cipher v1\0";

/// The longest body that fits into a ciphertext of strongroom.
const MAX_BODY: usize = 6_122;

/// The longest message of a MAC, in bytes. In Base64, it fits into a request of 32 MiB, the default limit of
/// Vault.
const MAX_MESSAGE: usize = 24_000_000;

/// The version in Vault of every key of the provider. A rotation in Vault does not change it, since the
/// public key in the store belongs to it.
pub(super) const VERSION: u32 = 1;

/// A key in Vault. Its methods call Vault.
pub(super) struct RemoteKey {
    pub(super) vault: VaultTransit,
    pub(super) name: String,
    pub(super) backend: CryptoBackend,
    /// The hash function of an HMAC key, and empty for other keys.
    pub(super) mac: &'static str,
}

impl RemoteKey {
    fn associated_data(&self, header: &[u8], context: &[u8]) -> Vec<u8> {
        let hash = self.backend.digest().digest(DigestAlgorithm::Sha384, &[context]);
        [LABEL, hash.as_ref(), header].concat()
    }

    fn encrypt(&self, header: &[u8], context: &[u8], plaintext: &SecretBytes, output: &mut Vec<u8>) -> Result<()> {
        let session = self.vault.begin();
        let associated_data = self.associated_data(header, context);
        let sealed = session.encrypt(&self.name, Some(VERSION), plaintext, &associated_data);
        let sealed = sealed.map_err(unusable)?;
        if sealed.bytes.len() > MAX_BODY {
            let text = format!("Vault returned a ciphertext of {} bytes, which does not fit", sealed.bytes.len());
            return Err(Error::new(ErrorKind::Internal, text));
        }
        output.extend_from_slice(&sealed.bytes);
        Ok(())
    }
}

impl Cipher for RemoteKey {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        self.encrypt(header, context, &SecretBytes::copy_from_slice(plaintext), output)
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        if body.is_empty() || body.len() > MAX_BODY {
            return Err(undecryptable());
        }
        let sealed = Versioned { version: VERSION, bytes: body.to_vec() };
        let associated_data = self.associated_data(header, context);
        self.vault.begin().decrypt(&self.name, &sealed, &associated_data).map_err(|error| match error.kind() {
            ErrorKind::InvalidCiphertext | ErrorKind::IncorrectKey => undecryptable(),
            _ => unusable(error),
        })
    }

    /// Generates the data key here: the `datakey` of Vault has no associated data.
    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let mut data_key = vec![0; length];
        self.backend.random().fill(&mut data_key)?;
        let data_key = SecretBytes::from_vec(data_key);
        self.encrypt(header, context, &data_key, output)?;
        Ok(data_key)
    }
}

impl Signing for RemoteKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        let unknown = || Error::new(ErrorKind::Internal, format!("Vault does not sign with {algorithm}"));
        let (hash_algorithm, padding) = signature_names(algorithm).ok_or_else(unknown)?;
        let hashed;
        let digest = match input {
            SignatureInput::Digest(digest) => digest,
            SignatureInput::Message(message) => {
                let known = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512];
                let hash = known.into_iter().find(|hash| hash.output_length() == algorithm.digest_length());
                hashed = self.backend.digest().digest(hash.ok_or_else(unknown)?, &[message]);
                hashed.as_ref()
            }
            SignatureInput::ExternalMu(_) => return Err(unknown()),
        };
        let signature = Signature { digest, hash_algorithm, padding };
        self.vault.begin().sign(&self.name, VERSION, signature).map_err(unusable)
    }
}

impl MacGeneration for RemoteKey {
    fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
        if message.len() > MAX_MESSAGE {
            let text = format!(
                "Vault authenticates messages of at most {MAX_MESSAGE} bytes, not {}: authenticate a digest",
                message.len()
            );
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.vault.begin().authenticate(&self.name, VERSION, self.mac, message).map_err(unusable)
    }
}

/// Returns the error for a ciphertext that Vault rejects. It has no details.
fn undecryptable() -> Error {
    Error::new(ErrorKind::InvalidCiphertext, "the ciphertext cannot be decrypted")
}

/// Returns the error of an operation that every usable key performs: the key is unavailable.
fn unusable(error: Error) -> Error {
    if error.kind() == ErrorKind::Internal { error } else { unavailable(error) }
}
