//! A change, from its intent through its commit to its outcome in the audit log.
//!
//! The types represent the steps, so that none can be skipped. Only a [`Change`] whose intent was
//! written becomes [`Announced`], only an announced change can be committed, and only a commit
//! yields [`Committed`]. A single function, [`write_outcome`], writes the outcome for the step that
//! was reached. Neither an operation nor maintenance can report a different one.

use std::fmt;

use crate::audit::{AuditEvent, ChangeId, KeyResource, Outcome, ParameterValue};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{CustomKeyStoreId, KeyId, Operation};
use crate::kms::engine::core::Core;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::retry::{commit_with_counted_retry, retriable};
use crate::kms::storage::sealed::{is_ambiguous, is_committed};
use crate::store::CommitError;

/// The step that the change of a call has reached. The types in this file only move it forward.
#[derive(Clone, Copy, Debug)]
enum ChangeState {
    Unannounced,
    Announced(ChangeId),
    /// The intent was written for a change that takes several commits, which share no ID.
    Begun,
    /// The store did not confirm the commit, so it may or may not have taken effect.
    Ambiguous,
    Committed,
}

/// The audit event of a call in progress, and the progress of its change.
pub(in crate::kms) struct CallContext {
    pub(in crate::kms) event: AuditEvent,
    change: ChangeState,
    /// The custom key store of a key that the call accesses.
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
}

impl CallContext {
    pub(in crate::kms) const fn new(event: AuditEvent) -> Self {
        Self { event, change: ChangeState::Unannounced, custom_key_store: None }
    }

    /// Returns the time of the whole call.
    pub(in crate::kms) const fn now(&self) -> Timestamp {
        self.event.time
    }

    /// Records an additional parameter in the audit event, unless one with this name exists.
    pub(in crate::kms) fn record_param(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        if !self.event.additional.iter().any(|(known, _)| *known == name) {
            self.event.additional.push((name, value.into()));
        }
    }

    /// Records an additional parameter, replacing any with the same name.
    pub(in crate::kms) fn set_param(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        self.event.additional.retain(|(known, _)| *known != name);
        self.record_param(name, value);
    }

    /// Records the request's identifier where the key itself does not show it: an alias, or an
    /// identifier that matches no key.
    pub(in crate::kms) fn record_identifier(&mut self, operation: Operation, identifier: &dyn fmt::Display) {
        let name = match operation {
            Operation::ReEncryptFrom => "sourceKeyId",
            Operation::ReEncryptTo => "destinationKeyId",
            _ => "keyId",
        };
        if !self.event.parameters.iter().any(|(known, _)| *known == name) {
            self.event.parameters.push((name, identifier.to_string().into()));
        }
    }

    /// Records that the call accesses a key in a custom key store.
    pub(in crate::kms) fn record_custom_key_store(&mut self, id: Option<CustomKeyStoreId>) {
        if let Some(id) = id {
            self.custom_key_store = Some(id);
            self.record_param("customKeyStoreId", id.to_string());
        }
    }

    /// Records that the call accesses a key.
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

/// A change whose intent is not written yet.
#[must_use]
pub(in crate::kms) struct Change<'a> {
    core: &'a Core,
    call_context: &'a mut CallContext,
}

/// A change whose intent is in the audit log.
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
    /// Creates the change of a call.
    pub(in crate::kms) const fn new(core: &'a Core, call_context: &'a mut CallContext) -> Self {
        Self { core, call_context }
    }

    /// Writes the intent, unless an earlier attempt of the same call has written it.
    ///
    /// # Errors
    /// - [`Audit`](ErrorKind::Audit) if the audit log rejects it. Then nothing may be changed.
    pub(in crate::kms) fn announce(self) -> Result<Announced<'a>> {
        let Self { core, call_context } = self;
        let id = match call_context.change {
            ChangeState::Announced(id) => id,
            ChangeState::Begun | ChangeState::Ambiguous | ChangeState::Committed => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a call can make only one change, and this one has already begun another",
                ));
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
    /// Commits the change. After a conflict it remains announced, and can be committed with other
    /// edits.
    ///
    /// # Errors
    /// - The errors of the commit. A failure after the commit is not an error here:
    ///   [`Committed::finish`] returns it. If the store did not confirm the commit, the outcome of
    ///   the call is [`Outcome::Ambiguous`].
    pub(in crate::kms) fn commit(self, edits: Vec<Edit>) -> Result<Committed<'a>, CommitError> {
        let Self { core, call_context, id } = self;
        let failure = match core.audit.commit(&core.registry, edits, id) {
            Ok(_) => None,
            Err(CommitError::Failed(error)) if is_committed(&error) => Some(error),
            Err(error) => {
                if matches!(&error, CommitError::Failed(error) if is_ambiguous(error)) {
                    call_context.change = ChangeState::Ambiguous;
                }
                return Err(error);
            }
        };
        call_context.change = ChangeState::Committed;
        Ok(Committed { core, failure })
    }
}

