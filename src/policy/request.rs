//! The policy request: the principal, the operation, the key, and the request parameters.

use super::grant::GrantTerms;
use super::operation_set::OperationSet;
use crate::algorithm::{
    EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, MessageType, SigningAlgorithm, WrappingAlgorithm,
    WrappingKeySpec,
};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::identity::{AccountId, Locality, Principal};
use crate::key::{
    AliasName, DataKeyPairSpec, ExpirationModel, KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin, Tag, TagSet,
};

/// The properties of the key that are known to a policy decision.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::{AliasName, KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin, Tag, TagSet};
/// use strongroom::policy::{AttachedPolicies, KeyFacts, PolicyDocument, PolicyRequest, evaluate};
///
/// let account = AccountId::parse("111122223333")?;
/// let root = Principal::root(account);
/// let policy = PolicyDocument::key_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
///         "Principal": {"AWS": "111122223333"},
///         "Condition": {"StringEquals": {"aws:ResourceTag/team": "billing"}}}}"#,
/// )?;
/// let attached = AttachedPolicies::none().with_key_policy(&policy);
/// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
/// let key = KeyFacts::new(id, spec, usage, Origin::Kms, KeyManager::Customer);
/// let request = PolicyRequest::new(&root, Operation::Decrypt, account);
///
/// // The decision depends on a tag. Without the tags there is no decision.
/// assert!(evaluate(&request.with_key(key), &attached).is_err());
/// let tags = TagSet::from_tags([Tag::new("team", "billing")?])?;
/// let aliases = [AliasName::parse("alias/reports")?];
/// let key = key.with_tags(&tags).with_aliases(&aliases);
/// assert!(evaluate(&request.with_key(key), &attached)?.is_allowed());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyFacts<'a> {
    /// The id of the key.
    pub key_id: KeyId,
    /// The key spec.
    pub spec: KeySpec,
    /// The key usage.
    pub usage: KeyUsage,
    /// The origin of the key material.
    pub origin: Origin,
    /// The manager of the key.
    pub manager: KeyManager,
    /// The tags of the key, if they were looked up. If a policy depends on tags that were not
    /// looked up, no decision is reached.
    pub tags: Option<&'a TagSet>,
    /// The aliases that point to the key, if they were looked up.
    /// [`PolicyDocument::needs_aliases`](super::PolicyDocument::needs_aliases) reports whether a
    /// policy needs them.
    pub aliases: Option<&'a [AliasName]>,
}

impl<'a> KeyFacts<'a> {
    /// Creates the properties of a key.
    pub const fn new(key_id: KeyId, spec: KeySpec, usage: KeyUsage, origin: Origin, manager: KeyManager) -> Self {
        Self { key_id, spec, usage, origin, manager, tags: None, aliases: None }
    }

    /// Adds the tags of the key.
    #[must_use]
    pub const fn with_tags(mut self, tags: &'a TagSet) -> Self {
        self.tags = Some(tags);
        self
    }

    /// Adds the aliases that point to the key.
    #[must_use]
    pub const fn with_aliases(mut self, aliases: &'a [AliasName]) -> Self {
        self.aliases = Some(aliases);
        self
    }
}

/// A request for a [`Policy`](super::Policy) decision.
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm;
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::{KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin};
/// use strongroom::policy::{AttachedPolicies, KeyFacts, PolicyDocument, PolicyRequest, RequestParameter, evaluate};
/// use strongroom::{EncryptionContext, Timestamp};
///
/// let account = AccountId::parse("111122223333")?;
/// let alice = Principal::user(account, "alice")?;
/// let policy = PolicyDocument::key_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
///         "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"},
///         "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": "42"}}}}"#,
/// )?;
/// let attached = AttachedPolicies::none().with_key_policy(&policy);
///
/// let (locality, tenant) = (Locality::default(), EncryptionContext::from([("tenant", "42")]));
/// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
/// let parameters = [RequestParameter::EncryptionAlgorithm(EncryptionAlgorithm::SymmetricDefault)];
/// let request = PolicyRequest::new(&alice, Operation::Decrypt, account)
///     .at(&locality, Timestamp::from_unix_millis(0))
///     .with_key(KeyFacts::new(id, spec, usage, Origin::Kms, KeyManager::Customer))
///     .with_parameters(&parameters)
///     .via_service(None);
/// assert!(evaluate(&request.with_context(Some(&tenant)), &attached)?.is_allowed());
/// assert!(!evaluate(&request.with_context(None), &attached)?.is_allowed());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyRequest<'a> {
    /// The requesting principal.
    pub principal: &'a Principal,
    /// The requested operation.
    pub operation: Operation,
    /// The account that owns the key, or in which an operation without a key takes place.
    pub account: AccountId,
    /// The partition and region, which appear in the names of keys and services.
    pub locality: &'a Locality,
    /// The time of the request.
    pub time: Timestamp,
    /// The key, if the operation has one.
    pub key: Option<KeyFacts<'a>>,
    /// The alias, if the request concerns an alias rather than the key that it points to. Creating,
    /// updating, and deleting an alias require two permissions: one on the alias and one on the
    /// key.
    pub alias: Option<&'a AliasName>,
    /// The encryption context, if the operation has one.
    pub context: Option<&'a EncryptionContext>,
    /// The short name of the service that forwards the request for the principal.
    pub via_service: Option<&'a str>,
    /// The remaining parameters of the request.
    pub parameters: &'a [RequestParameter<'a>],
}

