//! The key model: what a key is, which names it has, what may be done with it and when.
//!
//! Pure data and tables, without any input or output. The names and rules are those of AWS KMS; left out are multi-Region
//! keys, external key stores (XKS), the SM2 specs of the China regions, and attestation recipients.
//!
//! A key has one [`KeySpec`] and one [`KeyUsage`], fixed when it is made, and so is its [`Origin`]: whether its material is
//! generated here, imported, or held in an HSM. Its [`KeyState`] moves by [`KeyEvent`]s; [`verdict()`] says for each
//! [`Operation`] whether the state, origin and class of a key allow it. Material comes in numbered [`KeyVersion`]s.

mod arn;
mod check;
mod custom_key_store;
mod id;
mod metadata;
mod operation;
mod period;
mod spec;
mod state;
mod tag;
mod verdict;
mod version;

pub use arn::{AliasArn, KeyArn, KeyIdentifier, KmsArn, Resource};
pub use check::{
    MAX_MESSAGE_BYTES, check_agreement_algorithm, check_encryption_algorithm, check_mac_algorithm,
    check_message_length, check_plaintext, check_signing_algorithm, check_usage,
};
pub use custom_key_store::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreMode, CustomKeyStoreName,
};
pub use id::{AliasName, KeyId};
pub use metadata::{Description, KeyMetadata};
pub use operation::Operation;
pub use period::{DeletionWindow, OnDemandRotationLimit, RotationPeriod};
pub use spec::{DataKeyPairSpec, DataKeySpec, KeyManager, KeySpec, KeyUsage, MAX_PLAINTEXT_BYTES, Origin, SpecClass};
pub use state::{KeyEvent, KeyState};
pub use tag::{Tag, TagSet};
pub use verdict::{Refusal, Verdict, verdict};
pub use version::{
    ExpirationModel, ImportState, ImportType, KeyMaterialId, KeyMaterialState, KeyVersion, RotationType,
};
