//! Grants as data: the operations that a grant allows and the grants that its grantee may create.
//! These are pure functions; the KMS stores the records.

use std::fmt;

use super::operation_set::OperationSet;
use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Locality, Principal};
use crate::key::{KeySpec, KeyUsage, Operation, SpecClass};
use crate::text::impl_str_serde;

/// The identifier of a grant: 64 hexadecimal digits, also in serde formats.
///
/// # Examples
/// ```
/// use strongroom::policy::GrantId;
///
/// let id = GrantId::from_bytes([0x1f; 32]);
/// assert_eq!(GrantId::parse(&id.to_string())?, id);
/// assert_eq!((id.as_bytes().len(), id.to_string().len()), (32, 64));
/// assert!(GrantId::parse("1F").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 32]);

impl GrantId {
    /// Creates an id from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 lowercase hexadecimal digits.
    ///
    /// # Errors
    /// - [`InvalidGrantId`](ErrorKind::InvalidGrantId) if `text` is anything else
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        match base16ct::lower::decode(text, &mut bytes).map(<[u8]>::len) {
            Ok(32) => Ok(Self(bytes)),
            _ => Err(Error::new(ErrorKind::InvalidGrantId, "a grant id must be 64 lowercase hexadecimal digits")),
        }
    }

    /// Returns the bytes of the id.
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

impl_str_serde!(GrantId);

/// The maximum number of pairs in a constraint.
const MAX_CONSTRAINT_PAIRS: usize = 8;
/// The maximum length of a value in a constraint, in characters.
const MAX_CONSTRAINT_VALUE: usize = 384;

/// Constraints on the encryption context of a request. A grant applies only to requests that meet
/// all of its constraints.
///
/// Names and values must match exactly, including case. (AWS KMS ignores the case of names here.
/// Because a constraint only ever narrows a grant, exact comparison is the stricter reading.)
///
/// # Examples
/// ```
/// use strongroom::EncryptionContext;
/// use strongroom::policy::GrantConstraints;
///
/// let tenant = EncryptionContext::from([("tenant", "42")]);
/// let row = EncryptionContext::from([("tenant", "42"), ("row", "7")]);
/// let equals = GrantConstraints::new().with_encryption_context_equals(tenant.clone())?;
/// let subset = GrantConstraints::new().with_encryption_context_subset(tenant.clone())?;
/// assert!(equals.are_met_by(&tenant) && !equals.are_met_by(&row));
/// assert!(subset.are_met_by(&tenant) && subset.are_met_by(&row));
///
/// assert!(equals.are_at_least_as_strict_as(&subset) && !subset.are_at_least_as_strict_as(&equals));
/// assert_eq!(equals.encryption_context_equals(), Some(&tenant));
/// assert_eq!(subset.encryption_context_subset(), Some(&tenant));
/// assert!(GrantConstraints::new().is_empty());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantConstraints {
    equals: Option<EncryptionContext>,
    subset: Option<EncryptionContext>,
}

impl GrantConstraints {
    /// Creates an empty set of constraints.
    pub const fn new() -> Self {
        Self { equals: None, subset: None }
    }

    /// Sets `EncryptionContextEquals`: the encryption context must consist of exactly these pairs.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless there are 1 to 8 pairs with values of at most
    ///   384 characters
    pub fn with_encryption_context_equals(mut self, context: EncryptionContext) -> Result<Self> {
        self.equals = Some(checked_constraint(context)?);
        Ok(self)
    }

    /// Sets `EncryptionContextSubset`: the encryption context must contain these pairs and may
    /// contain others.
    ///
    /// # Errors
    /// - The errors of [`GrantConstraints::with_encryption_context_equals`].
    pub fn with_encryption_context_subset(mut self, context: EncryptionContext) -> Result<Self> {
        self.subset = Some(checked_constraint(context)?);
        Ok(self)
    }

    /// Returns the pairs of `EncryptionContextEquals`.
    pub const fn encryption_context_equals(&self) -> Option<&EncryptionContext> {
        self.equals.as_ref()
    }

