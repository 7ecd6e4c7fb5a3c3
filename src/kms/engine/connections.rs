//! The clusters that were given to the builder, and the state of the connection to each in this
//! process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId};
use crate::kms::records::custom_key_store::CustomKeyStoreRecord;
use crate::lock::{Mutex, MutexGuard};
use crate::provider::{
    ClusterMember, ConnectionFailure, CryptoUserCredential, FixedCredential, HsmCluster, MemberState,
};
use crate::secret::SecretBytes;

/// Minimum delay before an automatic reconnection attempt after a failure.
const RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// The number of active members that a cluster must have before a key is created in it, and the
/// number of their zones.
const MEMBERS_FOR_NEW: (usize, usize) = (2, 2);

/// The HSMs of a KMS: the connections to its clusters, by cluster ID.
#[derive(Debug, Default)]
pub(in crate::kms) struct Hsms {
    connections: BTreeMap<ClusterId, Connection>,
}

impl Hsms {
    /// Adopts the clusters of the builder, and their credentials where the builder has any.
    pub(in crate::kms) fn new(
        clusters: Vec<(ClusterId, Arc<dyn HsmCluster>)>,
        credentials: Vec<(ClusterId, Arc<dyn CryptoUserCredential>)>,
    ) -> Result<Self> {
        let mut connections = BTreeMap::new();
        for (id, cluster) in clusters {
            if connections.contains_key(&id) {
                return Err(Error::new(ErrorKind::Validation, format!("duplicate cluster name '{id}'")));
            }
            connections.insert(id, Connection::new(cluster));
        }
        for (id, credential) in credentials {
            let connection = connections.get_mut(&id).ok_or_else(|| {
                Error::new(
                    ErrorKind::Validation,
                    format!("a credential was set for '{id}', but the builder has no cluster with this name"),
                )
            })?;
            connection.credential = Some(credential);
        }
        Ok(Self { connections })
    }

    /// Returns `true` if the builder was given no cluster.
    pub(in crate::kms) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Returns the members of all clusters, as last observed.
    pub(in crate::kms) fn members(&self) -> Vec<ClusterMember> {
        self.connections.values().flat_map(|connection| connection.cluster.members()).collect()
    }

    pub(in crate::kms) fn get(&self, id: &ClusterId) -> Option<&Connection> {
        self.connections.get(id)
    }
}

impl Drop for Hsms {
    fn drop(&mut self) {
        // The application may retain the cluster object, and finds it logged out.
        self.connections
            .values()
            .filter(|connection| connection.is_open())
            .for_each(|connection| connection.cluster.disconnect());
    }
}

/// One cluster and the state of the connection to it.
pub(in crate::kms) struct Connection {
    pub(in crate::kms) cluster: Arc<dyn HsmCluster>,
    pub(in crate::kms) credential: Option<Arc<dyn CryptoUserCredential>>,
    link: ArcSwap<LinkState>,
    /// Serializes changes of `link`.
    link_lock: Mutex<()>,
    /// Locked while the cluster connects or disconnects, which may take a long time.
    cluster_lock: Mutex<()>,
}

/// The state of a connection.
#[derive(Debug, Clone)]
struct LinkState {
    state: ConnectionState,
    store: Option<CustomKeyStoreId>,
    failure: Option<(ConnectionErrorCode, String, Timestamp)>,
    /// Incremented with every request for another state. The result of work that started earlier is
    /// ignored.
    generation: u64,
}

impl Connection {
    fn new(cluster: Arc<dyn HsmCluster>) -> Self {
        let link = LinkState { state: ConnectionState::Disconnected, store: None, failure: None, generation: 0 };
        let link = ArcSwap::from_pointee(link);
        Self { cluster, credential: None, link, link_lock: Mutex::default(), cluster_lock: Mutex::default() }
    }

    /// Returns `true` if the cluster is connected for a custom key store.
    pub(in crate::kms) fn is_connected(&self, store: CustomKeyStoreId) -> bool {
        let link = self.link.load();
        link.state == ConnectionState::Connected && link.store == Some(store)
    }

    fn is_open(&self) -> bool {
        self.link.load().state == ConnectionState::Connected
    }

    /// Returns the state as seen by a custom key store, and the reason if it failed.
    pub(in crate::kms) fn state(
        &self,
        store: CustomKeyStoreId,
    ) -> (ConnectionState, Option<(ConnectionErrorCode, String)>) {
        let link = self.link.load();
        if link.store != Some(store) {
            return (ConnectionState::Disconnected, None);
        }
        (link.state, link.failure.as_ref().map(|(code, text, _)| (*code, text.clone())))
    }

    /// Returns `true` if an automatic reconnection is allowed. A rejected password is never
    /// retried.
    fn may_retry(&self, store: CustomKeyStoreId, now: Timestamp) -> bool {
        let link = self.link.load();
        match &link.failure {
            Some((code, _, at)) if link.store == Some(store) => {
                let is_final = matches!(
                    code,
                    ConnectionErrorCode::InvalidCredentials
                        | ConnectionErrorCode::UserLockedOut
                        | ConnectionErrorCode::UserNotFound
                );
                !is_final && *at <= now && now.since(*at) >= RECONNECT_DELAY
            }
            _ => true,
        }
    }