impl Committed<'_> {
    /// Writes another event about the effects of the change.
    ///
    /// # Errors
    /// - [`Audit`](ErrorKind::Audit) if the audit log rejects it. The message says that the change
    ///   was committed.
    pub(in crate::kms) fn record(&self, event: AuditEvent) -> Result<()> {
        self.core.audit.record(event).map_err(audit_failed_after_commit)
    }

    /// Returns the result of the change, or the error of a step after the commit. In both cases the
    /// outcome is that the change was committed.
    pub(in crate::kms) fn finish<T>(self, value: T) -> Result<T> {
        self.failure.map_or(Ok(value), Err)
    }
}

/// Commits the edits that `edit` derives from the latest state, and retries after each conflict.
/// Without edits, and in a dry run, nothing is announced or committed. There are no edits only if the
/// latest state requires none.
///
/// # Errors
/// - The errors of `edit`, of the audit log and of the commit.
/// - [`Conflict`](ErrorKind::Conflict) if every attempt conflicted with another change.
pub(in crate::kms) fn commit_change<T>(
    core: &Core,
    call_context: &mut CallContext,
    mut edit: impl FnMut(&mut CallContext) -> Result<(Vec<Edit>, T)>,
) -> Result<T> {
    commit_with_counted_retry(core.registry.metrics(), kept_changing, || {
        let (mut edits, mut value) = edit(call_context)?;
        if edits.is_empty() && !call_context.event.dry_run {
            // Another process may have changed it within the bound on stale state.
            core.registry.sealed().latest_revision()?;
            (edits, value) = edit(call_context)?;
        }
        if edits.is_empty() || call_context.event.dry_run {
            return Ok(Some(value));
        }
        let committed = retriable(Change::new(core, call_context).announce()?.commit(edits))?;
        committed.map(|committed| committed.finish(value)).transpose()
    })
}

/// Runs a change that takes several commits, between its intent and its outcome. The change counts
/// as committed only once all of its commits are done.
///
/// # Errors
/// - The errors of `run`.
/// - [`Audit`](ErrorKind::Audit) if the audit log rejects the intent or the outcome.
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

/// Runs a change that no caller requested, and writes its outcome if it was announced. Returns
/// `None` if there was nothing to change, or if another process did it.
///
/// # Errors
/// - The errors of `run`.
/// - [`Audit`](ErrorKind::Audit) if the audit log rejects the outcome.
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
        ChangeState::Announced(_) | ChangeState::Begun | ChangeState::Ambiguous | ChangeState::Committed => {}
    }
    write_outcome(core, call_context, result)
}

/// Writes the event of a call with its outcome. The outcome of a change is that of the commit, even
/// if a later step failed. The result is released only if the audit log accepts the event.
///
/// # Errors
/// - The error of the call.
/// - [`Audit`](ErrorKind::Audit) if the audit log rejects the event. The message says whether a
///   change was committed.
pub(in crate::kms) fn write_outcome<T>(core: &Core, call_context: CallContext, result: Result<T>) -> Result<T> {
    let CallContext { mut event, change, .. } = call_context;
    let is_committed = matches!(change, ChangeState::Committed);
    if let Some(error) = result.as_ref().err().filter(|_| !is_committed) {
        event.outcome = match change {
            ChangeState::Ambiguous => Outcome::Ambiguous(error.kind()),
            // A commit in between may have taken effect.
            ChangeState::Begun if is_ambiguous(error) => Outcome::Ambiguous(error.kind()),
            _ => Outcome::Failure(error.kind()),
        };
        event.message = Some(error.to_string().into());
    }
    let failed = match change {
        ChangeState::Unannounced | ChangeState::Announced(_) => audit_failed_before_commit,
        ChangeState::Begun | ChangeState::Ambiguous => audit_failed_within_change,
        ChangeState::Committed => audit_failed_after_commit,
    };
    core.audit.record(event).map_err(failed)?;
    result
}

fn kept_changing<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Conflict, "too many concurrent changes to the same key; nothing was changed: try again"))
}

/// Returns the error for an audit log that rejects an event, so that nothing was done.
pub(in crate::kms) fn audit_failed_before_commit(error: Error) -> Error {
    let text = format!("cannot write the audit event, so the operation was not performed: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}

/// Returns the error for an audit log that rejects the outcome of a change that failed between its
/// commits, or whose commit the store did not confirm.
fn audit_failed_within_change(error: Error) -> Error {
    let text = format!(
        "cannot write the outcome to the audit trail, and the change or a part of it may have been committed: \
         {error}"
    );
    Error::new(ErrorKind::Audit, text).with_source(error)
}

/// Returns the error for an audit log that rejects the outcome of a committed change.
pub(in crate::kms) fn audit_failed_after_commit(error: Error) -> Error {
    let text = format!("the change was committed, but its outcome could not be written to the audit trail: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}
