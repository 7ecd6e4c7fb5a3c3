//! Custom key stores: creating, describing, updating, and deleting them.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreName, KeyId, Operation,
};
use crate::kms::engine::connections::Connection;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::{CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::{CallContext, commit_change};
use crate::kms::records::custom_key_store::{
    ClusterClaim, CustomKeyStoreRecord, CustomKeyStores, MAX_CUSTOM_KEY_STORES, MAX_PASSWORD,
};
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{
    ConnectionError, CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, Page, PageRequest,
    UpdateCustomKeyStoreRequest,
};
use crate::kms::storage::custom_key_stores::put_stores;
use crate::kms::storage::edit::Edit;
use crate::provider::ConnectionFailure;
use crate::secret::SecretBytes;
use crate::store::MAX_SCAN;

/// Page sizes of [`Kms::describe_custom_key_stores`].
const STORE_PAGES: PageLimits = PageLimits { most: 1_000, default: 100 };

impl Kms {
    /// Creates a custom key store for a cluster registered with the builder, and returns its ID. It
    /// is not connected yet.
    ///
    /// The cluster must have two active HSMs in different zones and must not belong to another
    /// custom key store. Repeating the request with the same name, cluster, mode, and password
    /// while the store is disconnected returns the ID of the existing store.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the name or the password is empty or too long, or
    ///   if there is no source of the password.
    /// - [`CustomKeyStoreNameInUse`](ErrorKind::CustomKeyStoreNameInUse) if another custom key
    ///   store of the account has this name.
    /// - [`ClusterNotFound`](ErrorKind::ClusterNotFound) if the builder was not given the cluster.
    /// - [`ClusterInUse`](ErrorKind::ClusterInUse) if another custom key store uses the cluster.
    /// - [`ClusterInvalidConfiguration`](ErrorKind::ClusterInvalidConfiguration) if the cluster has
    ///   too few active HSMs or zones.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the account already has 10 custom key
    ///   stores.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{ClusterId, ConnectionState, KeyState};
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
    /// use strongroom::{Kms, SecretBytes};
    ///
    /// let vault = ClusterId::parse("vault")?;
    /// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault)
    ///     .key_store_password(SecretBytes::copy_from_slice(b"kmsPswd1"));
    /// let store = kms.create_custom_key_store(request)?;
    /// kms.connect_custom_key_store(store)?;
    /// let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    /// kms.disconnect_custom_key_store(store)?;
    /// assert_eq!(kms.describe_key(key.key_id())?.state(), KeyState::Unavailable);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_custom_key_store(&self, request: CreateCustomKeyStoreRequest) -> Result<CustomKeyStoreId> {
        let CreateCustomKeyStoreRequest { name, cluster, mode, password } = request;
        let parsed = CustomKeyStoreName::parse(&name);
        let call = CallSpec::new(Operation::CreateCustomKeyStore)
            .valid(parsed.as_ref().map(drop).map_err(Error::clone))
            .valid(check_password(password.as_ref()))
            .parameter("customKeyStoreName", truncated_for_audit(&name))
            .parameter("cloudHsmClusterId", cluster.to_string());
        self.account_call(call, |call_context| {
            let mut random = [0; 9];
            self.core.material.backend.random().fill(&mut random)?;
            let new = CustomKeyStoreRecord {
                id: CustomKeyStoreId::from_random_bytes(random),
                name: parsed?,
                cluster,
                mode,
                created: call_context.now(),
                connected: false,
                keys: 0,
                password: password.map(Arc::new),
            };
            commit_change(&self.core, call_context, |call_context| {
                let (edits, id) = self.with_new_store(&new)?;
                call_context.record_param("customKeyStoreId", id.to_string());
                Ok((edits, id))
            })
        })
    }

    fn with_new_store(&self, new: &CustomKeyStoreRecord) -> Result<(Vec<Edit>, CustomKeyStoreId)> {
        let account = self.account();
        let held = self.core.registry.custom_key_stores(account)?;
        let (mut all, expected) = match &held {
            Some(held) => (CustomKeyStores::clone(held), Some(held.revision())),
            None => (CustomKeyStores::default(), None),
        };
        if let Some(same) = all.0.iter().find(|other| other.name == new.name) {
            // A repeated request, for example because the response was lost.
            let again = (&same.cluster, same.mode, &same.password) == (&new.cluster, new.mode, &new.password);
            return if again && !same.connected { Ok((Vec::new(), same.id)) } else { Err(name_in_use(&new.name)) };
        }
        let connection = self.cluster(&new.cluster)?;
        if new.password.is_none() && connection.credential.is_none() {
            let text =
                format!("a password is required for the cluster '{}', because the builder has none", new.cluster);
            return Err(Error::new(ErrorKind::Validation, text));
        }
        if all.0.len() >= MAX_CUSTOM_KEY_STORES {
            let text = format!("an account can have at most {MAX_CUSTOM_KEY_STORES} custom key stores");
            return Err(Error::new(ErrorKind::LimitExceeded, text));
        }
        let claim = self.claimed(&new.cluster, new.id)?;
        connection.cluster.probe();
        connection.check_strength(&format!("the custom key store '{}'", new.name))?;
        let place = all.0.partition_point(|other| other.id < new.id);
        all.0.insert(place, new.clone());
        let adopted = self.core.copy_guard().adopt_cluster(&new.cluster)?;
        Ok(([put_stores(account, &all, expected)?, claim].into_iter().chain(adopted).collect(), new.id))
    }

    /// Returns the edit that claims a cluster. Fails if another custom key store, in any account,
    /// has claimed it.
    fn claimed(&self, cluster: &ClusterId, id: CustomKeyStoreId) -> Result<Edit> {
        let claim = ClusterClaim { cluster: cluster.clone(), account: self.account(), custom_key_store: id };
        let record_id = ClusterClaim::record_id(cluster);
        if self.core.registry.revision_of(&record_id)?.is_some() {
            let text = format!("the cluster '{cluster}' is in use by another custom key store");
            return Err(Error::new(ErrorKind::ClusterInUse, text));
        }
        Edit::put(record_id, &claim, None)
    }

    fn unclaimed(&self, cluster: &ClusterId) -> Result<Option<Edit>> {
        let id = ClusterClaim::record_id(cluster);
        Ok(self.core.registry.revision_of(&id)?.map(|expected| Edit::delete(id, expected)))
    }

    pub(super) fn cluster(&self, id: &ClusterId) -> Result<&Connection> {
        self.core.hsms.get(id).ok_or_else(|| {
            let text = format!("there is no cluster '{id}': add it to the builder of the Kms");
            Error::new(ErrorKind::ClusterNotFound, text)
        })
    }

    /// Returns the custom key stores of the caller's account, in the order of their IDs. A page has
    /// 1 to 1,000 entries, 100 by default. A store that should be connected but is not yet
    /// connected in this process is connected now.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the page limit is out of range.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the marker was not returned by an earlier
    ///   page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{ClusterId, ConnectionState};
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// # use strongroom::SecretBytes;
    ///
    /// let vault = ClusterId::parse("vault")?;
    /// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault);
    /// # let request = request.key_store_password(SecretBytes::copy_from_slice(b"kmsPswd1"));
    /// kms.create_custom_key_store(request)?;
    ///
    /// let stores = kms.describe_custom_key_stores(Default::default())?.entries;
    /// assert_eq!(stores[0].custom_key_store_name.as_str(), "safe");
    /// assert_eq!(stores[0].connection_state, ConnectionState::Disconnected);
    /// assert_eq!(stores[0].members.len(), 2);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn describe_custom_key_stores(&self, page: PageRequest) -> Result<Page<CustomKeyStoresListEntry>> {
        let call = CallSpec::new(Operation::DescribeCustomKeyStores).valid(STORE_PAGES.valid(&page));
        self.account_call(call, |_| {
            let held = self.core.registry.custom_key_stores(self.account())?;
            let stores = held.as_ref().map_or(&[][..], |held| &held.0);
            let page = pagination::page_of(stores.iter(), &page, STORE_PAGES, |store| store.id.as_str().as_bytes())?;
            let entries = page.entries.into_iter().map(|store| self.store_entry(store)).collect();
            Ok(Page { entries, next_marker: page.next_marker })
        })
    }

    /// Returns one custom key store.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if it does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{ClusterId, ConnectionErrorCode, ConnectionState};
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// use strongroom::{Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let wrong = SecretBytes::copy_from_slice(b"wrong password");
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(wrong);
    /// let id = kms.create_custom_key_store(request)?;
    /// assert!(kms.connect_custom_key_store(id).is_err());
    ///
    /// let store = kms.describe_custom_key_store(id)?;
    /// assert_eq!(store.connection_state, ConnectionState::Failed);
    /// let reason = store.connection_error.map(|error| error.code);
    /// assert_eq!(reason, Some(ConnectionErrorCode::InvalidCredentials));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn describe_custom_key_store(&self, id: CustomKeyStoreId) -> Result<CustomKeyStoresListEntry> {
        self.account_call(store_call(Operation::DescribeCustomKeyStores, id), |_| {
            Ok(self.store_entry(&self.core.registry.custom_key_store(self.account(), id)?.record))
        })
    }

    /// Returns a custom key store by its name.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the account has no custom
    ///   key store of this name.
    /// - [`Validation`](ErrorKind::Validation) unless the name has 1 to 256 characters.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// # let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// let id = kms.create_custom_key_store(request)?;
    /// assert_eq!(kms.describe_custom_key_store_by_name("safe")?.custom_key_store_id, id);
    /// let missing = kms.describe_custom_key_store_by_name("Safe").unwrap_err();
    /// assert_eq!(missing.kind(), ErrorKind::CustomKeyStoreNotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn describe_custom_key_store_by_name(&self, name: &str) -> Result<CustomKeyStoresListEntry> {
        let call = CallSpec::new(Operation::DescribeCustomKeyStores)
            .valid(CustomKeyStoreName::parse(name).map(drop))
            .parameter("customKeyStoreName", truncated_for_audit(name));
        self.account_call(call, |_| {
            let name = CustomKeyStoreName::parse(name)?;
            let held = self.core.registry.custom_key_stores(self.account())?;
            let stores = held.as_ref().map_or(&[][..], |held| &held.0);
            let found = stores.iter().find(|store| store.name == name).ok_or_else(|| {
                let text = format!("the account has no custom key store with the name '{name}'");
                Error::new(ErrorKind::CustomKeyStoreNotFound, text)
            })?;
            Ok(self.store_entry(found))
        })
    }

    fn store_entry(&self, store: &CustomKeyStoreRecord) -> CustomKeyStoresListEntry {
        let (connection_state, failure) = self.core.connection_state(self.account(), store);
        let connection = self.core.hsms.get(&store.cluster);
        CustomKeyStoresListEntry {
            custom_key_store_id: store.id,
            custom_key_store_name: store.name.clone(),
            cluster_id: store.cluster.clone(),
            mode: store.mode,
            creation_date: store.created,
            connection_state,
            connection_error: failure.map(|(code, reason)| ConnectionError { code, reason }),
            management: connection.map(|connection| connection.cluster.management()),
            members: connection.map_or_else(Vec::new, |connection| connection.cluster.members()),
        }
    }

    /// Changes the name of a custom key store or, while it is disconnected, its password or
    /// cluster. The new cluster must hold every key of the store. Each key is looked up and
    /// verified to be the same key.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the custom key store does
    ///   not exist.
    /// - [`CustomKeyStoreInvalidState`](ErrorKind::CustomKeyStoreInvalidState) unless it is
    ///   disconnected.
    /// - [`ClusterNotRelated`](ErrorKind::ClusterNotRelated) if a key is missing in the new
    ///   cluster.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the new cluster cannot be connected.
    /// - The errors of [`Kms::create_custom_key_store`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, UpdateCustomKeyStoreRequest};
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let password = |text: &[u8]| SecretBytes::copy_from_slice(text);
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password(b"outdated"));
    /// let store = kms.create_custom_key_store(request)?;
    ///
    /// let request = UpdateCustomKeyStoreRequest::new(store).key_store_password(password(b"kmsPswd1"));
    /// kms.update_custom_key_store(request)?;
    /// kms.connect_custom_key_store(store)?;
    /// kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(store).new_name("primary"))?;
    /// let request = UpdateCustomKeyStoreRequest::new(store).key_store_password(password(b"next"));
    /// let refused = kms.update_custom_key_store(request).unwrap_err(); // it is connected
    /// assert_eq!(refused.kind(), ErrorKind::CustomKeyStoreInvalidState);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn update_custom_key_store(&self, request: UpdateCustomKeyStoreRequest) -> Result<()> {
        let UpdateCustomKeyStoreRequest { id, name, cluster, password } = request;
        let parsed = name.as_deref().map(CustomKeyStoreName::parse).transpose();
        let mut call = store_call(Operation::UpdateCustomKeyStore, id)
            .valid(parsed.as_ref().map(drop).map_err(Error::clone))
            .valid(check_password(password.as_ref()));
        if let Some(name) = &name {
            call = call.parameter("newCustomKeyStoreName", truncated_for_audit(name));
        }
        if let Some(cluster) = &cluster {
            call = call.parameter("cloudHsmClusterId", cluster.to_string());
        }
        if password.is_some() {
            call = call.parameter("keyStorePassword", "HIDDEN");
        }
        self.account_call(call, |call_context| {
            let name = parsed?;
            let password = password.map(Arc::new);
            let needs_disconnected = cluster.is_some() || password.is_some();
            let change = |store: &mut CustomKeyStoreRecord| {
                store.name = name.clone().unwrap_or_else(|| store.name.clone());
                store.cluster = cluster.clone().unwrap_or_else(|| store.cluster.clone());
                store.password = password.clone().or_else(|| store.password.clone());
            };
            if let Some(cluster) = &cluster {
                let mut changed = self.core.registry.custom_key_store(self.account(), id)?.record;
                self.check_disconnected(&changed, Operation::UpdateCustomKeyStore)?;
                if *cluster != changed.cluster {
                    // Checked before connecting, so that a cluster of another store is neither
                    // logged in to nor disconnected afterwards.
                    self.claimed(cluster, id)?;
                }
                change(&mut changed);
                self.check_related(call_context, cluster, &changed)?;
            }
            commit_change(&self.core, call_context, |_| {
                let found = self.core.registry.custom_key_store(self.account(), id)?;
                if needs_disconnected {
                    self.check_disconnected(&found.record, Operation::UpdateCustomKeyStore)?;
                }
                if let Some(name) = &name
                    && found.all.0.iter().any(|other| other.id != id && other.name == *name)
                {
                    return Err(name_in_use(name));
                }
                let all = found.all.with(id, change)?;
                if all == found.all {
                    return Ok((Vec::new(), ()));
                }
                let mut edits = vec![put_stores(self.account(), &all, Some(found.expected))?];
                if let Some(cluster) = cluster.as_ref().filter(|cluster| **cluster != found.record.cluster) {
                    edits.push(self.claimed(cluster, id)?);
                    edits.extend(self.core.copy_guard().adopt_cluster(cluster)?);
                    edits.extend(self.unclaimed(&found.record.cluster)?);
                }
                Ok((edits, ()))
            })
        })
    }

    fn check_disconnected(&self, store: &CustomKeyStoreRecord, operation: Operation) -> Result<()> {
        let state = match self.core.hsms.get(&store.cluster) {
            _ if store.connected => ConnectionState::Connected,
            Some(connection) => connection.state(store.id).0,
            None => ConnectionState::Disconnected,
        };
        if state == ConnectionState::Disconnected { Ok(()) } else { Err(invalid_state(store.id, state, operation)) }
    }

    /// Verifies that a cluster holds every key of a store, and makes all processes forget which
    /// cluster held them before.
    fn check_related(
        &self,
        call_context: &CallContext,
        cluster: &ClusterId,
        store: &CustomKeyStoreRecord,
    ) -> Result<()> {
        let connection = self.cluster(cluster)?;
        connection.cluster.probe();
        connection.check_strength(&format!("custom key store {}", store.id))?;
        let credential = connection.credential(store).map_err(|failure| failed(store.id, failure))?;
        connection.connect(store.id, &credential, call_context.now()).map_err(|failure| failed(store.id, failure))?;
        let related = self.check_keys(connection, store);
        connection.disconnect(store.id);
        related
    }

    fn check_keys(&self, connection: &Connection, store: &CustomKeyStoreRecord) -> Result<()> {
        let mut after: Option<KeyId> = None;
        loop {
            let account = self.account();
            let after_key = after.map(|key_id| (account, key_id));
            let batch = self.core.registry.keys(Some(account), after_key, MAX_SCAN)?;
            let Some((_, last, ..)) = batch.last() else { return Ok(()) };
            after = Some(*last);
            for (_, key_id, revision, record) in batch {
                if record.custom_key_store != Some(store.id) {
                    continue;
                }
                self.core
                    .material
                    .check_versions(&self.core.registry, &record, connection.cluster.provider())
                    .map_err(|error| {
                        let text = format!("the cluster '{}' does not hold key {key_id}", store.cluster);
                        Error::new(ErrorKind::ClusterNotRelated, text).with_source(error)
                    })?;
                // Rewritten unchanged, so that every process that has the key loaded loads it
                // again.
                self.core.registry.commit(&[Edit::put_key(record, Some(revision))])?;
            }
        }
    }

    /// Deletes a custom key store. The cluster is not affected.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the custom key store does
    ///   not exist.
    /// - [`CustomKeyStoreInvalidState`](ErrorKind::CustomKeyStoreInvalidState) unless it is
    ///   disconnected.
    /// - [`CustomKeyStoreHasKeys`](ErrorKind::CustomKeyStoreHasKeys) if it contains keys, including
    ///   any that are pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// # let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// # let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// # let store = kms.create_custom_key_store(request)?;
    /// kms.connect_custom_key_store(store)?;
    /// let refused = kms.delete_custom_key_store(store).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::CustomKeyStoreInvalidState); // still connected
    /// kms.disconnect_custom_key_store(store)?;
    /// kms.delete_custom_key_store(store)?;
    /// assert!(kms.describe_custom_key_stores(Default::default())?.entries.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete_custom_key_store(&self, id: CustomKeyStoreId) -> Result<()> {
        self.account_call(store_call(Operation::DeleteCustomKeyStore, id), |call_context| {
            commit_change(&self.core, call_context, |_| {
                let found = self.core.registry.custom_key_store(self.account(), id)?;
                if found.record.keys > 0 {
                    let text = format!("custom key store {id} contains {} keys", found.record.keys);
                    return Err(Error::new(ErrorKind::CustomKeyStoreHasKeys, text));
                }
                self.check_disconnected(&found.record, Operation::DeleteCustomKeyStore)?;
                let mut all = found.all;
                all.0.retain(|store| store.id != id);
                let mut edits = vec![put_stores(self.account(), &all, Some(found.expected))?];
                edits.extend(self.unclaimed(&found.record.cluster)?);
                Ok((edits, ()))
            })
        })
    }
}

