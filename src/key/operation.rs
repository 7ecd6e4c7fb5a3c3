//! The operations of the service, and a single table of their requirements and permissions.

use super::{KeyArn, KeyUsage, Origin, SpecClass};
use crate::error::{Error, ErrorKind, Result};
use crate::text::string_enum;

string_enum! {
    /// The operations of the service, by the names used in permissions, grants, and the audit
    /// trail.
    ///
    /// Re-encryption is one call with two permissions, so it appears twice, once for each key.
    /// Operations for multi-Region keys are excluded. So are those for key encapsulation, whose key
    /// specs do not exist yet.
    pub enum Operation as "operation" {
        /// Creates a key.
        CreateKey => "CreateKey",
        /// Returns the metadata of a key.
        DescribeKey => "DescribeKey",
        /// Lists the keys of an account.
        ListKeys => "ListKeys",
        /// Changes the description of a key.
        UpdateKeyDescription => "UpdateKeyDescription",
        /// Enables a key.
        EnableKey => "EnableKey",
        /// Disables a key.
        DisableKey => "DisableKey",
        /// Schedules the deletion of a key.
        ScheduleKeyDeletion => "ScheduleKeyDeletion",
        /// Cancels the deletion of a key.
        CancelKeyDeletion => "CancelKeyDeletion",
        /// Returns the last use of a key.
        GetKeyLastUsage => "GetKeyLastUsage",
        /// Adds tags to a key.
        TagResource => "TagResource",
        /// Removes tags from a key.
        UntagResource => "UntagResource",
        /// Lists the tags of a key.
        ListResourceTags => "ListResourceTags",
        /// Encrypts up to 4096 bytes.
        Encrypt => "Encrypt",
        /// Decrypts a ciphertext.
        Decrypt => "Decrypt",
        /// Decrypts a ciphertext for re-encryption: the permission on the source key.
        ReEncryptFrom => "ReEncryptFrom",
        /// Encrypts the result of that decryption: the permission on the destination key.
        ReEncryptTo => "ReEncryptTo",
        /// Generates a data key and returns it in plaintext and encrypted.
        GenerateDataKey => "GenerateDataKey",
        /// Generates a data key and returns it encrypted only.
        GenerateDataKeyWithoutPlaintext => "GenerateDataKeyWithoutPlaintext",
        /// Generates a key pair and returns its private key in plaintext and encrypted.
        GenerateDataKeyPair => "GenerateDataKeyPair",
        /// Generates a key pair and returns its private key encrypted only.
        GenerateDataKeyPairWithoutPlaintext => "GenerateDataKeyPairWithoutPlaintext",
        /// Generates random bytes.
        GenerateRandom => "GenerateRandom",
        /// Signs a message or a digest.
        Sign => "Sign",
        /// Verifies a signature.
        Verify => "Verify",
        /// Computes a message authentication code.
        GenerateMac => "GenerateMac",
        /// Verifies a message authentication code.
        VerifyMac => "VerifyMac",
        /// Derives a shared secret with the public key of another party.
        DeriveSharedSecret => "DeriveSharedSecret",
        /// Generates a shared secret and encapsulates it with the public key.
        Encapsulate => "Encapsulate",
        /// Returns the shared secret in a ciphertext of the public key.
        Decapsulate => "Decapsulate",
        /// Returns the public key.
        GetPublicKey => "GetPublicKey",
        /// Enables automatic rotation or changes its period.
        EnableKeyRotation => "EnableKeyRotation",
        /// Disables automatic rotation.
        DisableKeyRotation => "DisableKeyRotation",
        /// Returns the rotation schedule of a key.
        GetKeyRotationStatus => "GetKeyRotationStatus",
        /// Rotates a key immediately.
        RotateKeyOnDemand => "RotateKeyOnDemand",
        /// Lists the rotations of a key, or all of its material.
        ListKeyRotations => "ListKeyRotations",
        /// Creates the wrapping key and import token needed to import material.
        GetParametersForImport => "GetParametersForImport",
        /// Imports wrapped material.
        ImportKeyMaterial => "ImportKeyMaterial",
        /// Deletes imported material.
        DeleteImportedKeyMaterial => "DeleteImportedKeyMaterial",
        /// Sets the policy of a key.
        PutKeyPolicy => "PutKeyPolicy",
        /// Returns the policy of a key.
        GetKeyPolicy => "GetKeyPolicy",
        /// Lists the names of the policies of a key.
        ListKeyPolicies => "ListKeyPolicies",
        /// Allows a principal to use a key in specified ways.
        CreateGrant => "CreateGrant",
        /// Lists the grants on a key.
        ListGrants => "ListGrants",
        /// Lists the grants that a principal may retire.
        ListRetirableGrants => "ListRetirableGrants",
        /// Retires a grant.
        RetireGrant => "RetireGrant",
        /// Revokes a grant.
        RevokeGrant => "RevokeGrant",
        /// Creates an alias for a key.
        CreateAlias => "CreateAlias",
        /// Points an alias to another key.
        UpdateAlias => "UpdateAlias",
        /// Deletes an alias.
        DeleteAlias => "DeleteAlias",
        /// Lists aliases.
        ListAliases => "ListAliases",
        /// Creates a custom key store.
        CreateCustomKeyStore => "CreateCustomKeyStore",
        /// Describes custom key stores.
        DescribeCustomKeyStores => "DescribeCustomKeyStores",
        /// Changes a custom key store.
        UpdateCustomKeyStore => "UpdateCustomKeyStore",
        /// Connects a custom key store.
        ConnectCustomKeyStore => "ConnectCustomKeyStore",
        /// Disconnects a custom key store.
        DisconnectCustomKeyStore => "DisconnectCustomKeyStore",
        /// Deletes a custom key store.
        DeleteCustomKeyStore => "DeleteCustomKeyStore",
    }
}

