//! Keys whose material lies in this process: how each kind is made, kept and used.
//!
//! Kept are the raw bytes of symmetric and HMAC keys, and private keys as PKCS#8 (RFC 5958) in DER.

use super::{Cipher, CipherScheme, GeneratedMaterial, Mac, OpenedKey};
use crate::algorithm::MacAlgorithm;
use crate::crypto::{CryptoBackend, DigestAlgorithm, MacKey};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage};
use crate::seal::{CommittingKey, SALT_LENGTH};
use crate::secret::SecretBytes;

/// Domain of the derived keys of ciphertext blobs.
const BLOB_LABEL: &[u8] = b"strongroom blob v1";

/// Bytes of AES-256 key material.
const SYMMETRIC_LENGTH: usize = 32;

/// Makes material.
pub(super) fn generate(backend: &CryptoBackend, spec: KeySpec, usage: KeyUsage) -> Result<GeneratedMaterial> {
    let length = match usage {
        KeyUsage::EncryptDecrypt if spec == KeySpec::SymmetricDefault => SYMMETRIC_LENGTH,
        KeyUsage::GenerateVerifyMac => mac_algorithm(spec)?.tag_length(),
        _ => return Err(unsupported(spec, usage)),
    };
    let mut material = SecretBytes::zeroed(length);
    backend.random().fill(material.expose_secret_mut())?;
    Ok(GeneratedMaterial::secret(material))
}

/// Makes kept material ready for use.
pub(super) fn open(backend: &CryptoBackend, spec: KeySpec, usage: KeyUsage, kept: &SecretBytes) -> Result<OpenedKey> {
    match usage {
        KeyUsage::EncryptDecrypt if spec == KeySpec::SymmetricDefault => {
            let key = CommittingKey::new(backend, kept.expose_secret())?;
            Ok(OpenedKey::Cipher(Box::new(SoftwareCipher { key, backend: *backend })))
        }
        KeyUsage::GenerateVerifyMac => {
            let algorithm = mac_algorithm(spec)?;
            if !spec.mac_key_lengths().is_some_and(|lengths| lengths.contains(&kept.len())) {
                return Err(Error::new(ErrorKind::Internal, format!("the kept material is no key of {spec}")));
            }
            let key = backend.mac().bind(digest_algorithm(algorithm), kept.expose_secret());
            Ok(OpenedKey::Mac(Box::new(SoftwareMac(key))))
        }
        _ => Err(unsupported(spec, usage)),
    }
}

fn mac_algorithm(spec: KeySpec) -> Result<MacAlgorithm> {
    let usage = KeyUsage::GenerateVerifyMac;
    spec.mac_algorithms(usage)
        .first()
        .copied()
        .filter(|mac| *mac != MacAlgorithm::HmacSha224)
        .ok_or_else(|| unsupported(spec, usage))
}

const fn digest_algorithm(algorithm: MacAlgorithm) -> DigestAlgorithm {
    match algorithm {
        MacAlgorithm::HmacSha224 | MacAlgorithm::HmacSha256 => DigestAlgorithm::Sha256,
        MacAlgorithm::HmacSha384 => DigestAlgorithm::Sha384,
        MacAlgorithm::HmacSha512 => DigestAlgorithm::Sha512,
    }
}

fn unsupported(spec: KeySpec, usage: KeyUsage) -> Error {
    Error::new(ErrorKind::UnsupportedOperation, format!("there are no {spec} keys for {usage} in software"))
}

struct SoftwareCipher {
    key: CommittingKey,
    backend: CryptoBackend,
}

impl Cipher for SoftwareCipher {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Committing
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        Ok(self.key.seal(BLOB_LABEL, header, context, plaintext, output)?)
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        Ok(self.key.open(BLOB_LABEL, header, context, body)?)
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        // Data key and salt come out of one request: asking the operating system twice would double its cost.
        let mut drawn = SecretBytes::zeroed(SALT_LENGTH + length);
        self.backend.random().fill(drawn.expose_secret_mut())?;
        let (salt, data_key) = drawn
            .expose_secret()
            .split_first_chunk()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the buffer of randomness is shorter than a salt"))?;
        self.key.seal_with_salt(BLOB_LABEL, header, context, salt, data_key, output)?;
        Ok(SecretBytes::copy_of(data_key))
    }
}

struct SoftwareMac(Box<dyn MacKey>);

impl Mac for SoftwareMac {
    fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.authenticate(&[message]).as_ref().to_vec())
    }
}
