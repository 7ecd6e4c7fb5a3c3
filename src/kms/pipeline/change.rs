//! A change, from its intent through its commit to its outcome in the audit trail.
//!
//! The types are the steps, so that none can be left out: only a [`Change`] whose intent was written becomes an
//! [`Announced`] one, only that can be committed, and only a commit makes a [`Committed`] one. The outcome is written in one
//! place, [`write_outcome`], from the step that was reached: neither an operation nor maintenance can report another one.

use crate::audit::{AuditEvent, ChangeId, KeyResource, Outcome, ParameterValue};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{CustomKeyStoreId, KeyId, KeyIdentifier, Operation};
use crate::kms::engine::core::Core;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::retry::{commit_with_retry, retriable};
use crate::kms::storage::sealed::is_committed;
use crate::store::CommitError;

/// The step that the change of a call has reached. It only moves forward, by the types of this file.
#[derive(Clone, Copy, Debug)]
enum ChangeState {
    Unannounced,
    Announced(ChangeId),
    /// The intent of a change that takes several commits, which have no common id.
    Begun,
    Committed,
}

/// The audit event of a call in progress, and how far the call has come.
pub(in crate::kms) struct CallContext {
    pub(in crate::kms) event: AuditEvent,
    change: ChangeState,
    /// The custom key store of a key that the call touches.
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
}

impl CallContext {
    pub(in crate::kms) const fn new(event: AuditEvent) -> Self {
        Self { event, change: ChangeState::Unannounced, custom_key_store: None }
    }

    /// The moment that counts as the time of the whole call.
    pub(in crate::kms) const fn now(&self) -> Timestamp {
        self.event.time
    }

    /// Notes what else the trail is to say about the call.
    pub(in crate::kms) fn record_param(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        if !self.event.additional.iter().any(|(known, _)| *known == name) {
            self.event.additional.push((name, value.into()));
        }
    }

    /// Notes it anew, in place of what was noted by that name.
    pub(in crate::kms) fn set_param(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        self.event.additional.retain(|(known, _)| *known != name);
        self.record_param(name, value);
    }

    /// Notes how the request names a key, where the key itself does not tell: by an alias, or by what leads to none.
    pub(in crate::kms) fn record_identifier(&mut self, operation: Operation, identifier: &KeyIdentifier) {
        let name = match operation {
            Operation::ReEncryptFrom => "sourceKeyId",
            Operation::ReEncryptTo => "destinationKeyId",
            _ => "keyId",
        };
        if !self.event.parameters.iter().any(|(known, _)| *known == name) {
            self.event.parameters.push((name, identifier.to_string().into()));
        }
    }

    /// Notes that the call touches a key in a custom key store.
    pub(in crate::kms) fn record_custom_key_store(&mut self, id: Option<CustomKeyStoreId>) {
        if let Some(id) = id {
            self.custom_key_store = Some(id);
            self.record_param("customKeyStoreId", id.to_string());
        }
    }

    /// Notes that the call touches a key.
    pub(in crate::kms) fn record_key(&mut self, account: AccountId, key_id: KeyId) {
        let key = KeyResource { account, key_id };
        let slots = &mut self.event.keys;
        if !slots.contains(&Some(key))
            && let Some(free) = slots.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(key);
        }
    }
}

/// A change that is about to be made.
#[must_use]
pub(in crate::kms) struct Change<'a> {
    core: &'a Core,
    call_context: &'a mut CallContext,
}

/// A change whose intent is in the audit trail.
#[must_use]
pub(in crate::kms) struct Announced<'a> {
    core: &'a Core,
    call_context: &'a mut CallContext,
    id: ChangeId,
}

/// A change that was committed.
#[must_use]
pub(in crate::kms) struct Committed<'a> {
    core: &'a Core,
    /// The failure of a step after the commit.
    failure: Option<Error>,
}

impl<'a> Change<'a> {
    /// The change that a call makes.
    pub(in crate::kms) const fn new(core: &'a Core, call_context: &'a mut CallContext) -> Self {
        Self { core, call_context }
    }

    /// Writes the intent, unless an earlier attempt of the same call has.
    ///
    /// # Errors
    /// [`Audit`](ErrorKind::Audit) if the audit trail rejects it. Then nothing may be changed.
    pub(in crate::kms) fn announce(self) -> Result<Announced<'a>> {
        let Self { core, call_context } = self;
        let id = match call_context.change {
            ChangeState::Announced(id) => id,
            ChangeState::Begun | ChangeState::Committed => {
                return Err(Error::new(ErrorKind::Internal, "a call makes one change, and this one has begun another"));
            }
            ChangeState::Unannounced => {
                let id = ChangeId::generate(&core.material.backend)?;
                let event = AuditEvent { outcome: Outcome::Intent, change: Some(id), ..call_context.event.clone() };
                core.audit.record(event).map_err(audit_failed_before_commit)?;
                call_context.event.change = Some(id);
                call_context.change = ChangeState::Announced(id);
                id
            }
        };
        Ok(Announced { core, call_context, id })
    }
}