/// The locality of a request that does not specify one.
static DEFAULT_LOCALITY: std::sync::LazyLock<Locality> = std::sync::LazyLock::new(Locality::default);

impl<'a> PolicyRequest<'a> {
    /// Creates a request for an operation in an account, with time zero (the start of 1970) and the
    /// default partition and region.
    pub fn new(principal: &'a Principal, operation: Operation, account: AccountId) -> Self {
        Self {
            principal,
            operation,
            account,
            locality: &DEFAULT_LOCALITY,
            time: Timestamp::from_unix_millis(0),
            key: None,
            alias: None,
            context: None,
            via_service: None,
            parameters: &[],
        }
    }

    /// Sets the partition, the region, and the time of the request.
    #[must_use]
    pub const fn at(mut self, locality: &'a Locality, time: Timestamp) -> Self {
        self.locality = locality;
        self.time = time;
        self
    }

    /// Sets the key.
    #[must_use]
    pub const fn with_key(mut self, key: KeyFacts<'a>) -> Self {
        self.key = Some(key);
        self
    }

    /// Makes the request concern an alias of the account instead of a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::key::{AliasName, Operation};
    /// use strongroom::policy::{AttachedPolicies, PolicyDocument, PolicyRequest, evaluate};
    ///
    /// let account = AccountId::parse("111122223333")?;
    /// let alice = Principal::user(account, "alice")?;
    /// let own = [PolicyDocument::identity_policy(
    ///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:CreateAlias",
    ///         "Resource": "arn:aws:kms:local:111122223333:alias/reports"}}"#,
    /// )?];
    /// let attached = AttachedPolicies::none().with_identity_policies(&own);
    /// let (reports, invoices) = (AliasName::parse("alias/reports")?, AliasName::parse("alias/invoices")?);
    /// let request = PolicyRequest::new(&alice, Operation::CreateAlias, account);
    /// assert!(evaluate(&request.with_alias(&reports), &attached)?.is_allowed());
    /// assert!(!evaluate(&request.with_alias(&invoices), &attached)?.is_allowed());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn with_alias(mut self, alias: &'a AliasName) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Sets the encryption context.
    #[must_use]
    pub const fn with_context(mut self, context: Option<&'a EncryptionContext>) -> Self {
        self.context = context;
        self
    }

    /// Sets the service that forwards the request for the principal.
    #[must_use]
    pub const fn via_service(mut self, name: Option<&'a str>) -> Self {
        self.via_service = name;
        self
    }

    /// Sets the remaining parameters of the request.
    #[must_use]
    pub const fn with_parameters(mut self, parameters: &'a [RequestParameter<'a>]) -> Self {
        self.parameters = parameters;
        self
    }
}

