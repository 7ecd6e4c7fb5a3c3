//! The state of a key at a given time: past its deletion, or unavailable with its custom key store.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{KeyArn, KeyEvent, KeyMetadata, KeyState};
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::TrustedClock;

impl TrustedClock {
    /// Returns `true` if the waiting period of a key has ended by trusted time. The key then exists
    /// only for maintenance.
    pub(in crate::kms) fn is_over(&self, record: &KeyRecord) -> bool {
        record.deletion.is_some() && record.is_past_deletion(self.confirmed())
    }
}

impl Registry {
    /// Returns the state of a key at a given time. A key whose custom key store is disconnected is
    /// unavailable. An outage of the cluster changes no state.
    pub(in crate::kms) fn state_of(&self, record: &KeyRecord, now: Timestamp) -> Result<KeyState> {
        let state = record.state_at(now);
        let Some(id) = record.custom_key_store else { return Ok(state) };
        let connected = match self.custom_key_stores(record.account)? {
            Some(stores) => stores.get(id).is_ok_and(|store| store.connected),
            None => false,
        };
        Ok(if connected { state } else { state.next(KeyEvent::StoreDisconnected).unwrap_or(state) })
    }

    /// Returns the response of DescribeKey.
    pub(in crate::kms) fn metadata(&self, record: &KeyRecord, arn: &KeyArn, now: Timestamp) -> Result<KeyMetadata> {
        let mut metadata = record.metadata(arn, now);
        if let Some(id) = record.custom_key_store {
            metadata.state = self.state_of(record, now)?;
            metadata.cluster_id = Some(self.custom_key_store(record.account, id)?.record.cluster);
        }
        Ok(metadata)
    }
}
