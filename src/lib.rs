#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// The README links to files. Here the first definition of a link takes precedence, so they point to
// modules instead.
//! [concepts]: crate::manual::concepts
//! [longer start]: crate::manual::quickstart
//! [default with its reason]: crate::manual::defaults
//! [different from AWS KMS]: crate::manual::differences
//! [threat model]: crate::manual::threat_model
#![doc = include_str!("../README.md")]

// L0: foundations
mod clock;
mod codec;
mod error;
mod fork_guard;
mod lock;
mod private_file;
mod secret;
mod shard;
mod text;
// L1: vocabulary
pub mod algorithm;
mod context;
pub mod identity;
pub mod key;
// L2: primitives
pub mod crypto;
pub mod seal;
// L3: components, independent of each other
pub mod audit;
pub mod blob;
pub mod message;
pub mod policy;
pub mod provider;
pub mod store;
// L4: the facade
mod kms;
// L5: envelope encryption
pub mod envelope;
// L6: manual
pub mod manual;
// Entry points for fuzzing
#[doc(hidden)]
pub mod fuzzing;

// The facade and the shared types. Every other item has exactly one path, in a module.
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use codec::CodecError;
pub use context::{EncryptionContext, MAX_CONTEXT_BYTES, RESERVED_CONTEXT_PREFIX};
pub use envelope::operations::Envelope;
pub use error::{Error, ErrorKind, Result};
pub use kms::{Kms, KmsAead, KmsBuilder, KmsLimits, KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey};
pub use private_file::TrustedUsers;
pub use secret::SecretBytes;

/// Requests and responses of the operations of [`Kms`], named as in the AWS KMS API.
///
/// The constructor of a request accepts the required parameters, and its methods set the optional
/// ones. Specify a key by ID, ARN, or alias: by any [`KeyReference`](request::KeyReference).
///
/// # Examples
/// ```
/// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(CreateKeyRequest::default().description("invoices"))?;
/// let context = EncryptionContext::from([("invoice", "2026-17")]);
/// let encrypted = kms.encrypt(EncryptRequest::new(key.key_id(), b"IBAN").context(&context))?;
/// let decrypted = kms.decrypt(DecryptRequest::new(&encrypted.ciphertext_blob).context(&context))?;
/// assert_eq!(decrypted.plaintext.expose_secret(), b"IBAN");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub mod request {
    pub use crate::kms::{
        AliasListEntry, ConnectionError, CreateCustomKeyStoreRequest, CreateGrantRequest, CreateGrantResponse,
        CreateKeyRequest, CustomKeyStoresListEntry, DataKeyLength, DecryptRequest, DecryptResponse,
        DeriveSharedSecretRequest, DeriveSharedSecretResponse, DryRun, EncryptRequest, EncryptResponse,
        GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse,
        GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse, GenerateMacRequest,
        GenerateMacResponse, GetKeyLastUsageResponse, GetKeyRotationStatusResponse, GetParametersForImportRequest,
        GetParametersForImportResponse, GetPublicKeyResponse, GrantFilter, GrantListEntry, GrantToken,
        ImportKeyMaterialRequest, ImportedKeyMaterial, IncludeKeyMaterial, IntoKeyRequest, KeyListEntry, KeyReference,
        KeyRequest, LastUsage, MAX_RANDOM_LENGTH, MeteredKey, Page, PageRequest, PutKeyPolicyRequest, ReEncryptRequest,
        ReEncryptResponse, RotationListEntry, ScheduleKeyDeletionResponse, SignRequest, SignResponse,
        UpdateCustomKeyStoreRequest, VerifyMacRequest, VerifyMacResponse, VerifyRequest, VerifyResponse,
    };
}

/// Reports of [`Kms::run_maintenance`], [`Kms::verify_store`], [`Kms::rotate_root_key`], and
/// [`Kms::declare_successor`], and the guard that [`Kms::maintain_every`] returns.
pub mod maintenance {
    pub use crate::kms::{
        MaintenanceGuard, MaintenanceReport, RootKeyRotation, RootKeyStatus, StoreVerificationProgress,
        StoreVerificationReport, SuccessionReport,
    };
}

/// Moving keys between stores: [`Kms::export_key`], [`Kms::import_keys`], and related methods, and
/// [`Kms::apply_deletions`], which replays deletions into a restored backup.
pub mod export {
    pub use crate::kms::{
        ApplyDeletionsReport, ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES,
    };
}
