//! Usage records of keys: reads, changes to many keys in one commit, and deletion with the key.

use std::cmp::Ordering;

use super::edit::Edit;
use super::registry::Registry;
use super::retry::commit_with_retry;
use super::sealed::{CommitMark, ambiguous_commit, is_committed};
use super::usage_counters::Count;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyId, KeyManager};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::usage::UsageRecord;
use crate::store::{CommitError, MAX_SCAN, Revision};

/// Maximum number of keys whose counts one commit changes.
pub(in crate::kms) const KEYS_AT_ONCE: usize = MAX_SCAN;

impl Registry {
    /// Adds counts to the store. Counts of keys that no longer exist are dropped.
    pub(in crate::kms) fn add_usage_counts(
        &self,
        batch: &[((AccountId, KeyId), Count)],
        attempts: Attempts,
    ) -> Result<(), PartialFailure> {
        let found = self.has_keys(batch.iter().map(|(key, _)| *key));
        let found = found.map_err(|error| PartialFailure::new((0..batch.len()).collect(), error))?;
        let (mut indices, mut unread) = (Vec::new(), None);
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Ok(true) => indices.push(index),
                Ok(false) => {}
                Err(error) => PartialFailure::add(&mut unread, index, error),
            }
        }
        let keys: Vec<_> = indices.iter().map(|index| batch[*index].0).collect();
        let added = self.change_usages(&keys, attempts, &|index, usage| {
            let count = batch[indices[index]].1;
            let last = count.last.map(|last| (last.time, last.operation));
            usage.requests = usage.requests.saturating_add(count.requests);
            usage.last = usage.last.into_iter().chain(last).max_by_key(|(time, _)| *time);
        });
        if let Err(failure) = added {
            let in_batch = |part: Vec<usize>| part.into_iter().filter_map(|index| indices.get(index)).copied();
            let unconfirmed = failure.unconfirmed.map(|(mark, part)| (mark, in_batch(part).collect()));
            let first = in_batch(failure.indices);
            match &mut unread {
                Some(unread) => {
                    unread.indices.extend(first);
                    unread.unconfirmed = unconfirmed;
                }
                None => {
                    unread = Some(PartialFailure { indices: first.collect(), unconfirmed, error: failure.error });
                }
            }
        }
        unread.map_or(Ok(()), Err)
    }

    pub(in crate::kms) fn usage(&self, account: AccountId, key_id: KeyId) -> Result<FoundUsage> {
        Ok(found_usage(self.read(&UsageRecord::record_id(account, key_id))?))
    }

    /// Returns the counts of keys, in the order of the keys, or the errors of their records.
    pub(in crate::kms) fn usages(&self, keys: &[(AccountId, KeyId)]) -> Result<Vec<Result<FoundUsage>>> {
        let ids: Vec<_> = keys.iter().map(|(account, key_id)| UsageRecord::record_id(*account, *key_id)).collect();
        Ok(self.read_each(&ids)?.into_iter().map(|found| found.map(found_usage)).collect())
    }

    /// Changes the counts of keys in one commit, skipping keys for which that fails.
    pub(in crate::kms) fn change_usages(
        &self,
        keys: &[(AccountId, KeyId)],
        attempts: Attempts,
        change: &dyn Fn(usize, &mut UsageRecord),
    ) -> Result<(), PartialFailure> {
        let all = |error| PartialFailure::new((0..keys.len()).collect(), error);
        let contended =
            || Err(all(Error::new(ErrorKind::Conflict, "too many concurrent updates of the usage counts: try again")));
        commit_with_retry(contended, || {
            let (mut edits, mut edited, mut failure) = (Vec::with_capacity(keys.len()), Vec::new(), None);
            let found = self.usages(keys).map_err(all)?;
            for (index, (&(account, key_id), found)) in keys.iter().zip(found).enumerate() {
                let changed = found.and_then(|(expected, mut usage)| {
                    change(index, &mut usage);
                    Edit::put(UsageRecord::record_id(account, key_id), &usage, expected)
                });
                match changed {
                    Ok(edit) => {
                        edits.push(edit);
                        edited.push(index);
                    }
                    Err(error) => PartialFailure::add(&mut failure, index, error),
                }
            }
            let committed = if edits.is_empty() { Ok(Revision::default()) } else { self.commit(&edits) };
            match committed {
                Ok(_) => failure.map_or(Ok(Some(())), Err),
                Err(CommitError::Conflict(_)) if attempts == Attempts::Many => Ok(None),
                Err(conflict @ CommitError::Conflict(_)) => Err(all(conflict.into())),
                Err(CommitError::Failed(error)) => {
                    let unread = failure.map_or_else(Vec::new, |failure| failure.indices);
                    match ambiguous_commit(&error) {
                        Some(mark) => Err(PartialFailure {
                            unconfirmed: Some((mark, edited)),
                            ..PartialFailure::new(unread, error)
                        }),
                        None if is_committed(&error) => Err(PartialFailure::new(unread, error)),
                        None => Err(all(error)),
                    }
                }
            }
        })
    }

    /// Returns `true` if an unconfirmed commit that changed the counts of these keys took effect,
    /// `false` if it did not, and `None` if it may still be in progress. In the last case, another
    /// commit that changes the counts without a conflict prevents it.
    pub(in crate::kms) fn were_usages_changed(&self, mark: CommitMark, keys: &[(AccountId, KeyId)]) -> Option<bool> {
        if let Some(known) = self.sealed().took_effect(mark) {
            return Some(known);
        }
        if self.sealed().revision().ok()? < mark.revision() {
            return None;
        }
        // More commits followed than the head remembers. A record that none of them changed shows
        // the result.
        for (revision, _) in self.usages(keys).ok()?.into_iter().flatten() {
            match revision.unwrap_or_default().cmp(&mark.revision()) {
                Ordering::Less => return Some(false),
                Ordering::Equal => return Some(true),
                Ordering::Greater => {}
            }
        }
        // It is better to lose a count than to count twice.
        Some(true)
    }

    /// Returns the write that deletes the usage record of a key, if it has one.
    pub(in crate::kms) fn forget_usage(&self, account: AccountId, key_id: KeyId) -> Result<Option<Edit>> {
        let (revision, _) = self.usage(account, key_id)?;
        Ok(revision.map(|expected| Edit::delete(UsageRecord::record_id(account, key_id), expected)))
    }

    /// Visits the metered keys of an account in batches, with their names.
    pub(in crate::kms) fn each_metered_batch(
        &self,
        account: AccountId,
        mut visit: impl FnMut(&[KeyRecord], &[(AccountId, KeyId)]) -> Result<()>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let batch = self.keys(Some(account), after, KEYS_AT_ONCE)?;
            let Some((_, last, ..)) = batch.last() else { return Ok(()) };
            after = Some((account, *last));
            let records = batch.into_iter().map(|(.., record)| record);
            let records: Vec<_> = records.filter(|record| record.manager != KeyManager::Owned).collect();
            let keys: Vec<_> = records.iter().map(|record| (account, record.key_id)).collect();
            visit(&records, &keys)?;
        }
    }
}

/// The number of attempts if other processes change the same records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Attempts {
    One,
    Many,
}

/// The counts of a key, with the revision of their record if one exists.
pub(in crate::kms) type FoundUsage = (Option<Revision>, UsageRecord);

fn found_usage(found: Option<(Revision, UsageRecord)>) -> FoundUsage {
    found.map_or((None, UsageRecord::default()), |(revision, usage)| (Some(revision), usage))
}

/// The indices of the keys that could not be changed, and the first error. There are no indices if
/// everything was changed and only a later step failed.
pub(in crate::kms) struct PartialFailure {
    pub(in crate::kms) indices: Vec<usize>,
    /// The indices of the keys that may have been changed by this commit, which the store did not
    /// confirm.
    pub(in crate::kms) unconfirmed: Option<(CommitMark, Vec<usize>)>,
    pub(in crate::kms) error: Error,
}

impl PartialFailure {
    const fn new(indices: Vec<usize>, error: Error) -> Self {
        Self { indices, unconfirmed: None, error }
    }

    fn add(failure: &mut Option<Self>, index: usize, error: Error) {
        failure.get_or_insert_with(|| Self::new(Vec::new(), error)).indices.push(index);
    }
}
