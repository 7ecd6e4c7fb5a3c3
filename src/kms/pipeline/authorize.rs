//! Authorization. A resource that the caller may not see is reported as not found.

use std::borrow::Cow;
use std::fmt;

use super::call::AuthzRequest;
use super::change::CallContext;
use super::key_grants::KeyGrants;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, PrincipalKind, ServiceName};
use crate::key::{AliasArn, AliasName, KeyIdentifier, KeyManager, Operation, Tag, TagSet};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::key_checks::unknown;
use crate::kms::records::identity_policy::IdentityPolicies;
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::cache::Cached;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::metrics::{Label, Metric};
use crate::policy::{
    AttachedPolicies, Decision, KeyFacts, PolicyDocument, PolicyEvaluation, PolicyRequest, RequestParameter, evaluate,
};

impl Kms {
    /// Checks that the caller may perform an operation without a key in its account.
    pub(in crate::kms) fn permit_in_account(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
    ) -> Result<()> {
        let operation = question.operation;
        if self.is_service_itself() {
            return match operation {
                Operation::CreateKey | Operation::ListKeys | Operation::GenerateRandom => Ok(()),
                _ => Err(self.denied(operation, None)),
            };
        }
        let request = self.policy_request(call_context, question, self.account());
        let identity = self.attached_identity()?;
        self.decide(call_context, &request, &by(&identity), || self.denied(operation, None))
    }

    /// Checks that the caller may perform an operation on an alias of its account. Creating,
    /// updating and deleting an alias requires a permission on the alias in addition to the one on
    /// the key.
    pub(in crate::kms) fn permit_alias(
        &self,
        call_context: &mut CallContext,
        operation: Operation,
        alias: &AliasName,
    ) -> Result<()> {
        if self.is_service_itself() {
            return Ok(()); // the key is checked next
        }
        let question = AuthzRequest::new(operation);
        let request = self.policy_request(call_context, &question, self.account()).with_alias(alias);
        let identity = self.attached_identity()?;
        self.decide(call_context, &request, &by(&identity), || {
            let arn = AliasArn::new(self.locality().clone(), self.account(), alias.clone());
            self.denied(operation, Some(&arn))
        })
    }

    /// Checks that the caller may set the tags of a key that it is about to create. As in AWS KMS,
    /// CreateKey with tags also requires TagResource. The policy of the new key does not count,
    /// since it is not in force yet; the decision is left to the account.
    pub(in crate::kms) fn permit_first_tags(&self, call_context: &mut CallContext, record: &KeyRecord) -> Result<()> {
        let tags: Vec<Tag> = record.tags.iter().map(|(key, value)| Tag::new(key, value)).collect::<Result<_>>()?;
        if tags.is_empty() || self.is_service_itself() {
            return Ok(());
        }
        let conditions = [RequestParameter::RequestTags(&tags)];
        let question = AuthzRequest::new(Operation::TagResource).conditions(&conditions);
        let none_yet = TagSet::default();
        let facts = KeyFacts::new(record.key_id, record.spec, record.usage, record.origin, record.manager)
            .with_tags(&none_yet)
            .with_aliases(&[]);
        let request = self.policy_request(call_context, &question, record.account).with_key(facts);
        let (left_to_account, identity) =
            (PolicyDocument::default_key_policy(record.account, self.locality()), self.attached_identity()?);
        let attached = by(&identity).with_key_policy(&left_to_account);
        self.decide(call_context, &request, &attached, || self.denied(question.operation, None))
    }

    /// Checks that the caller may perform an operation on a key.
    ///
    /// The refusal reveals whether the key exists only if the key belongs to the caller's own
    /// account.
    pub(in crate::kms) fn permit(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        identifier: &KeyIdentifier,
        key: &LoadedKey,
    ) -> Result<()> {
        let record = &key.record;
        let missing = || unknown(self.locality(), self.account(), identifier);
        match record.manager {
            // Accounts and policies have no control over keys that a service owns.
            KeyManager::Owned if record.service.as_ref() == self.principal.as_service() => return Ok(()),
            KeyManager::Owned => return Err(missing()),
            KeyManager::Service if record.account != self.account() => return Err(missing()),
            KeyManager::Service | KeyManager::Customer => {}
        }
        let noted = call_context.event.additional.len();
        let allowed = self.permit_by_policies(call_context, question, identifier, key);
        if record.account == self.account() || allowed.is_ok() {
            return allowed;
        }
        // Neither a refusal nor a failure may reveal to another account that the key exists, and
        // neither may that account's audit log.
        call_context.event.additional.truncate(noted);
        Err(missing())
    }

    /// Returns what the caller may see of a record in an account. A damaged record of another
    /// account is reported as not found. A failure of the whole store is returned, because it
    /// reveals nothing about a single record.
    pub(in crate::kms) fn visible<T>(&self, account: AccountId, found: Result<Option<T>>) -> Result<Option<T>> {
        match found {
            Err(error) if account != self.account() && !is_about_whole_store(&error) => Ok(None),
            other => other,
        }
    }

