//! Keyrings, which provide, wrap, and unwrap data keys.

mod aes;
mod contract;
mod counter_mode;
mod default_manager;
mod ecdh;
mod ecdh_scheme;
mod failures;
mod hierarchical;
#[cfg(feature = "hybrid")]
mod hybrid;
mod javascript;
mod key_agreement;
mod key_choice;
mod kms;
mod kms_context;
mod multi;
mod raw_key;
mod rsa;

pub use aes::RawAesKeyring;
pub use contract::Keyring;
pub use default_manager::DefaultMaterialsManager;
pub use ecdh::RawEcdhKeyring;
pub use failures::{UnwrapFailure, UnwrapFailures};
pub use hierarchical::HierarchicalKeyring;
#[cfg(feature = "hybrid")]
pub use hybrid::{HybridKem, RawHybridKeyring};
pub use key_agreement::{KeyAgreement, KeyAgreementKeyring};
#[cfg(feature = "columns")]
pub(crate) use key_choice::KeyChoice;
pub use kms::{KMS_PROVIDER_ID, KmsKeyring};
pub use kms_context::KmsContextKeyring;
pub use multi::MultiKeyring;
pub use rsa::RawRsaKeyring;
