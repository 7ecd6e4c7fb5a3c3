//! Looks up the values of a condition key in a request.

use super::super::grant::{GrantConstraints, GrantTerms};
use super::super::request::{KeyFacts, ParameterKind, PolicyRequest, RequestParameter};
use super::super::text_buffer::TextBuffer;
use super::key::{ConditionKey, NamedKey};
use super::value::Value;
use super::{Facts, Visit};
use crate::algorithm::EncryptionAlgorithm;
use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Principal, PrincipalKind};
use crate::key::{AliasName, Operation, Tag};

impl Facts for PolicyRequest<'_> {
    fn any(&self, key: &ConditionKey, visit: Visit<'_>) -> Result<Option<bool>> {
        match key {
            ConditionKey::Named(key) => named(*key, self, visit),
            ConditionKey::EncryptionContext(name) => {
                let same = |pair: &(&str, &str)| pair.0.eq_ignore_ascii_case(name);
                Ok(any_text(pairs(self)?.filter(same).map(|(_, value)| value), visit))
            }
            ConditionKey::ResourceTag(name) => {
                let Some(key) = &self.key else { return Ok(None) };
                let tags = key.tags.ok_or_else(|| not_given("the tags of the key"))?;
                let same = |pair: &(&str, &str)| pair.0.eq_ignore_ascii_case(name);
                Ok(any_text(tags.iter().filter(same).map(|(_, value)| value), visit))
            }
            ConditionKey::RequestTag(name) => Ok(request_tags(self).and_then(|tags| {
                let same = tags.iter().filter(|tag| tag.key().eq_ignore_ascii_case(name));
                any_text(same.map(Tag::value), visit)
            })),
            ConditionKey::ParameterTag(_) => Ok(None),
        }
    }
}

fn named(key: NamedKey, request: &PolicyRequest<'_>, visit: Visit<'_>) -> Result<Option<bool>> {
    use NamedKey as K;
    match key {
        K::CallerAccount | K::PrincipalAccount | K::PrincipalArn | K::PrincipalIsAwsService => {
            Ok(of_principal(key, request.principal, visit))
        }
        K::PrincipalServiceName | K::PrincipalType | K::SourceAccount | K::Username => {
            Ok(of_principal(key, request.principal, visit))
        }
        K::CurrentTime | K::EpochTime => Ok(Some(visit(Value::Time(request.time)))),
        K::RequestedRegion => Ok(one_text(Some(request.locality.region()), visit)),
        K::ResourceAccount => Ok(one_text(Some(request.account.as_str()), visit)),
        K::ViaService => Ok(via_service(request).map(|name| {
            let host = TextBuffer::of(format_args!("{name}.{}.amazonaws.com", request.locality.region()));
            visit(Value::Text(host.as_str()))
        })),
        K::ViaAwsService => Ok(Some(visit(Value::Bool(via_service(request).is_some())))),
        K::KeySpec | K::CustomerMasterKeySpec | K::KeyUsage | K::CustomerMasterKeyUsage | K::KeyOrigin => {
            of_key(key, request, visit)
        }
        K::MultiRegion => {
            let of_a_key = request.key.is_some() || request.operation == Operation::CreateKey;
            Ok(of_a_key.then(|| visit(Value::Bool(false))))
        }
        K::ResourceAliases => {
            let Some(KeyFacts { aliases, .. }) = request.key else { return Ok(None) };
            let aliases = aliases.ok_or_else(|| not_given("the aliases of the key"))?;
            Ok(any_text(aliases.iter().map(AliasName::as_str), visit))
        }
        K::EncryptionContextKeys => Ok(any_text(pairs(request)?.map(|(name, _)| name), visit)),
        K::GrantOperations | K::GranteePrincipal | K::RetiringPrincipal | K::GrantConstraintType => {
            let terms = grant(request)?.filter(|_| request.operation == Operation::CreateGrant);
            Ok(terms.and_then(|terms| of_grant(key, terms, visit)))
        }
        K::GrantIsForAwsResource => {
            let about_grants =
                matches!(request.operation, Operation::CreateGrant | Operation::ListGrants | Operation::RevokeGrant);
            Ok(about_grants.then(|| visit(Value::Bool(via_service(request).is_some()))))
        }
        K::TagKeys => Ok(tag_keys(request, visit)),
        K::PolicyName => {
            let of_a_policy = matches!(request.operation, Operation::GetKeyPolicy | Operation::PutKeyPolicy);
            Ok(one_text(of_a_policy.then_some("default"), visit))
        }
        _ => of_parameters(key, request, visit),
    }
}