/// The rule by which a key state allows or rejects a group of operations.
/// [`verdict()`](super::verdict()) implements the rules.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Does not involve a key.
    NoKey,
    /// Allowed in every state.
    Always,
    /// Allowed only for enabled keys.
    Use,
    /// Like [`Rule::Use`], but also allowed while the material is unreachable.
    Grant,
    /// Allowed in every state except pending deletion.
    UnlessPendingDeletion,
    /// Allowed only in pending deletion.
    OnlyPendingDeletion,
    /// Enables or disables the key.
    Switch,
    /// Imports material.
    Import,
    /// Deletes imported material.
    DeleteMaterial,
}

/// A row of the table.
pub(super) struct Row {
    /// The required key usage.
    usage: Option<KeyUsage>,
    /// The classes of keys that support the operation.
    pub(super) classes: &'static [SpecClass],
    /// The origins of keys that support the operation.
    pub(super) origins: &'static [Origin],
    /// The rule for key states.
    pub(super) rule: Rule,
    flags: u8,
}

/// Requests may identify the key by an alias.
const ALIAS: u8 = 1;
/// Requests may target keys of another account.
const CROSS: u8 = 2;
/// Supports dry runs.
const DRY: u8 = 4;
/// Grants can allow the operation.
const GRANT: u8 = 8;
/// Read-only.
const READ: u8 = 16;
/// Supports only keys that are managed by their account.
const OWNER: u8 = 32;
/// The flags of all operations that use key material.
const USE: u8 = ALIAS | CROSS | DRY | GRANT | READ;

const SYMMETRIC: &[SpecClass] = &[SpecClass::Symmetric];
const ASYMMETRIC: &[SpecClass] = &[SpecClass::Asymmetric];
const ENCRYPTING: &[SpecClass] = &[SpecClass::Symmetric, SpecClass::Asymmetric];
const HMAC: &[SpecClass] = &[SpecClass::Hmac];
const GENERATED: &[Origin] = &[Origin::Kms];
const IMPORTED: &[Origin] = &[Origin::External];
const NOT_HSM: &[Origin] = &[Origin::Kms, Origin::External];

/// Returns a row for keys of every class and origin.
const fn row(rule: Rule, flags: u8) -> Row {
    Row { usage: None, classes: SpecClass::ALL, origins: Origin::ALL, rule, flags }
}

/// Returns a row for an operation that uses the material of a key.
const fn work(usage: KeyUsage, classes: &'static [SpecClass], origins: &'static [Origin]) -> Row {
    Row { usage: Some(usage), classes, origins, rule: Rule::Use, flags: USE }
}

impl Row {
    const fn only(self, classes: &'static [SpecClass], origins: &'static [Origin]) -> Self {
        Self { classes, origins, ..self }
    }
}

/// The message for a key that cannot have encrypted a ciphertext, in the wording of the service.
pub(crate) const INCORRECT_KEY: &str =
    "The key ID in the request does not identify a CMK that can perform this operation.";

