//! Lists of deleted keys, which replay deletions into a restored backup.

use std::collections::BTreeSet;

use subtle::ConstantTimeEq;

use super::deletion_list_file::DeletionList;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyId};
use crate::kms::engine::core::Core;
use crate::kms::engine::handle::Kms;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::names::key_id_of;
use crate::kms::records::tombstone::Tombstone;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::registry::Registry;
use crate::store::{CommitError, MAX_SCAN};

/// The result of [`Kms::apply_deletions`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use strongroom::key::DeletionWindow;
/// use strongroom::{Kms, ManualClock, Timestamp};
///
/// # let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
/// # let kms = Kms::builder().clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
/// let key = kms.create_key(Default::default())?;
/// kms.schedule_key_deletion(key.key_id(), DeletionWindow::from_days(7)?)?;
/// clock.advance_days(7);
/// assert_eq!(kms.run_maintenance()?.deleted, [key.arn().clone()]);
/// let report = kms.apply_deletions(&kms.export_deletions()?, &[])?;
/// assert!(report.deleted.is_empty()); // the key is already gone
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "keys that are not confirmed are still in the store"]
pub struct ApplyDeletionsReport {
    /// Keys that were still in the store and are now deleted.
    pub deleted: Vec<KeyArn>,
    /// Keys of the list that are still in the store and were not deleted, because nothing in this
    /// store shows that their deletion was intended. If this is a restored backup, confirm them by
    /// name.
    pub unconfirmed: Vec<KeyArn>,
}

