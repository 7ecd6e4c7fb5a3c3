//! An opened key of a cluster.

use super::members::Pkcs11Cluster;
use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::SignatureInput;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::pkcs11::reference::TokenKeyHandle;
use crate::provider::{Cipher, CipherScheme, Decryption, Signing, oaep};
use crate::secret::SecretBytes;

/// A key and the cluster whose members hold it. It stays valid when the cluster is disconnected and
/// reconnected.
pub(super) struct ClusterKey {
    cluster: Pkcs11Cluster,
    key: TokenKeyHandle,
}

impl ClusterKey {
    pub(super) const fn new(cluster: Pkcs11Cluster, key: TokenKeyHandle) -> Self {
        Self { cluster, key }
    }
}

impl Cipher for ClusterKey {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let bound = [header, context].concat();
        let body = self.cluster.anywhere(|token| token.encrypt(&self.key, &bound, plaintext))?;
        output.extend_from_slice(&body);
        Ok(())
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        let bound = [header, context].concat();
        self.cluster.anywhere(|token| token.decrypt(&self.key, &bound, body))
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let data_key = self.cluster.anywhere(|token| token.random(length))?;
        self.seal(header, context, data_key.expose_secret(), output)?;
        Ok(data_key)
    }
}

impl Decryption for ClusterKey {
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes> {
        let padding = oaep(algorithm).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("an asymmetric key cannot decrypt with {algorithm}"))
        })?;
        self.cluster.anywhere(|token| token.decrypt_oaep(&self.key, padding, ciphertext))
    }
}

impl Signing for ClusterKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        self.cluster.anywhere(|token| token.sign(&self.key, algorithm, input))
    }
}
