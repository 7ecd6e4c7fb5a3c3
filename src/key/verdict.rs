//! The state table of the service: whether the state, origin, and class of a key allow an
//! operation.

use super::operation::Rule;
use super::{KeyArn, KeyState, Operation, Origin, SpecClass};
use crate::error::{Error, ErrorKind};

/// The result of [`verdict()`].
///
/// # Examples
/// ```
/// use strongroom::key::{KeyState, Operation, Origin, Refusal, SpecClass, Verdict, verdict};
///
/// let encrypt = |state| verdict(Operation::Encrypt, state, Origin::Kms, SpecClass::Symmetric);
/// assert_eq!(encrypt(KeyState::Enabled), Verdict::Allowed);
/// assert_eq!(encrypt(KeyState::Enabled).refusal(), None);
/// assert_eq!(encrypt(KeyState::PendingDeletion).refusal(), Some(Refusal::PendingDeletion));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed.
    Allowed,
    /// Succeeds now, and takes effect when the key becomes available again.
    AllowedOnceAvailable,
    /// Succeeds without any effect.
    NoEffect,
    /// Rejected.
    Refused(Refusal),
    /// The operation does not act on a single key, so the table does not apply.
    NotApplicable,
}

impl Verdict {
    /// Returns the reason for a rejection.
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Allowed | Self::AllowedOnceAvailable | Self::NoEffect | Self::NotApplicable => None,
        }
    }
}

/// The reasons why a key rejects an operation.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::identity::{AccountId, Locality};
/// use strongroom::key::{KeyArn, KeyId, Origin, Refusal};
///
/// let key = KeyArn::new(Locality::default(), AccountId::default(), KeyId::from_bytes([0; 16]));
/// assert_eq!(Refusal::Disabled.kind(), ErrorKind::Disabled);
/// assert_eq!(Refusal::Disabled.message(&key), format!("{key} is disabled."));
/// assert_eq!(Refusal::Origin(Origin::Hsm).error(&key).kind(), ErrorKind::UnsupportedOperation);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The key is disabled.
    Disabled,
    /// The key is pending deletion.
    PendingDeletion,
    /// The key is not pending deletion, so there is no deletion to cancel.
    NotPendingDeletion,
    /// The key is pending import.
    PendingImport,
    /// The custom key store of the key is disconnected.
    Unavailable,
    /// The key is being created.
    Creating,
    /// The operation does not support keys of this origin.
    Origin(Origin),
    /// The operation does not support keys of this class.
    Class(SpecClass),
    /// The operation generates data keys, which keys of this class cannot encrypt.
    Material(SpecClass),
}

impl Refusal {
    /// Returns the error kind.
    ///
    /// For a pending deletion, the service sometimes reports a disabled key and sometimes an
    /// invalid state. This function always returns [`InvalidState`](ErrorKind::InvalidState), which
    /// the service was observed to report.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Disabled => ErrorKind::Disabled,
            Self::PendingDeletion
            | Self::NotPendingDeletion
            | Self::PendingImport
            | Self::Unavailable
            | Self::Creating => ErrorKind::InvalidState,
            Self::Origin(_) | Self::Class(_) => ErrorKind::UnsupportedOperation,
            Self::Material(_) => ErrorKind::InvalidKeyUsage,
        }
    }

    /// Returns the error message, in the wording of the service if it has one.
    pub fn message(self, key: &KeyArn) -> String {
        match self {
            Self::Disabled => format!("{key} is disabled."),
            Self::PendingDeletion => format!("{key} is pending deletion."),
            Self::NotPendingDeletion => format!("{key} is not pending deletion."),
            Self::PendingImport => format!("{key} is pending import."),
            Self::Unavailable => format!("{key} is unavailable."),
            Self::Creating => format!("{key} is creating."),
            Self::Origin(origin) => format!("{key} origin is {origin} which is not valid for this operation."),
            Self::Class(class) => format!("{key} is {} which is not valid for this operation.", class_name(class)),
            Self::Material(_) => "You cannot generate a data key with an asymmetric CMK".to_owned(),
        }
    }

    /// Returns the error.
    pub fn error(self, key: &KeyArn) -> Error {
        let error = Error::new(self.kind(), self.message(key));
        match self {
            Self::Class(class) => error.with_source(UnsuitableClass(class_name(class))),
            _ => error,
        }
    }
}

/// The cause of an error about the class of a key. AWS KMS reports such an error without a text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UnsuitableClass(&'static str);