impl Kms {
    /// Lists the keys that were deleted from this store, for [`Kms::apply_deletions`]. Requires the
    /// authority's handle.
    ///
    /// Keep the list alongside the backups, and export it again whenever `run_maintenance` has
    /// deleted something. It contains IDs and times, but no secrets.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](ErrorKind::Store) if the store cannot be read.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use strongroom::key::DeletionWindow;
    /// use strongroom::{Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let kms = Kms::builder().clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// kms.schedule_key_deletion(key, DeletionWindow::default())?;
    /// clock.advance_days(30);
    /// kms.run_maintenance()?;
    ///
    /// let deletions = kms.export_deletions()?; // store it next to the backups
    /// let report = kms.apply_deletions(&deletions, &[])?; // nothing left to do in this store
    /// assert!(report.deleted.is_empty() && report.unconfirmed.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn export_deletions(&self) -> Result<Vec<u8>> {
        self.authority_call("export_deletions", |_| self.list_deletions())
    }

    fn list_deletions(&self) -> Result<Vec<u8>> {
        // Read before the keys, so that the list contains every deletion up to this revision.
        let revision = Some(self.core.registry.sealed().revision()?);
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let batch = self.core.registry.list::<Tombstone>(None, after, MAX_SCAN)?;
            let Some((last, ..)) = batch.last() else { break };
            after = Some(last.clone());
            for (id, _, tombstone) in batch {
                keys.push((id.account, key_id_of(&id)?, tombstone));
            }
        }
        let list = DeletionList { store: self.core.registry.store_id().0, revision, keys };
        Ok(list.encode(|content| self.core.registry.code_of(content))?)
    }

    /// Replays deletions into a restored store: deletes the keys that were deleted after the backup
    /// was created, with their aliases and grants. Requires the authority's handle.
    ///
    /// The store then overwrites the remains of the deleted records. Keys that are not in the store
    /// are recorded as deleted, so that no export can restore them.
    ///
    /// A list from a diverged copy of this store cannot be distinguished from a list from the store
    /// behind the backup. So a key is deleted only in one of two cases:
    ///
    /// - Its deletion is pending here, and its waiting period had ended when it was deleted there
    ///   and has ended now. This does not apply if the store has more commits than it had when the
    ///   list was created, or if the list is from an earlier release that did not record their
    ///   number.
    /// - You confirm it by name. Compare [`ApplyDeletionsReport::unconfirmed`] from a first call
    ///   with the audit trail, or ask the owners of the keys, and pass the deleted keys to a second
    ///   call.
    ///
    /// Call this method before a restored store is used. Use the latest possible list that
    /// [`Kms::export_deletions`] created from the store that was backed up. Applying a list twice
    /// has no further effect.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Validation`](ErrorKind::Validation) if the list belongs to another store or was altered,
    ///   or if a confirmed key is not on the list. Nothing is changed.
    /// - [`Store`](ErrorKind::Store) if the store fails. Some of the keys may be deleted. The list
    ///   can be applied again.
    /// - [`Audit`](ErrorKind::Audit) if the audit trail fails. Some of the keys may be deleted. The
    ///   list can be applied again.
    /// - Any other kind if some keys could not be deleted, for example because their records are
    ///   damaged. All others are deleted. The list can be applied again.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use std::sync::Arc;
    ///
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::key::DeletionWindow;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::SqliteStore;
    /// use strongroom::{Clock, ErrorKind, Kms, ManualClock, Timestamp};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let store = Arc::new(SqliteStore::open(directory.path().join("keys"), &CryptoBackend::default())?);
    /// let root = || RootKey::from_bytes(&[7; 32]);
    /// let kms = Kms::builder().store(store.clone(), root()).clock(clock.clone()).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// store.back_up(directory.path().join("monday"))?;
    /// kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    /// clock.advance_days(30);
    /// kms.confirm_clock(clock.now())?;
    /// kms.run_maintenance()?;
    /// let deletions = kms.export_deletions()?;
    ///
    /// let restored = Kms::open(directory.path().join("monday"), root())?;
    /// restored.describe_key(key.key_id())?; // the deleted key is back
    /// assert_eq!(restored.apply_deletions(&deletions, &[])?.unconfirmed, [key.arn().clone()]); // enabled in the backup
    /// assert_eq!(restored.apply_deletions(&deletions, &[key.arn().clone()])?.deleted, [key.arn().clone()]);
    /// assert_eq!(restored.describe_key(key.key_id()).unwrap_err().kind(), ErrorKind::NotFound);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_deletions(&self, list: &[u8], confirmed: &[KeyArn]) -> Result<ApplyDeletionsReport> {
        self.authority_call("apply_deletions", |_| self.delete_listed(list, confirmed))
    }

    fn delete_listed(&self, list: &[u8], confirmed: &[KeyArn]) -> Result<ApplyDeletionsReport> {
        let list = self.core.registry.checked_list(list)?;
        let confirmed = self.confirmed_keys(&list, confirmed)?;
        // A store with more commits than the list records has a different history.
        let is_ancestor = list.revision >= Some(self.core.registry.sealed().revision()?);
        let (now, clock) = (self.core.time.now(), self.core.time.reading());
        let (mut applied, mut failed) = (ApplyDeletionsReport::default(), Vec::new());
        for (account, key_id, tombstone) in list.keys {
            let is_confirmed = confirmed.contains(&(account, key_id));
            let may_delete = |record: &KeyRecord| {
                is_confirmed || (is_ancestor && tombstone.ends(record) && record.is_past_deletion(clock))
            };
            let arn = KeyArn::new(self.locality().clone(), account, key_id);
            match self.core.delete_again((account, key_id), tombstone, now, may_delete) {
                Ok(Applied::Deleted) => applied.deleted.push(arn),
                Ok(Applied::Unconfirmed) => applied.unconfirmed.push(arn),
                Ok(Applied::NotHere) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Store | ErrorKind::Audit) => return Err(error),
                Err(error) => failed.push((arn, error)),
            }
        }
        // Destructions that fail now remain recorded, and maintenance tries again.
        self.core.destroy_what_was_left(now)?;
        // Deletions that are only recorded have no audit event, so they do not commit the state of
        // the chain.
        self.core.audit.save_chain(&self.core.registry)?;
        self.core.registry.scrub()?;
        let count = failed.len();
        match failed.into_iter().next() {
            None => Ok(applied),
            Some((arn, error)) => {
                let text = format!(
                    "{count} keys on the list could not be deleted, and all others were deleted; first failure: \
                     {arn}: {error}"
                );
                Err(Error::new(error.kind(), text).with_source(error))
            }
        }
    }
}

impl Kms {
    /// Returns the keys that the caller confirmed. All of them must be on the list.
    fn confirmed_keys(&self, list: &DeletionList, confirmed: &[KeyArn]) -> Result<BTreeSet<(AccountId, KeyId)>> {
        let find = |arn: &KeyArn| {
            let key = (arn.account(), arn.key_id());
            let is_listed = list.keys.binary_search_by_key(&key, |(account, key_id, _)| (*account, *key_id)).is_ok();
            if is_listed && arn.locality() == self.locality() {
                return Ok(key);
            }
            let text = format!("cannot confirm {arn}, which is not on the list of deletions; nothing was changed");
            Err(Error::new(ErrorKind::Validation, text))
        };
        confirmed.iter().map(find).collect()
    }
}

