//! Policies of principals. They apply to operations without a key, and to keys whose policy
//! delegates to the account.

use crate::audit::Action;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Principal, PrincipalKind};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::truncated_for_audit;
use crate::kms::pipeline::change::{CallContext, commit_change};
use crate::kms::records::identity_policy::{IdentityPolicies, check_policy_name};
use crate::kms::storage::edit::Edit;
use crate::policy::PolicyDocument;

impl Kms {
    /// Attaches a policy to a user or role, replacing any existing policy of that name. The policies
    /// of a role apply to its sessions. The authority can do this for all accounts, the root of an
    /// account for its own. A principal can have up to 10 policies.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the caller is neither.
    /// - [`Validation`](ErrorKind::Validation) if the principal is neither a user nor a role, or is
    ///   in another partition, or the name is not 1 to 128 letters, digits, and `_+=,.@-`.
    /// - [`MalformedPolicyDocument`](ErrorKind::MalformedPolicyDocument) if the document is
    ///   malformed.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the principal already has 10 policies.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::request::EncryptRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let alice = Principal::user(AccountId::default(), "alice")?;
    /// let as_alice = kms.as_principal(alice.clone())?;
    /// assert!(as_alice.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_err());
    ///
    /// let policy = r#"{"Version": "2012-10-17",
    ///     "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}"#;
    /// kms.put_identity_policy(&alice, "writer", policy)?;
    /// assert!(as_alice.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn put_identity_policy(&self, principal: &Principal, name: &str, document: &str) -> Result<()> {
        self.identity_call(Action::PutIdentityPolicy, principal, Some(name), Some(document), |call_context| {
            check_policy_name(name)?;
            let document = PolicyDocument::identity_policy(document)?;
            self.change_identity(call_context, principal, |policies| policies.put(name, document.clone()))
        })
    }

    /// Returns the text of a policy of a principal.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the principal has no policy of that name.
    /// - The errors of [`Kms::put_identity_policy`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let alice = Principal::user(AccountId::default(), "alice")?;
    /// let policy = r#"{"Version": "2012-10-17",
    ///     "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}"#;
    /// kms.put_identity_policy(&alice, "writer", policy)?;
    /// assert_eq!(kms.get_identity_policy(&alice, "writer")?, policy);
    /// assert_eq!(kms.get_identity_policy(&alice, "reader").unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_identity_policy(&self, principal: &Principal, name: &str) -> Result<String> {
        self.identity_call(Action::GetIdentityPolicy, principal, Some(name), None, |_| {
            let policies = self.core.registry.identity_policies(principal)?;
            let document = policies.get(name).ok_or_else(|| no_policy(principal, name))?;
            Ok(document.as_str().to_owned())
        })
    }

    /// Lists the names of the policies of a principal, in order.
    ///
    /// # Errors
    /// - The errors of [`Kms::put_identity_policy`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    ///
    /// let kms = Kms::in_memory()?;
    /// let alice = Principal::user(AccountId::default(), "alice")?;
    /// assert!(kms.list_identity_policies(&alice)?.is_empty());
    /// for (name, action) in [("writer", "kms:Encrypt"), ("reader", "kms:Decrypt")] {
    ///     let policy = format!(
    ///         r#"{{"Version": "2012-10-17",
    ///             "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    ///     );
    ///     kms.put_identity_policy(&alice, name, &policy)?;
    /// }
    /// assert_eq!(kms.list_identity_policies(&alice)?, ["reader", "writer"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_identity_policies(&self, principal: &Principal) -> Result<Vec<String>> {
        self.identity_call(Action::ListIdentityPolicies, principal, None, None, |_| {
            Ok(self.core.registry.identity_policies(principal)?.names().to_vec())
        })
    }

    /// Deletes a policy of a principal.
    ///
    /// # Errors
    /// - The errors of [`Kms::get_identity_policy`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::request::EncryptRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let alice = Principal::user(AccountId::default(), "alice")?;
    /// let policy = r#"{"Version": "2012-10-17",
    ///     "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}"#;
    /// kms.put_identity_policy(&alice, "writer", policy)?;
    /// kms.delete_identity_policy(&alice, "writer")?;
    /// let as_alice = kms.as_principal(alice)?;
    /// let refused = as_alice.encrypt(EncryptRequest::new(key.key_id(), b"data")).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete_identity_policy(&self, principal: &Principal, name: &str) -> Result<()> {
        self.identity_call(Action::DeleteIdentityPolicy, principal, Some(name), None, |call_context| {
            self.change_identity(call_context, principal, |policies| match policies.remove(name) {
                true => Ok(()),
                false => Err(no_policy(principal, name)),
            })
        })
    }

    fn identity_call<T>(
        &self,
        action: Action,
        principal: &Principal,
        name: Option<&str>,
        document: Option<&str>,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let _in_progress = self.core.gate.enter()?;
        let mut event = self.new_event(action, self.core.time.now());
        event.parameters.push(("principal", principal.to_string().into()));
        event.parameters.extend(name.map(|name| ("policyName", truncated_for_audit(name).into())));
        event.parameters.extend(document.map(|document| ("policyDocument", truncated_for_audit(document).into())));
        self.recorded(event, |call_context| {
            let is_root = self.principal.is_account_root() && self.account() == principal.account();
            if !self.is_authority() && (!is_root || self.via_service().is_some()) {
                let text = format!("{} may not see or change the policies of {principal}", self.principal);
                return Err(Error::new(ErrorKind::AccessDenied, text));
            }
            self.check_partition(ErrorKind::Validation, principal)?;
            if !matches!(principal.kind(), PrincipalKind::User | PrincipalKind::Role) {
                let text = "policies can be attached only to users and roles";
                return Err(Error::new(ErrorKind::Validation, text));
            }
            run(call_context)
        })
    }

    fn change_identity(
        &self,
        call_context: &mut CallContext,
        principal: &Principal,
        mut change: impl FnMut(&mut IdentityPolicies) -> Result<()>,
    ) -> Result<()> {
        commit_change(&self.core, call_context, |_| {
            let held = self.core.registry.identity_policies(principal)?;
            let mut policies = (*held).clone();
            change(&mut policies)?;
            if policies == *held {
                return Ok((Vec::new(), ()));
            }
            let (id, expected) = (IdentityPolicies::record_id(principal), held.stored_revision());
            let edit = match expected {
                Some(expected) if policies.names().is_empty() => Edit::delete(id, expected),
                _ => Edit::put(id, &policies, expected)?,
            };
            Ok((vec![edit], ()))
        })
    }
}

fn no_policy(principal: &Principal, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{principal} has no policy '{name}'"))
}
