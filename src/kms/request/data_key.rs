//! Parameters and results of data key generation.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::context::EncryptionContext;
use crate::key::{DataKeySpec, KeyArn, KeyMaterialId};
use crate::secret::SecretBytes;

/// Maximum length in bytes of a data key, and of a single request for random bytes.
pub const MAX_RANDOM_LENGTH: u32 = 1_024;

/// The length of a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataKeyLength {
    /// The length of a key of this spec.
    Spec(DataKeySpec),
    /// A length in bytes, from 1 to 1,024.
    Bytes(u32),
}

/// Parameters for [`Kms::generate_data_key`](crate::kms::Kms::generate_data_key) and its variant
/// without plaintext.
///
/// # Examples
/// ```
/// use strongroom::key::DataKeySpec;
/// use strongroom::request::{DecryptRequest, GenerateDataKeyRequest};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let context = EncryptionContext::from([("volume", "backups")]);
/// let request = GenerateDataKeyRequest::new(key).context(&context);
/// assert_eq!(kms.generate_data_key(request.clone())?.plaintext.len(), 32);
/// let aes128 = kms.generate_data_key(request.clone().key_spec(DataKeySpec::Aes128))?;
/// assert_eq!(aes128.plaintext.len(), 16);
/// let xts = kms.generate_data_key(request.number_of_bytes(64))?; // two AES-256 keys
/// assert_eq!(kms.decrypt(DecryptRequest::new(&xts.ciphertext_blob).context(&context))?.plaintext, xts.plaintext);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GenerateDataKeyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) length: DataKeyLength,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> GenerateDataKeyRequest<'a, K> {
    /// Generates a 32-byte data key (AES-256) under a key.
    pub const fn new(key: K) -> Self {
        Self { key, length: DataKeyLength::Spec(DataKeySpec::Aes256), context: None, dry_run: false, grant_tokens: &[] }
    }

    /// Sets the spec of the data key.
    #[must_use]
    pub const fn key_spec(mut self, spec: DataKeySpec) -> Self {
        self.length = DataKeyLength::Spec(spec);
        self
    }

    /// Sets the length of the data key, from 1 to 1,024 bytes.
    #[must_use]
    pub const fn number_of_bytes(mut self, bytes: u32) -> Self {
        self.length = DataKeyLength::Bytes(bytes);
        self
    }

    /// Binds the encrypted data key to an encryption context, which must be supplied again for
    /// decryption.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::generate_data_key`](crate::kms::Kms::generate_data_key).
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

/// The result of
/// [`Kms::generate_data_key_without_plaintext`](crate::kms::Kms::generate_data_key_without_plaintext).
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

key_id_accessor!(GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse);
