//! The operations of the service, and the one table of what each needs and allows.

use super::{KeyArn, KeyUsage, Origin, SpecClass};
use crate::error::{Error, ErrorKind, Result};
use crate::text::string_enum;

string_enum! {
    /// Everything that can be asked of the service; the names are those of permissions, grants and the audit trail.
    ///
    /// Re-encryption is one call with two permissions and so stands here twice, once for each key. Not here are
    /// the operations of multi-Region keys, and those of key encapsulation, whose specs do not exist yet.
    pub enum Operation as "operation" {
        /// Makes a key.
        CreateKey => "CreateKey",
        /// Tells everything about a key.
        DescribeKey => "DescribeKey",
        /// Lists the keys of an account.
        ListKeys => "ListKeys",
        /// Changes the description of a key.
        UpdateKeyDescription => "UpdateKeyDescription",
        /// Switches a key on.
        EnableKey => "EnableKey",
        /// Switches a key off.
        DisableKey => "DisableKey",
        /// Schedules the deletion of a key.
        ScheduleKeyDeletion => "ScheduleKeyDeletion",
        /// Calls a deletion off.
        CancelKeyDeletion => "CancelKeyDeletion",
        /// Tells when a key was last used.
        GetKeyLastUsage => "GetKeyLastUsage",
        /// Puts tags on a key.
        TagResource => "TagResource",
        /// Takes tags off a key.
        UntagResource => "UntagResource",
        /// Lists the tags of a key.
        ListResourceTags => "ListResourceTags",
        /// Encrypts up to 4096 bytes.
        Encrypt => "Encrypt",
        /// Decrypts a ciphertext.
        Decrypt => "Decrypt",
        /// Decrypts a ciphertext that is to be encrypted anew: the permission on its first key.
        ReEncryptFrom => "ReEncryptFrom",
        /// Encrypts anew what was decrypted: the permission on the second key.
        ReEncryptTo => "ReEncryptTo",
        /// Makes a data key and gives it out in the clear and encrypted.
        GenerateDataKey => "GenerateDataKey",
        /// Makes a data key and gives it out encrypted.
        GenerateDataKeyWithoutPlaintext => "GenerateDataKeyWithoutPlaintext",
        /// Makes a key pair and gives its private key out in the clear and encrypted.
        GenerateDataKeyPair => "GenerateDataKeyPair",
        /// Makes a key pair and gives its private key out encrypted.
        GenerateDataKeyPairWithoutPlaintext => "GenerateDataKeyPairWithoutPlaintext",
        /// Makes random bytes.
        GenerateRandom => "GenerateRandom",
        /// Signs a message or digest.
        Sign => "Sign",
        /// Verifies a signature.
        Verify => "Verify",
        /// Computes a message authentication code.
        GenerateMac => "GenerateMac",
        /// Verifies a message authentication code.
        VerifyMac => "VerifyMac",
        /// Agrees on a secret with a foreign public key.
        DeriveSharedSecret => "DeriveSharedSecret",
        /// Gives the public key out.
        GetPublicKey => "GetPublicKey",
        /// Sets automatic rotation or its period.
        EnableKeyRotation => "EnableKeyRotation",
        /// Ends automatic rotation.
        DisableKeyRotation => "DisableKeyRotation",
        /// Tells whether and when a key rotates.
        GetKeyRotationStatus => "GetKeyRotationStatus",
        /// Rotates a key now.
        RotateKeyOnDemand => "RotateKeyOnDemand",
        /// Lists the rotations of a key, or all of its material.
        ListKeyRotations => "ListKeyRotations",
        /// Makes what is needed to wrap material for import.
        GetParametersForImport => "GetParametersForImport",
        /// Imports wrapped material.
        ImportKeyMaterial => "ImportKeyMaterial",
        /// Deletes imported material.
        DeleteImportedKeyMaterial => "DeleteImportedKeyMaterial",
        /// Sets the policy of a key.
        PutKeyPolicy => "PutKeyPolicy",
        /// Gives the policy of a key.
        GetKeyPolicy => "GetKeyPolicy",
        /// Lists the names of the policies of a key.
        ListKeyPolicies => "ListKeyPolicies",
        /// Lets a principal use a key in stated ways.
        CreateGrant => "CreateGrant",
        /// Lists the grants on a key.
        ListGrants => "ListGrants",
        /// Lists the grants that a principal may retire.
        ListRetirableGrants => "ListRetirableGrants",
        /// Gives a grant back.
        RetireGrant => "RetireGrant",
        /// Takes a grant away.
        RevokeGrant => "RevokeGrant",
        /// Gives a key an alias.
        CreateAlias => "CreateAlias",
        /// Points an alias to another key.
        UpdateAlias => "UpdateAlias",
        /// Takes an alias away.
        DeleteAlias => "DeleteAlias",
        /// Lists aliases.
        ListAliases => "ListAliases",
        /// Makes a custom key store.
        CreateCustomKeyStore => "CreateCustomKeyStore",
        /// Tells everything about custom key stores.
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

/// How the state of a key decides for a group of operations; the [`verdict()`](super::verdict()) spells it out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// No key is asked.
    NoKey,
    /// Every state will do.
    Always,
    /// Only an enabled key will do.
    Use,
    /// As [`Rule::Use`], but the material need not be within reach.
    Grant,
    /// Every state but one will do.
    UnlessPendingDeletion,
    /// One state will do.
    OnlyPendingDeletion,
    /// The key is switched on or off.
    Switch,
    /// Material is coming in.
    Import,
    /// Imported material goes away.
    DeleteMaterial,
}

/// One row of the table.
pub(super) struct Row {
    /// The usage that a key must have.
    usage: Option<KeyUsage>,
    /// The classes of keys for which the operation exists.
    pub(super) classes: &'static [SpecClass],
    /// The origins of keys for which it exists.
    pub(super) origins: &'static [Origin],
    /// What the state of the key has to say.
    pub(super) rule: Rule,
    flags: u8,
}

/// A request may name the key by an alias.
const ALIAS: u8 = 1;
/// It may be asked of another account's key.
const CROSS: u8 = 2;
/// It can be tried without doing it.
const DRY: u8 = 4;
/// A grant can allow it.
const GRANT: u8 = 8;
/// It changes nothing.
const READ: u8 = 16;
/// It exists only for keys that their account manages.
const OWNER: u8 = 32;
/// What all work with a key's material has in common.
const USE: u8 = ALIAS | CROSS | DRY | GRANT | READ;

const SYMMETRIC: &[SpecClass] = &[SpecClass::Symmetric];
const ASYMMETRIC: &[SpecClass] = &[SpecClass::Asymmetric];
const ENCRYPTING: &[SpecClass] = &[SpecClass::Symmetric, SpecClass::Asymmetric];
const HMAC: &[SpecClass] = &[SpecClass::Hmac];
const GENERATED: &[Origin] = &[Origin::Kms];
const IMPORTED: &[Origin] = &[Origin::External];
const NOT_HSM: &[Origin] = &[Origin::Kms, Origin::External];

/// A row for keys of every class and origin.
const fn row(rule: Rule, flags: u8) -> Row {
    Row { usage: None, classes: SpecClass::ALL, origins: Origin::ALL, rule, flags }
}

/// A row for work with the material of a key.
const fn work(usage: KeyUsage, classes: &'static [SpecClass], origins: &'static [Origin]) -> Row {
    Row { usage: Some(usage), classes, origins, rule: Rule::Use, flags: USE }
}

impl Row {
    const fn only(self, classes: &'static [SpecClass], origins: &'static [Origin]) -> Self {
        Self { classes, origins, ..self }
    }
}

impl Operation {
    /// The table.
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

    /// The name of the call that this is, or is a part of: both halves of re-encryption are `ReEncrypt`.
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::ReEncryptFrom | Self::ReEncryptTo => "ReEncrypt",
            other => other.as_str(),
        }
    }

    /// The usage that a key must have for it.
    pub const fn required_usage(self) -> Option<KeyUsage> {
        self.row().usage
    }

    /// Whether it is asked of a key at all, and not of the account or of a key store.
    pub const fn acts_on_key(self) -> bool {
        !matches!(self.row().rule, Rule::NoKey)
    }

    /// Whether a request may name the key by an alias; other operations take a key id or key ARN only.
    pub const fn accepts_alias(self) -> bool {
        self.has(ALIAS)
    }

    /// Whether it may be asked of a key of another account, if that one's policy allows it.
    pub const fn is_cross_account(self) -> bool {
        self.has(CROSS)
    }

    /// Whether it can be tried without doing it.
    pub const fn has_dry_run(self) -> bool {
        self.has(DRY)
    }

    /// Whether a grant can allow it.
    pub const fn is_grantable(self) -> bool {
        self.has(GRANT)
    }

    /// Whether it leaves everything as it was; the audit trail marks such events, work with a key among them.
    pub const fn is_read_only(self) -> bool {
        self.has(READ)
    }

    /// Whether it is refused for keys that a service manages.
    pub const fn needs_customer_managed(self) -> bool {
        self.has(OWNER)
    }

    /// Refuses a key that is made for something else.
    ///
    /// # Errors
    /// Of kind [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage), and for decryption
    /// [`IncorrectKey`](ErrorKind::IncorrectKey), as such a key cannot have made the ciphertext.
    pub fn check_key_usage(self, usage: KeyUsage, key: &KeyArn) -> Result<()> {
        if self.required_usage().is_none_or(|required| required == usage) {
            return Ok(());
        }
        if matches!(self, Self::Decrypt | Self::ReEncryptFrom) {
            let message = "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(Error::new(ErrorKind::IncorrectKey, message));
        }
        let message = format!("{key} key usage is {usage} which is not valid for {}.", self.api_name());
        Err(Error::new(ErrorKind::InvalidKeyUsage, message))
    }
}

#[cfg(test)]
mod tests;
