//! Who may do what: a decision for every operation, taken before any state of a key is revealed.

use std::fmt;

use crate::context::EncryptionContext;
use crate::error::Result;
use crate::identity::{AccountId, Principal};
use crate::key::{KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin};

/// What a [`Policy`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The operation may go on.
    Allow,
    /// The operation is refused.
    Deny,
}

/// What is known of the key when a policy decides.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyFacts {
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
}

impl KeyFacts {
    /// Gathers the facts of a key.
    pub const fn new(key_id: KeyId, spec: KeySpec, usage: KeyUsage, origin: Origin, manager: KeyManager) -> Self {
        Self { key_id, spec, usage, origin, manager }
    }
}

/// One question to a [`Policy`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked for.
    pub operation: Operation,
    /// The account that owns the key, or in which the operation takes place if it has no key.
    pub account: AccountId,
    /// The key, if the operation has one.
    pub key: Option<KeyFacts>,
    /// The encryption context, if the operation has one.
    pub context: Option<&'a EncryptionContext>,
}

impl<'a> PolicyRequest<'a> {
    /// Asks for an operation in an account.
    pub const fn new(principal: &'a Principal, operation: Operation, account: AccountId) -> Self {
        Self { principal, operation, account, key: None, context: None }
    }

    /// Names the key.
    #[must_use]
    pub const fn with_key(mut self, key: KeyFacts) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds the encryption context.
    #[must_use]
    pub const fn with_context(mut self, context: Option<&'a EncryptionContext>) -> Self {
        self.context = context;
        self
    }
}

/// Decides on operations. Asked for every call, also for those without a key.
///
/// # Examples
/// ```
/// use strongroom::policy::{Decision, Policy, PolicyRequest};
/// use strongroom::{Kms, Operation, Result};
///
/// #[derive(Debug)]
/// struct ReadOnly;
///
/// impl Policy for ReadOnly {
///     fn decide(&self, request: &PolicyRequest<'_>) -> Result<Decision> {
///         Ok(if request.operation == Operation::ListKeys { Decision::Allow } else { Decision::Deny })
///     }
/// }
///
/// let kms = Kms::builder().policy(ReadOnly).build()?;
/// assert!(kms.list_keys(Default::default()).is_ok());
/// assert!(kms.create_key(Default::default()).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Policy: fmt::Debug + Send + Sync {
    /// Allows or denies one operation.
    ///
    /// # Errors
    /// Any error, if no decision can be reached; the operation is refused with it.
    fn decide(&self, request: &PolicyRequest<'_>) -> Result<Decision>;
}

impl<P: Policy + ?Sized> Policy for std::sync::Arc<P> {
    fn decide(&self, request: &PolicyRequest<'_>) -> Result<Decision> {
        (**self).decide(request)
    }
}

/// Allows everything to the root of the owning account, and nothing to anybody else.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountOwnerOnly;

impl Policy for AccountOwnerOnly {
    fn decide(&self, request: &PolicyRequest<'_>) -> Result<Decision> {
        let owner = request.principal.is_account_root() && request.principal.account() == request.account;
        Ok(if owner { Decision::Allow } else { Decision::Deny })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_root_of_the_owning_account_is_allowed() -> Result<()> {
        let (ours, theirs) = (AccountId::parse("000000000001")?, AccountId::parse("000000000002")?);
        let rows = [
            (Principal::root(ours), Decision::Allow),
            (Principal::root(theirs), Decision::Deny),
            (Principal::user(ours, "alice")?, Decision::Deny),
            (Principal::role(ours, "admin")?, Decision::Deny),
            (Principal::service(ours, "s3")?, Decision::Deny),
        ];
        for (principal, decision) in rows {
            for &operation in Operation::ALL {
                let request = PolicyRequest::new(&principal, operation, ours);
                assert_eq!(AccountOwnerOnly.decide(&request)?, decision, "{principal} {operation}");
            }
        }
        Ok(())
    }
}
