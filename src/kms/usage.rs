//! How often keys are used, and for how long they are kept: metering.
//!
//! Calls are counted in memory, apart for threads, and added to the store by maintenance, by reading, and when the last
//! handle goes. What a process had not yet added when it was killed is not counted: metering is exact but for that.

use std::time::Duration;

use super::call::{Call, Progress};
use super::handle::{Core, Kms};
use super::meter::LastUsage;
use super::record::KeyRecord;
use super::reference::KeyReference;
use super::registry::{Edit, LoadedKey, MAX_COMMIT_ATTEMPTS};
use super::sealed::is_committed;
use super::usage_record::{UsageRecord, usage_record_id};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyId, KeyManager, Operation};
use crate::store::{CommitError, MAX_SCAN, Revision};

/// What [`Kms::get_key_last_usage`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyLastUsage {
    /// The key.
    pub key_arn: KeyArn,
    /// Its last successful cryptographic operation, if there was one.
    pub last_usage: Option<LastUsage>,
    /// Since when this is known: the creation of the key.
    pub tracking_start_date: Timestamp,
}

/// What is metered of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeteredKey {
    /// The key.
    pub key_arn: KeyArn,
    /// Its management type: customer managed or service managed, as keys that services own are not metered.
    pub manager: KeyManager,
    /// Successful requests that named or used it.
    pub requests: u64,
    /// How long it was kept; of customer managed keys only.
    pub key_time: Option<Duration>,
    /// Since when both are counted: its creation, or the last reset.
    pub since: Timestamp,
}

impl Kms {
    /// Tells what was metered of every key of an account since it was made or last reset. Needs the authority's handle.
    ///
    /// Customer managed keys are metered by time and requests, service managed ones by requests, and service owned ones not
    /// at all. A key that is deleted takes its figures with it: read them before.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Store`](ErrorKind::Store).
    ///
    /// # Examples
    /// ```
    /// use strongroom::{AccountId, GenerateDataKeyRequest, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// for _ in 0..3 {
    ///     kms.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?;
    /// }
    /// assert_eq!(kms.metered_keys(AccountId::default())?[0].requests, 3);
    /// kms.reset_metering(AccountId::default())?;
    /// assert_eq!(kms.metered_keys(AccountId::default())?[0].requests, 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn metered_keys(&self, account: AccountId) -> Result<Vec<MeteredKey>> {
        self.check_authority("metered_keys")?;
        self.core.add_usage()?;
        let now = self.core.now();
        let mut metered = Vec::new();
        self.core.each_metered_key(account, |record| {
            let (_, usage) = self.core.usage(account, record.key_id)?;
            let since = usage.since.unwrap_or(record.created);
            metered.push(MeteredKey {
                key_arn: KeyArn::new(self.locality().clone(), account, record.key_id),
                manager: record.manager,
                requests: usage.requests,
                key_time: (record.manager == KeyManager::Customer).then(|| now.since(since)),
                since,
            });
            Ok(())
        })?;
        Ok(metered)
    }

    /// Starts to count anew for all keys of an account. When a key was last used stays known. Needs the authority's handle.
    ///
    /// # Errors
    /// Those of [`Kms::metered_keys`].
    pub fn reset_metering(&self, account: AccountId) -> Result<()> {
        self.check_authority("reset_metering")?;
        self.core.add_usage()?;
        let now = self.core.now();
        self.core.each_metered_key(account, |record| {
            self.core.change_usage(account, record.key_id, |usage| {
                *usage = UsageRecord { requests: 0, since: Some(now), last: usage.last };
            })
        })
    }

    /// Tells when a key last did cryptography, and what. Re-encryption counts for both of its keys.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Examples
    /// ```
    /// use strongroom::{EncryptRequest, Kms, Operation};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// assert_eq!(kms.get_key_last_usage(key.key_id())?.last_usage, None);
    /// kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
    /// let last = kms.get_key_last_usage(key.key_id())?.last_usage;
    /// assert_eq!(last.map(|last| last.operation), Some(Operation::Encrypt));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_key_last_usage(&self, key: impl KeyReference) -> Result<KeyLastUsage> {
        self.key_call(Call::new(Operation::GetKeyLastUsage), &key, |target, _| {
            let record = target.record();
            let (_, stored) = self.core.usage(record.account, record.key_id)?;
            let here = self.core.meter.counter(record.account, record.key_id).last();
            let stored = stored.last.map(|(time, operation)| LastUsage { time, operation });
            Ok(KeyLastUsage {
                key_arn: target.arn().clone(),
                last_usage: here.into_iter().chain(stored).max_by_key(|last| last.time),
                tracking_start_date: record.created,
            })
        })
    }
}

