//! Resolves the identifier in a request to a key.

use super::call::AuthzRequest;
use super::change::CallContext;
use super::key_checks::unknown;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality};
use crate::key::{AliasName, KeyId, KeyIdentifier, Operation};
use crate::kms::engine::handle::Kms;

impl Kms {
    /// Resolves an identifier to a key.
    pub(in crate::kms) fn resolve(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        identifier: &KeyIdentifier,
    ) -> Result<(AccountId, KeyId)> {
        let operation = question.operation;
        match identifier {
            KeyIdentifier::KeyId(key_id) => Ok((self.account(), *key_id)),
            KeyIdentifier::KeyArn(arn) => {
                self.check_place(operation, arn.account(), arn.locality(), identifier)?;
                Ok((arn.account(), arn.key_id()))
            }
            KeyIdentifier::AliasName(name) if operation.accepts_alias() => {
                self.resolve_alias(call_context, question, self.account(), name, identifier)
            }
            KeyIdentifier::AliasArn(arn) if operation.accepts_alias() => {
                self.check_place(operation, arn.account(), arn.locality(), identifier)?;
                self.resolve_alias(call_context, question, arn.account(), arn.name(), identifier)
            }
            KeyIdentifier::AliasName(_) | KeyIdentifier::AliasArn(_) => Err(no_alias_expected(operation)),
        }
    }

    /// Returns the key that an identifier currently refers to, if any. Creates nothing and reveals
    /// nothing to the caller.
    pub(in crate::kms) fn known(&self, identifier: &KeyIdentifier) -> Option<(AccountId, KeyId)> {
        let alias = |account, name| {
            let alias = self.core.registry.alias(account, name).ok()??;
            Some((account, alias.target))
        };
        match identifier {
            KeyIdentifier::KeyId(key_id) => Some((self.account(), *key_id)),
            KeyIdentifier::KeyArn(arn) => Some((arn.account(), arn.key_id())),
            KeyIdentifier::AliasName(name) => alias(self.account(), name),
            KeyIdentifier::AliasArn(arn) => alias(arn.account(), arn.name()),
        }
    }

    fn check_place(
        &self,
        operation: Operation,
        account: AccountId,
        locality: &Locality,
        identifier: &KeyIdentifier,
    ) -> Result<()> {
        if locality != self.locality() {
            let advice = format!("this KMS is in {}:{}", self.locality().partition(), self.locality().region());
            let text = format!("Invalid arn {}", locality.region());
            return Err(Error::new(ErrorKind::NotFound, text).with_advice(advice));
        }
        if account == self.account() || operation.is_cross_account() {
            return Ok(());
        }
        Err(unknown(self.locality(), self.account(), identifier))
    }

    fn resolve_alias(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        account: AccountId,
        name: &AliasName,
        identifier: &KeyIdentifier,
    ) -> Result<(AccountId, KeyId)> {
        let mut alias = self.visible(account, self.core.registry.alias(account, name))?;
        if alias.is_none() && name.is_reserved() && account == self.account() {
            self.make_service_key(call_context, question, name, identifier)?;
            alias = self.core.registry.alias(account, name)?;
        }
        let alias = alias.ok_or_else(|| unknown(self.locality(), self.account(), identifier))?;
        Ok((account, alias.target))
    }
}

/// Returns the error of an operation that accepts only a key ID or a key ARN, in the wording of AWS
/// KMS.
fn no_alias_expected(operation: Operation) -> Error {
    match operation {
        Operation::CreateAlias | Operation::UpdateAlias => {
            Error::new(ErrorKind::Validation, "Aliases must refer to keys. Not aliases")
        }
        _ => Error::new(ErrorKind::InvalidArn, "Key Aliases are not supported for this operation."),
    }
}
