//! Grants as data: what one allows to whom, and what of it may be passed on. Pure functions; a KMS keeps the records.

use std::fmt;

use super::operation_set::OperationSet;
use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::key::{KeySpec, KeyUsage, Operation, SpecClass};

/// Names a grant: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 32]);

impl GrantId {
    /// The id that these bytes are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        match base16ct::lower::decode(text, &mut bytes).map(<[u8]>::len) {
            Ok(32) => Ok(Self(bytes)),
            _ => Err(Error::new(ErrorKind::Validation, "a grant id must be 64 hexadecimal digits in lower case")),
        }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

/// The most pairs of one constraint.
const MAX_CONSTRAINT_PAIRS: usize = 8;
/// The most characters of a value in a constraint.
const MAX_CONSTRAINT_VALUE: usize = 384;

/// What the encryption context of a request must be for a grant to count. A request must meet every constraint.
///
/// Names and values must be the same to the letter. (AWS KMS overlooks the case of names here; as a constraint only ever
/// narrows, this is the stricter reading.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantConstraints {
    equals: Option<EncryptionContext>,
    subset: Option<EncryptionContext>,
}

impl GrantConstraints {
    /// No constraint.
    pub const fn new() -> Self {
        Self { equals: None, subset: None }
    }

    /// `EncryptionContextEquals`: the context must be these pairs and no others.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) unless there are 1 to 8 pairs with values of at most 384 characters.
    pub fn with_encryption_context_equals(mut self, context: EncryptionContext) -> Result<Self> {
        self.equals = Some(checked_constraint(context)?);
        Ok(self)
    }

    /// `EncryptionContextSubset`: the context must hold these pairs, and may hold others.
    ///
    /// # Errors
    /// As [`GrantConstraints::with_encryption_context_equals`].
    pub fn with_encryption_context_subset(mut self, context: EncryptionContext) -> Result<Self> {
        self.subset = Some(checked_constraint(context)?);
        Ok(self)
    }

    /// The pairs of `EncryptionContextEquals`.
    pub const fn encryption_context_equals(&self) -> Option<&EncryptionContext> {
        self.equals.as_ref()
    }

    /// The pairs of `EncryptionContextSubset`.
    pub const fn encryption_context_subset(&self) -> Option<&EncryptionContext> {
        self.subset.as_ref()
    }

    /// Whether nothing is demanded.
    pub const fn is_empty(&self) -> bool {
        self.equals.is_none() && self.subset.is_none()
    }

    /// Whether an encryption context meets the constraints.
    pub fn are_met_by(&self, context: &EncryptionContext) -> bool {
        self.equals.as_ref().is_none_or(|pairs| pairs == context)
            && self.subset.as_ref().is_none_or(|pairs| context.first_mismatch(pairs).is_none())
    }

    /// Whether every context that meets these constraints meets the others, too.
    pub fn are_at_least_as_strict_as(&self, others: &Self) -> bool {
        let holds = |pairs: &EncryptionContext| {
            [&self.equals, &self.subset].into_iter().flatten().any(|own| own.first_mismatch(pairs).is_none())
        };
        others.equals.as_ref().is_none_or(|pairs| self.equals.as_ref() == Some(pairs))
            && others.subset.as_ref().is_none_or(holds)
    }
}

fn checked_constraint(context: EncryptionContext) -> Result<EncryptionContext> {
    let fits = |(name, value): (&str, &str)| !name.is_empty() && value.chars().nth(MAX_CONSTRAINT_VALUE).is_none();
    if context.is_empty() || context.len() > MAX_CONSTRAINT_PAIRS || !context.iter().all(fits) {
        let text = format!(
            "a grant constraint must have 1 to {MAX_CONSTRAINT_PAIRS} pairs with values of at most \
             {MAX_CONSTRAINT_VALUE} characters"
        );
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(context)
}

/// What a grant says: who may do what with its key, under which constraints, and who may give it back.
///
/// A grant only ever allows. Its grantee may do these operations unless a policy denies them explicitly.
///
/// # Examples
/// ```
/// use strongroom::EncryptionContext;
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::{GrantConstraints, GrantTerms};
///
/// let account = AccountId::parse("111122223333")?;
/// let (alice, bob) = (Principal::user(account, "alice")?, Principal::user(account, "bob")?);
/// let tenant = EncryptionContext::from([("tenant", "42")]);
/// let own = GrantTerms::new(alice, [Operation::Decrypt, Operation::CreateGrant])?
///     .with_constraints(GrantConstraints::new().with_encryption_context_subset(tenant.clone())?);
///
/// // Alice may pass on what she has, and no more.
/// let passed_on = GrantTerms::new(bob, [Operation::Decrypt])?;
/// assert!(!own.may_delegate(&passed_on));
/// assert!(own.may_delegate(&passed_on.with_constraints(GrantConstraints::new().with_encryption_context_equals(tenant)?)));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    grantee: Principal,
    retiring: Option<Principal>,
    operations: OperationSet,
    constraints: GrantConstraints,
}

