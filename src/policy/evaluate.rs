//! Policy evaluation: applies the policies and grants attached to the key and the principal to a
//! request.

use std::fmt;

use super::decision::Decision;
use super::document::PolicyDocument;
use super::document_kind::PolicyKind;
use super::effect::Effect;
use super::grant::{GrantId, GrantSource};
use super::principals::Relation;
use super::request::{PolicyRequest, RequestParameter};
use super::statement::Statement;
use super::target::Target;
use crate::error::Result;
use crate::identity::PrincipalKind;
use crate::key::Operation;

/// The policies and grants that apply to a request.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::{AttachedPolicies, GrantId, GrantTerms, PolicyDocument, PolicyRequest, evaluate};
///
/// let account = AccountId::parse("111122223333")?;
/// let alice = Principal::user(account, "alice")?;
/// let request = PolicyRequest::new(&alice, Operation::Decrypt, account);
/// # use strongroom::key::{KeyId, KeyManager, KeySpec, KeyUsage, Origin};
/// # use strongroom::policy::KeyFacts;
/// # let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
/// # let id = KeyId::from_random_bytes([7; 16]);
/// # let request = request.with_key(KeyFacts::new(id, spec, usage, Origin::Kms, KeyManager::Customer));
///
/// let key_policy = PolicyDocument::default_key_policy(account, &Locality::default()); // leaves the decision to the account
/// let attached = AttachedPolicies::none().with_key_policy(&key_policy);
/// assert!(!evaluate(&request, &attached)?.is_allowed());
///
/// let own = [PolicyDocument::identity_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}"#,
/// )?];
/// assert!(evaluate(&request, &attached.with_identity_policies(&own))?.is_allowed());
///
/// let grants = [(GrantId::from_bytes([1; 32]), GrantTerms::new(alice.clone(), [Operation::Decrypt])?)];
/// assert!(evaluate(&request, &attached.with_grants(&grants))?.is_allowed());
/// assert!(!attached.needs_aliases());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AttachedPolicies<'a> {
    /// The policy of the key. Without one, the key can be used only through grants.
    pub key_policy: Option<&'a PolicyDocument>,
    /// The policies of the principal.
    pub identity_policies: &'a [PolicyDocument],
    /// The grants on the key. They are consulted only if no policy decides.
    pub grants: Option<&'a dyn GrantSource>,
}

impl<'a> AttachedPolicies<'a> {
    /// Creates a value without any policies or grants.
    pub const fn none() -> Self {
        Self { key_policy: None, identity_policies: &[], grants: None }
    }

    /// Sets the policy of the key.
    #[must_use]
    pub const fn with_key_policy(mut self, policy: &'a PolicyDocument) -> Self {
        self.key_policy = Some(policy);
        self
    }

    /// Sets the policies of the principal.
    #[must_use]
    pub const fn with_identity_policies(mut self, policies: &'a [PolicyDocument]) -> Self {
        self.identity_policies = policies;
        self
    }

    /// Sets the grants on the key.
    #[must_use]
    pub const fn with_grants(mut self, grants: &'a dyn GrantSource) -> Self {
        self.grants = Some(grants);
        self
    }

    /// Returns `true` if a decision requires the aliases of the key.
    pub fn needs_aliases(&self) -> bool {
        self.key_policy.into_iter().chain(self.identity_policies).any(PolicyDocument::needs_aliases)
    }

    /// Returns the first statement with the given effect that applies to the request and whose
    /// relation to the principal is `wanted`.
    fn statement(
        &self,
        (kind, effect): (PolicyKind, Effect),
        request: &PolicyRequest<'_>,
        target: &Target<'_>,
        wanted: impl Fn(Relation) -> bool,
    ) -> Result<Option<StatementName<'a>>> {
        let documents = match kind {
            PolicyKind::Key => self.key_policy.map_or(&[][..], std::slice::from_ref),
            PolicyKind::Identity => self.identity_policies,
        };
        for document in documents {
            for place in document.index().candidates(effect, request.operation, request.principal) {
                let statement = &document.statements()[place];
                if statement.relation_to(request.principal).is_some_and(&wanted)
                    && statement.applies_to(request, target)?
                {
                    return Ok(Some(StatementName::new(place, statement)));
                }
            }
        }
        Ok(None)
    }
}

