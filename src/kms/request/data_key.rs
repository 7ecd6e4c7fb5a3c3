//! Parameters and results of making data keys.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::context::EncryptionContext;
use crate::key::{DataKeySpec, KeyArn, KeyMaterialId};
use crate::secret::SecretBytes;

/// The most bytes of a data key, and of one request for random bytes.
pub const MAX_RANDOM_LENGTH: u32 = 1_024;

/// How long a data key is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataKeyLength {
    /// The length of a key of this kind.
    Spec(DataKeySpec),
    /// This many bytes, 1 to 1,024.
    Bytes(u32),
}

/// What [`Kms::generate_data_key`](crate::kms::Kms::generate_data_key) and its twin without plaintext take.
#[derive(Clone, Debug)]
pub struct GenerateDataKeyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) length: DataKeyLength,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> GenerateDataKeyRequest<'a, K> {
    /// Makes a data key of 32 bytes (AES-256) under a key.
    pub const fn new(key: K) -> Self {
        Self { key, length: DataKeyLength::Spec(DataKeySpec::Aes256), context: None, dry_run: false, grant_tokens: &[] }
    }

    /// Chooses another kind of data key.
    #[must_use]
    pub const fn key_spec(mut self, spec: DataKeySpec) -> Self {
        self.length = DataKeyLength::Spec(spec);
        self
    }

    /// Chooses another length, 1 to 1,024 bytes.
    #[must_use]
    pub const fn number_of_bytes(mut self, bytes: u32) -> Self {
        self.length = DataKeyLength::Bytes(bytes);
        self
    }

    /// Binds the encrypted data key to a context, which decryption must repeat.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::generate_data_key`](crate::kms::Kms::generate_data_key) returns.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateDataKeyResponse {
    /// The data key, wiped when dropped.
    pub plaintext: SecretBytes,
    /// The data key, encrypted under the KMS key.
    pub ciphertext_blob: Vec<u8>,
    /// The KMS key.
    pub key_arn: KeyArn,
    /// The version of its material.
    pub key_material_id: KeyMaterialId,
}

/// What [`Kms::generate_data_key_without_plaintext`](crate::kms::Kms::generate_data_key_without_plaintext) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateDataKeyWithoutPlaintextResponse {
    /// The data key, encrypted under the KMS key.
    pub ciphertext_blob: Vec<u8>,
    /// The KMS key.
    pub key_arn: KeyArn,
    /// The version of its material.
    pub key_material_id: KeyMaterialId,
}
