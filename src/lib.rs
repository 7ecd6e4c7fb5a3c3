#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// The links of the README lead to files; here, where the first definition of a link counts, they lead to modules.
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
// L1: vocabulary
pub mod algorithm;
mod context;
pub mod identity;
pub mod key;
// L2: primitives
pub mod crypto;
pub mod seal;
// L3: parts, strangers to each other
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
// L6: prose
pub mod manual;
// Entry points for fuzzing
#[doc(hidden)]
pub mod fuzzing;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use codec::CodecError;
pub use context::{EncryptionContext, MAX_CONTEXT_BYTES, RESERVED_CONTEXT_PREFIX};
pub use envelope::{Envelope, EnvelopeReader, EnvelopeWriter, Keyring, KmsKeyring, MultiKeyring, RawAesKeyring};
pub use error::{Error, ErrorKind, Result};
pub use identity::{AccountId, Locality, Principal, ServiceName};
pub use key::{
    AliasArn, AliasName, ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreMode,
    CustomKeyStoreName, DataKeyPairSpec, DataKeySpec, DeletionWindow, ExpirationModel, ImportState, ImportType, KeyArn,
    KeyId, KeyIdentifier, KeyManager, KeyMaterialId, KeyMaterialState, KeyMetadata, KeySpec, KeyState, KeyUsage,
    OnDemandRotationLimit, Operation, Origin, RotationPeriod, RotationType, Tag,
};
pub use kms::{
    AliasListEntry, CreateGrantRequest, CreateGrantResponse, CreateKeyRequest, DataKeyLength, DecryptRequest,
    DecryptResponse, DeriveSharedSecretRequest, DeriveSharedSecretResponse, DryRun, EncryptRequest, EncryptResponse,
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse,
    GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse, GenerateMacRequest,
    GenerateMacResponse, GetKeyRotationStatusResponse, GetParametersForImportRequest, GetParametersForImportResponse,
    GetPublicKeyResponse, GrantFilter, GrantListEntry, GrantToken, ImportKeyMaterialRequest, ImportedKeyMaterial,
    IncludeKeyMaterial, IntoKeyRequest, KeyListEntry, KeyReference, KeyRequest, Kms, KmsAead, KmsBuilder, KmsLimits,
    KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey, MAX_RANDOM_LENGTH, MaintenanceGuard, MaintenanceReport, Page,
    PageRequest, PutKeyPolicyRequest, ReEncryptRequest, ReEncryptResponse, RootKeyRotation, RootKeyStatus,
    RotationListEntry, ScheduleKeyDeletionResponse, SignRequest, SignResponse, StoreVerificationProgress,
    StoreVerificationReport, VerifyMacRequest, VerifyMacResponse, VerifyRequest, VerifyResponse,
};
pub use kms::{ApplyDeletionsReport, GetKeyLastUsageResponse, LastUsage, MeteredKey};
pub use kms::{
    ConnectionError, CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, SuccessionReport,
    UpdateCustomKeyStoreRequest,
};
pub use kms::{ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES};
pub use private_file::TrustedUsers;
pub use secret::SecretBytes;
