//! A key in memory.

use std::sync::{Arc, OnceLock};

use super::grants::{GrantIndex, KeyGrantees};
use super::usage_counters::KeyCounter;
use crate::crypto::PublicKey;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Locality, Principal};
use crate::key::KeyArn;
use crate::kms::records::key::KeyRecord;
use crate::policy::PolicyDocument;
use crate::provider::OpenedKey;

/// A key in memory: its record, its ARN, and the versions of its material opened so far.
pub(in crate::kms) struct LoadedKey {
    pub(in crate::kms) record: KeyRecord,
    pub(in crate::kms) arn: KeyArn,
    opened: Box<[OnceLock<OpenedKey>]>,
    public: OnceLock<Box<dyn PublicKey>>,
    policy: OnceLock<PolicyDocument>,
    pub(super) granted: Arc<KeyGrantees>,
    counter: OnceLock<Arc<KeyCounter>>,
}

impl LoadedKey {
    pub(in crate::kms) fn new(record: KeyRecord, locality: &Locality) -> Self {
        let arn = KeyArn::new(locality.clone(), record.account, record.key_id);
        let opened = record.versions.iter().map(|_| OnceLock::new()).collect();
        Self {
            record,
            arn,
            opened,
            public: OnceLock::new(),
            policy: OnceLock::new(),
            granted: Arc::default(),
            counter: OnceLock::new(),
        }
    }

    /// Returns the opened material of the version at `index`. The first call opens it with `open`.
    pub(in crate::kms) fn opened(&self, index: usize, open: impl FnOnce() -> Result<OpenedKey>) -> Result<&OpenedKey> {
        let slot = self
            .opened
            .get(index)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the key does not have this version"))?;
        once(slot, open)
    }

    /// Returns the counter for calls. The first call looks it up with `find`.
    pub(in crate::kms) fn counter(&self, find: impl FnOnce() -> Arc<KeyCounter>) -> &KeyCounter {
        self.counter.get_or_init(find)
    }

    /// Returns the grants of a principal on this revision of the key. The first call reads them
    /// with `read`.
    pub(in crate::kms) fn granted(
        &self,
        principal: &Principal,
        read: impl FnOnce() -> Result<GrantIndex>,
    ) -> Result<Arc<GrantIndex>> {
        self.granted.of(principal, read)
    }

    /// Returns the policy. The first call compiles it.
    pub(in crate::kms) fn policy(&self) -> Result<&PolicyDocument> {
        once(&self.policy, || match (&self.record.policy, &self.record.service) {
            (Some(text), _) => PolicyDocument::key_policy(text),
            (None, Some(service)) => {
                let (account, locality) = (self.record.account, self.arn.locality());
                PolicyDocument::service_managed_key_policy(account, locality, service.as_str())
            }
            (None, None) => Ok(PolicyDocument::default_key_policy(self.record.account, self.arn.locality())),
        })
    }

    /// Returns the public key. The first call parses it with `parse`.
    pub(in crate::kms) fn public(&self, parse: impl FnOnce() -> Result<Box<dyn PublicKey>>) -> Result<&dyn PublicKey> {
        once(&self.public, parse).map(|key| &**key)
    }
}

/// Returns the value of the slot, initializing an empty slot with `make`. Concurrent first calls
/// may all run `make`.
fn once<T>(slot: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match slot.get() {
        Some(made) => Ok(made),
        None => {
            let made = make()?;
            Ok(slot.get_or_init(|| made))
        }
    }
}
