//! Custom key stores.

use std::fmt;

use crate::clock::Timestamp;
use crate::key::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreMode, CustomKeyStoreName,
};
use crate::provider::{ClusterManagement, ClusterMember};
use crate::secret::SecretBytes;

/// What [`Kms::create_custom_key_store`](crate::Kms::create_custom_key_store) is to make.
#[derive(Debug)]
pub struct CreateCustomKeyStoreRequest {
    pub(in crate::kms) name: String,
    pub(in crate::kms) cluster: ClusterId,
    pub(in crate::kms) mode: CustomKeyStoreMode,
    pub(in crate::kms) password: Option<SecretBytes>,
}

impl CreateCustomKeyStoreRequest {
    /// A store of symmetric keys in a cluster that the builder was given. The name has 1 to 256 characters and is unique
    /// in the account.
    pub fn new(name: impl Into<String>, cluster: ClusterId) -> Self {
        Self { name: name.into(), cluster, mode: CustomKeyStoreMode::AwsCompatible, password: None }
    }

    /// Which keys the store holds.
    #[must_use]
    pub const fn mode(mut self, mode: CustomKeyStoreMode) -> Self {
        self.mode = mode;
        self
    }

    /// The password of the cluster's crypto user, 1 to 255 bytes. It is kept sealed in the store. Without it, the credential
    /// is asked for it that the builder was given ([`KmsBuilder::cluster_credential`](crate::KmsBuilder::cluster_credential)).
    #[must_use]
    pub fn key_store_password(mut self, password: SecretBytes) -> Self {
        self.password = Some(password);
        self
    }
}

/// What [`Kms::update_custom_key_store`](crate::Kms::update_custom_key_store) is to change; what is not said stays.
#[derive(Debug)]
pub struct UpdateCustomKeyStoreRequest {
    pub(in crate::kms) id: CustomKeyStoreId,
    pub(in crate::kms) name: Option<String>,
    pub(in crate::kms) cluster: Option<ClusterId>,
    pub(in crate::kms) password: Option<SecretBytes>,
}

impl UpdateCustomKeyStoreRequest {
    /// Changes nothing yet.
    pub const fn new(id: CustomKeyStoreId) -> Self {
        Self { id, name: None, cluster: None, password: None }
    }

    /// Gives it another name. Possible while it is connected.
    #[must_use]
    pub fn new_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Points it to another cluster, which must hold all of its keys.
    #[must_use]
    pub fn cluster(mut self, cluster: ClusterId) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Says what the password of the crypto user is now. It is not changed in the cluster.
    #[must_use]
    pub fn key_store_password(mut self, password: SecretBytes) -> Self {
        self.password = Some(password);
        self
    }
}

/// A custom key store, as [`Kms::describe_custom_key_stores`](crate::Kms::describe_custom_key_stores) tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomKeyStoresListEntry {
    /// Its id.
    pub custom_key_store_id: CustomKeyStoreId,
    /// Its name.
    pub custom_key_store_name: CustomKeyStoreName,
    /// The cluster that holds its keys.
    pub cluster_id: ClusterId,
    /// Which keys it holds.
    pub mode: CustomKeyStoreMode,
    /// When it was made.
    pub creation_date: Timestamp,
    /// How its connection stands, in this process.
    pub connection_state: ConnectionState,
    /// Why the connection failed, if it did.
    pub connection_error: Option<ConnectionError>,
    /// Who keeps the members of the cluster alike; nothing if the builder was given no such cluster.
    pub management: Option<ClusterManagement>,
    /// The members of the cluster as they were last seen.
    pub members: Vec<ClusterMember>,
}

/// Why a custom key store could not be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionError {
    /// For programs.
    pub code: ConnectionErrorCode,
    /// For people.
    pub reason: String,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}