impl GrantTerms {
    /// Allows operations to a principal.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) if there is no operation, or one that no grant can allow.
    pub fn new(grantee: Principal, operations: impl IntoIterator<Item = Operation>) -> Result<Self> {
        let operations: OperationSet = operations.into_iter().collect();
        if operations.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "a grant must allow at least one operation"));
        }
        if let Some(operation) = operations.iter().find(|operation| !operation.is_grantable()) {
            return Err(Error::new(ErrorKind::Validation, format!("a grant cannot allow {operation}")));
        }
        Ok(Self { grantee, retiring: None, operations, constraints: GrantConstraints::new() })
    }

    /// Names a principal that may give the grant back.
    #[must_use]
    pub fn with_retiring_principal(mut self, principal: Principal) -> Self {
        self.retiring = Some(principal);
        self
    }

    /// Sets what the encryption context of a request must be.
    #[must_use]
    pub fn with_constraints(mut self, constraints: GrantConstraints) -> Self {
        self.constraints = constraints;
        self
    }

    /// Who is allowed.
    pub const fn grantee(&self) -> &Principal {
        &self.grantee
    }

    /// Who may give the grant back.
    pub const fn retiring_principal(&self) -> Option<&Principal> {
        self.retiring.as_ref()
    }

    /// What is allowed.
    pub const fn operations(&self) -> OperationSet {
        self.operations
    }

    /// Under which constraints.
    pub const fn constraints(&self) -> &GrantConstraints {
        &self.constraints
    }

    /// Refuses terms that no key of a spec and usage can fulfil.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) if an operation does not exist for such a key, or if it has no
    /// encryption context and a constraint asks for one.
    pub fn check_key(&self, spec: KeySpec, usage: KeyUsage) -> Result<()> {
        let class = spec.class();
        if !self.constraints.is_empty() && class != SpecClass::Symmetric {
            let text = "grant constraints need a symmetric encryption key: no other has an encryption context";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        match self.operations.iter().find(|operation| !exists_for(*operation, spec, usage)) {
            None => Ok(()),
            Some(operation) => {
                let text = format!("{operation} is not supported by a key of spec {spec} and usage {usage}");
                Err(Error::new(ErrorKind::Validation, text))
            }
        }
    }

    /// Whether the grant allows a principal an operation with an encryption context.
    ///
    /// Constraints count for work with the key only: DescribeKey, CreateGrant and RetireGrant have no context.
    pub fn allows(&self, principal: &Principal, operation: Operation, context: Option<&EncryptionContext>) -> bool {
        static EMPTY: EncryptionContext = EncryptionContext::new();
        self.operations.contains(operation)
            && self.grantee == *principal
            && (operation.required_usage() != Some(KeyUsage::EncryptDecrypt)
                || self.constraints.are_met_by(context.unwrap_or(&EMPTY)))
    }

    /// Whether the grantee may make a grant of other terms by means of this one: its operations must be among those of
    /// this grant, CreateGrant among these, and its constraints at least as strict.
    pub fn may_delegate(&self, other: &Self) -> bool {
        self.operations.contains(Operation::CreateGrant)
            && other.operations.is_subset_of(self.operations)
            && other.constraints.are_at_least_as_strict_as(&self.constraints)
    }

    /// Whether the terms themselves let a principal give the grant back: as its retiring principal, or as its grantee if
    /// RetireGrant is among the operations.
    pub fn may_be_retired_by(&self, principal: &Principal) -> bool {
        self.retiring.as_ref() == Some(principal)
            || (self.grantee == *principal && self.operations.contains(Operation::RetireGrant))
    }
}

/// Whether an operation that a grant can allow exists for a key of a spec and usage.
fn exists_for(operation: Operation, spec: KeySpec, usage: KeyUsage) -> bool {
    let class = spec.class();
    if operation.required_usage().is_some_and(|required| required != usage) {
        return false;
    }
    match operation {
        Operation::GetPublicKey => class == SpecClass::Asymmetric,
        Operation::GenerateDataKey
        | Operation::GenerateDataKeyWithoutPlaintext
        | Operation::GenerateDataKeyPair
        | Operation::GenerateDataKeyPairWithoutPlaintext => class == SpecClass::Symmetric,
        _ => true,
    }
}

/// The grants on the key of a request.
pub trait GrantSource: fmt::Debug {
    /// Looks through the grants and gives the id of the first whose terms are accepted.
    ///
    /// Grants whose grantee is another principal than the one who asks may be passed over.
    ///
    /// # Errors
    /// Any error, if the grants cannot be read; no decision is reached then.
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>>;

    /// The same, where only grants matter that [allow](GrantTerms::allows) an operation with an encryption context: a source that
    /// can distinguish them may skip all others. The default examines every grant.
    ///
    /// # Errors
    /// Those of [`GrantSource::find`].
    fn find_allowing(
        &self,
        _operation: Operation,
        _context: Option<&EncryptionContext>,
        accept: &mut dyn FnMut(&GrantTerms) -> bool,
    ) -> Result<Option<GrantId>> {
        self.find(accept)
    }
}

impl GrantSource for [(GrantId, GrantTerms)] {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        Ok(self.iter().find(|(_, terms)| accept(terms)).map(|(id, _)| *id))
    }
}

impl<const N: usize> GrantSource for [(GrantId, GrantTerms); N] {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        self.as_slice().find(accept)
    }
}
