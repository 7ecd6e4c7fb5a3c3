//! How often keys are used, and for how long they are kept: metering.
//!
//! Calls are counted in memory, apart for threads, and added to the store by maintenance, by reading, and when the last
//! handle goes, in one commit for a thousand keys. What a process had not yet added when it was killed is not counted: metering is exact but for that.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyId, KeyManager, Operation};
use crate::kms::engine::handle::{Core, Kms};
use crate::kms::pipeline::call::Call;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::usage::{UsageRecord, usage_record_id};
use crate::kms::request::key_reference::KeyReference;
use crate::kms::storage::registry::{Edit, LoadedKey, MAX_COMMIT_ATTEMPTS};
use crate::kms::storage::sealed::is_committed;
use crate::kms::storage::usage_counters::{Count, LastUsage};
use crate::store::{CommitError, MAX_SCAN, Record, RecordId, Revision};

/// The figures of how many keys are changed in one commit.
const KEYS_AT_ONCE: usize = MAX_SCAN;

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
        self.authority_call("metered_keys", |_| self.metered(account))
    }

    fn metered(&self, account: AccountId) -> Result<Vec<MeteredKey>> {
        self.core.add_usage()?;
        let now = self.core.time.now();
        let mut metered = Vec::new();
        self.core.each_metered_batch(account, |records, keys| {
            for (record, usage) in records.iter().zip(self.core.usages(keys)?) {
                let (_, usage) = usage?;
                let since = usage.since.unwrap_or(record.created);
                metered.push(MeteredKey {
                    key_arn: KeyArn::new(self.locality().clone(), account, record.key_id),
                    manager: record.manager,
                    requests: usage.requests,
                    key_time: (record.manager == KeyManager::Customer).then(|| now.since(since)),
                    since,
                });
            }
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
        let mut event = self.authority_event("reset_metering");
        event.parameters.push(("account", account.to_string().into()));
        self.announced(event, |progress| {
            self.core.add_usage()?;
            let now = progress.now();
            self.core.each_metered_batch(account, |_, keys| {
                let reset = self.core.change_usages(keys, &|_, usage| {
                    *usage = UsageRecord { requests: 0, since: Some(now), last: usage.last };
                });
                reset.map_err(|undone| undone.error)
            })?;
            Ok(())
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
            let here = self.core.meter.last(record.account, record.key_id);
            let stored = stored.last.map(|(time, operation)| LastUsage { time, operation });
            Ok(KeyLastUsage {
                key_arn: target.arn().clone(),
                last_usage: here.into_iter().chain(stored).max_by_key(|last| last.time),
                tracking_start_date: record.created,
            })
        })
    }
}

impl Core {
    /// Counts a successful request, unless nobody is to pay for the key.
    pub(in crate::kms) fn count(&self, key: &LoadedKey, operation: Operation, now: Timestamp) {
        if key.record.manager != KeyManager::Owned {
            key.counter(|| self.meter.counter(key.record.account, key.record.key_id)).count(operation, now);
        }
    }

    /// Adds the counts of this process to the store, for every key that can be read: one commit for each batch of keys.
    pub(in crate::kms) fn add_usage(&self) -> Result<()> {
        let mut failed = Ok(());
        for batch in self.meter.take().chunks(KEYS_AT_ONCE) {
            if let Err(Undone { places, error }) = self.add_counts(batch) {
                // Nothing is lost by a failure: the next time it is added.
                places.into_iter().filter_map(|place| batch.get(place)).for_each(|(key, count)| {
                    self.meter.put_back(*key, *count);
                });
                failed = failed.and(Err(error));
            }
        }
        failed
    }

    /// Adds counts to the store. What was counted of a key that is gone is dropped.
    fn add_counts(&self, batch: &[((AccountId, KeyId), Count)]) -> Result<(), Undone> {
        let found = self.registry.has_keys(batch.iter().map(|(key, _)| *key));
        let found = found.map_err(|error| Undone { places: (0..batch.len()).collect(), error })?;
        let (mut places, mut unread) = (Vec::new(), None);
        for (place, found) in found.into_iter().enumerate() {
            match found {
                Ok(true) => places.push(place),
                Ok(false) => {}
                Err(error) => Undone::add(&mut unread, place, error),
            }
        }
        let keys: Vec<_> = places.iter().map(|place| batch[*place].0).collect();
        let added = self.change_usages(&keys, &|place, usage| {
            let count = batch[places[place]].1;
            let last = count.last.map(|last| (last.time, last.operation));
            usage.requests = usage.requests.saturating_add(count.requests);
            usage.last = usage.last.into_iter().chain(last).max_by_key(|(time, _)| *time);
        });
        if let Err(undone) = added {
            let first = undone.places.iter().filter_map(|place| places.get(*place)).copied();
            match &mut unread {
                Some(unread) => unread.places.extend(first),
                None => unread = Some(Undone { places: first.collect(), error: undone.error }),
            }
        }
        unread.map_or(Ok(()), Err)
    }

    fn usage(&self, account: AccountId, key_id: KeyId) -> Result<FoundUsage> {
        let id = usage_record_id(account, key_id);
        let Some(found) = self.registry.sealed().get_sealed(&id)? else { return Ok((None, UsageRecord::default())) };
        let body = self.registry.sealed().open_record(&id, &found)?;
        Ok((Some(found.revision), UsageRecord::decode(body.expose_secret())?))
    }

    /// The figures of keys, in their order, or the errors of their records.
    fn usages(&self, keys: &[(AccountId, KeyId)]) -> Result<Vec<Result<FoundUsage>>> {
        let ids: Vec<_> = keys.iter().map(|(account, key_id)| usage_record_id(*account, *key_id)).collect();
        let found = self.registry.sealed().get_each_sealed(&ids)?;
        let read = |(id, record): (&RecordId, Result<Option<Record>>)| {
            let Some(record) = record? else { return Ok((None, UsageRecord::default())) };
            let body = self.registry.sealed().open_record(id, &record)?;
            Ok((Some(record.revision), UsageRecord::decode(body.expose_secret())?))
        };
        Ok(ids.iter().zip(found).map(read).collect())
    }

    /// Changes the figures of keys in one commit, of every key for which that can be done.
    fn change_usages(
        &self,
        keys: &[(AccountId, KeyId)],
        change: &dyn Fn(usize, &mut UsageRecord),
    ) -> Result<(), Undone> {
        let all = |error| Undone { places: (0..keys.len()).collect(), error };
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (mut edits, mut undone) = (Vec::with_capacity(keys.len()), None);
            let found = self.usages(keys).map_err(all)?;
            for (place, (&(account, key_id), found)) in keys.iter().zip(found).enumerate() {
                let changed = found.and_then(|(expected, mut usage)| {
                    change(place, &mut usage);
                    Ok(Edit::Put { id: usage_record_id(account, key_id), body: usage.encode()?, expected })
                });
                match changed {
                    Ok(edit) => edits.push(edit),
                    Err(error) => Undone::add(&mut undone, place, error),
                }
            }
            let committed = if edits.is_empty() { Ok(Revision::default()) } else { self.registry.commit(&edits) };
            match committed {
                Ok(_) => return undone.map_or(Ok(()), Err),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) if is_committed(&error) => {
                    return Err(Undone { places: undone.map_or_else(Vec::new, |undone| undone.places), error });
                }
                Err(CommitError::Failed(error)) => return Err(all(error)),
            }
        }
        Err(all(Error::new(ErrorKind::Conflict, "other processes kept counting first")))
    }

    /// What deletes the figures of a key, if there are any.
    pub(in crate::kms) fn forget_usage(&self, account: AccountId, key_id: KeyId) -> Result<Option<Edit>> {
        let (revision, _) = self.usage(account, key_id)?;
        Ok(revision.map(|expected| Edit::Delete { id: usage_record_id(account, key_id), expected }))
    }

    /// Visits the keys of an account that are metered, and their names.
    fn each_metered_batch(
        &self,
        account: AccountId,
        mut visit: impl FnMut(&[KeyRecord], &[(AccountId, KeyId)]) -> Result<()>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let batch = self.registry.keys(Some(account), after, KEYS_AT_ONCE)?;
            let Some((_, last, ..)) = batch.last() else { return Ok(()) };
            after = Some((account, *last));
            let records = batch.into_iter().map(|(.., record)| record);
            let records: Vec<_> = records.filter(|record| record.manager != KeyManager::Owned).collect();
            let keys: Vec<_> = records.iter().map(|record| (account, record.key_id)).collect();
            visit(&records, &keys)?;
        }
    }
}

/// The figures of a key, and the revision of their record if there is one.
type FoundUsage = (Option<Revision>, UsageRecord);

/// Keys that could not be changed, by their places in the list, and the first error. No places if everything was changed, and
/// only a later step failed.
struct Undone {
    places: Vec<usize>,
    error: Error,
}

impl Undone {
    fn add(undone: &mut Option<Self>, place: usize, error: Error) {
        undone.get_or_insert_with(|| Self { places: Vec::new(), error }).places.push(place);
    }
}