/// Identifies a statement of a policy by its `Sid` or its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementName<'a> {
    /// The `Sid`, if the statement has one.
    pub sid: Option<&'a str>,
    /// The position of the statement in its document, starting at 1.
    pub number: usize,
}

impl<'a> StatementName<'a> {
    pub(super) fn new(place: usize, statement: &'a Statement) -> Self {
        Self { sid: statement.sid(), number: place + 1 }
    }
}

impl fmt::Display for StatementName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sid {
            Some(sid) => write!(f, "statement {} ('{}')", self.number, sid.escape_debug()),
            None => write!(f, "statement {}", self.number),
        }
    }
}

/// A decision and the reason for it.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::{AttachedPolicies, Decision, PolicyEvaluation, PolicyRequest, evaluate};
///
/// let account = AccountId::parse("111122223333")?;
/// let (root, alice) = (Principal::root(account), Principal::user(account, "alice")?);
/// let outcome = evaluate(&PolicyRequest::new(&root, Operation::ListKeys, account), &AttachedPolicies::none())?;
/// assert_eq!(outcome, PolicyEvaluation::AllowedToAccount);
/// assert_eq!((outcome.decision(), outcome.is_allowed()), (Decision::Allow, true));
/// let outcome = evaluate(&PolicyRequest::new(&alice, Operation::ListKeys, account), &AttachedPolicies::none())?;
/// assert_eq!(outcome.to_string(), "no identity policy and no grant allows it");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyEvaluation<'a> {
    /// A statement of the key policy denies the operation.
    DeniedByKeyPolicy(StatementName<'a>),
    /// A statement of one of the principal's policies denies the operation.
    DeniedByIdentityPolicy(StatementName<'a>),
    /// A statement of the key policy allows the operation to the principal.
    AllowedByKeyPolicy(StatementName<'a>),
    /// A statement of one of the principal's policies allows the operation. Either the key policy
    /// delegates the decision to the principal's account, or the request has no key.
    AllowedByIdentityPolicy(StatementName<'a>),
    /// The request has no key, and the principal is the account itself.
    AllowedToAccount,
    /// A grant allows the operation.
    AllowedByGrant(GrantId),
    /// The grant to be retired permits the principal to retire it, or the principal is the account
    /// that created it.
    AllowedByRetiredGrant,
    /// The key policy allows the operation neither to the principal nor to its account, and no
    /// grant allows it.
    NotAllowedByKeyPolicy,
    /// None of the principal's policies and no grant allows the operation. Either the key policy
    /// delegates the decision to the principal's account, or the request has no key.
    NotAllowedByIdentityPolicy,
}

impl PolicyEvaluation<'_> {
    /// Returns the decision without its reason.
    pub const fn decision(&self) -> Decision {
        if self.is_allowed() { Decision::Allow } else { Decision::Deny }
    }

    /// Returns `true` if the request is allowed.
    pub const fn is_allowed(&self) -> bool {
        match self {
            Self::AllowedByKeyPolicy(_)
            | Self::AllowedByIdentityPolicy(_)
            | Self::AllowedToAccount
            | Self::AllowedByGrant(_)
            | Self::AllowedByRetiredGrant => true,
            Self::DeniedByKeyPolicy(_)
            | Self::DeniedByIdentityPolicy(_)
            | Self::NotAllowedByKeyPolicy
            | Self::NotAllowedByIdentityPolicy => false,
        }
    }
}

impl fmt::Display for PolicyEvaluation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeniedByKeyPolicy(statement) => write!(f, "explicitly denied by {statement} of the key policy"),
            Self::DeniedByIdentityPolicy(statement) => {
                write!(f, "explicitly denied by {statement} of an identity policy")
            }
            Self::AllowedByKeyPolicy(statement) => write!(f, "allowed by {statement} of the key policy"),
            Self::AllowedByIdentityPolicy(statement) => write!(f, "allowed by {statement} of an identity policy"),
            Self::AllowedToAccount => f.write_str("allowed to the account itself"),
            Self::AllowedByGrant(id) => write!(f, "allowed by grant {id}"),
            Self::AllowedByRetiredGrant => f.write_str("allowed by the grant itself"),
            Self::NotAllowedByKeyPolicy => f.write_str("no key policy and no grant allows it"),
            Self::NotAllowedByIdentityPolicy => f.write_str("no identity policy and no grant allows it"),
        }
    }
}

