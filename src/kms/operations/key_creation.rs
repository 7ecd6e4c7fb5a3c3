//! The common parts of key creation: policy conditions, the record, and the first policy.

use crate::audit::ParameterValue;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{Description, KeyId, KeyIdentifier, KeyManager, KeyUsage, Operation, Tag, TagSet, check_usage};
use crate::kms::engine::handle::Kms;
use crate::kms::operations::aliases::{first_alias_edit, unreserved};
use crate::kms::operations::key_policy::check_policy_length;
use crate::kms::pipeline::call::{AuthzRequest, CallSpec, tags_for_audit, truncated_for_audit};
use crate::kms::pipeline::change::CallContext;
use crate::kms::pipeline::key_checks::check_manager;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::{CreateKeyRequest, checked_tags};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::policy::{PolicyDocument, RequestParameter};

impl Kms {
    /// Sets the policy of a new key from its request.
    pub(in crate::kms) fn set_first_policy(
        &self,
        call_context: &CallContext,
        record: &mut KeyRecord,
        request: &CreateKeyRequest,
    ) -> Result<()> {
        let Some(text) = &request.policy else { return Ok(()) };
        if record.manager != KeyManager::Customer {
            let text = "a key owned by a service cannot have a key policy";
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        }
        let document = PolicyDocument::key_policy(text)?;
        document.check_partition(self.locality())?;
        if !request.bypass_lockout_check {
            self.check_lockout(call_context, record, &document)?;
        }
        record.policy = Some(document.as_str().into());
        Ok(())
    }

    /// Adds the alias of the request to the record of a new key, once its policy is set. As for a
    /// separate call, the caller needs permission for CreateAlias on the alias and on the key.
    pub(in crate::kms) fn set_first_alias(
        &self,
        call_context: &mut CallContext,
        record: &mut KeyRecord,
        request: &CreateKeyRequest,
    ) -> Result<()> {
        let Some(name) = &request.alias else { return Ok(()) };
        let name = unreserved(name)?;
        let question = AuthzRequest::new(Operation::CreateAlias);
        self.permit_alias(call_context, question.operation, &name)?;
        let key = LoadedKey::new(record.clone(), self.locality());
        self.permit(call_context, &question, &KeyIdentifier::KeyId(record.key_id), &key)?;
        check_manager(question.operation, &key, self.via_service())?;
        // Checked again with the commit. This check avoids material for a key that cannot exist.
        self.check_alias_free(record.account, &name)?;
        *record = self.with_alias(record, &name)?;
        Ok(())
    }

    /// Returns the writes that create the alias of a new key, unless the name is taken by now.
    pub(in crate::kms) fn first_alias_edits(&self, record: &KeyRecord, now: Timestamp) -> Result<Vec<Edit>> {
        let create = |name| {
            self.check_alias_free(record.account, name)?;
            first_alias_edit(record, name, now)
        };
        record.aliases.iter().map(create).collect()
    }

    /// Returns the record of the requested key, without material.
    pub(in crate::kms) fn new_key(&self, request: &CreateKeyRequest, now: Timestamp) -> Result<KeyRecord> {
        let usage = requested_usage(request)?;
        let mut random = [0; 16];
        self.core.material.backend.random().fill(&mut random)?;
        let owner = self.principal.as_service().filter(|_| self.account() == AccountId::SERVICES);
        let key_id = KeyId::from_random_bytes(random);
        Ok(KeyRecord {
            manager: if owner.is_some() { KeyManager::Owned } else { KeyManager::Customer },
            description: Description::parse(&request.description)?,
            tags: TagSet::from_tags(checked_tags(&request.tags)?)?,
            service: owner.cloned(),
            ..KeyRecord::new(self.account(), key_id, request.spec, usage, request.origin, now)
        })
    }
}

/// Returns the usage of the requested key.
pub(in crate::kms) fn requested_usage(request: &CreateKeyRequest) -> Result<KeyUsage> {
    let usage = request.usage.or(request.spec.default_usage()).ok_or_else(|| {
        let usages: Vec<_> = request.spec.usages().iter().map(|usage| usage.as_str()).collect();
        let text = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.";
        let advice = format!("the usage of a key with the spec {} is {}", request.spec, usages.join(" or "));
        Error::new(ErrorKind::Validation, text).with_advice(advice)
    })?;
    check_usage(request.spec, usage)?;
    Ok(usage)
}

/// Returns the call that creates a key.
pub(in crate::kms) fn creation_call<'a>(
    request: &CreateKeyRequest,
    tags: &[Tag],
    conditions: &'a [RequestParameter<'a>],
) -> CallSpec<'a> {
    let mut call = CallSpec::new(Operation::CreateKey)
        .conditions(conditions)
        .valid(Description::parse(&request.description).map(drop))
        .valid(request.policy.as_deref().map_or(Ok(()), check_policy_length))
        .valid(checked_tags(&request.tags).map(drop))
        .parameter("keySpec", request.spec.as_str())
        .parameter("origin", request.origin.as_str())
        .parameter("bypassPolicyLockoutSafetyCheck", request.bypass_lockout_check);
    if let Some(usage) = request.usage.or(request.spec.default_usage()) {
        call = call.parameter("keyUsage", usage.as_str());
    }
    if !request.description.is_empty() {
        call = call.parameter("description", truncated_for_audit(&request.description));
    }
    if let Some(policy) = &request.policy {
        call = call.parameter("policy", truncated_for_audit(policy));
    }
    if !tags.is_empty() {
        let pairs = tags_for_audit(tags).map(|tag| (tag.key(), tag.value()));
        call = call.parameter("tags", ParameterValue::pairs(pairs));
    }
    if let Some(name) = &request.provider {
        call = call.parameter("keyMaterialProvider", name.as_str().to_owned());
    }
    if let Some(name) = &request.alias {
        call = call.parameter("aliasName", truncated_for_audit(name));
    }
    call
}

/// Returns the conditions that policies can test for a new key.
pub(in crate::kms) fn creation_conditions<'a>(
    request: &CreateKeyRequest,
    tags: &'a [Tag],
) -> Vec<RequestParameter<'a>> {
    let usage = request.usage.or(request.spec.default_usage()).unwrap_or(KeyUsage::EncryptDecrypt);
    let key = [RequestParameter::NewKey(request.spec, usage, request.origin), RequestParameter::RequestTags(tags)];
    let bypass = request.bypass_lockout_check.then_some(RequestParameter::BypassPolicyLockoutSafetyCheck(true));
    key.into_iter().chain(bypass).collect()
}