/// A request parameter that a policy can test with a condition key. Default values are included as
/// if they were specified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RequestParameter<'a> {
    /// The encryption algorithm of Encrypt, Decrypt, and both halves of re-encryption:
    /// `kms:EncryptionAlgorithm`.
    EncryptionAlgorithm(EncryptionAlgorithm),
    /// The signing algorithm of Sign and Verify: `kms:SigningAlgorithm`.
    SigningAlgorithm(SigningAlgorithm),
    /// The type of message passed to Sign and Verify: `kms:MessageType`.
    MessageType(MessageType),
    /// The MAC algorithm of GenerateMac and VerifyMac: `kms:MacAlgorithm`.
    MacAlgorithm(MacAlgorithm),
    /// The key agreement algorithm of DeriveSharedSecret: `kms:KeyAgreementAlgorithm`.
    KeyAgreementAlgorithm(KeyAgreementAlgorithm),
    /// The type of key pair that GenerateDataKeyPair generates, with or without plaintext:
    /// `kms:DataKeyPairSpec`.
    DataKeyPairSpec(DataKeyPairSpec),
    /// `true` if both halves of re-encryption use the same key: `kms:ReEncryptOnSameKey`.
    ReEncryptOnSameKey(bool),
    /// The alias that identifies the key in the request: `kms:RequestAlias`. Omitted if the request
    /// uses a key id or key ARN.
    RequestAlias(&'a AliasName),
    /// The properties of the key that CreateKey creates: `kms:KeySpec`, `kms:KeyUsage`,
    /// `kms:KeyOrigin`.
    NewKey(KeySpec, KeyUsage, Origin),
    /// `true` if CreateKey or PutKeyPolicy should skip the lockout safety check:
    /// `kms:BypassPolicyLockoutSafetyCheck`. Omitted if the request does not specify it.
    BypassPolicyLockoutSafetyCheck(bool),
    /// The terms of the grant that CreateGrant creates, or that RetireGrant or RevokeGrant ends:
    /// `kms:GrantOperations`, `kms:GranteePrincipal`, `kms:RetiringPrincipal`,
    /// `kms:GrantConstraintType`, and the context of a constraint.
    Grant(&'a GrantTerms),
    /// The account that created the grant to be retired by RetireGrant. This account may retire it.
    /// No condition key tests this parameter.
    GrantIssuer(AccountId),
    /// The period that EnableKeyRotation sets: `kms:RotationPeriodInDays`.
    RotationPeriodInDays(u32),
    /// The waiting period of ScheduleKeyDeletion: `kms:ScheduleKeyDeletionPendingWindowInDays`.
    ScheduleKeyDeletionPendingWindowInDays(u32),
    /// The expiration model of the material that ImportKeyMaterial imports: `kms:ExpirationModel`.
    ExpirationModel(ExpirationModel),
    /// The expiration time of the material that ImportKeyMaterial imports: `kms:ValidTo`. Omitted
    /// if the material does not expire.
    ValidTo(Timestamp),
    /// The wrapping algorithm requested from GetParametersForImport: `kms:WrappingAlgorithm`.
    WrappingAlgorithm(WrappingAlgorithm),
    /// The spec of the wrapping key that GetParametersForImport generates: `kms:WrappingKeySpec`.
    WrappingKeySpec(WrappingKeySpec),
    /// The tags that CreateKey or TagResource adds to a key: `aws:RequestTag/<key>` and
    /// `aws:TagKeys`.
    RequestTags(&'a [Tag]),
    /// The keys of the tags that UntagResource removes from a key: `aws:TagKeys`.
    TagKeys(&'a [&'a str]),
}

/// The parameters that at least one operation is required to specify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterKind {
    EncryptionAlgorithm,
    SigningAlgorithm,
    MessageType,
    MacAlgorithm,
    KeyAgreementAlgorithm,
    DataKeyPairSpec,
    ReEncryptOnSameKey,
    NewKey,
    Grant,
    RotationPeriodInDays,
    ScheduleKeyDeletionPendingWindowInDays,
    ExpirationModel,
    WrappingAlgorithm,
    WrappingKeySpec,
}

impl ParameterKind {
    /// Returns the operations whose requests must contain this parameter. If it is missing and a
    /// policy depends on it, no decision is reached.
    pub(super) const fn required_by(self) -> OperationSet {
        use Operation as Op;
        const NONE: OperationSet = OperationSet::EMPTY;
        match self {
            Self::EncryptionAlgorithm => {
                NONE.with(Op::Encrypt).with(Op::Decrypt).with(Op::ReEncryptFrom).with(Op::ReEncryptTo)
            }
            Self::SigningAlgorithm | Self::MessageType => NONE.with(Op::Sign).with(Op::Verify),
            Self::MacAlgorithm => NONE.with(Op::GenerateMac).with(Op::VerifyMac),
            Self::KeyAgreementAlgorithm => NONE.with(Op::DeriveSharedSecret),
            Self::DataKeyPairSpec => NONE.with(Op::GenerateDataKeyPair).with(Op::GenerateDataKeyPairWithoutPlaintext),
            Self::ReEncryptOnSameKey => NONE.with(Op::ReEncryptFrom).with(Op::ReEncryptTo),
            Self::NewKey => NONE.with(Op::CreateKey),
            Self::Grant => NONE.with(Op::CreateGrant).with(Op::RetireGrant),
            Self::RotationPeriodInDays => NONE.with(Op::EnableKeyRotation),
            Self::ScheduleKeyDeletionPendingWindowInDays => NONE.with(Op::ScheduleKeyDeletion),
            Self::ExpirationModel => NONE.with(Op::ImportKeyMaterial),
            Self::WrappingAlgorithm | Self::WrappingKeySpec => NONE.with(Op::GetParametersForImport),
        }
    }
}
