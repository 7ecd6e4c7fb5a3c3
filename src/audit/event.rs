//! What an entry of the trail says.

use std::borrow::Cow;
use std::fmt;

use super::ChangeId;
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::ErrorKind;
use crate::identity::{AccountId, Principal, ServiceName};
use crate::key::{KeyId, Operation};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A caller asked for an operation.
    Call(Operation),
    /// The library gave a key new material, because its rotation was due.
    RotateKey,
    /// The library deleted imported material whose time was over.
    DeleteExpiredKeyMaterial,
    /// The library deleted a key whose waiting period had ended.
    DeleteKey,
    /// The library made the key of a service in an account, because it was needed for the first time.
    CreateServiceKey,
    /// A caller asked to attach a policy to a principal.
    PutIdentityPolicy,
    /// A caller asked for a policy of a principal.
    GetIdentityPolicy,
    /// A caller asked for the names of the policies of a principal.
    ListIdentityPolicies,
    /// A caller asked to take a policy from a principal.
    DeleteIdentityPolicy,
    /// The authority exported a key with its material.
    ExportKey,
    /// The authority took in keys of an export.
    ImportKeys,
    /// A caller asked for what only the authority may do, or for a handle: the name of the method. The trail has an event of
    /// it if it was refused or failed. Of what succeeds it records the rotation of the root key, a reset of metering, and
    /// what becomes of the trail itself.
    Authority(&'static str),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(operation) => f.write_str(operation.api_name()),
            Self::RotateKey => f.write_str("RotateKey"),
            Self::DeleteExpiredKeyMaterial => f.write_str("DeleteExpiredKeyMaterial"),
            Self::DeleteKey => f.write_str("DeleteKey"),
            Self::CreateServiceKey => f.write_str("CreateKey"),
            Self::PutIdentityPolicy => f.write_str("PutIdentityPolicy"),
            Self::GetIdentityPolicy => f.write_str("GetIdentityPolicy"),
            Self::ListIdentityPolicies => f.write_str("ListIdentityPolicies"),
            Self::DeleteIdentityPolicy => f.write_str("DeleteIdentityPolicy"),
            Self::ExportKey => f.write_str("ExportKey"),
            Self::ImportKeys => f.write_str("ImportKeys"),
            Self::Authority(method) => method.split('_').try_for_each(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                write!(f, "{}{rest}", first.to_ascii_uppercase())
            }),
        }
    }
}

/// How far the action had come when the event was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A change is about to be committed. An outcome follows, unless the process ends in between.
    Intent,
    /// It was done.
    Success,
    /// It was refused or failed, for this reason.
    Failure(ErrorKind),
}

/// A key that an action touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyResource {
    /// The account that owns the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
}

/// A parameter of a call: never plaintext, ciphertext, key material or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
    /// Yes or no.
    Bool(bool),
    /// Several texts.
    Texts(Box<[Box<str>]>),
    /// Names and their values.
    Pairs(Box<[(Box<str>, Box<str>)]>),
}

impl ParameterValue {
    /// Several texts.
    pub fn texts<T: Into<Box<str>>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Texts(texts.into_iter().map(Into::into).collect())
    }

    /// Names and their values.
    pub fn pairs<T: Into<Box<str>>>(pairs: impl IntoIterator<Item = (T, T)>) -> Self {
        Self::Pairs(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl From<&'static str> for ParameterValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for ParameterValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for ParameterValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for ParameterValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for ParameterValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// One entry of the audit trail, with the fields of a CloudTrail record that make sense inside a process.
///
/// The encryption context is kept in clear, as it is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it was written, by the clock of the `Kms`.
    pub time: Timestamp,
    /// What was done.
    pub action: Action,
    /// Who asked for it; for what the library does by itself, the root of the key's account.
    pub principal: Principal,
    /// The service that passed it on for the principal, if one did.
    pub via_service: Option<ServiceName>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the caller was told, if it was refused or failed. Never plaintext, material or values of a context.
    pub message: Option<Box<str>>,
    /// Pairs the intent of a change with its outcome.
    pub change: Option<ChangeId>,
    /// Whether it was only a dry run.
    pub dry_run: bool,
    /// The keys that it touched, as far as they exist: one for most operations, two for re-encryption. A key of another
    /// account that was named by its ARN is listed whether or not it exists.
    pub keys: [Option<KeyResource>; 2],
    /// The encryption context of the call, if it has one that is not empty.
    pub context: Option<EncryptionContext>,
    /// The encryption context of the ciphertext that is re-encrypted, if it has one that is not empty.
    pub source_context: Option<EncryptionContext>,
    /// Parameters worth keeping, by the names of the AWS KMS API.
    pub parameters: Vec<(&'static str, ParameterValue)>,
    /// What else is worth knowing and was not asked for: the grant that allowed it, say.
    pub additional: Vec<(&'static str, ParameterValue)>,
}

impl AuditEvent {
    /// Makes an event of a successful action without a key; the public fields take the rest.
    pub const fn new(time: Timestamp, action: Action, principal: Principal) -> Self {
        Self {
            time,
            action,
            principal,
            via_service: None,
            outcome: Outcome::Success,
            message: None,
            change: None,
            dry_run: false,
            keys: [None, None],
            context: None,
            source_context: None,
            parameters: Vec::new(),
            additional: Vec::new(),
        }
    }

    /// Whether the event belongs into the trail of an account: the caller is of the account, or a key is. What a service
    /// does with a key that it owns concerns no account but [`AccountId::SERVICES`].
    pub fn concerns(&self, account: AccountId) -> bool {
        self.principal.account() == account || self.keys.iter().flatten().any(|key| key.account == account)
    }

    /// Whether the action only reads. Cryptographic operations do, as in CloudTrail.
    pub const fn read_only(&self) -> bool {
        match self.action {
            Action::Call(operation) => operation.is_read_only(),
            Action::GetIdentityPolicy | Action::ListIdentityPolicies | Action::ExportKey => true,
            Action::RotateKey
            | Action::DeleteExpiredKeyMaterial
            | Action::DeleteKey
            | Action::CreateServiceKey
            | Action::ImportKeys
            | Action::Authority(_)
            | Action::PutIdentityPolicy
            | Action::DeleteIdentityPolicy => false,
        }
    }
}
