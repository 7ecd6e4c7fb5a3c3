//! Custom key stores on in-memory clusters.

use std::sync::Arc;

use strongroom::audit::MemoryTrail;
use strongroom::key::{ClusterId, ConnectionState, CustomKeyStoreId, KeyId};
use strongroom::provider::MemoryCluster;
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
use strongroom::{Kms, ManualClock, Result, SecretBytes, Timestamp};

use crate::support::any_store;

pub(crate) const PASSWORD: &[u8] = b"kmsPswd1";

/// A KMS with a cluster named `vault`, whose two members are `hsm-1` and `hsm-2`.
pub(crate) struct Setup {
    pub(crate) kms: Kms,
    pub(crate) cluster: Arc<MemoryCluster>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) trail: Arc<MemoryTrail>,
}

pub(crate) fn vault() -> ClusterId {
    ClusterId::parse("vault").expect("a cluster id")
}

pub(crate) fn two_members() -> Arc<MemoryCluster> {
    Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], PASSWORD))
}

pub(crate) fn setup() -> Result<Setup> {
    let (cluster, trail) = (two_members(), Arc::new(MemoryTrail::default()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let builder = any_store::builder()
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .audit(Arc::clone(&trail))
        .allow_insecure_test_keys();
    let kms = builder
        .cluster(vault(), Arc::clone(&cluster))
        .cluster(ClusterId::parse("other")?, two_members())
        .cluster(ClusterId::parse("weak")?, MemoryCluster::new([("only", "zone-a")], PASSWORD))
        .cluster(ClusterId::parse("one-zone")?, MemoryCluster::new([("a", "zone-a"), ("b", "zone-a")], PASSWORD))
        .build()?;
    Ok(Setup { kms, cluster, clock, trail })
}

pub(crate) fn request(name: &str, cluster: &str) -> Result<CreateCustomKeyStoreRequest> {
    let password = SecretBytes::copy_from_slice(PASSWORD);
    Ok(CreateCustomKeyStoreRequest::new(name, ClusterId::parse(cluster)?).key_store_password(password))
}

impl Setup {
    /// Creates and connects a custom key store.
    pub(crate) fn store(&self) -> Result<CustomKeyStoreId> {
        let store = self.kms.create_custom_key_store(request("safe", "vault")?)?;
        self.kms.connect_custom_key_store(store)?;
        Ok(store)
    }

    /// Creates and connects a custom key store with one key.
    pub(crate) fn store_with_key(&self) -> Result<(CustomKeyStoreId, KeyId)> {
        let store = self.store()?;
        Ok((store, self.kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id()))
    }

    pub(crate) fn state(&self, store: CustomKeyStoreId) -> Result<ConnectionState> {
        Ok(self.kms.describe_custom_key_store(store)?.connection_state)
    }
}
