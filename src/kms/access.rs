//! Whether the caller may do what it asks for. What it may not know of looks as if it did not exist.

use super::call::{Progress, Question};
use super::handle::Kms;
use super::registry::LoadedKey;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyIdentifier, KeyManager, Operation};
use crate::policy::{AttachedPolicies, Decision, KeyFacts, PolicyRequest};

impl Kms {
    /// Lets an operation without a key pass, if the caller may do it in its account.
    pub(super) fn permit_in_account(&self, question: &Question<'_>) -> Result<()> {
        let operation = question.operation;
        if self.is_service_itself() {
            return match operation {
                Operation::CreateKey | Operation::ListKeys | Operation::GenerateRandom => Ok(()),
                _ => Err(self.denied(operation, None)),
            };
        }
        let request = PolicyRequest::new(&self.principal, operation, self.account());
        match self.core.policy.decide(&request, &AttachedPolicies::none())? {
            Decision::Allow => Ok(()),
            Decision::Deny => Err(self.denied(operation, None)),
        }
    }

    /// Lets an operation pass to a key, if the caller may do it.
    ///
    /// Whoever may not learns from the refusal whether the key exists only if it is of the caller's own account.
    pub(super) fn permit(
        &self,
        _progress: &mut Progress,
        question: &Question<'_>,
        identifier: &KeyIdentifier,
        key: &LoadedKey,
    ) -> Result<()> {
        let record = &key.record;
        let missing = || self.missing(identifier, record.account, record.key_id);
        match record.manager {
            // Accounts have no say in what a service keeps for itself, and neither have policies.
            KeyManager::Owned if record.service.as_ref() == self.principal.as_service() => return Ok(()),
            KeyManager::Owned => return Err(missing()),
            KeyManager::Service if record.account != self.account() => return Err(missing()),
            KeyManager::Service | KeyManager::Customer => {}
        }
        let facts = KeyFacts::new(record.key_id, record.spec, record.usage, record.origin, record.manager);
        let request = PolicyRequest::new(&self.principal, question.operation, record.account)
            .with_key(facts)
            .with_context(question.context);
        match self.core.policy.decide(&request, &AttachedPolicies::none()) {
            Ok(Decision::Allow) => Ok(()),
            // Neither a refusal nor a failure may tell another account that the key exists.
            Ok(Decision::Deny) | Err(_) if record.account != self.account() => Err(missing()),
            Ok(Decision::Deny) => Err(self.denied(question.operation, Some(&key.arn))),
            Err(error) => Err(error),
        }
    }

    /// Whether the caller is a service at work with what it owns.
    fn is_service_itself(&self) -> bool {
        self.account() == AccountId::SERVICES
    }

    fn denied(&self, operation: Operation, arn: Option<&KeyArn>) -> Error {
        let resource = arn.map_or_else(|| "*".to_owned(), ToString::to_string);
        let text = format!("{} is not authorized to perform kms:{operation} on {resource}", self.principal);
        Error::new(ErrorKind::AccessDenied, text)
    }
}
