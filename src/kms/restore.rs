//! What a restored backup must be told: which keys were deleted after it was made.

use subtle::ConstantTimeEq;

use super::handle::{Core, Kms};
use super::registry::Edit;
use super::tombstone::{DeletionList, Tombstone};
use crate::audit::ChangeId;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyId};
use crate::store::{CommitError, MAX_SCAN};

/// The longest list of deletions that is read: a million keys have room in it.
const MAX_LIST: usize = 40 << 20;

impl Kms {
    /// Lists the keys that were deleted from this store, for [`Kms::apply_deletions`]: keep the list beside the backups, and
    /// make it anew when `run_maintenance` has deleted something. It holds ids and times, no secrets. Needs the authority's
    /// handle.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Store`](ErrorKind::Store) if the store cannot be
    /// read.
    pub fn export_deletions(&self) -> Result<Vec<u8>> {
        self.check_authority("export_deletions")?;
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let batch = self.core.registry.tombstones(after, MAX_SCAN)?;
            let Some((account, key_id, _)) = batch.last() else { break };
            after = Some((*account, *key_id));
            keys.extend(batch);
        }
        let list = DeletionList { store: self.core.registry.store_id().0, keys };
        Ok(list.encode(|content| self.core.code_of(content))?)
    }

    /// Deletes from a restored store what was deleted after its backup was made, aliases and all, and returns the keys that
    /// were still there. Their waiting period has ended once, so they get no other. Then it has the store overwrite what is
    /// left of them. Keys that are not there are noted as deleted, so that no export brings them back. Needs the authority's
    /// handle.
    ///
    /// Run it before anybody else works with a restored store, with the list that [`Kms::export_deletions`] made of the store
    /// that the backup was made of, as late as possible. To do it twice changes nothing.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Validation`](ErrorKind::Validation) for a list of
    /// another store, or one that was altered; [`Store`](ErrorKind::Store) if the store fails and [`Audit`](ErrorKind::Audit) if
    /// the audit trail does, upon which some of the keys may be deleted; any other kind if keys could not be deleted, the
    /// records of which are damaged for instance, upon which all others are. The list can be applied again.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use std::sync::Arc;
    ///
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::SqliteStore;
    /// use strongroom::{Clock, DeletionWindow, ErrorKind, Kms, ManualClock, Timestamp};
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
    /// restored.describe_key(key.key_id())?; // it is back, without anybody's will
    /// assert_eq!(restored.apply_deletions(&deletions)?, [key.arn().clone()]);
    /// assert_eq!(restored.describe_key(key.key_id()).unwrap_err().kind(), ErrorKind::NotFound);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_deletions(&self, list: &[u8]) -> Result<Vec<KeyArn>> {
        self.check_authority("apply_deletions")?;
        let list = self.core.checked_list(list)?;
        let now = self.core.now();
        let (mut deleted, mut failed) = (Vec::new(), Vec::new());
        for (account, key_id, tombstone) in list.keys {
            let arn = KeyArn::new(self.locality().clone(), account, key_id);
            match self.core.delete_again(account, key_id, tombstone, now) {
                Ok(true) => deleted.push(arn),
                Ok(false) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Store | ErrorKind::Audit) => return Err(error),
                Err(error) => failed.push((arn, error)),
            }
        }
        // What is not destroyed now is written down, and maintenance tries again.
        self.core.destroy_what_was_left(now)?;
        self.core.registry.scrub()?;
        let count = failed.len();
        match failed.into_iter().next() {
            None => Ok(deleted),
            Some((arn, error)) => {
                let text = format!("{count} keys of the list could not be deleted, the others were; of {arn}: {error}");
                Err(Error::new(error.kind(), text).with_source(error))
            }
        }
    }
}

impl Core {
    fn code_of(&self, content: &[u8]) -> [u8; 32] {
        self.registry.sealed().identity().identify(&[b"deletions", content])
    }

    fn checked_list(&self, bytes: &[u8]) -> Result<DeletionList> {
        let invalid = |text: &'static str| Error::new(ErrorKind::Validation, text);
        if bytes.len() > MAX_LIST {
            return Err(invalid("a list of deletions has at most 40 MiB"));
        }
        let malformed = |error| invalid("this is no list of deletions, or not a whole one").with_source(error);
        let (list, content, code) = DeletionList::decode(bytes).map_err(malformed)?;
        if list.store != self.registry.store_id().0 {
            return Err(invalid("the list of deletions is of another store"));
        }
        if !bool::from(self.code_of(content).ct_eq(&code)) {
            return Err(invalid("the list of deletions was altered or damaged"));
        }
        Ok(list)
    }

    /// Deletes a key that was deleted before, or notes that it was. Returns whether it was there.
    fn delete_again(&self, account: AccountId, key_id: KeyId, tombstone: Tombstone, now: Timestamp) -> Result<bool> {
        if self.delete_if(account, key_id, now, tombstone.deleted, |_| true)? {
            return Ok(true);
        }
        if self.registry.key(account, key_id)?.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "other changes to the key kept coming first"));
        }
        self.note_deletion(account, key_id, tombstone)?;
        Ok(false)
    }

    /// Notes that a key was deleted which is not here, unless that is known.
    fn note_deletion(&self, account: AccountId, key_id: KeyId, tombstone: Tombstone) -> Result<()> {
        if self.registry.tombstone(account, key_id)?.is_some() {
            return Ok(());
        }
        let change = ChangeId::generate(&self.backend)?;
        match self.commit(vec![Edit::tombstone(account, key_id, tombstone)], change) {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(error),
        }
    }
}
