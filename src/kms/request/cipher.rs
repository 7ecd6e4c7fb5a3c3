//! Parameters and results of encryption, decryption and re-encryption.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::algorithm::EncryptionAlgorithm;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::key::{KeyArn, KeyIdentifier, KeyMaterialId};
use crate::secret::SecretBytes;

/// Parameters for [`Kms::encrypt`](crate::kms::Kms::encrypt).
#[derive(Clone, Debug)]
pub struct EncryptRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) plaintext: &'a [u8],
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> EncryptRequest<'a, K> {
    /// Encrypts 1 to 4,096 bytes under a key.
    pub const fn new(key: K, plaintext: &'a [u8]) -> Self {
        Self {
            key,
            plaintext,
            context: None,
            algorithm: EncryptionAlgorithm::SymmetricDefault,
            dry_run: false,
            grant_tokens: &[],
        }
    }

    /// Binds the ciphertext to an encryption context, which must be supplied again for decryption.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Sets the algorithm. Defaults to `SYMMETRIC_DEFAULT`; required for RSA keys.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::encrypt`](crate::kms::Kms::encrypt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptResponse {
    /// The ciphertext. For a symmetric software key, it is 94 bytes longer than the plaintext. For
    /// an RSA key, it is the raw output of RSA-OAEP, as long as the modulus.
    pub ciphertext_blob: Vec<u8>,
    /// The key that the plaintext was encrypted under.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Parameters for [`Kms::decrypt`](crate::kms::Kms::decrypt).
#[derive(Clone, Debug)]
pub struct DecryptRequest<'a> {
    pub(in crate::kms) ciphertext_blob: &'a [u8],
    pub(in crate::kms) key: Option<KeyIdentifier>,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a> DecryptRequest<'a> {
    /// Decrypts a ciphertext of up to 6,144 bytes that an operation of the [`Kms`](crate::kms::Kms)
    /// produced. A ciphertext that was encrypted with the public key of an RSA key, here or
    /// elsewhere, requires [`key`](Self::key) and [`algorithm`](Self::algorithm).
    pub const fn new(ciphertext_blob: &'a [u8]) -> Self {
        let algorithm = EncryptionAlgorithm::SymmetricDefault;
        Self { ciphertext_blob, key: None, context: None, algorithm, dry_run: false, grant_tokens: &[] }
    }

    /// Specifies the algorithm of the ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Requires the ciphertext to have been encrypted under this key.
    ///
    /// # Errors
    /// Returns the errors of [`KeyReference::to_key_identifier`].
    pub fn key(mut self, key: impl KeyReference) -> Result<Self> {
        self.key = Some(key.to_key_identifier()?);
        Ok(self)
    }

    /// Specifies the encryption context that the ciphertext is bound to.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::decrypt`](crate::kms::Kms::decrypt).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptResponse {
    /// The plaintext, wiped when dropped.
    pub plaintext: SecretBytes,
    /// The key that the plaintext was encrypted under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub key_material_id: Option<KeyMaterialId>,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Parameters for [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt).
#[derive(Clone, Debug)]
pub struct ReEncryptRequest<'a, K> {
    pub(in crate::kms) source: DecryptRequest<'a>,
    pub(in crate::kms) destination: K,
    pub(in crate::kms) destination_context: Option<&'a EncryptionContext>,
    pub(in crate::kms) destination_algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
}

impl<'a, K: KeyReference> ReEncryptRequest<'a, K> {
    /// Decrypts a ciphertext and encrypts the plaintext under another key, or under the current
    /// version of the same key.
    pub const fn new(ciphertext_blob: &'a [u8], destination: K) -> Self {
        Self {
            source: DecryptRequest::new(ciphertext_blob),
            destination,
            destination_context: None,
            destination_algorithm: EncryptionAlgorithm::SymmetricDefault,
            dry_run: false,
        }
    }

    /// Specifies the algorithm of the ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn source_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.source.algorithm = algorithm;
        self
    }

    /// Sets the algorithm of the new ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn destination_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.destination_algorithm = algorithm;
        self
    }

    /// Requires the ciphertext to have been encrypted under this key.
    ///
    /// # Errors
    /// Returns the errors of [`KeyReference::to_key_identifier`].
    pub fn source_key(mut self, key: impl KeyReference) -> Result<Self> {
        self.source = self.source.key(key)?;
        Ok(self)
    }

    /// Specifies the encryption context that the ciphertext is bound to.
    #[must_use]
    pub const fn source_context(mut self, context: &'a EncryptionContext) -> Self {
        self.source.context = Some(context);
        self
    }

    /// Sets the encryption context that the new ciphertext is bound to.
    #[must_use]
    pub const fn destination_context(mut self, context: &'a EncryptionContext) -> Self {
        self.destination_context = Some(context);
        self
    }

    /// Names up to 10 grants that may authorize either half of the call.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.source.grant_tokens = tokens;
        self
    }

    dry_run_setter!();
}

/// The result of [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReEncryptResponse {
    /// The new ciphertext.
    pub ciphertext_blob: Vec<u8>,
    /// The key that the old ciphertext was encrypted under.
    pub source_key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub source_key_material_id: Option<KeyMaterialId>,
    /// The algorithm of the old ciphertext.
    pub source_encryption_algorithm: EncryptionAlgorithm,
    /// The key that the new ciphertext is encrypted under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub destination_key_material_id: Option<KeyMaterialId>,
    /// The algorithm of the new ciphertext.
    pub destination_encryption_algorithm: EncryptionAlgorithm,
}