/// Looks up keys whose value is a single parameter of the request.
fn of_parameters(key: NamedKey, request: &PolicyRequest<'_>, visit: Visit<'_>) -> Result<Option<bool>> {
    use {NamedKey as K, ParameterKind as Kind, RequestParameter as P};
    let required = match key {
        K::DataKeyPairSpec => Some(Kind::DataKeyPairSpec),
        K::EncryptionAlgorithm => Some(Kind::EncryptionAlgorithm),
        K::ExpirationModel => Some(Kind::ExpirationModel),
        K::KeyAgreementAlgorithm => Some(Kind::KeyAgreementAlgorithm),
        K::MacAlgorithm => Some(Kind::MacAlgorithm),
        K::MessageType => Some(Kind::MessageType),
        K::ReEncryptOnSameKey => Some(Kind::ReEncryptOnSameKey),
        K::RotationPeriodInDays => Some(Kind::RotationPeriodInDays),
        K::ScheduleKeyDeletionPendingWindowInDays => Some(Kind::ScheduleKeyDeletionPendingWindowInDays),
        K::SigningAlgorithm => Some(Kind::SigningAlgorithm),
        K::WrappingAlgorithm => Some(Kind::WrappingAlgorithm),
        K::WrappingKeySpec => Some(Kind::WrappingKeySpec),
        _ => None,
    };
    let value = parameter(request, required, |parameter| match (key, parameter) {
        (K::BypassPolicyLockoutSafetyCheck, P::BypassPolicyLockoutSafetyCheck(bypass)) => Some(Value::Bool(*bypass)),
        (K::DataKeyPairSpec, P::DataKeyPairSpec(spec)) => Some(Value::Text(spec.as_str())),
        (K::EncryptionAlgorithm, P::EncryptionAlgorithm(algorithm)) => Some(Value::Text(algorithm.as_str())),
        (K::ExpirationModel, P::ExpirationModel(model)) => Some(Value::Text(model.as_str())),
        (K::KeyAgreementAlgorithm, P::KeyAgreementAlgorithm(algorithm)) => Some(Value::Text(algorithm.as_str())),
        (K::MacAlgorithm, P::MacAlgorithm(algorithm)) => Some(Value::Text(algorithm.as_str())),
        (K::MessageType, P::MessageType(kind)) => Some(Value::Text(kind.as_str())),
        (K::ReEncryptOnSameKey, P::ReEncryptOnSameKey(same)) => Some(Value::Bool(*same)),
        (K::RequestAlias, P::RequestAlias(alias)) => Some(Value::Text(alias.as_str())),
        (K::RotationPeriodInDays, P::RotationPeriodInDays(days)) => Some(Value::Number(*days)),
        (K::ScheduleKeyDeletionPendingWindowInDays, P::ScheduleKeyDeletionPendingWindowInDays(days)) => {
            Some(Value::Number(*days))
        }
        (K::SigningAlgorithm, P::SigningAlgorithm(algorithm)) => Some(Value::Text(algorithm.as_str())),
        (K::ValidTo, P::ValidTo(time)) => Some(Value::Time(*time)),
        (K::WrappingAlgorithm, P::WrappingAlgorithm(algorithm)) => Some(Value::Text(algorithm.as_str())),
        (K::WrappingKeySpec, P::WrappingKeySpec(spec)) => Some(Value::Text(spec.as_str())),
        _ => None,
    })?;
    // Data keys are always encrypted with the same algorithm, which their requests do not specify.
    let implied = || match (key, request.operation) {
        (
            K::EncryptionAlgorithm,
            Operation::GenerateDataKey
            | Operation::GenerateDataKeyWithoutPlaintext
            | Operation::GenerateDataKeyPair
            | Operation::GenerateDataKeyPairWithoutPlaintext,
        ) => Some(Value::Text(EncryptionAlgorithm::SymmetricDefault.as_str())),
        _ => None,
    };
    Ok(value.or_else(implied).map(visit))
}

pub(super) fn of_principal(key: NamedKey, principal: &Principal, visit: Visit<'_>) -> Option<bool> {
    let kind = principal.kind();
    let is_service = kind == PrincipalKind::Service;
    let account = principal.account();
    match key {
        NamedKey::CallerAccount => one_text(Some(account.as_str()), visit),
        NamedKey::PrincipalAccount => one_text((!is_service).then_some(account.as_str()), visit),
        NamedKey::SourceAccount => one_text(is_service.then_some(account.as_str()), visit),
        NamedKey::PrincipalIsAwsService => Some(visit(Value::Bool(is_service))),
        // A session is represented by its role.
        NamedKey::PrincipalArn if !is_service => {
            let role = principal.assumed();
            Some(any_form(role.as_ref().unwrap_or(principal), visit))
        }
        NamedKey::PrincipalServiceName if is_service => Some(visit(Value::Text(TextBuffer::of(principal).as_str()))),
        NamedKey::PrincipalType => match kind {
            PrincipalKind::Root => one_text(Some("Account"), visit),
            PrincipalKind::User => one_text(Some("User"), visit),
            PrincipalKind::Role | PrincipalKind::AssumedRole => one_text(Some("AssumedRole"), visit),
            PrincipalKind::FederatedUser => one_text(Some("FederatedUser"), visit),
            PrincipalKind::Service => None,
        },
        // The user name does not include the path.
        NamedKey::Username if kind == PrincipalKind::User => {
            one_text(principal.name().and_then(|name| name.rsplit('/').next()), visit)
        }
        _ => None,
    }
}

