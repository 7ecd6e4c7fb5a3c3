//! Metering: request counts and storage time of keys.
//!
//! Calls are counted in memory, per thread shard. Maintenance, reads, and dropping the last handle
//! add the counts to the store, with one commit for a thousand keys. If a process is killed, its
//! counts that were not yet added are lost. Apart from that, metering is exact.

use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyArn, KeyManager, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::records::usage::UsageRecord;
use crate::kms::request::{GetKeyLastUsageResponse, KeyReference, LastUsage, MeteredKey};
use crate::kms::storage::usage_records::Attempts;

impl Kms {
    /// Returns the usage of every key of an account since it was created or last reset. Requires
    /// the authority's handle.
    ///
    /// Customer managed keys are metered by time and requests, and service managed keys by requests
    /// only. Service owned keys are not metered. Deleting a key deletes its counters: read them
    /// before.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the store fails.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::AccountId;
    /// use strongroom::request::GenerateDataKeyRequest;
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
        self.core.metering.add_usage(&self.core.registry)?;
        let now = self.core.time.now();
        let mut metered = Vec::new();
        self.core.registry.each_metered_batch(account, |records, keys| {
            for (record, usage) in records.iter().zip(self.core.registry.usages(keys)?) {
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

    /// Resets the counters of all keys of an account. The last use of each key is retained.
    /// Requires the authority's handle.
    ///
    /// # Errors
    /// - The errors of [`Kms::metered_keys`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::AccountId;
    /// use strongroom::request::EncryptRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
    /// let billed = kms.metered_keys(AccountId::default())?;
    /// assert_eq!(billed[0].requests, 1);
    /// kms.reset_metering(AccountId::default())?;
    /// assert_eq!(kms.metered_keys(AccountId::default())?[0].requests, 0);
    /// assert!(kms.get_key_last_usage(key.key_id())?.last_usage.is_some());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn reset_metering(&self, account: AccountId) -> Result<()> {
        let _in_progress = self.check_authority("reset_metering")?;
        let mut event = self.authority_event("reset_metering");
        event.parameters.push(("account", account.to_string().into()));
        self.announced(event, |call_context| {
            self.core.metering.add_usage(&self.core.registry)?;
            let now = call_context.now();
            self.core.registry.each_metered_batch(account, |_, keys| {
                let reset = self.core.registry.change_usages(keys, Attempts::Many, &|_, usage| {
                    *usage = UsageRecord { requests: 0, since: Some(now), last: usage.last };
                });
                reset.map_err(|failure| failure.error)
            })?;
            Ok(())
        })
    }

    /// Returns the time and operation of the last cryptographic use of a key. Re-encryption counts
    /// for both of its keys.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::Operation;
    /// use strongroom::request::EncryptRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// assert_eq!(kms.get_key_last_usage(key.key_id())?.last_usage, None);
    /// kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
    /// let last = kms.get_key_last_usage(key.key_id())?.last_usage;
    /// assert_eq!(last.map(|last| last.operation), Some(Operation::Encrypt));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_key_last_usage(&self, key: impl KeyReference) -> Result<GetKeyLastUsageResponse> {
        self.key_call(CallSpec::new(Operation::GetKeyLastUsage), &key, |target, _| {
            let record = target.record();
            let (_, stored) = self.core.registry.usage(record.account, record.key_id)?;
            let here = self.core.metering.last(record.account, record.key_id);
            let stored = stored.last.map(|(time, operation)| LastUsage { time, operation });
            Ok(GetKeyLastUsageResponse {
                key_arn: target.arn().clone(),
                key_creation_date: record.created,
                last_usage: here.into_iter().chain(stored).max_by_key(|last| last.time),
                tracking_start_date: record.created,
            })
        })
    }
}