impl Operation {
    /// Returns the row of the operation.
    pub(super) const fn row(self) -> Row {
        match self {
            Self::Encrypt | Self::Decrypt => work(KeyUsage::EncryptDecrypt, ENCRYPTING, Origin::ALL),
            Self::ReEncryptFrom | Self::ReEncryptTo => work(KeyUsage::EncryptDecrypt, ENCRYPTING, Origin::ALL),
            Self::GenerateDataKey => work(KeyUsage::EncryptDecrypt, SYMMETRIC, Origin::ALL),
            Self::GenerateDataKeyWithoutPlaintext => work(KeyUsage::EncryptDecrypt, SYMMETRIC, Origin::ALL),
            Self::GenerateDataKeyPair => work(KeyUsage::EncryptDecrypt, SYMMETRIC, NOT_HSM),
            Self::GenerateDataKeyPairWithoutPlaintext => work(KeyUsage::EncryptDecrypt, SYMMETRIC, NOT_HSM),
            Self::Sign | Self::Verify => work(KeyUsage::SignVerify, ASYMMETRIC, Origin::ALL),
            Self::GenerateMac | Self::VerifyMac => work(KeyUsage::GenerateVerifyMac, HMAC, Origin::ALL),
            Self::DeriveSharedSecret => work(KeyUsage::KeyAgreement, ASYMMETRIC, NOT_HSM),
            Self::Encapsulate | Self::Decapsulate => work(KeyUsage::EncapsulateDecapsulate, ASYMMETRIC, NOT_HSM),
            Self::GetPublicKey => row(Rule::Use, ALIAS | CROSS | GRANT | READ).only(ASYMMETRIC, Origin::ALL),
            Self::GenerateRandom => row(Rule::NoKey, READ),

            Self::CreateKey => row(Rule::NoKey, 0),
            Self::ListKeys => row(Rule::NoKey, READ),
            Self::DescribeKey => row(Rule::Always, ALIAS | CROSS | GRANT | READ),
            Self::GetKeyLastUsage => row(Rule::Always, READ),
            Self::EnableKey | Self::DisableKey => row(Rule::Switch, OWNER),
            Self::ScheduleKeyDeletion | Self::UpdateKeyDescription => row(Rule::UnlessPendingDeletion, OWNER),
            Self::CancelKeyDeletion => row(Rule::OnlyPendingDeletion, OWNER),
            Self::TagResource | Self::UntagResource => row(Rule::UnlessPendingDeletion, OWNER),
            Self::ListResourceTags => row(Rule::Always, READ | OWNER),

            Self::EnableKeyRotation | Self::DisableKeyRotation => row(Rule::Use, OWNER).only(SYMMETRIC, GENERATED),
            Self::RotateKeyOnDemand => row(Rule::Use, OWNER).only(SYMMETRIC, NOT_HSM),
            Self::GetKeyRotationStatus => row(Rule::Always, CROSS | READ).only(SpecClass::ALL, GENERATED),
            Self::ListKeyRotations => row(Rule::Always, READ).only(SYMMETRIC, NOT_HSM),
            Self::GetParametersForImport => row(Rule::Import, READ | OWNER).only(SpecClass::ALL, IMPORTED),
            Self::ImportKeyMaterial => row(Rule::Import, OWNER).only(SpecClass::ALL, IMPORTED),
            Self::DeleteImportedKeyMaterial => row(Rule::DeleteMaterial, OWNER).only(SpecClass::ALL, IMPORTED),

            Self::PutKeyPolicy => row(Rule::Always, OWNER),
            Self::GetKeyPolicy | Self::ListKeyPolicies => row(Rule::Always, READ),
            Self::CreateGrant => row(Rule::Grant, CROSS | DRY | GRANT | OWNER),
            Self::ListGrants => row(Rule::Always, CROSS | READ),
            Self::ListRetirableGrants => row(Rule::NoKey, READ),
            Self::RetireGrant => row(Rule::Always, CROSS | DRY | GRANT),
            Self::RevokeGrant => row(Rule::Always, CROSS | DRY | OWNER),
            Self::CreateAlias | Self::UpdateAlias => row(Rule::UnlessPendingDeletion, OWNER),
            Self::DeleteAlias => row(Rule::Always, OWNER),
            Self::ListAliases => row(Rule::Always, READ),

            Self::DescribeCustomKeyStores => row(Rule::NoKey, READ),
            Self::CreateCustomKeyStore | Self::UpdateCustomKeyStore | Self::DeleteCustomKeyStore => row(Rule::NoKey, 0),
            Self::ConnectCustomKeyStore | Self::DisconnectCustomKeyStore => row(Rule::NoKey, 0),
        }
    }

    const fn has(self, flag: u8) -> bool {
        self.row().flags & flag != 0
    }

