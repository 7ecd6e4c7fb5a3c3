//! What the state, origin and class of a key have to say to an operation: the state table of the service.

use super::operation::Rule;
use super::{KeyArn, KeyState, Operation, Origin, SpecClass};
use crate::error::{Error, ErrorKind};

/// The answer of [`verdict()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may go on.
    Allowed,
    /// It succeeds now, and takes effect when the key is available again.
    AllowedOnceAvailable,
    /// It succeeds and there is nothing to do.
    NoEffect,
    /// It is refused.
    Refused(Refusal),
    /// No single key is asked, so there is nothing to say.
    NotApplicable,
}

impl Verdict {
    /// Why it is refused, if it is.
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Allowed | Self::AllowedOnceAvailable | Self::NoEffect | Self::NotApplicable => None,
        }
    }
}

/// Why an operation is refused to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The key is disabled.
    Disabled,
    /// The key is pending deletion.
    PendingDeletion,
    /// The key is not pending deletion, so there is nothing to call off.
    NotPendingDeletion,
    /// The key waits for its material.
    PendingImport,
    /// The key store of the key is disconnected.
    Unavailable,
    /// The key is being made.
    Creating,
    /// The operation does not exist for keys of this origin.
    Origin(Origin),
    /// The operation does not exist for keys of this class.
    Class(SpecClass),
    /// The operation works with material that keys of this class do not have.
    Material(SpecClass),
}

impl Refusal {
    /// The kind of the error.
    ///
    /// Where the service answers a pending deletion sometimes as disabled and sometimes as an invalid state, this is
    /// always [`InvalidState`](ErrorKind::InvalidState), which it was seen to answer.
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

    /// The text of the error, in the words of the service.
    pub fn message(self, key: &KeyArn) -> String {
        match self {
            Self::Disabled => format!("{key} is disabled."),
            Self::PendingDeletion => format!("{key} is pending deletion."),
            Self::NotPendingDeletion => format!("{key} is not pending deletion."),
            Self::PendingImport => format!("{key} is pending import."),
            Self::Unavailable => format!("{key} is unavailable."),
            Self::Creating => format!("{key} is creating."),
            Self::Origin(origin) => format!("{key} origin is {origin} which is not valid for this operation."),
            Self::Class(class) | Self::Material(class) => {
                format!("{key} is {} which is not valid for this operation.", class_name(class))
            }
        }
    }

    /// The error.
    pub fn error(self, key: &KeyArn) -> Error {
        Error::new(self.kind(), self.message(key))
    }
}

const fn class_name(class: SpecClass) -> &'static str {
    match class {
        SpecClass::Symmetric => "a symmetric encryption key",
        SpecClass::Asymmetric => "an asymmetric key",
        SpecClass::Hmac => "an HMAC key",
    }
}

/// Whether the state, origin and class of a key allow an operation: total, and the one place that knows.
///
/// What does not exist for a class of keys is refused first; then a key that is being made; then what does not exist for
/// its origin; then what its state forbids. Choices where the service leaves one, or has no such keys:
/// - `GetKeyRotationStatus` is allowed for asymmetric and HMAC keys; the answer is that they do not rotate.
/// - `UpdateAlias` is judged by the new target; the old one may be in any state.
/// - An unavailable key refuses to sign, authenticate and give its public key out like all other work with its
///   material: custom key stores of the service hold no such keys, HSMs here may.
/// - `RotateKeyOnDemand` exists for imported keys; whether material is waiting for it is checked later.
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
    if !row.classes.contains(&class) {
        return Verdict::Refused(match operation.required_usage() {
            Some(_) => Refusal::Material(class),
            None => Refusal::Class(class),
        });
    }
    let answer = judge(row.rule, state);
    if answer != Verdict::Refused(Refusal::Creating) && !row.origins.contains(&origin) {
        return Verdict::Refused(Refusal::Origin(origin));
    }
    answer
}

/// What the rule of an operation says to the state of a key.
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