impl Kms {
    /// Meters a change that went well.
    pub(super) fn count_change(&self, progress: &Progress, operation: Operation) {
        for resource in progress.event.keys.iter().flatten().filter(|_| !progress.event.dry_run) {
            // The change is done: that its key cannot be read again now must not turn it into a failure.
            if let Ok(Some(key)) = self.core.registry.key(resource.account, resource.key_id) {
                self.core.count(&key.0.value, operation, progress.now());
            }
        }
    }
}

impl Core {
    /// Counts a successful request, unless nobody is to pay for the key.
    pub(super) fn count(&self, key: &LoadedKey, operation: Operation, now: Timestamp) {
        if key.record.manager != KeyManager::Owned {
            key.counter(|| self.meter.counter(key.record.account, key.record.key_id)).count(operation, now);
        }
    }

    /// Adds what was counted here to the store, of every key for which that can be done.
    pub(super) fn add_usage(&self) -> Result<()> {
        let mut failed = Ok(());
        for (account, key_id, counter) in self.meter.known() {
            let requests = counter.take();
            let last = counter.last().map(|last| (last.time, last.operation));
            let added = self.add_requests(account, key_id, requests, last);
            if added.as_ref().is_err_and(|error| !is_committed(error)) {
                // Nothing is lost by a failure: the next time it is added.
                counter.put_back(requests);
            }
            failed = failed.and(added);
        }
        failed
    }

    fn add_requests(
        &self,
        account: AccountId,
        key_id: KeyId,
        requests: u64,
        last: Option<(Timestamp, Operation)>,
    ) -> Result<()> {
        if requests == 0 || self.registry.key(account, key_id)?.is_none() {
            return Ok(());
        }
        self.change_usage(account, key_id, |usage| {
            usage.requests = usage.requests.saturating_add(requests);
            usage.last = usage.last.into_iter().chain(last).max_by_key(|(time, _)| *time);
        })
    }

    fn usage(&self, account: AccountId, key_id: KeyId) -> Result<(Option<Revision>, UsageRecord)> {
        let id = usage_record_id(account, key_id);
        let Some(found) = self.registry.sealed().get_sealed(&id)? else { return Ok((None, UsageRecord::default())) };
        let body = self.registry.sealed().open_record(&id, &found)?;
        Ok((Some(found.revision), UsageRecord::decode(body.expose_secret())?))
    }

    fn change_usage(&self, account: AccountId, key_id: KeyId, change: impl Fn(&mut UsageRecord)) -> Result<()> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (expected, mut usage) = self.usage(account, key_id)?;
            change(&mut usage);
            let edit = Edit::Put { id: usage_record_id(account, key_id), body: usage.encode()?, expected };
            match self.registry.commit(&[edit]) {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other processes kept counting first"))
    }

    /// What deletes the figures of a key, if there are any.
    pub(super) fn forget_usage(&self, account: AccountId, key_id: KeyId) -> Result<Option<Edit>> {
        let (revision, _) = self.usage(account, key_id)?;
        Ok(revision.map(|expected| Edit::Delete { id: usage_record_id(account, key_id), expected }))
    }

    fn each_metered_key(&self, account: AccountId, mut visit: impl FnMut(&KeyRecord) -> Result<()>) -> Result<()> {
        let mut after = None;
        loop {
            let batch = self.registry.keys(Some(account), after, MAX_SCAN)?;
            let Some((_, last, ..)) = batch.last() else { return Ok(()) };
            after = Some((account, *last));
            for (.., record) in batch.iter().filter(|(.., record)| record.manager != KeyManager::Owned) {
                visit(record)?;
            }
        }
    }
}
