//! The contents of audit events.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::ChangeId;
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::ErrorKind;
use crate::identity::{AccountId, Principal, ServiceName};
use crate::key::{KeyId, Operation, ParameterOperation};

/// The action that an event records.
///
/// # Examples
/// ```
/// use strongroom::audit::Action;
/// use strongroom::key::Operation;
///
/// assert_eq!(Action::Call(Operation::ReEncryptTo).to_string(), "ReEncrypt");
/// assert_eq!(Action::Authority("rotate_root_key").to_string(), "RotateRootKey");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A caller requested an operation.
    Call(Operation),
    /// A caller requested an operation of the parameter store.
    Parameter(ParameterOperation),
    /// The library rotated the material of a key because its rotation was due.
    RotateKey,
    /// The library deleted expired imported material.
    DeleteExpiredKeyMaterial,
    /// The library deleted a key whose waiting period had ended.
    DeleteKey,
    /// The library created the key of a service in an account on its first use.
    CreateServiceKey,
    /// A caller requested to attach a policy to a principal.
    PutIdentityPolicy,
    /// A caller requested a policy of a principal.
    GetIdentityPolicy,
    /// A caller requested the names of a principal's policies.
    ListIdentityPolicies,
    /// A caller requested to remove a policy from a principal.
    DeleteIdentityPolicy,
    /// The authority exported a key with its material.
    ExportKey,
    /// The authority imported the keys of an export.
    ImportKeys,
    /// A caller requested a handle or an operation reserved for the authority; contains the name of
    /// the method. The trail always contains denied and failed requests. Of the successful ones it
    /// contains the rotation of the root key, a reset of metering, and operations on the trail
    /// itself.
    Authority(&'static str),
    /// A server refused requests because it could not authenticate them: a summary of an interval
    /// ([`RefusedRequests`](super::RefusedRequests)).
    RefuseRequests,
    /// A call of an operation of AWS KMS that this library lacks. Contains the name of the
    /// operation, or `UnknownOperation` if AWS KMS has none of that name.
    Unsupported(&'static str),
    /// A call of an operation that the parameter store lacks. Contains `UnknownOperation`.
    UnsupportedParameter(&'static str),
}

impl Action {
    /// Returns a constant name for metrics and spans. It differs from the `Display` text only for
    /// the methods of the authority, such as `run_maintenance`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Call(operation) => operation.api_name(),
            Self::Parameter(operation) => operation.as_str(),
            Self::RotateKey => "RotateKey",
            Self::DeleteExpiredKeyMaterial => "DeleteExpiredKeyMaterial",
            Self::DeleteKey => "DeleteKey",
            Self::CreateServiceKey => "CreateKey",
            Self::PutIdentityPolicy => "PutIdentityPolicy",
            Self::GetIdentityPolicy => "GetIdentityPolicy",
            Self::ListIdentityPolicies => "ListIdentityPolicies",
            Self::DeleteIdentityPolicy => "DeleteIdentityPolicy",
            Self::ExportKey => "ExportKey",
            Self::ImportKeys => "ImportKeys",
            Self::RefuseRequests => "RefuseRequests",
            Self::Authority(method) | Self::Unsupported(method) | Self::UnsupportedParameter(method) => method,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(method) => method.split('_').try_for_each(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                write!(f, "{}{rest}", first.to_ascii_uppercase())
            }),
            other => f.write_str(other.name()),
        }
    }
}

/// The progress of the action when the event was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A change is about to be committed. An outcome follows unless the process ends in between.
    Intent,
    /// The action succeeded.
    Success,
    /// The action was denied or failed for this reason.
    Failure(ErrorKind),
    /// The store did not confirm the change, so it may or may not have taken effect. Once the store
    /// shows the result, a trail with a chain states it in a later record.
    Ambiguous(ErrorKind),
}

/// A key that an action affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyResource {
    /// The account that owns the key.
    pub account: AccountId,
    /// The id of the key.
    pub key_id: KeyId,
}

/// A parameter of a call. It never contains plaintext, ciphertext, key material, or a token.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::{MemoryTrail, ParameterValue};
/// use strongroom::key::Tag;
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// trail.clear();
/// kms.tag_resource(key, [Tag::new("team", "billing")?])?;
/// assert_eq!(trail.events()[0].parameters, [("tags", ParameterValue::pairs([("team", "billing")]))]);
/// trail.clear();
/// kms.untag_resource(key, ["team"])?;
/// assert_eq!(trail.events()[0].parameters, [("tagKeys", ParameterValue::texts(["team"]))]);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
    /// A boolean.
    Bool(bool),
    /// A list of texts.
    Texts(Box<[Box<str>]>),
    /// Pairs of names and values.
    Pairs(Box<[(Box<str>, Box<str>)]>),
    /// Different names, and how often each of them was counted.
    Counts(Box<[(Box<str>, u64)]>),
}