    /// Returns the pairs of `EncryptionContextSubset`.
    pub const fn encryption_context_subset(&self) -> Option<&EncryptionContext> {
        self.subset.as_ref()
    }

    /// Returns `true` if there are no constraints.
    pub const fn is_empty(&self) -> bool {
        self.equals.is_none() && self.subset.is_none()
    }

    /// Returns `true` if an encryption context meets all constraints.
    pub fn are_met_by(&self, context: &EncryptionContext) -> bool {
        self.equals.as_ref().is_none_or(|pairs| pairs == context)
            && self.subset.as_ref().is_none_or(|pairs| context.first_mismatch(pairs).is_none())
    }

    /// Returns `true` if every context that meets these constraints also meets the others.
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

/// The terms of a grant: its grantee, operations, constraints, and retiring principal.
///
/// A grant can only allow operations. Its grantee may perform them unless a policy explicitly
/// denies them.
///
/// # Examples
/// ```
/// use strongroom::EncryptionContext;
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::{KeySpec, KeyUsage, Operation};
/// use strongroom::policy::{GrantConstraints, GrantTerms, OperationSet};
///
/// let account = AccountId::parse("111122223333")?;
/// let (alice, bob) = (Principal::user(account, "alice")?, Principal::user(account, "bob")?);
/// let tenant = EncryptionContext::from([("tenant", "42")]);
/// let constraints = GrantConstraints::new().with_encryption_context_subset(tenant.clone())?;
/// let terms = GrantTerms::new(alice.clone(), [Operation::Decrypt])?
///     .with_constraints(constraints.clone())
///     .with_retiring_principal(bob.clone());
/// assert_eq!((terms.grantee(), terms.retiring_principal()), (&alice, Some(&bob)));
/// assert_eq!(terms.operations(), OperationSet::EMPTY.with(Operation::Decrypt));
/// assert_eq!(terms.constraints(), &constraints);
///
/// assert!(terms.allows(&alice, Operation::Decrypt, Some(&tenant)));
/// assert!(!terms.allows(&alice, Operation::Decrypt, None));
/// assert!(!terms.allows(&bob, Operation::Decrypt, Some(&tenant)));
/// assert!(terms.may_be_retired_by(&bob) && !terms.may_be_retired_by(&alice));
/// // A context exists only for symmetric encryption.
/// assert!(terms.check_key(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt).is_ok());
/// assert!(terms.check_key(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt).is_err());
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
    /// - [`Validation`](ErrorKind::Validation) if `operations` is empty or contains an operation
    ///   that no grant can allow
    pub fn new(grantee: Principal, operations: impl IntoIterator<Item = Operation>) -> Result<Self> {
        let operations: OperationSet = operations.into_iter().collect();
        if operations.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "a grant must allow at least one operation"));
        }
        if let Some(operation) = operations.iter().find(|operation| !operation.is_grantable()) {
            return Err(Error::new(ErrorKind::Validation, format!("a grant cannot allow {operation}")));
        }
        Ok(Self { grantee: grantee.as_named(), retiring: None, operations, constraints: GrantConstraints::new() })
    }

    /// Sets a principal that may retire the grant. A session is named by its ARN, without the path
    /// of its role.
    #[must_use]
    pub fn with_retiring_principal(mut self, principal: Principal) -> Self {
        self.retiring = Some(principal.as_named());
        self
    }

    /// Sets the constraints on the encryption context of a request.
    #[must_use]
    pub fn with_constraints(mut self, constraints: GrantConstraints) -> Self {
        self.constraints = constraints;
        self
    }

    /// Returns the principal to which the grant allows its operations.
    pub const fn grantee(&self) -> &Principal {
        &self.grantee
    }

    /// Returns the principal that may retire the grant, if one is set.
    pub const fn retiring_principal(&self) -> Option<&Principal> {
        self.retiring.as_ref()
    }

    /// Returns the operations that the grant allows.
    pub const fn operations(&self) -> OperationSet {
        self.operations
    }

    /// Returns the constraints on the encryption context of a request.
    pub const fn constraints(&self) -> &GrantConstraints {
        &self.constraints
    }

    /// Sets the partition of the grantee and the retiring principal.
    pub(crate) fn with_partition_of(mut self, locality: &Locality) -> Self {
        self.grantee = self.grantee.with_partition_of(locality);
        self.retiring = self.retiring.map(|retiring| retiring.with_partition_of(locality));
        self
    }

    /// Rejects terms that no key with this spec and usage can satisfy.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key does not support one of the operations,
    ///   or if it has no encryption context and a constraint requires one
    pub fn check_key(&self, spec: KeySpec, usage: KeyUsage) -> Result<()> {
        let class = spec.class();
        if !self.constraints.is_empty() && class != SpecClass::Symmetric {
            let text = "grant constraints require a symmetric encryption key: other keys do not support an \
                        encryption context";
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

    /// Returns `true` if the grant allows an operation with an encryption context to a principal. A
    /// grant to a role applies to its sessions ([`Principal::covers`]).
    ///
    /// Constraints apply only to cryptographic operations: DescribeKey, CreateGrant, and
    /// RetireGrant have no context.
    pub fn allows(&self, principal: &Principal, operation: Operation, context: Option<&EncryptionContext>) -> bool {
        static EMPTY: EncryptionContext = EncryptionContext::new();
        self.operations.contains(operation)
            && self.grantee.covers(principal)
            && (operation.required_usage() != Some(KeyUsage::EncryptDecrypt)
                || self.constraints.are_met_by(context.unwrap_or(&EMPTY)))
    }

    /// Returns `true` if the grantee may use this grant to create a grant with other terms. The new
    /// operations must be a subset of this grant's, which must include CreateGrant. The new
    /// constraints must be at least as strict.
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
    /// // Alice may delegate only what she is allowed herself.
    /// let passed_on = GrantTerms::new(bob, [Operation::Decrypt])?;
    /// assert!(!own.may_delegate(&passed_on));
    /// let narrower = GrantConstraints::new().with_encryption_context_equals(tenant)?;
    /// assert!(own.may_delegate(&passed_on.with_constraints(narrower)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn may_delegate(&self, other: &Self) -> bool {
        self.operations.contains(Operation::CreateGrant)
            && other.operations.is_subset_of(self.operations)
            && other.constraints.are_at_least_as_strict_as(&self.constraints)
    }

    /// Returns `true` if the terms permit a principal to retire the grant: as its retiring
    /// principal, or as its grantee if RetireGrant is among the operations.
    pub fn may_be_retired_by(&self, principal: &Principal) -> bool {
        self.retiring.as_ref().is_some_and(|retiring| retiring.covers(principal))
            || (self.grantee.covers(principal) && self.operations.contains(Operation::RetireGrant))
    }
}