/// Evaluates a request by the rules of AWS KMS.
///
/// A statement that denies the operation always takes precedence. Otherwise, the operation is
/// allowed if one of these holds:
/// - The key policy allows it to the principal.
/// - The key policy allows it to the principal's account, and one of the principal's own policies
///   allows it.
/// - A grant allows it.
///
/// For a principal of another account, policies allow an operation only if both the key policy and
/// one of the principal's policies do. Such a principal is limited to operations that exist across
/// accounts. Without a key, only the principal's policies decide.
///
/// # Errors
/// - [`Internal`](crate::ErrorKind::Internal) if a policy depends on a value that the request
///   should contain but does not
/// - any error of the [`GrantSource`]
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::{AttachedPolicies, PolicyDocument, PolicyEvaluation, PolicyRequest, evaluate};
///
/// let account = AccountId::parse("111122223333")?;
/// let alice = Principal::user(account, "alice")?;
/// let request = PolicyRequest::new(&alice, Operation::GenerateRandom, account);
/// assert_eq!(evaluate(&request, &AttachedPolicies::none())?, PolicyEvaluation::NotAllowedByIdentityPolicy);
///
/// let policies = [PolicyDocument::identity_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Generate*", "Resource": "*"}}"#,
/// )?];
/// let outcome = evaluate(&request, &AttachedPolicies::none().with_identity_policies(&policies))?;
/// assert!(outcome.is_allowed());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn evaluate<'a>(request: &PolicyRequest<'_>, attached: &AttachedPolicies<'a>) -> Result<PolicyEvaluation<'a>> {
    Evaluation { request, attached, target: Target::new(request) }.outcome()
}

/// An evaluation in progress.
struct Evaluation<'r, 'p> {
    request: &'r PolicyRequest<'r>,
    attached: &'r AttachedPolicies<'p>,
    target: Target<'r>,
}

impl<'p> Evaluation<'_, 'p> {
    fn outcome(&self) -> Result<PolicyEvaluation<'p>> {
        let about_key = self.request.key.is_some() && self.request.alias.is_none();
        if about_key && let Some(statement) = self.find(PolicyKind::Key, Effect::Deny, |_| true)? {
            return Ok(PolicyEvaluation::DeniedByKeyPolicy(statement));
        }
        if let Some(statement) = self.find(PolicyKind::Identity, Effect::Deny, |_| true)? {
            return Ok(PolicyEvaluation::DeniedByIdentityPolicy(statement));
        }
        if about_key { self.about_key() } else { self.about_account() }
    }

    /// Decides on a request without a key, based only on identity policies.
    fn about_account(&self) -> Result<PolicyEvaluation<'p>> {
        if !self.is_at_home() {
            return Ok(PolicyEvaluation::NotAllowedByIdentityPolicy);
        }
        if self.request.principal.is_account_root() {
            return Ok(PolicyEvaluation::AllowedToAccount);
        }
        let allowed = self.identity_policy()?;
        Ok(allowed.map_or(PolicyEvaluation::NotAllowedByIdentityPolicy, PolicyEvaluation::AllowedByIdentityPolicy))
    }

    fn about_key(&self) -> Result<PolicyEvaluation<'p>> {
        if !self.is_at_home() && !self.request.operation.is_cross_account() {
            return Ok(PolicyEvaluation::NotAllowedByKeyPolicy);
        }
        let (statement, is_enough) = match self.to_principal()? {
            Some(statement) => (Some(statement), self.is_at_home() || self.is_service()),
            None => (self.to_account()?, false),
        };
        if let Some(statement) = statement {
            // The account itself may perform any operation that it could allow its users to
            // perform.
            if is_enough || self.request.principal.is_account_root() {
                return Ok(PolicyEvaluation::AllowedByKeyPolicy(statement));
            }
            if let Some(statement) = self.identity_policy()? {
                return Ok(PolicyEvaluation::AllowedByIdentityPolicy(statement));
            }
        }
        let missing = match statement {
            Some(_) => PolicyEvaluation::NotAllowedByIdentityPolicy,
            None => PolicyEvaluation::NotAllowedByKeyPolicy,
        };
        Ok(by_grant(self.request, self.attached)?.unwrap_or(missing))
    }

    /// Returns the statement of the key policy that allows the operation to the principal. A
    /// service that acts for another account must be named explicitly.
    fn to_principal(&self) -> Result<Option<StatementName<'p>>> {
        let is_one_of_everybody = self.is_at_home() || !self.is_service();
        self.find(PolicyKind::Key, Effect::Allow, |relation| {
            relation == Relation::Itself || (relation == Relation::Everybody && is_one_of_everybody)
        })
    }

    /// Returns the statement of the key policy that allows the operation to the principal's
    /// account. A service has no identity policies to which the account could delegate.
    fn to_account(&self) -> Result<Option<StatementName<'p>>> {
        if self.is_service() {
            return Ok(None);
        }
        self.find(PolicyKind::Key, Effect::Allow, |relation| relation == Relation::Account)
    }

    fn identity_policy(&self) -> Result<Option<StatementName<'p>>> {
        self.find(PolicyKind::Identity, Effect::Allow, |_| true)
    }

    fn find(
        &self,
        kind: PolicyKind,
        effect: Effect,
        wanted: impl Fn(Relation) -> bool,
    ) -> Result<Option<StatementName<'p>>> {
        self.attached.statement((kind, effect), self.request, &self.target, wanted)
    }

    fn is_at_home(&self) -> bool {
        self.request.principal.account() == self.request.account
    }

    fn is_service(&self) -> bool {
        self.request.principal.kind() == PrincipalKind::Service
    }
}

