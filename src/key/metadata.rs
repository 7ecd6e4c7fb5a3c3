//! What DescribeKey tells about a key.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{
    ClusterId, CustomKeyStoreId, DeletionWindow, ExpirationModel, KeyArn, KeyId, KeyManager, KeyMaterialId, KeySpec,
    KeyState, KeyUsage, Origin,
};
use crate::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::text::impl_str_serde;

/// A text that people put on a key: at most 8192 characters, empty by default. A clone copies one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Description(Arc<str>);

impl Description {
    /// The most characters.
    pub const MAX_LENGTH: usize = 8192;

    /// Takes a text.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) if it has more than 8192 characters.
    pub fn parse(text: &str) -> Result<Self> {
        if text.chars().nth(Self::MAX_LENGTH).is_some() {
            let message = format!("a description must have at most {} characters", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self(text.into()))
    }

    /// The text.
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

/// Everything that DescribeKey tells: what the key is, and how it stands at one moment.
///
/// Serializes with the member names of AWS; what does not apply to the key is left out.
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
    /// The ARN of the key.
    pub const fn arn(&self) -> &KeyArn {
        &self.arn
    }

    /// The id of the key.
    pub const fn key_id(&self) -> KeyId {
        self.arn.id()
    }

    /// The account that owns the key.
    pub const fn account(&self) -> AccountId {
        self.arn.account()
    }

    /// When the key was made.
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Whether the key is in use.
    pub const fn is_enabled(&self) -> bool {
        self.state.is_enabled()
    }

    /// The state of the key.
    pub const fn state(&self) -> KeyState {
        self.state
    }

    /// What people wrote on it.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Who manages it.
    pub const fn manager(&self) -> KeyManager {
        self.manager
    }

    /// Its kind and size.
    pub const fn spec(&self) -> KeySpec {
        self.spec
    }

    /// What it is for.
    pub const fn usage(&self) -> KeyUsage {
        self.usage
    }

    /// Where its material comes from.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// How it encrypts; nothing unless that is its usage.
    pub const fn encryption_algorithms(&self) -> &'static [EncryptionAlgorithm] {
        self.spec.encryption_algorithms(self.usage)
    }

    /// How it signs; nothing unless that is its usage.
    pub const fn signing_algorithms(&self) -> &'static [SigningAlgorithm] {
        self.spec.signing_algorithms(self.usage)
    }

    /// How it authenticates; nothing unless that is its usage.
    pub const fn mac_algorithms(&self) -> &'static [MacAlgorithm] {
        self.spec.mac_algorithms(self.usage)
    }

    /// How it agrees on secrets; nothing unless that is its usage.
    pub const fn key_agreement_algorithms(&self) -> &'static [KeyAgreementAlgorithm] {
        self.spec.key_agreement_algorithms(self.usage)
    }

    /// From when on it may be destroyed, if its deletion is scheduled.
    pub const fn deletion_date(&self) -> Option<Timestamp> {
        self.deletion_date
    }

    /// The window that its deletion was scheduled with.
    pub const fn pending_window(&self) -> Option<DeletionWindow> {
        self.pending_window
    }

    /// When imported material expires: the earliest of all that belongs to the key.
    pub const fn valid_to(&self) -> Option<Timestamp> {
        self.valid_to
    }

    /// Whether imported material expires; nothing while none is there.
    pub const fn expiration_model(&self) -> Option<ExpirationModel> {
        self.expiration_model
    }

    /// The id of the material that encrypts now; only symmetric keys show it.
    pub const fn current_key_material_id(&self) -> Option<KeyMaterialId> {
        self.current_key_material_id
    }

    /// The custom key store that it lies in, if it does.
    pub const fn custom_key_store_id(&self) -> Option<CustomKeyStoreId> {
        self.custom_key_store_id
    }

    /// The cluster of HSMs that holds it, if one does.
    pub const fn cluster_id(&self) -> Option<&ClusterId> {
        self.cluster_id.as_ref()
    }

    /// Whether the key exists in several regions at once: never, as this library has no such keys.
    pub const fn is_multi_region(&self) -> bool {
        false
    }
}

/// [`KeyMetadata`] by the names of the service.
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
    /// The old name of the next member; older clients read no other.
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
            multi_region: self.is_multi_region(),
            current_key_material_id: self.current_key_material_id,
            custom_key_store_id: self.custom_key_store_id,
            cluster_id: self.cluster_id.as_ref(),
        }
        .serialize(serializer)
    }
}

/// The protocol of the service counts seconds since 1970 as a number with a fraction.
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