impl ParameterValue {
    /// Creates a list of texts.
    pub fn texts<T: Into<Box<str>>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Texts(texts.into_iter().map(Into::into).collect())
    }

    /// Creates pairs of names and values.
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

/// An entry of the audit trail, with the fields of a CloudTrail record that are meaningful inside a
/// process.
///
/// The encryption context is stored in plaintext, as it is not secret.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Action, AuditEvent, MemoryTrail};
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::request::EncryptRequest;
/// use strongroom::{EncryptionContext, Kms, Timestamp};
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// trail.clear();
/// let row = EncryptionContext::from([("row", "42")]);
/// kms.encrypt(EncryptRequest::new(key, b"data").context(&row))?;
///
/// let event = &trail.events()[0];
/// assert_eq!((event.action, &event.principal), (Action::Call(Operation::Encrypt), kms.principal()));
/// assert_eq!(event.keys[0].map(|used| used.key_id), Some(key));
/// assert_eq!(event.context.as_ref(), Some(&row));
/// assert!(event.read_only() && event.concerns(AccountId::default()));
///
/// // For tests of a sink:
/// let root = Principal::root(AccountId::default());
/// let event = AuditEvent::new(Timestamp::from_unix_millis(0), Action::DeleteKey, root);
/// assert!(!event.read_only());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The time at which the event was written, by the clock of the `Kms`.
    pub time: Timestamp,
    /// The action.
    pub action: Action,
    /// The principal that requested the action. For automatic actions of the library, this is the
    /// root of the key's account. A summary of refused requests has the authority, which recorded
    /// it: the requests have no principal.
    pub principal: Principal,
    /// The service that forwarded the request for the principal, if any.
    pub via_service: Option<ServiceName>,
    /// The ID of the request that the call belongs to, if its handle has one
    /// ([`Kms::with_request_id`](crate::Kms::with_request_id)).
    pub request_id: Option<Arc<str>>,
    /// The outcome of the action.
    pub outcome: Outcome,
    /// The error message returned to the caller if the action was denied or failed. It never
    /// contains plaintext, key material, or values of an encryption context.
    pub message: Option<Box<str>>,
    /// Links the intent of a change to its outcome.
    pub change: Option<ChangeId>,
    /// `true` if the call was only a dry run.
    pub dry_run: bool,
    /// The existing keys that the action affected: one for most operations, two for re-encryption.
    /// A key of another account that was specified by its ARN is listed whether or not it exists.
    pub keys: [Option<KeyResource>; 2],
    /// The encryption context of the call, if it has one and it is not empty.
    pub context: Option<EncryptionContext>,
    /// The encryption context of the ciphertext to be re-encrypted, if it has one and it is not
    /// empty.
    pub source_context: Option<EncryptionContext>,
    /// Selected parameters, named as in the AWS KMS API.
    pub parameters: Vec<(&'static str, ParameterValue)>,
    /// Relevant information that was not part of the request, such as the grant that allowed the
    /// operation.
    pub additional: Vec<(&'static str, ParameterValue)>,
}

impl AuditEvent {
    /// Creates an event for a successful action without a key. The other values can be set through
    /// the public fields.
    pub const fn new(time: Timestamp, action: Action, principal: Principal) -> Self {
        Self {
            time,
            action,
            principal,
            via_service: None,
            request_id: None,
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

    /// Returns `true` if the event belongs in the trail of an account, because the caller or a key
    /// belongs to the account. The use of a key by the service that owns it concerns only
    /// [`AccountId::SERVICES`].
    pub fn concerns(&self, account: AccountId) -> bool {
        self.principal.account() == account || self.keys.iter().flatten().any(|key| key.account == account)
    }

    /// Returns `true` if the action is read-only. As in CloudTrail, cryptographic operations are.
    pub const fn read_only(&self) -> bool {
        match self.action {
            Action::Call(operation) => operation.is_read_only(),
            Action::Parameter(operation) => operation.is_read_only(),
            Action::GetIdentityPolicy | Action::ListIdentityPolicies | Action::ExportKey => true,
            Action::RotateKey
            | Action::DeleteExpiredKeyMaterial
            | Action::DeleteKey
            | Action::CreateServiceKey
            | Action::ImportKeys
            | Action::RefuseRequests
            | Action::Authority(_)
            | Action::Unsupported(_)
            | Action::UnsupportedParameter(_)
            | Action::PutIdentityPolicy
            | Action::DeleteIdentityPolicy => false,
        }
    }
}
