//! The policy of a key, which specifies the permissions of principals on the key.

use crate::error::{Error, ErrorKind, Result};
use crate::identity::ServiceName;
use crate::key::Operation;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::{CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::CallContext;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{KeyReference, Page, PageRequest, PutKeyPolicyRequest};
use crate::policy::{KeyFacts, PolicyDocument, PolicyRequest, RequestParameter, passes_lockout_safety_check};

/// Page sizes of [`Kms::list_key_policies`].
const POLICY_PAGES: PageLimits = PageLimits { most: 1_000, default: 100 };

/// The maximum length of a policy in the model of AWS KMS, in characters.
const MAX_POLICY: usize = 131_072;

impl Kms {
    /// Replaces the policy of a key. The new policy is in effect when the call returns.
    ///
    /// The caller must be able to replace the policy again under the new one, unless the request
    /// skips this check. A key that no principal can manage stays that way forever.
    ///
    /// # Errors
    /// - [`MalformedPolicyDocument`](ErrorKind::MalformedPolicyDocument) if the document is
    ///   malformed, uses an unsupported feature, or locks the caller out.
    /// - [`Validation`](ErrorKind::Validation) if the document is empty or longer than 131,072
    ///   characters.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key is customer
    ///   managed.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::request::{EncryptRequest, PutKeyPolicyRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    /// let policy = r#"{"Version": "2012-10-17", "Statement": [
    ///     {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"},
    ///     {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"},
    ///      "Action": "kms:Encrypt", "Resource": "*"}]}"#;
    /// kms.put_key_policy(PutKeyPolicyRequest::new(key.key_id(), policy))?;
    /// assert!(alice.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_ok());
    /// assert_eq!(alice.disable_key(key.key_id()).unwrap_err().kind(), ErrorKind::AccessDenied);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn put_key_policy(&self, request: PutKeyPolicyRequest<'_, impl KeyReference>) -> Result<()> {
        let conditions = [RequestParameter::BypassPolicyLockoutSafetyCheck(request.bypass_lockout_check)];
        let conditions = &conditions[usize::from(!request.bypass_lockout_check)..];
        let call = CallSpec::new(Operation::PutKeyPolicy)
            .conditions(conditions)
            .valid(check_policy_length(request.policy))
            .parameter("policyName", PolicyDocument::KEY_POLICY_NAME)
            .parameter("policy", truncated_for_audit(request.policy))
            .parameter("bypassPolicyLockoutSafetyCheck", request.bypass_lockout_check);
        self.key_change(call, &request.key, |target, call_context| {
            let document = PolicyDocument::key_policy(request.policy)?;
            document.check_partition(self.locality())?;
            let mut record = target.record().clone();
            if !request.bypass_lockout_check {
                self.check_lockout(call_context, &record, &document)?;
            }
            record.policy = Some(document.as_str().into());
            Ok((target.put(record), ()))
        })
    }

    /// Returns the text of the policy of a key: as it was set, or the default policy.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// let kms = strongroom::Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// assert!(kms.get_key_policy(key.key_id())?.contains("Enable IAM User Permissions"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_key_policy(&self, key: impl KeyReference) -> Result<String> {
        let call = CallSpec::new(Operation::GetKeyPolicy).parameter("policyName", PolicyDocument::KEY_POLICY_NAME);
        self.key_call(call, &key, |target, _| Ok(target.policy()?.as_str().to_owned()))
    }

    /// Lists the names of the policies of a key. There is exactly one, `default`.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`Validation`](ErrorKind::Validation) if the page limit is not 1 to 1,000.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the marker was not returned by an earlier
    ///   page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// assert_eq!(kms.list_key_policies(key.key_id(), Default::default())?.entries, ["default"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_key_policies(&self, key: impl KeyReference, page: PageRequest) -> Result<Page<String>> {
        self.key_call(CallSpec::new(Operation::ListKeyPolicies).valid(POLICY_PAGES.valid(&page)), &key, |_, _| {
            let names = [PolicyDocument::KEY_POLICY_NAME.to_owned()].into_iter();
            pagination::page_of(names, &page, POLICY_PAGES, String::as_bytes)
        })
    }

    /// Rejects a policy under which the caller could not set another one.
    pub(in crate::kms) fn check_lockout(
        &self,
        call_context: &CallContext,
        record: &KeyRecord,
        document: &PolicyDocument,
    ) -> Result<()> {
        let identity = self.attached_identity()?;
        let aliases: Vec<_> = record.aliases.iter().cloned().collect();
        let facts = KeyFacts::new(record.key_id, record.spec, record.usage, record.origin, record.manager)
            .with_tags(&record.tags)
            .with_aliases(&aliases);
        let request = PolicyRequest::new(&self.principal, Operation::PutKeyPolicy, record.account)
            .at(self.locality(), call_context.now())
            .with_key(facts)
            .via_service(self.via_service().map(ServiceName::as_str));
        let documents = identity.as_ref().map_or(&[][..], |held| held.documents());
        if passes_lockout_safety_check(&request, document, documents)? {
            return Ok(());
        }
        let text = "the new key policy will not allow you to update the key policy in the future: allow yourself \
                    kms:PutKeyPolicy in the policy, or bypass this check";
        Err(Error::new(ErrorKind::MalformedPolicyDocument, text))
    }
}

/// Rejects a document that the model of AWS KMS excludes. Its quota, which is lower, is checked when
/// the document is parsed.
pub(in crate::kms) fn check_policy_length(policy: &str) -> Result<()> {
    if !policy.is_empty() && policy.chars().nth(MAX_POLICY).is_none() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, format!("a key policy must have 1 to {MAX_POLICY} characters")))
}
