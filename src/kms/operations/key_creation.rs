//! The common parts of key creation: policy conditions, the record, and the first policy.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{Description, KeyId, KeyManager, KeyUsage, Tag, TagSet, check_usage};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::CallContext;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::{CreateKeyRequest, checked_tags};
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
            let text = "a key that a service owns has no policy: no account has a say in its use";
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        }
        let document = PolicyDocument::key_policy(text)?;
        if !request.bypass_lockout_check {
            self.check_lockout(call_context, record, &document)?;
        }
        record.policy = Some(document.as_str().into());
        Ok(())
    }

    /// Returns the record of the requested key, without material.
    pub(in crate::kms) fn new_key(&self, request: &CreateKeyRequest, now: Timestamp) -> Result<KeyRecord> {
        let usage = request.usage.or(request.spec.default_usage()).ok_or_else(|| {
            let usages: Vec<_> = request.spec.usages().iter().map(|usage| usage.as_str()).collect();
            let text = format!("a KeyUsage must be given for KeySpec {}: {}", request.spec, usages.join(" or "));
            Error::new(ErrorKind::Validation, text)
        })?;
        check_usage(request.spec, usage)?;
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
