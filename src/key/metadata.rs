//! Key metadata, as returned by DescribeKey.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{
    ClusterId, CustomKeyStoreId, DeletionWindow, ExpirationModel, KeyArn, KeyId, KeyManager, KeyMaterialId, KeySpec,
    KeyState, KeyUsage, Origin,
};
use crate::algorithm::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm,
};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::text::impl_str_serde;

/// The human-readable description of a key: up to 8192 characters, empty by default. Cloning copies
/// one pointer.
///
/// # Examples
/// ```
/// use strongroom::key::Description;
///
/// assert_eq!(Description::parse("invoices until 2026")?.as_str(), "invoices until 2026");
/// assert!(Description::parse(&"x".repeat(Description::MAX_LENGTH + 1)).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Description(Arc<str>);

impl Description {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 8192;

    /// Creates a description.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text has more than 8192 characters.
    pub fn parse(text: &str) -> Result<Self> {
        if text.chars().nth(Self::MAX_LENGTH).is_some() {
            let message = format!("a description must have at most {} characters", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl_str_serde!(Description);

/// The response of DescribeKey: the properties of a key and its state at one moment.
///
/// Serializes with the member names of AWS. Members that do not apply to the key are omitted.
///
/// # Examples
/// ```
/// use strongroom::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
/// use strongroom::key::{DeletionWindow, KeyManager, KeySpec, KeyState, KeyUsage, Origin};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(CreateKeyRequest::default().description("invoices"))?;
/// assert_eq!((key.arn().key_id(), key.account()), (key.key_id(), kms.principal().account()));
/// assert_eq!((key.state(), key.is_enabled()), (KeyState::Enabled, true));
/// assert_eq!((key.spec(), key.usage()), (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt));
/// assert_eq!((key.origin(), key.manager()), (Origin::Kms, KeyManager::Customer));
/// assert_eq!(key.description().as_str(), "invoices");
/// assert_eq!(key.encryption_algorithms(), [EncryptionAlgorithm::SymmetricDefault]);
/// assert!(key.current_key_material_id().is_some());
/// // What does not apply to a key is empty.
/// assert!(key.mac_algorithms().is_empty() && key.key_agreement_algorithms().is_empty());
/// assert!(key.encapsulation_algorithms().is_empty());
/// assert_eq!((key.deletion_date(), key.pending_window()), (None, None));
/// assert_eq!((key.valid_to(), key.expiration_model()), (None, None)); // not imported
/// assert_eq!((key.custom_key_store_id(), key.cluster_id()), (None, None));
/// assert!(!key.is_multi_region());
///
/// kms.schedule_key_deletion(key.key_id(), DeletionWindow::from_days(7)?)?;
/// let pending = kms.describe_key(key.key_id())?;
/// assert!(pending.deletion_date() > Some(pending.creation_date().plus_days(6)));
///
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
/// assert_eq!(kms.create_key(request)?.signing_algorithms(), [SigningAlgorithm::EcdsaSha256]);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    pub(crate) arn: KeyArn,
    pub(crate) created: Timestamp,
    pub(crate) state: KeyState,
    pub(crate) description: Description,
    pub(crate) manager: KeyManager,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) origin: Origin,
    pub(crate) deletion_date: Option<Timestamp>,
    pub(crate) pending_window: Option<DeletionWindow>,
    pub(crate) valid_to: Option<Timestamp>,
    pub(crate) expiration_model: Option<ExpirationModel>,
    pub(crate) current_key_material_id: Option<KeyMaterialId>,
    pub(crate) custom_key_store_id: Option<CustomKeyStoreId>,
    pub(crate) cluster_id: Option<ClusterId>,
}

impl KeyMetadata {
    /// Returns the ARN of the key.
    pub const fn arn(&self) -> &KeyArn {
        &self.arn
    }

    /// Returns the ID of the key.
    pub const fn key_id(&self) -> KeyId {
        self.arn.key_id()
    }

    /// Returns the account that owns the key.
    pub const fn account(&self) -> AccountId {
        self.arn.account()
    }

    /// Returns the creation time of the key.
    pub const fn creation_date(&self) -> Timestamp {
        self.created
    }

    /// Returns `true` if the key is enabled.
    pub const fn is_enabled(&self) -> bool {
        self.state.is_enabled()
    }

    /// Returns the state of the key.
    pub const fn state(&self) -> KeyState {
        self.state
    }

    /// Returns the description of the key.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Returns the manager of the key.
    pub const fn manager(&self) -> KeyManager {
        self.manager
    }

    /// Returns the spec of the key.
    pub const fn spec(&self) -> KeySpec {
        self.spec
    }

    /// Returns the usage of the key.
    pub const fn usage(&self) -> KeyUsage {
        self.usage
    }

    /// Returns the origin of the key material.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the supported encryption algorithms. Empty unless the key is for encryption.
    pub const fn encryption_algorithms(&self) -> &'static [EncryptionAlgorithm] {
        self.spec.encryption_algorithms(self.usage)
    }

    /// Returns the supported signing algorithms. Empty unless the key is for signing.
    pub const fn signing_algorithms(&self) -> &'static [SigningAlgorithm] {
        self.spec.signing_algorithms(self.usage)
    }

