//! The facade: keys with a life cycle, and every operation on them through one pipeline.
//!
//! Files, lowest first: `cache` and `record` hold what is known of a key; `sealed` is a store under its
//! root key; `registry` moves records between it and memory;
//! `handle` is what callers hold; `material` makes and opens versions; `upkeep` does what falls due; `pipeline` is the
//! one way into a key; `reference`, `request`, `listing` and `page` are the shapes of what goes in and comes out; the
//! rest are operations by theme, each only its own step.

mod access;
mod agreement;
mod alias;
mod bound;
mod builder;
mod cache;
mod call;
mod chain_record;
mod checks;
mod cipher;
mod connections;
mod custom_key_store;
mod custom_key_store_record;
mod data_key;
mod data_key_pair;
mod deletion;
mod destruction;
mod destruction_record;
mod doors;
mod grant;
mod grant_index;
mod grant_record;
mod grant_token;
mod handle;
mod hsm;
mod identity_policy;
mod identity_record;
mod import;
mod imported;
mod instance;
mod instance_record;
mod intent;
mod key_grants;
mod key_policy;
mod lifecycle;
mod listing;
mod mac;
mod maintenance;
mod maintenance_guard;
mod material;
mod message_count;
mod meter;
#[cfg(feature = "sqlite")]
mod open;
mod page;
mod pipeline;
mod public_key;
mod record;
mod reference;
mod registry;
mod request;
mod resolve;
mod restore;
mod retirable_grant;
mod root_key;
mod rotation;
mod sealed;
mod seeding;
mod service_key;
mod signing;
mod tag;
mod time_mark;
mod tombstone;
mod trail;
mod transfer;
mod upkeep;
mod usage;
mod usage_record;
mod verify_store;
mod wrapping_keys;

pub use bound::{KmsAead, KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey};
pub use builder::KmsBuilder;
pub use data_key::MAX_RANDOM_LENGTH;
pub use doors::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
pub use grant::{DryRun, GrantFilter};
pub use grant_token::GrantToken;
pub use handle::{Kms, KmsLimits};
pub use listing::{AliasListEntry, IncludeKeyMaterial, KeyListEntry, Page, PageRequest, RotationListEntry};
pub use maintenance_guard::MaintenanceGuard;
pub use meter::LastUsage;
pub use reference::KeyReference;
pub use request::{
    ConnectionError, CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, SuccessionReport,
    UpdateCustomKeyStoreRequest,
};
pub use request::{
    CreateGrantRequest, CreateGrantResponse, CreateKeyRequest, DataKeyLength, DecryptRequest, DecryptResponse,
    DeriveSharedSecretRequest, DeriveSharedSecretResponse, EncryptRequest, EncryptResponse, GenerateDataKeyPairRequest,
    GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse, GenerateDataKeyRequest,
    GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse, GenerateMacRequest, GenerateMacResponse,
    GetParametersForImportRequest, GetParametersForImportResponse, GetPublicKeyResponse, GrantListEntry,
    ImportKeyMaterialRequest, ImportedKeyMaterial, IntoKeyRequest, KeyRequest, KeyRotationStatus, MaintenanceReport,
    PutKeyPolicyRequest, ReEncryptRequest, ReEncryptResponse, ScheduledDeletion, SignRequest, SignResponse,
    VerifyMacRequest, VerifyMacResponse, VerifyRequest, VerifyResponse,
};
pub use restore::AppliedDeletions;
pub use root_key::{RootKeyRotation, RootKeyStatus};
pub use transfer::{ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES};
pub use usage::{KeyLastUsage, MeteredKey};
pub use verify_store::{StoreProgress, StoreReport};
