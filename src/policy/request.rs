//! The question that is put to a policy: who asks for what, of which key, and with which values.

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

/// What is known of the key when a policy decides.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyFacts<'a> {
    /// The key.
    pub key_id: KeyId,
    /// What kind of key it is.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// Who manages it.
    pub manager: KeyManager,
    /// Its tags, if they were looked up. A policy that asks for tags which were not looked up reaches no decision.
    pub tags: Option<&'a TagSet>,
    /// The aliases that point to it, if they were looked up; a policy says whether it needs them:
    /// [`PolicyDocument::needs_aliases`](super::PolicyDocument::needs_aliases).
    pub aliases: Option<&'a [AliasName]>,
}

impl<'a> KeyFacts<'a> {
    /// Gathers the facts of a key.
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

/// One question to a [`Policy`](super::Policy).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked for.
    pub operation: Operation,
    /// The account that owns the key, or in which the operation takes place if it has no key.
    pub account: AccountId,
    /// Partition and region, which the names of keys and services carry.
    pub locality: &'a Locality,
    /// When it is asked for.
    pub time: Timestamp,
    /// The key, if the operation has one.
    pub key: Option<KeyFacts<'a>>,
    /// The alias, if the question is about an alias and not about the key that it points to. Making, moving and deleting
    /// an alias takes two permissions: one on the alias, one on the key.
    pub alias: Option<&'a AliasName>,
    /// The encryption context, if the operation has one.
    pub context: Option<&'a EncryptionContext>,
    /// The service that passes the request on for the principal, by its short name.
    pub via_service: Option<&'a str>,
    /// What else the request says.
    pub parameters: &'a [RequestParameter<'a>],
}

/// The place of a request that names none.
static DEFAULT_LOCALITY: std::sync::LazyLock<Locality> = std::sync::LazyLock::new(Locality::default);

impl<'a> PolicyRequest<'a> {
    /// Asks for an operation in an account, at the start of 1970 and in the default partition and region.
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

    /// Names the place: partition and region.
    #[must_use]
    pub const fn at(mut self, locality: &'a Locality, time: Timestamp) -> Self {
        self.locality = locality;
        self.time = time;
        self
    }

    /// Names the key.
    #[must_use]
    pub const fn with_key(mut self, key: KeyFacts<'a>) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks about an alias of the account, and not about a key.
    #[must_use]
    pub const fn with_alias(mut self, alias: &'a AliasName) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Adds the encryption context.
    #[must_use]
    pub const fn with_context(mut self, context: Option<&'a EncryptionContext>) -> Self {
        self.context = context;
        self
    }

    /// Says which service passes the request on for the principal.
    #[must_use]
    pub const fn via_service(mut self, name: Option<&'a str>) -> Self {
        self.via_service = name;
        self
    }

    /// Adds what else the request says.
    #[must_use]
    pub const fn with_parameters(mut self, parameters: &'a [RequestParameter<'a>]) -> Self {
        self.parameters = parameters;
        self
    }
}

/// A value of a request that a policy may ask for with a condition key. Defaults count as if they had been written out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RequestParameter<'a> {
    /// How Encrypt, Decrypt and both halves of re-encryption encrypt: `kms:EncryptionAlgorithm`.
    EncryptionAlgorithm(EncryptionAlgorithm),
    /// How Sign and Verify sign: `kms:SigningAlgorithm`.
    SigningAlgorithm(SigningAlgorithm),
    /// What Sign and Verify are given: `kms:MessageType`.
    MessageType(MessageType),
    /// How GenerateMac and VerifyMac authenticate: `kms:MacAlgorithm`.
    MacAlgorithm(MacAlgorithm),
    /// How DeriveSharedSecret agrees: `kms:KeyAgreementAlgorithm`.
    KeyAgreementAlgorithm(KeyAgreementAlgorithm),
    /// What GenerateDataKeyPair makes, with or without plaintext: `kms:DataKeyPairSpec`.
    DataKeyPairSpec(DataKeyPairSpec),
    /// Whether both halves of re-encryption use one key: `kms:ReEncryptOnSameKey`.
    ReEncryptOnSameKey(bool),
    /// The alias by which the request names the key: `kms:RequestAlias`. Left out where it names it by id or key ARN.
    RequestAlias(&'a AliasName),
    /// The key that CreateKey makes: `kms:KeySpec`, `kms:KeyUsage`, `kms:KeyOrigin`.
    NewKey(KeySpec, KeyUsage, Origin),
    /// That CreateKey or PutKeyPolicy is to skip the check against locking oneself out:
    /// `kms:BypassPolicyLockoutSafetyCheck`. Left out where the request does not say so.
    BypassPolicyLockoutSafetyCheck(bool),
    /// The terms of the grant that CreateGrant makes, or that RetireGrant or RevokeGrant ends: `kms:GrantOperations`,
    /// `kms:GranteePrincipal`, `kms:RetiringPrincipal`, `kms:GrantConstraintType`, and the context of a constraint.
    Grant(&'a GrantTerms),
    /// The account that made the grant which RetireGrant ends: it may give it back itself. No condition key asks for it.
    GrantIssuer(AccountId),
    /// The period that EnableKeyRotation sets: `kms:RotationPeriodInDays`.
    RotationPeriodInDays(u32),
    /// The waiting period of ScheduleKeyDeletion: `kms:ScheduleKeyDeletionPendingWindowInDays`.
    ScheduleKeyDeletionPendingWindowInDays(u32),
    /// Whether material that ImportKeyMaterial imports expires: `kms:ExpirationModel`.
    ExpirationModel(ExpirationModel),
    /// When material that ImportKeyMaterial imports expires: `kms:ValidTo`. Left out where it does not.
    ValidTo(Timestamp),
    /// How GetParametersForImport wants material wrapped: `kms:WrappingAlgorithm`.
    WrappingAlgorithm(WrappingAlgorithm),
    /// The key that GetParametersForImport makes for it: `kms:WrappingKeySpec`.
    WrappingKeySpec(WrappingKeySpec),
    /// The tags that CreateKey or TagResource puts on a key: `aws:RequestTag/<key>` and `aws:TagKeys`.
    RequestTags(&'a [Tag]),
    /// The keys of the tags that UntagResource takes off a key: `aws:TagKeys`.
    TagKeys(&'a [&'a str]),
}

/// The parameters that some operation must state.
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
    /// The operations whose requests must say this; with one that does not, a policy that asks for it reaches no decision.
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