    /// Returns the name of the API call that contains the operation. For both halves of
    /// re-encryption this is `ReEncrypt`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert_eq!(Operation::ReEncryptFrom.api_name(), "ReEncrypt");
    /// assert_eq!(Operation::ReEncryptFrom.as_str(), "ReEncryptFrom"); // as in a policy
    /// assert_eq!(Operation::Encrypt.api_name(), "Encrypt");
    /// ```
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::ReEncryptFrom | Self::ReEncryptTo => "ReEncrypt",
            other => other.as_str(),
        }
    }

    /// Returns the required key usage.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeyUsage, Operation};
    ///
    /// assert_eq!(Operation::VerifyMac.required_usage(), Some(KeyUsage::GenerateVerifyMac));
    /// assert_eq!(Operation::DescribeKey.required_usage(), None);
    /// ```
    pub const fn required_usage(self) -> Option<KeyUsage> {
        self.row().usage
    }

    /// Returns `true` if the operation acts on a key, not on an account or a custom key store.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::TagResource.acts_on_key());
    /// assert!(!Operation::ListKeys.acts_on_key() && !Operation::CreateKey.acts_on_key());
    /// ```
    pub const fn acts_on_key(self) -> bool {
        !matches!(self.row().rule, Rule::NoKey)
    }

    /// Returns `true` if requests may identify the key by an alias. Other operations accept only
    /// key IDs and key ARNs.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::Encrypt.accepts_alias() && Operation::DescribeKey.accepts_alias());
    /// assert!(!Operation::ScheduleKeyDeletion.accepts_alias());
    /// ```
    pub const fn accepts_alias(self) -> bool {
        self.has(ALIAS)
    }

    /// Returns `true` if the operation may target a key of another account whose policy allows it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::Decrypt.is_cross_account() && !Operation::DisableKey.is_cross_account());
    /// ```
    pub const fn is_cross_account(self) -> bool {
        self.has(CROSS)
    }

    /// Returns `true` if the operation supports dry runs.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::Sign.has_dry_run() && !Operation::CreateKey.has_dry_run());
    /// ```
    pub const fn has_dry_run(self) -> bool {
        self.has(DRY)
    }

    /// Returns `true` if a grant can allow the operation.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// let grantable = Operation::ALL.iter().filter(|operation| operation.is_grantable());
    /// assert!(grantable.clone().any(|operation| *operation == Operation::CreateGrant));
    /// assert!(grantable.clone().all(|operation| *operation != Operation::PutKeyPolicy));
    /// ```
    pub const fn is_grantable(self) -> bool {
        self.has(GRANT)
    }

    /// Returns `true` if the operation is read-only, as marked in the audit trail. This includes
    /// operations that use a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::Encrypt.is_read_only() && !Operation::CreateAlias.is_read_only());
    /// ```
    pub const fn is_read_only(self) -> bool {
        self.has(READ)
    }

    /// Returns `true` if the operation is not supported for service-managed keys.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    ///
    /// assert!(Operation::PutKeyPolicy.needs_customer_managed());
    /// assert!(!Operation::GetKeyPolicy.needs_customer_managed());
    /// ```
    pub const fn needs_customer_managed(self) -> bool {
        self.has(OWNER)
    }

    /// Rejects a key with another usage.
    ///
    /// # Errors
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key has another usage and the
    ///   operation is not decryption.
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) if the key has another usage and the operation
    ///   is decryption, since the key cannot have encrypted the ciphertext.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::identity::{AccountId, Locality};
    /// use strongroom::key::{KeyArn, KeyId, KeyUsage, Operation};
    ///
    /// let key = KeyArn::new(Locality::default(), AccountId::default(), KeyId::from_bytes([0; 16]));
    /// assert!(Operation::Sign.check_key_usage(KeyUsage::SignVerify, &key).is_ok());
    /// let kind = |operation: Operation| operation.check_key_usage(KeyUsage::SignVerify, &key).unwrap_err().kind();
    /// assert_eq!(kind(Operation::Encrypt), ErrorKind::InvalidKeyUsage);
    /// assert_eq!(kind(Operation::Decrypt), ErrorKind::IncorrectKey);
    /// ```
    pub fn check_key_usage(self, usage: KeyUsage, key: &KeyArn) -> Result<()> {
        if self.required_usage().is_none_or(|required| required == usage) {
            return Ok(());
        }
        if matches!(self, Self::Decrypt | Self::ReEncryptFrom) {
            let advice = format!("the usage of {key} is {usage}");
            return Err(Error::new(ErrorKind::IncorrectKey, INCORRECT_KEY).with_advice(advice));
        }
        let message = format!("{key} key usage is {usage} which is not valid for {}.", self.api_name());
        Err(Error::new(ErrorKind::InvalidKeyUsage, message))
    }
}

#[cfg(test)]
mod tests;
