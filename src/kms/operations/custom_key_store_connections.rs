//! Connections between custom key stores and their clusters.

use super::custom_key_stores::{failed, invalid_state, store_call};
use crate::error::Result;
use crate::key::{ConnectionState, CustomKeyStoreId, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::{CallContext, commit_change};
use crate::kms::storage::custom_key_stores::put_stores;

impl Kms {
    /// Connects a custom key store to its cluster and waits until it is connected. This logs in as
    /// the crypto user and verifies the members that respond. Every process that shares the store
    /// connects automatically when it first needs a key.
    ///
    /// If the connection fails, the store is `FAILED`, with the reason in
    /// [`Kms::describe_custom_key_stores`]. Disconnect it, resolve the problem, and connect it
    /// again. A wrong password is tried only once.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](crate::ErrorKind::CustomKeyStoreNotFound) if the custom key
    ///   store does not exist.
    /// - [`CustomKeyStoreInvalidState`](crate::ErrorKind::CustomKeyStoreInvalidState) if it is
    ///   disconnecting or has failed.
    /// - [`ClusterNotFound`](crate::ErrorKind::ClusterNotFound) if the builder was not given its
    ///   cluster.
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if this connection attempt failed.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{ClusterId, Origin};
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// let store = kms.create_custom_key_store(request)?;
    ///
    /// let request = CreateKeyRequest::default().custom_key_store(store);
    /// let refused = kms.create_key(request.clone()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::CustomKeyStoreInvalidState);
    /// kms.connect_custom_key_store(store)?;
    /// assert_eq!(kms.create_key(request)?.origin(), Origin::Hsm);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn connect_custom_key_store(&self, id: CustomKeyStoreId) -> Result<()> {
        self.account_call(store_call(Operation::ConnectCustomKeyStore, id), |call_context| {
            let store = self.core.registry.custom_key_store(self.account(), id)?.record;
            let connection = self.cluster(&store.cluster)?;
            let (state, _) = connection.state(id);
            if matches!(state, ConnectionState::Failed | ConnectionState::Disconnecting) {
                return Err(invalid_state(id, state, Operation::ConnectCustomKeyStore));
            }
            let credential = connection.credential(&store).map_err(|failure| failed(id, failure))?;
            connection.connect(id, &credential, call_context.now()).map_err(|failure| failed(id, failure))?;
            self.set_connected(call_context, id, true)
        })
    }

    /// Disconnects a custom key store from its cluster, for all processes. Its keys are unavailable
    /// until it is connected again, but can still be managed.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](crate::ErrorKind::CustomKeyStoreNotFound) if the custom key
    ///   store does not exist.
    /// - [`CustomKeyStoreInvalidState`](crate::ErrorKind::CustomKeyStoreInvalidState) if it is
    ///   disconnected or disconnecting.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, EncryptRequest};
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// # let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// # let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// # let store = kms.create_custom_key_store(request)?;
    /// kms.connect_custom_key_store(store)?;
    /// let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    /// kms.disconnect_custom_key_store(store)?;
    /// let refused = kms.encrypt(EncryptRequest::new(key, b"data")).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidState);
    /// assert!(kms.disable_key(key).is_ok()); // managing it is still possible
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn disconnect_custom_key_store(&self, id: CustomKeyStoreId) -> Result<()> {
        self.account_call(store_call(Operation::DisconnectCustomKeyStore, id), |call_context| {
            let store = self.core.registry.custom_key_store(self.account(), id)?.record;
            let connection = self.core.hsms.get(&store.cluster);
            let state = connection.map_or(ConnectionState::Disconnected, |connection| connection.state(id).0);
            let idle = state == ConnectionState::Disconnected && !store.connected;
            if idle || state == ConnectionState::Disconnecting {
                return Err(invalid_state(id, state, Operation::DisconnectCustomKeyStore));
            }
            // In the store first, so that no process connects again, and then in this process.
            self.set_connected(call_context, id, false)?;
            if let Some(connection) = connection {
                connection.disconnect(id);
            }
            Ok(())
        })
    }

    fn set_connected(&self, call_context: &mut CallContext, id: CustomKeyStoreId, connected: bool) -> Result<()> {
        commit_change(&self.core, call_context, |_| {
            let found = self.core.registry.custom_key_store(self.account(), id)?;
            if found.record.connected == connected {
                return Ok((Vec::new(), ()));
            }
            let all = found.all.with(id, |store| store.connected = connected)?;
            Ok((vec![put_stores(self.account(), &all, Some(found.expected))?], ()))
        })
    }
}