/// The outcome for one key of a list.
enum Applied {
    Deleted,
    Unconfirmed,
    NotHere,
}

impl Registry {
    fn code_of(&self, content: &[u8]) -> [u8; 32] {
        self.sealed().identity().identify(&[b"deletions", content])
    }

    fn checked_list(&self, bytes: &[u8]) -> Result<DeletionList> {
        let invalid = |text: &'static str| Error::new(ErrorKind::Validation, text);
        let malformed =
            |error| invalid("cannot read the list of deletions: it is not one, or is truncated").with_source(error);
        let (list, content, code) = DeletionList::decode(bytes).map_err(malformed)?;
        if list.store != self.store_id().0 {
            return Err(invalid("the list of deletions belongs to another store"));
        }
        if !bool::from(self.code_of(content).ct_eq(&code)) {
            return Err(invalid("the list of deletions was altered or is corrupt"));
        }
        Ok(list)
    }
}

impl Core {
    /// Deletes a key that was deleted before, if `may_delete` allows it. If the key does not exist,
    /// records that it was deleted.
    fn delete_again(
        &self,
        (account, key_id): (AccountId, KeyId),
        tombstone: Tombstone,
        now: Timestamp,
        may_delete: impl Fn(&KeyRecord) -> bool,
    ) -> Result<Applied> {
        if self.delete_if(account, key_id, now, tombstone.deleted, &may_delete)? {
            return Ok(Applied::Deleted);
        }
        match self.registry.key(account, key_id)? {
            Some(key) if may_delete(&key.record) => {
                Err(Error::new(ErrorKind::Conflict, "too many concurrent changes to the key: try again"))
            }
            Some(_) => Ok(Applied::Unconfirmed),
            None => self.note_deletion(account, key_id, tombstone).map(|()| Applied::NotHere),
        }
    }

    /// Records that a missing key was deleted, unless this is already recorded.
    fn note_deletion(&self, account: AccountId, key_id: KeyId, tombstone: Tombstone) -> Result<()> {
        if self.registry.read::<Tombstone>(&Tombstone::record_id(account, key_id))?.is_some() {
            return Ok(());
        }
        match self.registry.commit(&[Edit::put(Tombstone::record_id(account, key_id), &tombstone, None)?]) {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::key::DeletionWindow;
    use crate::store::Revision;

    /// A list of format 1 still deletes confirmed keys, and deletes nothing else.
    #[test]
    fn a_list_without_a_revision_deletes_what_is_confirmed() -> Result<()> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let kms = Kms::builder().clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
        let key = kms.create_key(Default::default())?;
        kms.schedule_key_deletion(key.arn(), DeletionWindow::MIN)?;
        clock.advance_days(7);
        let mut list = b"StRmGone\x01".to_vec();
        list.extend(kms.core.registry.store_id().0);
        list.extend([0, 0, 0, 1]);
        list.extend(key.arn().account().as_bytes());
        list.extend(key.key_id().as_bytes());
        list.extend(clock.now().unix_millis().to_be_bytes());
        list.extend(kms.core.registry.code_of(&list));
        let arns = || vec![key.arn().clone()];
        let unconfirmed = ApplyDeletionsReport { deleted: Vec::new(), unconfirmed: arns() };
        assert_eq!(kms.apply_deletions(&list, &[])?, unconfirmed);
        let deleted = ApplyDeletionsReport { deleted: arns(), unconfirmed: Vec::new() };
        assert_eq!(kms.apply_deletions(&list, &arns())?, deleted);
        Ok(())
    }

    /// `apply_deletions` reads a list of any length that `export_deletions` writes.
    #[test]
    fn a_list_of_more_than_a_million_deletions_is_read() -> Result<()> {
        let kms = Kms::in_memory()?;
        let key = |number: u32| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            (AccountId::default(), KeyId::from_bytes(bytes), Tombstone { deleted: Timestamp::from_unix_millis(0) })
        };
        let (store, keys) = (kms.core.registry.store_id().0, (0..1_200_000).map(key).collect());
        let list = DeletionList { store, revision: Some(Revision(1)), keys };
        let bytes = list.encode(|content| kms.core.registry.code_of(content))?;
        assert_eq!(kms.core.registry.checked_list(&bytes)?, list);
        Ok(())
    }
}