pub(super) fn store_call(operation: Operation, id: CustomKeyStoreId) -> CallSpec<'static> {
    CallSpec::new(operation).parameter("customKeyStoreId", id.to_string())
}

fn check_password(password: Option<&SecretBytes>) -> Result<()> {
    if password.is_none_or(|password| (1..=MAX_PASSWORD).contains(&password.len())) {
        return Ok(());
    }
    let text = format!("the password of a custom key store must have 1 to {MAX_PASSWORD} bytes");
    Err(Error::new(ErrorKind::Validation, text))
}

fn name_in_use(name: &CustomKeyStoreName) -> Error {
    let text = format!("another custom key store of the account already has the name '{name}'");
    Error::new(ErrorKind::CustomKeyStoreNameInUse, text)
}

pub(super) fn invalid_state(id: CustomKeyStoreId, state: ConnectionState, operation: Operation) -> Error {
    let text = format!("{operation} is not allowed while the custom key store {id} is {state}");
    Error::new(ErrorKind::CustomKeyStoreInvalidState, text)
}

pub(super) fn failed(id: CustomKeyStoreId, failure: ConnectionFailure) -> Error {
    let kind = match failure.code {
        ConnectionErrorCode::ClusterNotFound => ErrorKind::ClusterNotFound,
        _ => ErrorKind::KeyUnavailable,
    };
    let text = format!("cannot connect the custom key store {id}: {}: {}", failure.code, failure.error);
    Error::new(kind, text).with_source(failure.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_does_not_exist_is_told_from_one_that_does_not_answer() {
        let kind = |code| {
            failed(CustomKeyStoreId::from_random_bytes([1; 9]), ConnectionFailure::new(code, "the reason")).kind()
        };
        assert_eq!(kind(ConnectionErrorCode::ClusterNotFound), ErrorKind::ClusterNotFound);
        assert_eq!(kind(ConnectionErrorCode::NetworkErrors), ErrorKind::KeyUnavailable);
        assert_eq!(kind(ConnectionErrorCode::InvalidCredentials), ErrorKind::KeyUnavailable);
    }
}