    fn permit_by_policies(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        identifier: &KeyIdentifier,
        key: &LoadedKey,
    ) -> Result<()> {
        self.check_tokens(question.grant_tokens)?;
        let record = &key.record;
        let mut facts = KeyFacts::new(record.key_id, record.spec, record.usage, record.origin, record.manager)
            .with_tags(&record.tags);
        let grants = KeyGrants { registry: &self.core.registry, key, principal: &self.principal };
        let identity = self.attached_identity()?;
        let attached = by(&identity).with_key_policy(key.policy()?).with_grants(&grants);
        let aliases: Vec<AliasName>;
        // A custom policy may ask for the aliases.
        if attached.needs_aliases() || self.core.settings.policy.is_some() {
            aliases = record.aliases.iter().cloned().collect();
            facts = facts.with_aliases(&aliases);
        }
        let named = alias_in(identifier).map(RequestParameter::RequestAlias);
        let conditions: Cow<'_, [RequestParameter<'_>]> = match named {
            None => question.conditions.into(),
            Some(named) => question.conditions.iter().copied().chain([named]).collect(),
        };
        let request =
            self.policy_request(call_context, question, record.account).with_key(facts).with_parameters(&conditions);
        self.decide(call_context, &request, &attached, || self.denied(question.operation, Some(&key.arn)))
    }

    fn policy_request<'a>(
        &'a self,
        call_context: &CallContext,
        question: &AuthzRequest<'a>,
        account: AccountId,
    ) -> PolicyRequest<'a> {
        PolicyRequest::new(&self.principal, question.operation, account)
            .at(self.locality(), call_context.now())
            .with_context(question.context)
            .via_service(self.via_service().map(ServiceName::as_str))
            .with_parameters(question.conditions)
    }

    /// Returns the policies of the caller. Only users and roles can have any; those of a role apply
    /// to its sessions.
    pub(in crate::kms) fn attached_identity(&self) -> Result<Option<Cached<IdentityPolicies>>> {
        let role = self.principal.assumed();
        let holder = role.as_ref().unwrap_or(&self.principal);
        match holder.kind() {
            PrincipalKind::User | PrincipalKind::Role => self.core.registry.identity_policies(holder).map(Some),
            _ => Ok(None),
        }
    }

    fn decide(
        &self,
        call_context: &mut CallContext,
        request: &PolicyRequest<'_>,
        attached: &AttachedPolicies<'_>,
        denied: impl Fn() -> Error,
    ) -> Result<()> {
        match &self.core.settings.policy {
            Some(policy) => match policy.decide(request, attached)? {
                Decision::Allow => Ok(()),
                Decision::Deny => Err(denied()),
            },
            None => match evaluate(request, attached)? {
                PolicyEvaluation::AllowedByGrant(id) => {
                    call_context.record_param("allowedByGrant", id.to_string());
                    Ok(())
                }
                outcome if outcome.is_allowed() => Ok(()),
                outcome => {
                    call_context.record_param("decision", outcome.to_string());
                    Err(denied())
                }
            },
        }
    }

    /// Returns `true` if the caller is a service that acts on keys it owns.
    fn is_service_itself(&self) -> bool {
        self.account() == AccountId::SERVICES
    }

    /// Returns the error of a request that a policy denies, and counts it. The caller of the
    /// operation may get another error, which does not reveal that the key exists.
    fn denied(&self, operation: Operation, resource: Option<&dyn fmt::Display>) -> Error {
        let label = Label::new("operation", operation.api_name());
        self.core.registry.metrics().count(Metric::AuthorizationDenials, &[label]);
        let resource = resource.map_or_else(|| "*".to_owned(), ToString::to_string);
        let text = format!("{} is not authorized to perform kms:{operation} on {resource}", self.principal);
        Error::new(ErrorKind::AccessDenied, text)
    }
}

/// Returns `true` if a failure to read a record would affect every other record, too.
fn is_about_whole_store(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Store | ErrorKind::RootKey)
}

/// Returns the alias by which a request names a key.
fn alias_in(identifier: &KeyIdentifier) -> Option<&AliasName> {
    match identifier {
        KeyIdentifier::AliasName(name) => Some(name),
        KeyIdentifier::AliasArn(arn) => Some(arn.name()),
        KeyIdentifier::KeyId(_) | KeyIdentifier::KeyArn(_) => None,
    }
}

/// Returns the policies that apply in addition to those of the key: the policies of the caller.
fn by(identity: &Option<Cached<IdentityPolicies>>) -> AttachedPolicies<'_> {
    let documents = identity.as_ref().map_or(&[][..], |held| held.documents());
    AttachedPolicies::none().with_identity_policies(documents)
}