fn of_key(key: NamedKey, request: &PolicyRequest<'_>, visit: Visit<'_>) -> Result<Option<bool>> {
    let (spec, usage, origin) = match request.key {
        Some(KeyFacts { spec, usage, origin, .. }) => (spec, usage, origin),
        None => {
            let new_key = parameter(request, Some(ParameterKind::NewKey), |parameter| match parameter {
                RequestParameter::NewKey(spec, usage, origin) => Some((*spec, *usage, *origin)),
                _ => None,
            })?;
            let Some(facts) = new_key else { return Ok(None) };
            facts
        }
    };
    let text = match key {
        NamedKey::KeySpec | NamedKey::CustomerMasterKeySpec => spec.as_str(),
        NamedKey::KeyUsage | NamedKey::CustomerMasterKeyUsage => usage.as_str(),
        _ => origin.as_str(),
    };
    Ok(one_text(Some(text), visit))
}

/// Visits the ARN of a principal, and the one in the partition `aws`, which means the same. Policies
/// of earlier releases contain the latter, whatever the partition of the KMS.
fn any_form(principal: &Principal, visit: Visit<'_>) -> bool {
    visit(Value::Text(TextBuffer::of(principal).as_str()))
        || (principal.partition() != "aws"
            && visit(Value::Text(TextBuffer::of(principal.in_default_partition()).as_str())))
}

fn of_grant(key: NamedKey, terms: &GrantTerms, visit: Visit<'_>) -> Option<bool> {
    match key {
        NamedKey::GrantOperations => any_text(terms.operations().iter().map(Operation::as_str), visit),
        NamedKey::GranteePrincipal => Some(any_form(terms.grantee(), visit)),
        NamedKey::RetiringPrincipal => terms.retiring_principal().map(|principal| any_form(principal, visit)),
        _ => {
            let equals = terms.constraints().encryption_context_equals().map(|_| "EncryptionContextEquals");
            let subset = terms.constraints().encryption_context_subset().map(|_| "EncryptionContextSubset");
            any_text(equals.into_iter().chain(subset), visit)
        }
    }
}

/// Returns the pairs of the request's encryption context, or of the constraints of a grant to be
/// created or retired.
fn pairs<'a>(request: &PolicyRequest<'a>) -> Result<impl Iterator<Item = (&'a str, &'a str)>> {
    let of_grant = match request.operation {
        Operation::CreateGrant | Operation::RetireGrant => grant(request)?,
        _ => None,
    };
    let constraint = of_grant.map(GrantTerms::constraints);
    let contexts = [
        request.context,
        constraint.and_then(GrantConstraints::encryption_context_equals),
        constraint.and_then(GrantConstraints::encryption_context_subset),
    ];
    Ok(contexts.into_iter().flatten().flat_map(EncryptionContext::iter))
}

fn via_service<'a>(request: &PolicyRequest<'a>) -> Option<&'a str> {
    // A service that acts on its own for an account counts as the forwarding service.
    let own = || request.principal.name().filter(|_| request.principal.kind() == PrincipalKind::Service);
    request.via_service.or_else(own)
}

fn grant<'a>(request: &PolicyRequest<'a>) -> Result<Option<&'a GrantTerms>> {
    parameter(request, Some(ParameterKind::Grant), |parameter| match parameter {
        RequestParameter::Grant(terms) => Some(*terms),
        _ => None,
    })
}

fn request_tags<'a>(request: &PolicyRequest<'a>) -> Option<&'a [Tag]> {
    request.parameters.iter().find_map(|parameter| match parameter {
        RequestParameter::RequestTags(tags) => Some(*tags),
        _ => None,
    })
}

fn tag_keys(request: &PolicyRequest<'_>, visit: Visit<'_>) -> Option<bool> {
    if let Some(tags) = request_tags(request) {
        return any_text(tags.iter().map(Tag::key), visit);
    }
    request.parameters.iter().find_map(|parameter| match parameter {
        RequestParameter::TagKeys(keys) => any_text(keys.iter().copied(), visit),
        _ => None,
    })
}

/// Picks a value from the parameters. A request that lacks a required parameter is no basis for a
/// decision, because a denial could depend on it.
fn parameter<'a, T>(
    request: &PolicyRequest<'a>,
    required: Option<ParameterKind>,
    pick: impl Fn(&'a RequestParameter<'a>) -> Option<T>,
) -> Result<Option<T>> {
    let found = request.parameters.iter().find_map(pick);
    match required {
        Some(kind) if found.is_none() && kind.required_by().contains(request.operation) => {
            Err(not_given(&format!("{kind:?}")))
        }
        _ => Ok(found),
    }
}

fn not_given(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot evaluate the policies: the request does not contain {what}"))
}

pub(super) fn one_text(text: Option<&str>, visit: Visit<'_>) -> Option<bool> {
    text.map(|text| visit(Value::Text(text)))
}

/// Returns `true` if `visit` returns `true` for any of the texts, or `None` if there are none.
pub(super) fn any_text<'t>(texts: impl IntoIterator<Item = &'t str>, visit: Visit<'_>) -> Option<bool> {
    let mut found = None;
    for text in texts {
        if visit(Value::Text(text)) {
            return Some(true);
        }
        found = Some(false);
    }
    found
}