/// Returns `true` if a key with this spec and usage supports an operation that a grant can allow.
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
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::{GrantId, GrantSource, GrantTerms};
///
/// let worker = Principal::role(AccountId::default(), "worker")?;
/// let terms = GrantTerms::new(worker.clone(), [Operation::Decrypt])?;
/// let grants = [(GrantId::from_bytes([1; 32]), terms)]; // arrays and slices are sources
///
/// let mut accept = |terms: &GrantTerms| terms.allows(&worker, Operation::Decrypt, None);
/// assert_eq!(grants.find(&mut accept)?, Some(GrantId::from_bytes([1; 32])));
/// assert!(grants.find_allowing(Operation::Decrypt, None, &mut accept)?.is_some());
/// assert_eq!(grants.find(&mut |_| false)?, None);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait GrantSource: fmt::Debug {
    /// Returns the id of the first grant whose terms are accepted.
    ///
    /// The source may skip grants whose grantee is neither the requesting principal nor the role
    /// whose session it is.
    ///
    /// # Errors
    /// - any error, if the grants cannot be read; no decision is reached then
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>>;

    /// Like [`GrantSource::find`], but only grants that [allow](GrantTerms::allows) an operation
    /// with an encryption context matter. A source that can identify those grants may skip all
    /// others. The default implementation examines every grant.
    ///
    /// # Errors
    /// - The errors of [`GrantSource::find`].
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
