//! Software keys: made here, kept sealed in the store, used in this process.

use super::{
    Capabilities, Cipher, CipherScheme, KeyMaterialProvider, MaterialBinding, MaterialGenerator, OpenedKey, ProviderId,
};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin};
use crate::seal::{CommittingKey, SALT_LENGTH};
use crate::secret::SecretBytes;

/// Domain of the derived keys of ciphertext blobs.
const BLOB_LABEL: &[u8] = b"strongroom blob v1";

/// Bytes of AES-256 key material.
const SYMMETRIC_LENGTH: usize = 32;

/// Makes and uses keys in software: the provider of origin `AWS_KMS`.
#[derive(Debug)]
pub struct MemoryProvider {
    id: ProviderId,
    capabilities: Capabilities,
}

impl Default for MemoryProvider {
    fn default() -> Self {
        let generates = vec![(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)];
        Self { id: ProviderId::new("memory"), capabilities: Capabilities::new(generates, true) }
    }
}

impl KeyMaterialProvider for MemoryProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Kms
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, kept: &SecretBytes) -> Result<OpenedKey> {
        check_kind(binding)?;
        let key = CommittingKey::new(backend, kept.expose_secret())?;
        Ok(OpenedKey::Cipher(Box::new(SoftwareCipher { key, backend: *backend })))
    }

    fn destroy(&self, _binding: &MaterialBinding, _kept: &SecretBytes) -> Result<()> {
        // All of the material was in `kept`, and that is wiped by its owner.
        Ok(())
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }
}

impl MaterialGenerator for MemoryProvider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<SecretBytes> {
        check_kind(binding)?;
        let mut material = SecretBytes::zeroed(SYMMETRIC_LENGTH);
        backend.random().fill(material.expose_secret_mut())?;
        Ok(material)
    }
}

fn check_kind(binding: &MaterialBinding) -> Result<()> {
    match (binding.spec, binding.usage) {
        (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt) => Ok(()),
        (spec, usage) => Err(Error::new(
            ErrorKind::UnsupportedOperation,
            format!("the software provider of this release makes no {spec} keys for {usage}"),
        )),
    }
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
