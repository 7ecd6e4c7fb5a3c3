//! The connection behind a custom key store: from its record to a cluster of this process.

use super::connections::{Connection, unavailable};
use super::core::Core;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{ConnectionErrorCode, ConnectionState, CustomKeyStoreId};
use crate::kms::records::custom_key_store::CustomKeyStoreRecord;

impl Core {
    /// Returns the connection behind a custom key store. Connects first if this process has not
    /// done so yet.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the store is disconnected or its
    ///   cluster does not answer.
    pub(in crate::kms) fn connection(&self, account: AccountId, id: CustomKeyStoreId) -> Result<&Connection> {
        let stores = self.registry.custom_key_stores(account)?;
        let store = match &stores {
            Some(stores) => stores.get(id)?,
            None => return Err(unavailable(id, "the store does not exist")),
        };
        let Some(connection) = self.hsms.get(&store.cluster) else {
            return Err(unavailable(id, "its cluster was not added to the builder"));
        };
        if !store.connected {
            if connection.is_connected(id) {
                // Another process has disconnected it.
                connection.disconnect(id);
            }
            return Err(unavailable(id, "the store is disconnected"));
        }
        if !connection.is_connected(id) {
            connection.connect_automatically(store, self.time.now())?;
        }
        Ok(connection)
    }

    /// Returns the connection state for DescribeCustomKeyStores.
    pub(in crate::kms) fn connection_state(
        &self,
        account: AccountId,
        store: &CustomKeyStoreRecord,
    ) -> (ConnectionState, Option<(ConnectionErrorCode, String)>) {
        let Some(connection) = self.hsms.get(&store.cluster) else {
            let failure = (
                ConnectionErrorCode::ClusterNotFound,
                format!("the cluster '{}' was not added to the builder", store.cluster),
            );
            return match store.connected {
                true => (ConnectionState::Failed, Some(failure)),
                false => (ConnectionState::Disconnected, None),
            };
        };
        if store.connected {
            // Connects if this process has not done so yet. The state below shows the result.
            let _ = self.connection(account, store.id);
        }
        connection.state(store.id)
    }
}
