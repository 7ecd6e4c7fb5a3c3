//! Parameters and results of custom key store operations.

use std::fmt;

use crate::clock::Timestamp;
use crate::key::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreMode, CustomKeyStoreName,
};
use crate::provider::{ClusterManagement, ClusterMember};
use crate::secret::SecretBytes;

/// Parameters for [`Kms::create_custom_key_store`](crate::Kms::create_custom_key_store).
///
/// # Examples
/// ```
/// use strongroom::key::{ClusterId, CustomKeyStoreMode, KeySpec, KeyUsage};
/// use strongroom::provider::MemoryCluster;
/// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
/// use strongroom::{Kms, SecretBytes};
///
/// let vault = ClusterId::parse("vault")?;
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
/// let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
/// let request = CreateCustomKeyStoreRequest::new("signing keys", vault)
///     .key_store_password(SecretBytes::copy_from_slice(b"kmsPswd1"))
///     .mode(CustomKeyStoreMode::Extended); // not only symmetric keys
/// let store = kms.create_custom_key_store(request)?;
/// kms.connect_custom_key_store(store)?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
/// assert!(kms.create_key(request.custom_key_store(store)).is_ok());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct CreateCustomKeyStoreRequest {
    pub(in crate::kms) name: String,
    pub(in crate::kms) cluster: ClusterId,
    pub(in crate::kms) mode: CustomKeyStoreMode,
    pub(in crate::kms) password: Option<SecretBytes>,
}

impl CreateCustomKeyStoreRequest {
    /// Creates a store of symmetric keys in a cluster that was given to the builder. The name has 1
    /// to 256 characters and is unique in the account.
    pub fn new(name: impl Into<String>, cluster: ClusterId) -> Self {
        Self { name: name.into(), cluster, mode: CustomKeyStoreMode::AwsCompatible, password: None }
    }

    /// Selects the keys that the store can hold.
    #[must_use]
    pub const fn mode(mut self, mode: CustomKeyStoreMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the password of the cluster's crypto user, 1 to 255 bytes, which is stored sealed.
    /// Without a password, strongroom asks the credential that was given to the builder
    /// ([`KmsBuilder::cluster_credential`](crate::KmsBuilder::cluster_credential)).
    #[must_use]
    pub fn key_store_password(mut self, password: SecretBytes) -> Self {
        self.password = Some(password);
        self
    }
}

/// Parameters for [`Kms::update_custom_key_store`](crate::Kms::update_custom_key_store). Settings
/// that are not specified remain unchanged.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::key::ClusterId;
/// use strongroom::provider::MemoryCluster;
/// use strongroom::request::{CreateCustomKeyStoreRequest, UpdateCustomKeyStoreRequest};
/// use strongroom::{Kms, SecretBytes};
///
/// let members = [("hsm-1", "zone-a"), ("hsm-2", "zone-b")];
/// let (old, new) = (ClusterId::parse("old")?, ClusterId::parse("new")?);
/// let kms = Kms::builder()
///     .cluster(old.clone(), MemoryCluster::new(members, b"kmsPswd1"))
///     .cluster(new.clone(), MemoryCluster::new(members, b"kmsPswd2"))
///     .build()?;
/// let password = |text: &[u8]| SecretBytes::copy_from_slice(text);
/// let request = CreateCustomKeyStoreRequest::new("safe", old).key_store_password(password(b"kmsPswd1"));
/// let store = kms.create_custom_key_store(request)?;
///
/// let request = UpdateCustomKeyStoreRequest::new(store)
///     .new_name("primary")
///     .cluster(new.clone())
///     .key_store_password(password(b"kmsPswd2"));
/// kms.update_custom_key_store(request)?;
/// let updated = kms.describe_custom_key_store(store)?;
/// assert_eq!((updated.custom_key_store_name.as_str(), updated.cluster_id), ("primary", new));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct UpdateCustomKeyStoreRequest {
    pub(in crate::kms) id: CustomKeyStoreId,
    pub(in crate::kms) name: Option<String>,
    pub(in crate::kms) cluster: Option<ClusterId>,
    pub(in crate::kms) password: Option<SecretBytes>,
}

impl UpdateCustomKeyStoreRequest {
    /// Creates a request that changes nothing yet.
    pub const fn new(id: CustomKeyStoreId) -> Self {
        Self { id, name: None, cluster: None, password: None }
    }

    /// Renames the store. Allowed while it is connected.
    #[must_use]
    pub fn new_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Moves the store to another cluster, which must hold all of its keys.
    #[must_use]
    pub fn cluster(mut self, cluster: ClusterId) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Updates the stored password of the crypto user. The password in the cluster is not changed.
    #[must_use]
    pub fn key_store_password(mut self, password: SecretBytes) -> Self {
        self.password = Some(password);
        self
    }
}

/// A custom key store, as returned by
/// [`Kms::describe_custom_key_stores`](crate::Kms::describe_custom_key_stores).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomKeyStoresListEntry {
    /// The ID of the store.
    pub custom_key_store_id: CustomKeyStoreId,
    /// The name of the store.
    pub custom_key_store_name: CustomKeyStoreName,
    /// The cluster that holds its keys.
    pub cluster_id: ClusterId,
    /// The keys that the store can hold.
    pub mode: CustomKeyStoreMode,
    /// The time at which the store was created.
    pub creation_date: Timestamp,
    /// The state of the store's connection in this process.
    pub connection_state: ConnectionState,
    /// The reason for a failed connection.
    pub connection_error: Option<ConnectionError>,
    /// The party that synchronizes the members of the cluster, or `None` if the builder was not
    /// given this cluster.
    pub management: Option<ClusterManagement>,
    /// The members of the cluster as last observed.
    pub members: Vec<ClusterMember>,
}

/// The reason why a custom key store could not be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionError {
    /// A machine-readable code.
    pub code: ConnectionErrorCode,
    /// A human-readable explanation.
    pub reason: String,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}