const fn class_name(class: SpecClass) -> &'static str {
    match class {
        SpecClass::Symmetric => "a symmetric encryption key",
        SpecClass::Asymmetric => "an asymmetric key",
        SpecClass::Hmac => "an HMAC key",
    }
}

/// Decides whether the state, origin, and class of a key allow an operation. This total function is
/// the only place with these rules.
///
/// The first applicable rejection is returned, in this order:
/// 1. The key is being created.
/// 2. The origin of the key does not support the operation.
/// 3. The state of the key does not allow it.
/// 4. The class of the key does not support the operation.
///
/// The table of AWS KMS has origins before states. The service was observed to report a disabled
/// asymmetric key as disabled when asked to rotate it, so the state comes before the class. It was
/// observed to report the key usage ([`Operation::check_key_usage`]) of a disabled HMAC key when asked
/// to sign with it, so the usage comes before all of these.
///
/// Some choices are left open by AWS KMS, or concern keys that it does not have:
/// - `GetKeyRotationStatus` is allowed for asymmetric and HMAC keys, and reports that they do not
///   rotate.
/// - `UpdateAlias` is judged by the new target. The old target may be in any state.
/// - An unavailable key rejects signing, message authentication, and `GetPublicKey`, like all other
///   uses of its material. Custom key stores of the service hold no such keys; HSMs in strongroom
///   may.
/// - `RotateKeyOnDemand` is supported for imported keys. Whether new material is waiting is checked
///   later.
///
/// # Examples
/// ```
/// use strongroom::key::{KeyState, Operation, Origin, Refusal, SpecClass, Verdict, verdict};
///
/// let answer = verdict(Operation::Encrypt, KeyState::Disabled, Origin::Kms, SpecClass::Symmetric);
/// assert_eq!(answer, Verdict::Refused(Refusal::Disabled));
/// ```
pub fn verdict(operation: Operation, state: KeyState, origin: Origin, class: SpecClass) -> Verdict {
    let row = operation.row();
    let answer = judge(row.rule, state);
    if answer != Verdict::Refused(Refusal::Creating) && !row.origins.contains(&origin) {
        return Verdict::Refused(Refusal::Origin(origin));
    }
    if answer.refusal().is_some() || row.classes.contains(&class) {
        return answer;
    }
    Verdict::Refused(match operation.required_usage() {
        Some(_) => Refusal::Material(class),
        None => Refusal::Class(class),
    })
}

/// Applies the rule of an operation to the state of a key.
const fn judge(rule: Rule, state: KeyState) -> Verdict {
    use KeyState::{Creating, Disabled, Enabled, PendingDeletion, PendingImport, Unavailable};
    match (rule, state) {
        (Rule::NoKey, Creating | Enabled | Disabled | PendingImport | PendingDeletion | Unavailable) => {
            Verdict::NotApplicable
        }
        (Rule::Always, Creating | Enabled | Disabled | PendingImport | PendingDeletion | Unavailable)
        | (Rule::Use, Enabled)
        | (Rule::Grant, Enabled | Unavailable)
        | (Rule::UnlessPendingDeletion, Creating | Enabled | Disabled | PendingImport | Unavailable)
        | (Rule::OnlyPendingDeletion, PendingDeletion)
        | (Rule::Switch, Enabled | Disabled)
        | (Rule::Import, Enabled | Disabled | PendingImport)
        | (Rule::DeleteMaterial, Enabled | Disabled | PendingDeletion) => Verdict::Allowed,
        (Rule::Switch, Unavailable) => Verdict::AllowedOnceAvailable,
        (Rule::DeleteMaterial, PendingImport) => Verdict::NoEffect,
        (Rule::Use | Rule::Grant, Disabled) => Verdict::Refused(Refusal::Disabled),
        (Rule::Use | Rule::Grant | Rule::Switch | Rule::Import | Rule::UnlessPendingDeletion, PendingDeletion) => {
            Verdict::Refused(Refusal::PendingDeletion)
        }
        (Rule::OnlyPendingDeletion, Creating | Enabled | Disabled | PendingImport | Unavailable) => {
            Verdict::Refused(Refusal::NotPendingDeletion)
        }
        (Rule::Use | Rule::Grant | Rule::Switch, PendingImport) => Verdict::Refused(Refusal::PendingImport),
        (Rule::Use | Rule::Import | Rule::DeleteMaterial, Unavailable) => Verdict::Refused(Refusal::Unavailable),
        (Rule::Use | Rule::Grant | Rule::Switch | Rule::Import | Rule::DeleteMaterial, Creating) => {
            Verdict::Refused(Refusal::Creating)
        }
    }
}