/// Returns the grant that allows the request, if any.
fn by_grant<'a>(request: &PolicyRequest<'_>, attached: &AttachedPolicies<'a>) -> Result<Option<PolicyEvaluation<'a>>> {
    let PolicyRequest { principal, operation, context, .. } = *request;
    if !operation.is_grantable() {
        return Ok(None);
    }
    let terms = request.parameters.iter().find_map(|parameter| match parameter {
        RequestParameter::Grant(terms) => Some(*terms),
        _ => None,
    });
    if operation == Operation::RetireGrant {
        // Other grants on the same key are irrelevant to retiring this one.
        let issuer = request.parameters.iter().find_map(|parameter| match parameter {
            RequestParameter::GrantIssuer(account) => Some(*account),
            _ => None,
        });
        let may_retire = terms.is_some_and(|terms| terms.may_be_retired_by(principal))
            || (principal.is_account_root() && issuer == Some(principal.account()));
        return Ok(may_retire.then_some(PolicyEvaluation::AllowedByRetiredGrant));
    }
    let Some(grants) = attached.grants else { return Ok(None) };
    let found = grants.find_allowing(operation, context, &mut |grant| {
        let passes_on = || terms.is_some_and(|terms| grant.may_delegate(terms));
        grant.allows(principal, operation, context) && (operation != Operation::CreateGrant || passes_on())
    })?;
    Ok(found.map(PolicyEvaluation::AllowedByGrant))
}

/// The lockout safety check: returns `true` if the principal could still replace the key policy
/// after `proposed` takes effect. Grants cannot allow `PutKeyPolicy` and are not considered.
///
/// # Errors
/// - The errors of [`evaluate`].
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::{KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin};
/// use strongroom::policy::{KeyFacts, PolicyDocument, PolicyRequest, passes_lockout_safety_check};
///
/// let account = AccountId::parse("111122223333")?;
/// let root = Principal::root(account);
/// let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
/// let key = KeyFacts::new(KeyId::from_bytes([0; 16]), spec, usage, Origin::Kms, KeyManager::Customer);
/// let request = PolicyRequest::new(&root, Operation::PutKeyPolicy, account).with_key(key);
///
/// let default = PolicyDocument::default_key_policy(account, &Locality::default());
/// assert!(passes_lockout_safety_check(&request, &default, &[])?);
/// let for_alice = PolicyDocument::key_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
///         "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}}}"#,
/// )?;
/// assert!(!passes_lockout_safety_check(&request, &for_alice, &[])?);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn passes_lockout_safety_check(
    request: &PolicyRequest<'_>,
    proposed: &PolicyDocument,
    identity_policies: &[PolicyDocument],
) -> Result<bool> {
    let later = PolicyRequest { operation: Operation::PutKeyPolicy, alias: None, parameters: &[], ..*request };
    let attached = AttachedPolicies { key_policy: Some(proposed), identity_policies, grants: None };
    Ok(evaluate(&later, &attached)?.is_allowed())
}