    /// Returns the supported MAC algorithms. Empty unless the key is for message authentication.
    pub const fn mac_algorithms(&self) -> &'static [MacAlgorithm] {
        self.spec.mac_algorithms(self.usage)
    }

    /// Returns the supported key agreement algorithms. Empty unless the key is for key agreement.
    pub const fn key_agreement_algorithms(&self) -> &'static [KeyAgreementAlgorithm] {
        self.spec.key_agreement_algorithms(self.usage)
    }

    /// Returns the supported encapsulation algorithms. Empty unless the key is for encapsulation.
    pub const fn encapsulation_algorithms(&self) -> &'static [EncapsulationAlgorithm] {
        self.spec.encapsulation_algorithms(self.usage)
    }

    /// Returns the earliest time at which the key may be destroyed, if its deletion is scheduled.
    pub const fn deletion_date(&self) -> Option<Timestamp> {
        self.deletion_date
    }

    /// Returns the waiting period of the scheduled deletion.
    pub const fn pending_window(&self) -> Option<DeletionWindow> {
        self.pending_window
    }

    /// Returns the earliest expiration time of all imported material of the key.
    pub const fn valid_to(&self) -> Option<Timestamp> {
        self.valid_to
    }

    /// Returns the expiration model of the imported material, or `None` while there is no such
    /// material.
    pub const fn expiration_model(&self) -> Option<ExpirationModel> {
        self.expiration_model
    }

    /// Returns the ID of the current key material. Only symmetric keys have one.
    pub const fn current_key_material_id(&self) -> Option<KeyMaterialId> {
        self.current_key_material_id
    }

    /// Returns the custom key store that contains the key, if any.
    pub const fn custom_key_store_id(&self) -> Option<CustomKeyStoreId> {
        self.custom_key_store_id
    }

    /// Returns the HSM cluster that contains the key, if any.
    pub const fn cluster_id(&self) -> Option<&ClusterId> {
        self.cluster_id.as_ref()
    }

    /// Returns `true` if the key is a multi-Region key. Always `false`, because strongroom has no
    /// such keys.
    pub const fn is_multi_region(&self) -> bool {
        false
    }
}

/// The serialized form of [`KeyMetadata`], with the member names of the service.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Members<'a> {
    #[serde(rename = "AWSAccountId")]
    account: &'a str,
    key_id: KeyId,
    arn: &'a KeyArn,
    #[serde(serialize_with = "unix_seconds")]
    creation_date: Timestamp,
    enabled: bool,
    description: &'a Description,
    key_usage: KeyUsage,
    key_state: KeyState,
    #[serde(serialize_with = "optional_unix_seconds", skip_serializing_if = "Option::is_none")]
    deletion_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_deletion_window_in_days: Option<u32>,
    #[serde(serialize_with = "optional_unix_seconds", skip_serializing_if = "Option::is_none")]
    valid_to: Option<Timestamp>,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_model: Option<ExpirationModel>,
    key_manager: KeyManager,
    /// The former name of the next member. Older clients read only this one.
    customer_master_key_spec: KeySpec,
    key_spec: KeySpec,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encryption_algorithms: &'static [EncryptionAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    signing_algorithms: &'static [SigningAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mac_algorithms: &'static [MacAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encapsulation_algorithms: &'static [EncapsulationAlgorithm],
    multi_region: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_key_material_id: Option<KeyMaterialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_key_store_id: Option<CustomKeyStoreId>,
    #[serde(rename = "CloudHsmClusterId", skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'a ClusterId>,
}

impl Serialize for KeyMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Members {
            account: self.arn.account().as_str(),
            key_id: self.key_id(),
            arn: &self.arn,
            creation_date: self.created,
            enabled: self.is_enabled(),
            description: &self.description,
            key_usage: self.usage,
            key_state: self.state,
            deletion_date: self.deletion_date,
            pending_deletion_window_in_days: self.pending_window.map(DeletionWindow::days),
            valid_to: self.valid_to,
            origin: self.origin,
            expiration_model: self.expiration_model,
            key_manager: self.manager,
            customer_master_key_spec: self.spec,
            key_spec: self.spec,
            encryption_algorithms: self.encryption_algorithms(),
            signing_algorithms: self.signing_algorithms(),
            key_agreement_algorithms: self.key_agreement_algorithms(),
            mac_algorithms: self.mac_algorithms(),
            encapsulation_algorithms: self.encapsulation_algorithms(),
            multi_region: self.is_multi_region(),
            current_key_material_id: self.current_key_material_id,
            custom_key_store_id: self.custom_key_store_id,
            cluster_id: self.cluster_id.as_ref(),
        }
        .serialize(serializer)
    }
}

/// Serializes seconds since 1970 as a number with a fraction, as the protocol of the service
/// requires.
fn unix_seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.since(Timestamp::from_unix_millis(0)).as_secs_f64())
}

fn optional_unix_seconds<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => unix_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
