//! Recording of calls: every call writes its event to the audit log before its result is released.

use crate::audit::{Action, AuditEvent};
use crate::clock::Timestamp;
use crate::context::{EncryptionContext, MAX_CONTEXT_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CustomKeyStoreId, ForeignKeyId, KeyIdentifier, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::pipeline::change::{CallContext, run_in_steps, write_outcome};
use crate::kms::request::KeyReference;

impl Kms {
    /// Rejects a call that cannot be started. Like every other call, it writes an event.
    pub(in crate::kms) fn refused<T>(&self, call: CallSpec<'_>, error: Error) -> Result<T> {
        self.audited(call, |_| Err(error))
    }

    /// Runs a call and writes its event before the result is released.
    pub(in crate::kms) fn audited<T>(
        &self,
        call: CallSpec<'_>,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let _in_progress = self.core.gate.enter()?;
        let mut event = self.new_event(Action::Call(call.operation), self.core.time.now());
        event.context = auditable_context(call.context);
        event.source_context = auditable_context(call.source_context);
        event.dry_run = call.dry_run;
        event.parameters = call.parameters;
        self.recorded(event, |call_context| call.validity.and_then(|()| run(call_context)))
    }

    /// Like [`Kms::audited`], for a call on one key. If the request is not valid, its key is not
    /// looked up, and the event contains the identifier.
    pub(in crate::kms) fn audited_on_key<T>(
        &self,
        call: CallSpec<'_>,
        key: &dyn KeyReference,
        run: impl FnOnce(&KeyIdentifier, &mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let identifier = key.to_key_identifier();
        let operation = call.operation;
        let call = match (&call.validity, &identifier) {
            (Err(_), Ok(identifier)) => call.parameter("keyId", identifier.to_string()),
            _ => call,
        };
        self.audited(call, |call_context| match identifier {
            Ok(identifier) => run(&identifier, call_context),
            Err(error) => Err(self.unresolved(call_context, operation, error)),
        })
    }

    /// Returns the error for a reference that is not parsed. Reports an ID that AWS KMS considers
    /// well-formed like that of a missing key.
    pub(in crate::kms) fn unresolved(
        &self,
        call_context: &mut CallContext,
        operation: Operation,
        error: Error,
    ) -> Error {
        match ForeignKeyId::of(&error).cloned() {
            Some(id) => self.missing_key(call_context, operation, &id),
            None => error,
        }
    }

    /// Reports and records an ID as that of a missing key of the caller's account.
    pub(in crate::kms) fn missing_key(
        &self,
        call_context: &mut CallContext,
        operation: Operation,
        id: &ForeignKeyId,
    ) -> Error {
        let ForeignKeyId(text) = id;
        call_context.record_identifier(operation, text);
        let (partition, region) = (self.locality().partition(), self.locality().region());
        let text = format!("Key 'arn:{partition}:kms:{region}:{}:key/{text}' does not exist", self.account());
        Error::new(ErrorKind::NotFound, text).with_source(id.clone())
    }

    /// Creates the event of an action that the holder of this handle requested.
    pub(in crate::kms) fn new_event(&self, action: Action, time: Timestamp) -> AuditEvent {
        let mut event = AuditEvent::new(time, action, self.principal.clone());
        event.via_service = self.via_service().cloned();
        event.request_id = self.shared_request_id();
        event
    }

    /// Runs the work that an event describes, and writes the event before the result is released.
    /// The caller has entered the gate.
    pub(in crate::kms) fn recorded<T>(
        &self,
        event: AuditEvent,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let observation = self.core.observe(event.action);
        let mut call_context = CallContext::new(event);
        let result = run(&mut call_context).and_then(|value| match call_context.event.dry_run {
            false => Ok(value),
            true => Err(would_have_succeeded()),
        });
        let result = match call_context.custom_key_store {
            Some(id) => result.map_err(|error| in_custom_key_store(call_context.event.action, id, error)),
            None => result,
        };
        observation.record_keys(&call_context.event.keys);
        observation.finish(write_outcome(&self.core, call_context, result))
    }

    /// Runs a change that takes several commits, with an event before it and one afterwards.
    pub(in crate::kms) fn announced<T>(
        &self,
        event: AuditEvent,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        self.recorded(event, |call_context| run_in_steps(&self.core, call_context, run))
    }
}

/// Returns the context for the audit event. A context that is too long for every operation is
/// omitted: the audit log could not store it.
fn auditable_context(context: Option<&EncryptionContext>) -> Option<EncryptionContext> {
    let length = |context: &EncryptionContext| context.iter().map(|(name, value)| name.len() + value.len()).sum();
    context.filter(|context| (1..=MAX_CONTEXT_BYTES).contains(&length(context))).cloned()
}

/// Reports an unavailable key of a custom key store as an invalid state of the key or, if the key is
/// yet to be created, of the custom key store, as in AWS KMS. The source of the error contains the
/// cause.
fn in_custom_key_store(action: Action, id: CustomKeyStoreId, error: Error) -> Error {
    if error.kind() != ErrorKind::KeyUnavailable {
        return error;
    }
    if action == Action::Call(Operation::CreateKey) {
        let text = format!("cannot create a key in the custom key store {id}: {error}");
        return Error::new(ErrorKind::CustomKeyStoreInvalidState, text).with_source(error);
    }
    let text = format!("cannot use the key in the custom key store {id}: {error}");
    Error::new(ErrorKind::InvalidState, text).with_source(error)
}

/// Returns the error of a dry run that passed every check.
pub(in crate::kms) fn would_have_succeeded() -> Error {
    Error::new(ErrorKind::DryRun, "The request would have succeeded, but the DryRun option is set.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cluster may be disconnected after a call has checked that it is connected.
    #[test]
    fn a_store_that_is_lost_during_a_call_is_reported_like_one_that_was_not_connected() {
        let id = CustomKeyStoreId::from_random_bytes([1; 9]);
        let kind = |operation, kind| in_custom_key_store(Action::Call(operation), id, Error::new(kind, "gone")).kind();
        let lost = ErrorKind::KeyUnavailable;
        assert_eq!(kind(Operation::CreateKey, lost), ErrorKind::CustomKeyStoreInvalidState);
        assert_eq!(kind(Operation::Encrypt, lost), ErrorKind::InvalidState);
        assert_eq!(kind(Operation::CreateKey, ErrorKind::Store), ErrorKind::Store);
        let error = in_custom_key_store(Action::Call(Operation::CreateKey), id, Error::new(lost, "gone"));
        assert!(error.downcast_ref::<Error>().is_some_and(|cause| cause.kind() == lost));
    }
}
