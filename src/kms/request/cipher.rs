//! Parameters and results of encryption, decryption and re-encryption.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::algorithm::EncryptionAlgorithm;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::key::{KeyArn, KeyIdentifier, KeyMaterialId};
use crate::secret::SecretBytes;

/// What [`Kms::encrypt`](crate::kms::Kms::encrypt) takes.
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

    /// Binds the ciphertext to a context, which decryption must repeat.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Chooses the algorithm; without it, `SYMMETRIC_DEFAULT`. Must be said for RSA keys.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::encrypt`](crate::kms::Kms::encrypt) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptResponse {
    /// The ciphertext: for a symmetric software key 94 bytes longer than the plaintext; for an RSA key the bare output of
    /// RSA-OAEP, as long as the modulus.
    pub ciphertext_blob: Vec<u8>,
    /// The key it was made under.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// What [`Kms::decrypt`](crate::kms::Kms::decrypt) takes.
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
    /// Decrypts what an operation of the [`Kms`](crate::kms::Kms) encrypted: at most 6,144 bytes. For what was encrypted with
    /// the public key of an RSA key, here or anywhere, key and algorithm must be named.
    pub const fn new(ciphertext_blob: &'a [u8]) -> Self {
        let algorithm = EncryptionAlgorithm::SymmetricDefault;
        Self { ciphertext_blob, key: None, context: None, algorithm, dry_run: false, grant_tokens: &[] }
    }

    /// Says what the ciphertext was made with; without it, `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Insists that the ciphertext was made under this key.
    ///
    /// # Errors
    /// Those of [`KeyReference::to_key_identifier`].
    pub fn key(mut self, key: impl KeyReference) -> Result<Self> {
        self.key = Some(key.to_key_identifier()?);
        Ok(self)
    }

    /// The context that the ciphertext is bound to.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::decrypt`](crate::kms::Kms::decrypt) returns.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptResponse {
    /// The plaintext, wiped when dropped.
    pub plaintext: SecretBytes,
    /// The key it was encrypted under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub key_material_id: Option<KeyMaterialId>,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// What [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt) takes.
#[derive(Clone, Debug)]
pub struct ReEncryptRequest<'a, K> {
    pub(in crate::kms) source: DecryptRequest<'a>,
    pub(in crate::kms) destination: K,
    pub(in crate::kms) destination_context: Option<&'a EncryptionContext>,
    pub(in crate::kms) destination_algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
}

impl<'a, K: KeyReference> ReEncryptRequest<'a, K> {
    /// Decrypts a ciphertext and encrypts what was in it under another key, or under the current version of the same.
    pub const fn new(ciphertext_blob: &'a [u8], destination: K) -> Self {
        Self {
            source: DecryptRequest::new(ciphertext_blob),
            destination,
            destination_context: None,
            destination_algorithm: EncryptionAlgorithm::SymmetricDefault,
            dry_run: false,
        }
    }

    /// Says what the ciphertext was made with; without it, `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn source_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.source.algorithm = algorithm;
        self
    }

    /// Chooses what the new ciphertext is made with; without it, `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn destination_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.destination_algorithm = algorithm;
        self
    }

    /// Insists that the ciphertext was made under this key.
    ///
    /// # Errors
    /// Those of [`KeyReference::to_key_identifier`].
    pub fn source_key(mut self, key: impl KeyReference) -> Result<Self> {
        self.source = self.source.key(key)?;
        Ok(self)
    }

    /// The context that the ciphertext is bound to.
    #[must_use]
    pub const fn source_context(mut self, context: &'a EncryptionContext) -> Self {
        self.source.context = Some(context);
        self
    }

    /// The context that the new ciphertext is bound to.
    #[must_use]
    pub const fn destination_context(mut self, context: &'a EncryptionContext) -> Self {
        self.destination_context = Some(context);
        self
    }

    /// Names grants that may allow either half of the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.source.grant_tokens = tokens;
        self
    }

    dry_run_setter!();
}

/// What [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReEncryptResponse {
    /// The new ciphertext.
    pub ciphertext_blob: Vec<u8>,
    /// The key that the old ciphertext was made under.
    pub source_key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub source_key_material_id: Option<KeyMaterialId>,
    /// What the old ciphertext was made with.
    pub source_encryption_algorithm: EncryptionAlgorithm,
    /// The key that the new ciphertext is made under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub destination_key_material_id: Option<KeyMaterialId>,
    /// What the new ciphertext is made with.
    pub destination_encryption_algorithm: EncryptionAlgorithm,
}
