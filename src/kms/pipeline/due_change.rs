//! Changes of a key that fall due over time, without a request from a caller.

use crate::audit::{Action, AuditEvent, KeyResource, ParameterValue};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::{AccountId, Principal};
use crate::key::KeyId;
use crate::kms::engine::core::Core;
use crate::kms::pipeline::change::{Change, own_change};
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::retry::{commit_with_counted_retry, retriable};
use crate::store::Revision;

/// Parameters of the event.
pub(in crate::kms) type Details = Vec<(&'static str, ParameterValue)>;

/// Commits the edits that `decide` finds due on the latest record, and retries after each conflict.
/// An intent and an outcome in the audit log enclose the change. Returns `true` if this call made
/// the change, and `false` if nothing is due or another process was faster.
///
/// # Errors
/// - The errors of `decide`, of the audit log, and of the commit.
pub(in crate::kms) fn change_due_key(
    core: &Core,
    action: Action,
    account: AccountId,
    key_id: KeyId,
    now: Timestamp,
    mut decide: impl FnMut(&KeyRecord, Revision, &mut Details) -> Result<Option<Vec<Edit>>>,
) -> Result<bool> {
    let mut event = AuditEvent::new(now, action, Principal::root(account));
    event.keys[0] = Some(KeyResource { account, key_id });
    let done = own_change(core, event, |call_context| {
        commit_with_counted_retry(
            core.registry.metrics(),
            || Ok(None),
            || {
                let mut details = Details::new();
                let Some(key) = core.registry.key(account, key_id)? else { return Ok(Some(None)) };
                let Some(edits) = decide(&key.record, key.revision(), &mut details)? else {
                    return Ok(Some(None));
                };
                call_context.event.parameters = details;
                let committed = retriable(Change::new(core, call_context).announce()?.commit(edits))?;
                committed.map(|committed| committed.finish(Some(()))).transpose()
            },
        )
    })?;
    Ok(done.is_some())
}
