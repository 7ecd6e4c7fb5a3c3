//! Parameters and results of the operations, one file per topic.

mod agreement;
mod aliases;
mod cipher;
mod custom_key_stores;
mod data_key;
mod data_key_pair;
mod deletion;
mod encapsulation;
mod grant_token;
mod grants;
mod import;
mod key_policy;
mod key_reference;
mod keys;
mod mac;
mod maintenance;
mod metering;
pub(super) mod pagination;
mod public_key;
mod rotation;
mod setters;
mod signing;

pub use agreement::{DeriveSharedSecretRequest, DeriveSharedSecretResponse};
pub use aliases::AliasListEntry;
pub use cipher::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, ReEncryptRequest, ReEncryptResponse,
};
pub use custom_key_stores::{
    ConnectionError, CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, UpdateCustomKeyStoreRequest,
};
pub use data_key::{
    DataKeyLength, GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse,
    MAX_RANDOM_LENGTH,
};
pub use data_key_pair::{
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse,
};
pub use deletion::ScheduleKeyDeletionResponse;
pub use encapsulation::{DecapsulateRequest, DecapsulateResponse, EncapsulateRequest, EncapsulateResponse};
pub use grant_token::GrantToken;
pub(in crate::kms) use grant_token::{NONCE, NamedGrant, check_token_count};
pub use grants::{CreateGrantRequest, CreateGrantResponse, DryRun, GrantFilter, GrantListEntry};
pub(in crate::kms) use import::Expiration;
pub use import::{
    DeleteImportedKeyMaterialResponse, GetParametersForImportRequest, GetParametersForImportResponse,
    ImportKeyMaterialRequest, ImportedKeyMaterial,
};
pub use key_policy::PutKeyPolicyRequest;
pub use key_reference::KeyReference;
pub(in crate::kms) use keys::checked_tags;
pub use keys::{CreateKeyRequest, IntoKeyRequest, KeyListEntry, KeyRequest};
pub use mac::{GenerateMacRequest, GenerateMacResponse, VerifyMacRequest, VerifyMacResponse};
pub use maintenance::{
    MaintenanceReport, RootKeyRotation, RootKeyStatus, StoreVerificationProgress, StoreVerificationReport,
    SuccessionReport,
};
pub use metering::{GetKeyLastUsageResponse, LastUsage, MeteredKey};
pub use pagination::{Page, PageRequest};
pub use public_key::GetPublicKeyResponse;
pub use rotation::{GetKeyRotationStatusResponse, IncludeKeyMaterial, RotationListEntry};
pub use signing::{SignRequest, SignResponse, VerifyRequest, VerifyResponse};
