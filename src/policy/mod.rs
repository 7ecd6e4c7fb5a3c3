//! Authorization: policies, grants, and the decision about a request. Every operation is authorized
//! before any state of a key is revealed.
//!
//! [`evaluate()`] implements the rules of AWS KMS. It considers the key policy, the policies of the
//! principal, and grants, and returns a [`PolicyEvaluation`] with the reason. A [`PolicyRequest`]
//! contains what a policy can test, and [`AttachedPolicies`] what applies to it. Documents are
//! compiled when they are parsed ([`PolicyDocument`]), and a decision allocates nothing.
//!
//! Most applications only write documents and pass them to [`Kms::put_key_policy`],
//! [`Kms::put_identity_policy`], or [`CreateKeyRequest::policy`]. [`GrantTerms`] describe a grant
//! for [`Kms::create_grant`]. To use other rules, implement [`Policy`] and pass it to
//! [`KmsBuilder::policy`](crate::KmsBuilder::policy). The [manual](crate::manual::policies) lists
//! the supported elements of the policy language.
//!
//! [`Kms::put_key_policy`]: crate::Kms::put_key_policy
//! [`Kms::put_identity_policy`]: crate::Kms::put_identity_policy
//! [`Kms::create_grant`]: crate::Kms::create_grant
//! [`CreateKeyRequest::policy`]: crate::request::CreateKeyRequest::policy
//!
//! # Examples
//! A policy and a grant in use:
//!
//! ```
//! use strongroom::identity::{AccountId, Principal};
//! use strongroom::key::Operation;
//! use strongroom::policy::GrantTerms;
//! use strongroom::request::{CreateGrantRequest, EncryptRequest};
//! use strongroom::{ErrorKind, Kms};
//!
//! let kms = Kms::in_memory()?;
//! let key = kms.create_key(Default::default())?.key_id();
//! let (alice, bob) =
//!     (Principal::user(AccountId::default(), "alice")?, Principal::user(AccountId::default(), "bob")?);
//! let policy = r#"{"Version": "2012-10-17",
//!     "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}"#;
//! kms.put_identity_policy(&alice, "writer", policy)?;
//! kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(bob.clone(), [Operation::Encrypt])?))?;
//!
//! for principal in [alice, bob] {
//!     let caller = kms.as_principal(principal)?;
//!     assert!(caller.encrypt(EncryptRequest::new(key, b"data")).is_ok());
//!     assert_eq!(caller.disable_key(key).unwrap_err().kind(), ErrorKind::AccessDenied);
//! }
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! A decision without a KMS, for example in a test of a document:
//!
//! ```
//! use strongroom::identity::{AccountId, Principal};
//! use strongroom::key::Operation;
//! use strongroom::policy::{AttachedPolicies, PolicyDocument, PolicyRequest, evaluate};
//!
//! let account = AccountId::default();
//! let alice = Principal::user(account, "alice")?;
//! let own = [PolicyDocument::identity_policy(
//!     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:List*", "Resource": "*"}}"#,
//! )?];
//! let attached = AttachedPolicies::none().with_identity_policies(&own);
//! let allowed = |operation| evaluate(&PolicyRequest::new(&alice, operation, account), &attached);
//! assert!(allowed(Operation::ListKeys)?.is_allowed());
//! assert!(!allowed(Operation::CreateKey)?.is_allowed());
//! # Ok::<(), strongroom::Error>(())
//! ```

mod actions;
mod condition;
mod decision;
mod document;
mod document_kind;
mod effect;
mod evaluate;
mod evaluate_parameter;
mod grant;
mod json;
mod operation_set;
mod parameter_request;
mod parse_error;
mod pattern;
mod principals;
mod request;
mod resources;
mod statement;
mod statement_index;
mod target;
mod text_buffer;

use std::fmt;

pub use self::decision::Decision;
pub use self::document::PolicyDocument;
pub use self::document_kind::PolicyKind;
pub use self::evaluate::{AttachedPolicies, PolicyEvaluation, StatementName, evaluate, passes_lockout_safety_check};
pub use self::evaluate_parameter::evaluate_parameter;
pub use self::grant::{GrantConstraints, GrantId, GrantSource, GrantTerms};
pub use self::operation_set::OperationSet;
pub use self::parameter_request::ParameterPolicyRequest;
pub use self::request::{KeyFacts, PolicyRequest, RequestParameter};
use crate::error::Result;

/// Decides whether an operation is allowed. Called for every operation, including those without a
/// key.
///
/// An implementation receives the request and the policies attached to the key and the principal.
/// It may call [`evaluate()`] to learn how the AWS KMS rules decide.
///
/// # Examples
/// ```
/// use strongroom::key::Operation;
/// use strongroom::policy::{
///     AttachedPolicies, Decision, ParameterPolicyRequest, Policy, PolicyDocument, PolicyRequest,
/// };
/// use strongroom::{Kms, Result};
///
/// #[derive(Debug)]
/// struct ReadOnly;
///
/// impl Policy for ReadOnly {
///     fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
///         Ok(if request.operation == Operation::ListKeys { Decision::Allow } else { Decision::Deny })
///     }
///
///     // The feature `parameters` asks this. Without it, every operation on parameters is denied.
///     fn decide_parameter(&self, request: &ParameterPolicyRequest<'_>, _: &[PolicyDocument]) -> Result<Decision> {
///         Ok(if request.operation.is_read_only() { Decision::Allow } else { Decision::Deny })
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
    /// - any error, if no decision can be reached; the operation then fails with this error
    fn decide(&self, request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>) -> Result<Decision>;

    /// Allows or denies one operation of the parameter store. `identity_policies` are those of the
    /// principal; [`evaluate_parameter()`] decides by them. The default denies everything.
    ///
    /// # Errors
    /// - any error, if no decision can be reached; the operation then fails with this error
    fn decide_parameter(
        &self,
        request: &ParameterPolicyRequest<'_>,
        identity_policies: &[PolicyDocument],
    ) -> Result<Decision> {
        let _ = (request, identity_policies);
        Ok(Decision::Deny)
    }
}

impl<P: Policy + ?Sized> Policy for std::sync::Arc<P> {
    fn decide(&self, request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>) -> Result<Decision> {
        (**self).decide(request, attached)
    }

    fn decide_parameter(
        &self,
        request: &ParameterPolicyRequest<'_>,
        identity_policies: &[PolicyDocument],
    ) -> Result<Decision> {
        (**self).decide_parameter(request, identity_policies)
    }
}

/// Allows every operation to the root of the owning account and denies everything to all other
/// principals.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountOwnerOnly;

impl Policy for AccountOwnerOnly {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        let owner = request.principal.is_account_root() && request.principal.account() == request.account;
        Ok(if owner { Decision::Allow } else { Decision::Deny })
    }

    fn decide_parameter(&self, request: &ParameterPolicyRequest<'_>, _: &[PolicyDocument]) -> Result<Decision> {
        let owner = request.principal.is_account_root() && request.principal.account() == request.account;
        Ok(if owner { Decision::Allow } else { Decision::Deny })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountId, Principal};
    use crate::key::Operation;

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
                assert_eq!(
                    AccountOwnerOnly.decide(&request, &AttachedPolicies::none())?,
                    decision,
                    "{principal} {operation}"
                );
            }
        }
        Ok(())
    }
}
