//! Checks that a key imposes on an operation once the caller is authorized: its manager and its
//! state.

use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, ServiceName};
use crate::key::{AliasArn, KeyArn, KeyIdentifier, KeyManager, KeyState, Operation, Verdict, verdict};
use crate::kms::storage::loaded_key::LoadedKey;

/// Rejects operations that the manager of a key does not allow, whatever a policy says.
pub(in crate::kms) fn check_manager(operation: Operation, key: &LoadedKey, via: Option<&ServiceName>) -> Result<()> {
    let service = key.record.service.as_ref();
    match key.record.manager {
        KeyManager::Customer => Ok(()),
        KeyManager::Service if operation.needs_customer_managed() => Err(unmanageable(operation, key)),
        KeyManager::Service if operation.required_usage().is_some() && via != service => {
            let name = service.map_or("its service", ServiceName::as_str);
            let text = format!("{} can be used only by {name} on behalf of a caller", key.arn);
            Err(Error::new(ErrorKind::AccessDenied, text))
        }
        KeyManager::Owned if concerns_accounts(operation) => Err(unmanageable(operation, key)),
        KeyManager::Service | KeyManager::Owned => Ok(()),
    }
}

fn unmanageable(operation: Operation, key: &LoadedKey) -> Error {
    let text = format!("{operation} is not possible for {}, because the key is not customer managed", key.arn);
    Error::new(ErrorKind::UnsupportedOperation, text)
}

/// Returns `true` if an operation lets accounts see or use a key.
const fn concerns_accounts(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::CreateAlias
            | Operation::UpdateAlias
            | Operation::PutKeyPolicy
            | Operation::GetKeyPolicy
            | Operation::ListKeyPolicies
            | Operation::CreateGrant
            | Operation::ListGrants
            | Operation::RevokeGrant
            | Operation::RetireGrant
    )
}

/// Checks the usage, origin, state, and class of a key, in this order. So a key in an unsuitable state
/// is reported as such even if its class could never perform the operation, but not if its usage
/// could not, as in AWS KMS.
pub(in crate::kms) fn check_state(operation: Operation, key: &LoadedKey, state: KeyState) -> Result<()> {
    let record = &key.record;
    operation.check_key_usage(record.usage, &key.arn)?;
    match verdict(operation, state, record.origin, record.spec.class()) {
        Verdict::Refused(refusal) => Err(refusal.error(&key.arn)),
        Verdict::NotApplicable => {
            let text = format!("{operation} does not apply to {} in state {state}", key.arn);
            Err(Error::new(ErrorKind::UnsupportedOperation, text))
        }
        Verdict::Allowed | Verdict::AllowedOnceAvailable | Verdict::NoEffect => Ok(()),
    }
}

/// Returns the error for an identifier in an account that matches no key, or a key that the caller
/// may not see. It depends on nothing else, so that it reveals nothing.
pub(in crate::kms) fn unknown(locality: &Locality, account: AccountId, identifier: &KeyIdentifier) -> Error {
    let no_key = |arn: &KeyArn| format!("Key '{arn}' does not exist");
    let no_alias = |arn: &AliasArn| format!("Alias {arn} is not found.");
    let text = match identifier {
        KeyIdentifier::KeyId(key_id) => no_key(&KeyArn::new(locality.clone(), account, *key_id)),
        KeyIdentifier::KeyArn(arn) => no_key(arn),
        KeyIdentifier::AliasName(name) => no_alias(&AliasArn::new(locality.clone(), account, name.clone())),
        KeyIdentifier::AliasArn(arn) => no_alias(arn),
    };
    Error::new(ErrorKind::NotFound, text)
}
