//! What the operations take and return.

mod agreement;
mod custom_key_store;
mod data_key_pair;
mod grant;
mod import;
mod key;
pub(super) mod key_reference;
pub(super) mod listing;
mod mac;
pub(super) mod page;
mod policy;
mod signing;

pub use agreement::{DeriveSharedSecretRequest, DeriveSharedSecretResponse, GetPublicKeyResponse};
pub use custom_key_store::{
    ConnectionError, CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, SuccessionReport,
    UpdateCustomKeyStoreRequest,
};
pub use data_key_pair::{
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse,
};
pub use grant::{CreateGrantRequest, CreateGrantResponse, GrantListEntry};
pub(in crate::kms) use import::Expiration;
pub use import::{
    GetParametersForImportRequest, GetParametersForImportResponse, ImportKeyMaterialRequest, ImportedKeyMaterial,
};
pub use key::{IntoKeyRequest, KeyRequest};
pub use key_reference::KeyReference;
pub use listing::{AliasListEntry, IncludeKeyMaterial, KeyListEntry, Page, PageRequest, RotationListEntry};
pub use mac::{GenerateMacRequest, GenerateMacResponse, VerifyMacRequest, VerifyMacResponse};
pub use policy::PutKeyPolicyRequest;
pub use signing::{SignRequest, SignResponse, VerifyRequest, VerifyResponse};

use crate::algorithm::EncryptionAlgorithm;
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::key::{
    CustomKeyStoreId, DataKeySpec, DeletionWindow, KeyArn, KeyIdentifier, KeyMaterialId, KeySpec, KeyState, KeyUsage,
    Origin, RotationPeriod, Tag,
};
use crate::kms::pipeline::grant_tokens::GrantToken;
use crate::provider::ProviderId;
use crate::secret::SecretBytes;

/// What [`Kms::create_key`](crate::kms::Kms::create_key) is to make. The default is a symmetric encryption key made here.
///
/// # Examples
/// ```
/// use strongroom::{CreateKeyRequest, KeySpec, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(CreateKeyRequest::default().description("invoices").tag("team", "billing"))?;
/// assert_eq!((key.spec(), key.description().as_str()), (KeySpec::SymmetricDefault, "invoices"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateKeyRequest {
    pub(in crate::kms) spec: KeySpec,
    pub(in crate::kms) usage: Option<KeyUsage>,
    pub(in crate::kms) origin: Origin,
    pub(in crate::kms) description: String,
    pub(in crate::kms) tags: Vec<(String, String)>,
    pub(in crate::kms) policy: Option<String>,
    pub(in crate::kms) bypass_lockout_check: bool,
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
    pub(in crate::kms) provider: Option<ProviderId>,
}

impl Default for CreateKeyRequest {
    fn default() -> Self {
        Self {
            spec: KeySpec::SymmetricDefault,
            usage: None,
            origin: Origin::Kms,
            description: String::new(),
            tags: Vec::new(),
            policy: None,
            bypass_lockout_check: false,
            custom_key_store: None,
            provider: None,
        }
    }
}

impl CreateKeyRequest {
    /// The kind of key; without it, `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn spec(mut self, spec: KeySpec) -> Self {
        self.spec = spec;
        self
    }

    /// What the key is for. Must be said for every kind but symmetric encryption keys, and never changes.
    #[must_use]
    pub const fn usage(mut self, usage: KeyUsage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Where the material comes from; without it, `AWS_KMS`: made here.
    #[must_use]
    pub const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The [provider](crate::provider::KeyMaterialProvider) that makes the material and holds it, by the name under which
    /// [`KmsBuilder::provider`](crate::KmsBuilder::provider) was given it; without one, a provider of this library. The origin
    /// of the key is that of the provider.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(ProviderId::new(name));
        self
    }

    /// Makes the key in the HSMs of a custom key store, which must be connected. Its origin is `AWS_CLOUDHSM` then.
    #[must_use]
    pub const fn custom_key_store(mut self, id: CustomKeyStoreId) -> Self {
        self.custom_key_store = Some(id);
        self.origin = Origin::Hsm;
        self
    }

    /// A text for people, of at most 8,192 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The policy of the key, in JSON; without it, the account may do everything and leave it to its principals.
    #[must_use]
    pub fn policy(mut self, document: impl Into<String>) -> Self {
        self.policy = Some(document.into());
        self
    }

    /// Takes a policy also if it locks out whoever makes the key (`BypassPolicyLockoutSafetyCheck`). There may be no way
    /// back.
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check(mut self) -> Self {
        self.bypass_lockout_check = true;
        self
    }
}

/// What [`Kms::get_key_rotation_status`](crate::kms::Kms::get_key_rotation_status) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRotationStatus {
    /// Whether the key rotates by itself. `false` while its deletion is pending.
    pub enabled: bool,
    /// How often, if it is enabled.
    pub rotation_period: Option<RotationPeriod>,
    /// When next, if it is enabled. This may lie in the past, also for long while the key is disabled: it rotates once it is enabled
    /// and makes a ciphertext, or maintenance runs.
    pub next_rotation_date: Option<Timestamp>,
}

/// What [`Kms::schedule_key_deletion`](crate::kms::Kms::schedule_key_deletion) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduledDeletion {
    /// The key.
    pub key_arn: KeyArn,
    /// From when on it is gone.
    pub deletion_date: Timestamp,
    /// The waiting period.
    pub pending_window: DeletionWindow,
    /// Its state from now on.
    pub key_state: KeyState,
}

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

    /// Names grants that may allow the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
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

    /// Names grants that may allow the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
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

    /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
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

    /// Names grants that may allow the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
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

/// What [`Kms::run_maintenance`](crate::kms::Kms::run_maintenance) did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Keys that got new material because their rotation was due.
    pub rotated: Vec<KeyArn>,
    /// Keys whose imported material was deleted, some or all, because its time was over.
    pub expired: Vec<KeyArn>,
    /// Keys that were deleted because their waiting period had ended.
    pub deleted: Vec<KeyArn>,
    /// Keys for which it failed, and why; the next run tries again.
    pub failed: Vec<(KeyArn, crate::error::Error)>,
    /// If the clock has made an implausible jump forward: nothing was deleted, nor will be before a run at this moment or later.
    /// Look at the clock. If it is right, wait or call [`Kms::confirm_clock`](crate::kms::Kms::confirm_clock); the deletion of
    /// keys that are due can still be cancelled.
    pub destruction_waits_until: Option<Timestamp>,
    /// Why the store could not overwrite all that is left of deleted records, if so; the next run tries again.
    pub not_scrubbed: Option<crate::error::Error>,
    /// Why other steps were not done, or not to their end; the next run tries again.
    pub unfinished: Vec<crate::error::Error>,
}

impl MaintenanceReport {
    /// Whether all that was due was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.destruction_waits_until.is_none()
            && self.not_scrubbed.is_none()
            && self.unfinished.is_empty()
    }
}

/// Turns tag pairs into checked tags.
pub(in crate::kms) fn checked_tags(pairs: &[(String, String)]) -> Result<Vec<Tag>> {
    pairs.iter().map(|(key, value)| Tag::new(key, value)).collect()
}