    /// Connects the cluster. A second caller waits for the first.
    pub(in crate::kms) fn connect(
        &self,
        store: CustomKeyStoreId,
        credential: &Arc<dyn CryptoUserCredential>,
        now: Timestamp,
    ) -> Result<(), ConnectionFailure> {
        let before = self.link.load().generation;
        let _cluster = lock(&self.cluster_lock);
        if self.is_connected(store) {
            return Ok(());
        }
        let Some(generation) = self.begin(store, before) else { return Err(superseded()) };
        let result = self.cluster.connect(credential);
        let _link = lock(&self.link_lock);
        if self.link.load().generation != generation {
            // A concurrent `disconnect` waits for `cluster_lock`, and then disconnects.
            return Err(superseded());
        }
        let (state, failure) = match &result {
            Ok(()) => (ConnectionState::Connected, None),
            Err(failure) => (ConnectionState::Failed, Some((failure.code, failure.error.to_string(), now))),
        };
        self.link.store(Arc::new(LinkState { state, store: Some(store), failure, generation }));
        result
    }

    /// Connects automatically because a key of the store is needed.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the connection fails, or failed a moment
    ///   ago.
    pub(in crate::kms) fn connect_automatically(&self, store: &CustomKeyStoreRecord, now: Timestamp) -> Result<()> {
        if !self.may_retry(store.id, now) {
            let (_, failure) = self.state(store.id);
            let reason = failure.map_or_else(String::new, |(code, text)| format!("{code}: {text}"));
            return Err(unavailable(store.id, &reason));
        }
        let connected = self.credential(store).and_then(|credential| self.connect(store.id, &credential, now));
        connected.map_err(|failure| {
            let reason = format!("{}: {}", failure.code, failure.error);
            unavailable(store.id, &reason).with_source(failure.error)
        })
    }

    /// Returns the source of the crypto user's password: the record of the custom key store, or
    /// else the builder.
    pub(in crate::kms) fn credential(
        &self,
        store: &CustomKeyStoreRecord,
    ) -> Result<Arc<dyn CryptoUserCredential>, ConnectionFailure> {
        if let Some(password) = &store.password {
            let password = SecretBytes::copy_from_slice(password.expose_secret());
            return Ok(Arc::new(FixedCredential::new(password)));
        }
        self.credential.clone().ok_or_else(|| {
            let text = "neither the custom key store nor the builder has a password for the cluster";
            ConnectionFailure::new(ConnectionErrorCode::InvalidCredentials, text)
        })
    }

    /// Marks the cluster as connecting, unless another state was requested since generation
    /// `before`.
    fn begin(&self, store: CustomKeyStoreId, before: u64) -> Option<u64> {
        let _link = lock(&self.link_lock);
        let link = self.link.load();
        if link.generation != before {
            return None;
        }
        let begun = LinkState {
            state: ConnectionState::Connecting,
            store: Some(store),
            failure: None,
            generation: link.generation,
        };
        self.link.store(Arc::new(begun));
        Some(before)
    }

    /// Disconnects the cluster, and abandons a connection in progress.
    pub(in crate::kms) fn disconnect(&self, store: CustomKeyStoreId) {
        let generation = {
            let _link = lock(&self.link_lock);
            let link = self.link.load();
            if link.store != Some(store) {
                return;
            }
            let generation = link.generation + 1;
            let state = ConnectionState::Disconnecting;
            self.link.store(Arc::new(LinkState { state, store: Some(store), failure: None, generation }));
            generation
        };
        let _cluster = lock(&self.cluster_lock);
        self.cluster.disconnect();
        let _link = lock(&self.link_lock);
        if self.link.load().generation == generation {
            let state = ConnectionState::Disconnected;
            self.link.store(Arc::new(LinkState { state, store: None, failure: None, generation }));
        }
    }

    /// Rejects a cluster that could lose a new key with one member or one zone.
    pub(in crate::kms) fn check_strength(&self, what: &str) -> Result<()> {
        let (mut members, mut zones) = self.strength();
        if members < MEMBERS_FOR_NEW.0 || zones < MEMBERS_FOR_NEW.1 {
            // A member that was offline may have returned.
            self.cluster.probe();
            (members, zones) = self.strength();
        }
        if (members, zones) >= MEMBERS_FOR_NEW && zones >= MEMBERS_FOR_NEW.1 {
            return Ok(());
        }
        let text = format!(
            "the cluster of {what} has {members} active HSMs in {zones} zones, but at least {} HSMs in {} zones \
             are required",
            MEMBERS_FOR_NEW.0, MEMBERS_FOR_NEW.1
        );
        Err(Error::new(ErrorKind::ClusterInvalidConfiguration, text))
    }

    /// Returns the number of active members, and the number of their zones.
    fn strength(&self) -> (usize, usize) {
        let members = self.cluster.members();
        let active = members.iter().filter(|member| member.state == MemberState::Active);
        let mut zones: Vec<&str> = active.map(|member| member.zone.as_str()).collect();
        let count = zones.len();
        zones.sort_unstable();
        zones.dedup();
        (count, zones.len())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("cluster", &self.cluster).field("link", &self.link).finish_non_exhaustive()
    }
}

/// Returns the error for a custom key store without a connection.
pub(in crate::kms) fn unavailable(id: CustomKeyStoreId, reason: &str) -> Error {
    Error::new(ErrorKind::KeyUnavailable, format!("the custom key store {id} cannot be reached: {reason}"))
}

fn superseded() -> ConnectionFailure {
    ConnectionFailure::new(
        ConnectionErrorCode::InternalError,
        "the store was disconnected while it was being connected",
    )
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    // The locks serialize calls and guard no data.
    mutex.lock()
}