impl<'a> Announced<'a> {
    /// Commits the change. After a conflict it stays announced, and can be committed with other edits.
    ///
    /// # Errors
    /// Those of the commit. A failure after the commit is none: [`Committed::finish`] returns it.
    pub(in crate::kms) fn commit(self, edits: Vec<Edit>) -> Result<Committed<'a>, CommitError> {
        let Self { core, call_context, id } = self;
        let failure = match core.audit.commit(&core.registry, edits, id) {
            Ok(_) => None,
            Err(CommitError::Failed(error)) if is_committed(&error) => Some(error),
            Err(error) => return Err(error),
        };
        call_context.change = ChangeState::Committed;
        Ok(Committed { core, failure })
    }
}

impl Committed<'_> {
    /// Writes a further event about what the change did.
    ///
    /// # Errors
    /// [`Audit`](ErrorKind::Audit) if the audit trail rejects it; its text says that the change was committed.
    pub(in crate::kms) fn record(&self, event: AuditEvent) -> Result<()> {
        self.core.audit.record(event).map_err(audit_failed_after_commit)
    }

    /// The result of the change, or the error of a step after the commit. Either way the outcome is that it was committed.
    pub(in crate::kms) fn finish<T>(self, value: T) -> Result<T> {
        self.failure.map_or(Ok(value), Err)
    }
}

/// Commits what `edit` makes of the latest state, again after each conflict. Without edits, and in a dry run, nothing is
/// announced or committed.
///
/// # Errors
/// Those of `edit`, of the audit trail and of the commit; [`Conflict`](ErrorKind::Conflict) if other changes always came first.
pub(in crate::kms) fn commit_change<T>(
    core: &Core,
    call_context: &mut CallContext,
    mut edit: impl FnMut(&mut CallContext) -> Result<(Vec<Edit>, T)>,
) -> Result<T> {
    commit_with_retry(kept_changing, || {
        let (edits, value) = edit(call_context)?;
        if edits.is_empty() || call_context.event.dry_run {
            return Ok(Some(value));
        }
        let committed = retriable(Change::new(core, call_context).announce()?.commit(edits))?;
        committed.map(|committed| committed.finish(value)).transpose()
    })
}

/// Runs a change that takes several commits, between its intent and its outcome. What was done counts once all of it is.
///
/// # Errors
/// Those of `run`, and [`Audit`](ErrorKind::Audit) if the audit trail rejects the intent or the outcome.
pub(in crate::kms) fn run_in_steps<T>(
    core: &Core,
    call_context: &mut CallContext,
    run: impl FnOnce(&mut CallContext) -> Result<T>,
) -> Result<T> {
    let event = AuditEvent { outcome: Outcome::Intent, ..call_context.event.clone() };
    core.audit.record(event).map_err(audit_failed_before_commit)?;
    call_context.change = ChangeState::Begun;
    let value = run(call_context)?;
    call_context.change = ChangeState::Committed;
    Ok(value)
}

/// Runs a change that no caller asked for, and writes its outcome if it was announced. `None` if there was nothing to change,
/// or another process did it.
///
/// # Errors
/// Those of `run`, and [`Audit`](ErrorKind::Audit) if the audit trail rejects the outcome.
pub(in crate::kms) fn own_change<T>(
    core: &Core,
    event: AuditEvent,
    run: impl FnOnce(&mut CallContext) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut call_context = CallContext::new(event);
    let result = run(&mut call_context);
    match call_context.change {
        ChangeState::Unannounced => return result,
        ChangeState::Announced(_) if matches!(result, Ok(None)) => {
            call_context.event.outcome = Outcome::Failure(ErrorKind::Conflict);
        }
        ChangeState::Announced(_) | ChangeState::Begun | ChangeState::Committed => {}
    }
    write_outcome(core, call_context, result)
}

/// Writes the event of a call with its outcome: that of a change is the commit's, also if a later step failed. The result is
/// released only if the audit trail accepts the event.
///
/// # Errors
/// The error of the call; [`Audit`](ErrorKind::Audit) if the audit trail rejects the event, which says if a change was committed.
pub(in crate::kms) fn write_outcome<T>(core: &Core, call_context: CallContext, result: Result<T>) -> Result<T> {
    let CallContext { mut event, change, .. } = call_context;
    let is_committed = matches!(change, ChangeState::Committed);
    if let Some(error) = result.as_ref().err().filter(|_| !is_committed) {
        event.outcome = Outcome::Failure(error.kind());
        event.message = Some(error.to_string().into());
    }
    let failed = match change {
        ChangeState::Unannounced | ChangeState::Announced(_) => audit_failed_before_commit,
        ChangeState::Begun => audit_failed_within_change,
        ChangeState::Committed => audit_failed_after_commit,
    };
    core.audit.record(event).map_err(failed)?;
    result
}

fn kept_changing<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Conflict, "other changes to the same key kept coming first; nothing was changed"))
}

/// The error for an audit trail that rejects an event, so that nothing was done.
pub(in crate::kms) fn audit_failed_before_commit(error: Error) -> Error {
    let text = format!("cannot write the audit event, so nothing was changed and no result is released: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}

/// The error for an audit trail that rejects the outcome of a change that failed between its commits.
fn audit_failed_within_change(error: Error) -> Error {
    let text =
        format!("a part of the change may have been committed, and the audit trail rejects its outcome: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}

/// The error for an audit trail that rejects the outcome of a change that was made.
pub(in crate::kms) fn audit_failed_after_commit(error: Error) -> Error {
    let text = format!("the change was committed, but its outcome is missing in the audit trail: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}
