//! Keys in HSMs: whether they can be reached, through which cluster, and how they are made and destroyed.

use super::connections::Connection;
use super::core::Core;
use super::instance::Home;
use crate::audit::KeyResource;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, KeyArn, KeyEvent, KeyId, KeyMetadata, KeyState,
    KeyVersion,
};
use crate::kms::records::custom_key_store::{CustomKeyStoreRecord, CustomKeyStores};
use crate::kms::records::intent::{CREATION_GRACE, Intent, Purpose};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::names::key_named_in;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::message_count;
use crate::kms::storage::sealed::{is_committed, only_prepared};
use crate::provider::{ConnectionFailure, CryptoUserCredential, FixedCredential};
use crate::secret::SecretBytes;
use crate::store::{CommitError, Revision};

/// How often a change is tried again after another one came first.
const MAX_ATTEMPTS: u32 = 256;

/// How many active members a cluster must have to get a new key, and in how many zones.
const MEMBERS_FOR_NEW: (usize, usize) = (2, 2);

/// A custom key store as it is now, and the revision of the record that tells so.
pub(in crate::kms) struct FoundStore {
    pub(in crate::kms) all: CustomKeyStores,
    pub(in crate::kms) expected: Revision,
    pub(in crate::kms) record: CustomKeyStoreRecord,
}

impl Core {
    /// Finds a custom key store.
    pub(in crate::kms) fn custom_key_store(&self, account: AccountId, id: CustomKeyStoreId) -> Result<FoundStore> {
        let held = self.registry.custom_key_stores(account)?;
        let Some(held) = held else {
            return Err(CustomKeyStores::default().get(id).map(drop).expect_err("it is empty"));
        };
        let record = held.get(id)?.clone();
        Ok(FoundStore { all: (*held).clone(), expected: held.revision(), record })
    }

    /// The state of a key that counts at a moment. A key of a custom key store that is disconnected is unavailable; an
    /// outage of its cluster changes no state.
    pub(in crate::kms) fn state_of(&self, record: &KeyRecord, now: Timestamp) -> Result<KeyState> {
        let state = record.state_at(now);
        let Some(id) = record.custom_key_store else { return Ok(state) };
        let connected = match self.registry.custom_key_stores(record.account)? {
            Some(stores) => stores.get(id).is_ok_and(|store| store.connected),
            None => false,
        };
        Ok(if connected { state } else { state.next(KeyEvent::StoreDisconnected).unwrap_or(state) })
    }

    /// What DescribeKey returns.
    pub(in crate::kms) fn metadata(&self, record: &KeyRecord, arn: &KeyArn, now: Timestamp) -> Result<KeyMetadata> {
        let mut metadata = record.metadata(arn, now);
        if let Some(id) = record.custom_key_store {
            metadata.state = self.state_of(record, now)?;
            metadata.cluster_id = Some(self.custom_key_store(record.account, id)?.record.cluster);
        }
        Ok(metadata)
    }

    /// The connection behind a custom key store, made now if this process has none yet.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the store is disconnected or its cluster does not answer.
    pub(in crate::kms) fn connection(&self, account: AccountId, id: CustomKeyStoreId) -> Result<&Connection> {
        let stores = self.registry.custom_key_stores(account)?;
        let store = match &stores {
            Some(stores) => stores.get(id)?,
            None => return Err(unavailable(id, "it does not exist")),
        };
        let Some(connection) = self.connections.get(&store.cluster) else {
            return Err(unavailable(id, "the builder was given no cluster of that name"));
        };
        if !store.connected {
            if connection.is_connected(id) {
                // Another process has disconnected it.
                connection.disconnect(id);
            }
            return Err(unavailable(id, "it is disconnected"));
        }
        if !connection.is_connected(id) {
            self.connect_by_itself(connection, store)?;
        }
        Ok(connection)
    }

    fn connect_by_itself(&self, connection: &Connection, store: &CustomKeyStoreRecord) -> Result<()> {
        let now = self.time.now();
        if !connection.may_retry(store.id, now) {
            let (_, failure) = connection.state(store.id);
            let reason = failure.map_or_else(String::new, |(code, text)| format!("{code}: {text}"));
            return Err(unavailable(store.id, &reason));
        }
        let connected =
            self.credential(connection, store).and_then(|credential| connection.connect(store.id, &credential, now));
        connected.map_err(|failure| {
            let reason = format!("{}: {}", failure.code, failure.error);
            unavailable(store.id, &reason).with_source(failure.error)
        })
    }

    /// Who gives the password of the crypto user.
    pub(in crate::kms) fn credential(
        &self,
        connection: &Connection,
        store: &CustomKeyStoreRecord,
    ) -> Result<std::sync::Arc<dyn CryptoUserCredential>, ConnectionFailure> {
        if let Some(password) = &store.password {
            let password = SecretBytes::copy_of(password.expose_secret());
            return Ok(std::sync::Arc::new(FixedCredential::new(password)));
        }
        connection.credential.clone().ok_or_else(|| {
            let text = "neither the custom key store nor the builder has a password for the cluster";
            ConnectionFailure::new(ConnectionErrorCode::InvalidCredentials, text)
        })
    }

    /// Counts a message that is about to be encrypted in an HSM.
    pub(in crate::kms) fn count_message(&self, record: &KeyRecord, version: KeyVersion) -> Result<()> {
        let tag = || self.instance_tag();
        self.metering.count_message(&self.registry, record, version, tag)
    }

    /// Makes the material of a new key in the cluster of its custom key store. Its intent is written down first, and the
    /// revision of that is what the record of the key is committed with.
    pub(in crate::kms) fn create_in_hsm(
        &self,
        record: &mut KeyRecord,
        id: CustomKeyStoreId,
        now: Timestamp,
    ) -> Result<Begun> {
        let version = record.next_version()?;
        let intent = Intent {
            purpose: Purpose::Create,
            account: record.account,
            key_id: record.key_id,
            version,
            custom_key_store: id,
            spec: record.spec,
            usage: record.usage,
            begun: now,
        };
        let expected = self.begin(&intent)?;
        let begun = Begun { intent, expected };
        match self.generate_in_hsm(record, id, now) {
            Ok(()) => Ok(begun),
            Err(error) => {
                self.give_up(&begun);
                Err(error)
            }
        }
    }

    fn generate_in_hsm(&self, record: &mut KeyRecord, id: CustomKeyStoreId, now: Timestamp) -> Result<()> {
        let provider = self.connection(record.account, id)?.cluster.provider();
        let generator = provider.generator().ok_or_else(|| unsupported(record))?;
        let binding = self.registry.sealed().binding(record, record.next_version()?);
        let generated = generator.generate(&self.material.backend, &binding)?;
        let version = self.registry.sealed().seal_version(&hsm_provider_id(id), &binding, &generated, now)?;
        record.push_version(version);
        Ok(())
    }

    /// Writes an intent down and counts the key in its store, provided that the store may get a new key now.
    fn begin(&self, intent: &Intent) -> Result<Revision> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.custom_key_store(intent.account, intent.custom_key_store)?;
            self.check_new_key(intent, &found.record)?;
            let all = found.all.with(intent.custom_key_store, |store| store.keys = store.keys.saturating_add(1))?;
            let edits =
                [put_stores(intent.account, &all, Some(found.expected))?, Edit::put(intent.record_id(), intent, None)?];
            match self.registry.commit(&edits) {
                Ok(revision) => return Ok(revision),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) => return Err(only_prepared(error)),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other changes to the custom key stores kept coming first"))
    }

    fn check_new_key(&self, intent: &Intent, store: &CustomKeyStoreRecord) -> Result<()> {
        let connection = self.connection(intent.account, store.id).map_err(|error| {
            let text = format!("the custom key store {} is not connected, so no key can be made in it", store.id);
            Error::new(ErrorKind::CustomKeyStoreInvalidState, text).with_source(error)
        })?;
        check_strength(connection, &format!("custom key store {}", store.id))?;
        // A copy that could not undo it begins nothing.
        self.confirm_instance(&Home::of_cluster(&store.cluster, connection))?;
        let makes = &connection.cluster.provider().capabilities().generates;
        if makes.contains(&(intent.spec, intent.usage)) {
            return Ok(());
        }
        let (spec, usage, cluster) = (intent.spec, intent.usage, &store.cluster);
        let mut text = format!("the cluster {cluster} makes no {spec} keys for {usage}");
        if let Some(missing) = connection.cluster.lacks(spec, usage) {
            text = format!("{text}: {missing}");
        }
        Err(Error::new(ErrorKind::UnsupportedOperation, text))
    }

    /// The writes that finish a creation: the key, the end of the intent, and the mark by which copies from before are left
    /// behind.
    pub(in crate::kms) fn edits_of_creation(
        &self,
        record: &KeyRecord,
        begun: &Begun,
        cluster: &ClusterId,
    ) -> Result<Vec<Edit>> {
        let mut edits = vec![Edit::put_key(record.clone(), None), begun.end()];
        edits.extend(self.next_cluster_mark(cluster, self.time.now())?);
        Ok(edits)
    }

    /// Undoes a creation as far as that is possible now; maintenance does the rest.
    pub(in crate::kms) fn give_up(&self, begun: &Begun) {
        let marked = match self.mark(&begun.intent, begun.expected) {
            Ok(revision) => Ok((Purpose::Abandon, revision)),
            Err(CommitError::Conflict(_)) => self.destroy_later(&begun.intent),
            Err(CommitError::Failed(error)) => Err(error),
        };
        let Ok((purpose, revision)) = marked else { return };
        // What cannot be destroyed now stays written down, and is tried again.
        let _ = self.finish_destroying(&Intent { purpose, ..begun.intent }, revision);
    }

    /// Writes down that material must be destroyed whose intent has ended meanwhile: because maintenance took the creation over
    /// before the material existed. It also ends when the commit of the key was reported as failed and took effect nevertheless;
    /// then the key refers to the material, which must stay.
    fn destroy_later(&self, created: &Intent) -> Result<(Purpose, Revision)> {
        if self.registry.revision_of(&KeyRecord::record_id(created.account, created.key_id))?.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "the key was committed"));
        }
        let intent = Intent { purpose: Purpose::Destroy, ..*created };
        let put = Edit::put(intent.record_id(), &intent, None)?;
        Ok((Purpose::Destroy, self.registry.commit(&[put])?))
    }

    /// Takes a creation over, so that whoever began it cannot finish it any more.
    fn mark(&self, intent: &Intent, expected: Revision) -> Result<Revision, CommitError> {
        let abandoned = Intent { purpose: Purpose::Abandon, ..*intent };
        self.registry.commit(&[Edit::put(intent.record_id(), &abandoned, Some(expected))?])
    }

    /// Destroys the material of an intent on every member, and then forgets the intent.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member could not be asked, and
    /// [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy: the intent stays.
    pub(in crate::kms) fn finish_destroying(&self, intent: &Intent, expected: Revision) -> Result<()> {
        let cluster = self.custom_key_store(intent.account, intent.custom_key_store)?.record.cluster;
        let connection = self.connection(intent.account, intent.custom_key_store)?;
        self.leave_copies_behind(&Home::of_cluster(&cluster, connection))?;
        connection.cluster.erase(&intent.binding(self.registry.store_id()))?;
        self.forget(intent, expected)
    }

    /// Forgets an intent. A key that was never made no longer counts in its store.
    fn forget(&self, intent: &Intent, expected: Revision) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let mut edits = vec![Edit::delete(intent.record_id(), expected)];
            if intent.purpose == Purpose::Abandon {
                edits.push(self.one_key_less(intent.account, intent.custom_key_store)?);
            }
            match self.registry.commit(&edits) {
                Ok(_) => return Ok(()),
                // Somebody else was faster and has done the same.
                Err(CommitError::Conflict(id)) if id == intent.record_id() => return Ok(()),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) if is_committed(&error) => return Ok(()),
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other changes to the custom key stores kept coming first"))
    }

    /// The write by which a store holds one key less.
    pub(in crate::kms) fn one_key_less(&self, account: AccountId, id: CustomKeyStoreId) -> Result<Edit> {
        let found = self.custom_key_store(account, id)?;
        let all = found.all.with(id, |store| store.keys = store.keys.saturating_sub(1))?;
        put_stores(account, &all, Some(found.expected))
    }

    /// The writes by which a key that is deleted leaves its custom key store: it no longer counts there, nor do its
    /// messages, and what is to be destroyed in the cluster is written down. None for other keys.
    pub(in crate::kms) fn leave_hsm(&self, record: &KeyRecord, now: Timestamp) -> Result<Vec<Edit>> {
        let Some(id) = record.custom_key_store else { return Ok(Vec::new()) };
        let mut edits = vec![self.one_key_less(record.account, id)?];
        for intent in destroyed(record, id, now) {
            edits.push(Edit::put(intent.record_id(), &intent, None)?);
            let count = message_count::forget(&self.registry, record.account, record.key_id, intent.version)?;
            edits.extend(count);
        }
        Ok(edits)
    }

    /// Destroys what is left of a key in its cluster, as far as its members answer now; maintenance does the rest. The
    /// audit trail tells how it went.
    pub(in crate::kms) fn destroy_in_hsm(&self, record: &KeyRecord, now: Timestamp) -> Result<()> {
        for (revision, intent) in self.registry.read_all_or_damaged::<Intent>()?.into_iter().flatten() {
            if (intent.account, intent.key_id) == (record.account, record.key_id) {
                self.report_cluster(&intent, self.reconcile(&intent, revision), now)?.ok();
            }
        }
        Ok(())
    }

    /// Writes into the trail whether the material of a key is gone from its cluster, if anything was to be destroyed.
    fn report_cluster(&self, intent: &Intent, result: Result<Reconciled>, now: Timestamp) -> Result<Result<()>> {
        let result = match result {
            Ok(Reconciled::NothingToDo) => return Ok(Ok(())),
            Ok(Reconciled::Destroyed) => Ok(()),
            Err(error) => Err(error),
        };
        let key = KeyResource { account: intent.account, key_id: intent.key_id };
        self.report_destruction(key, ("customKeyStoreId", intent.custom_key_store.to_string().into()), result, now)
    }

    /// Goes on with what was begun in HSMs and not finished: creations that were cut off, and deletions that a member
    /// missed. Returns what is left over, and why.
    pub(in crate::kms) fn reconcile_intents(&self, now: Timestamp) -> Result<Vec<(AccountId, KeyId, Error)>> {
        let mut left = Vec::new();
        for found in self.registry.read_all_or_damaged::<Intent>()? {
            let (revision, intent) = match found {
                Ok(found) => found,
                Err((id, error)) => {
                    left.push((id.account, key_named_in(&id), error));
                    continue;
                }
            };
            if intent.purpose == Purpose::Create && now.since(intent.begun) < CREATION_GRACE {
                continue;
            }
            let result = self.reconcile(&intent, revision);
            if let Err(error) = self.report_cluster(&intent, result, now)? {
                left.push((intent.account, intent.key_id, error));
            }
        }
        Ok(left)
    }

    fn reconcile(&self, intent: &Intent, revision: Revision) -> Result<Reconciled> {
        if intent.purpose == Purpose::Destroy && self.is_store_gone(intent)? {
            // Its owner sees to what is in a cluster that is none of ours any more, and is told so this once.
            self.forget(intent, revision)?;
            let id = intent.custom_key_store;
            let text = format!("the custom key store {id} was deleted before its cluster had destroyed the material");
            return Err(Error::new(ErrorKind::CustomKeyStoreNotFound, text));
        }
        match intent.purpose {
            Purpose::Create => match self.mark(intent, revision) {
                Ok(revision) => self.finish_destroying(&Intent { purpose: Purpose::Abandon, ..*intent }, revision)?,
                // Finished after all, or taken over by another process.
                Err(CommitError::Conflict(_)) => return Ok(Reconciled::NothingToDo),
                Err(CommitError::Failed(error)) => return Err(error),
            },
            Purpose::Abandon | Purpose::Destroy => self.finish_destroying(intent, revision)?,
        }
        Ok(Reconciled::Destroyed)
    }

    fn is_store_gone(&self, intent: &Intent) -> Result<bool> {
        match self.custom_key_store(intent.account, intent.custom_key_store) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::CustomKeyStoreNotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The connection state that DescribeCustomKeyStores shows.
    pub(in crate::kms) fn connection_state(
        &self,
        account: AccountId,
        store: &CustomKeyStoreRecord,
    ) -> (ConnectionState, Option<(ConnectionErrorCode, String)>) {
        let Some(connection) = self.connections.get(&store.cluster) else {
            let failure =
                (ConnectionErrorCode::ClusterNotFound, format!("the builder was given no '{}'", store.cluster));
            return match store.connected {
                true => (ConnectionState::Failed, Some(failure)),
                false => (ConnectionState::Disconnected, None),
            };
        };
        if store.connected {
            // Connects if this process has not done so yet; how that went is told below.
            let _ = self.connection(account, store.id);
        }
        connection.state(store.id)
    }
}

/// What became of work that was begun.
enum Reconciled {
    /// The material is gone.
    Destroyed,
    /// The key is there, or somebody else sees to it.
    NothingToDo,
}

/// What is to be destroyed of a key.
fn destroyed(record: &KeyRecord, id: CustomKeyStoreId, now: Timestamp) -> impl Iterator<Item = Intent> {
    record.versions.iter().map(move |version| Intent {
        purpose: Purpose::Destroy,
        account: record.account,
        key_id: record.key_id,
        version: version.number,
        custom_key_store: id,
        spec: record.spec,
        usage: record.usage,
        begun: now,
    })
}

/// A creation that was begun.
pub(in crate::kms) struct Begun {
    pub(in crate::kms) intent: Intent,
    expected: Revision,
}

impl Begun {
    /// The write that ends it, together with that of the key. It fails if the creation was taken over in the meantime.
    fn end(&self) -> Edit {
        Edit::delete(self.intent.record_id(), self.expected)
    }
}

/// The name under which a cluster's material is kept: that of the custom key store, which stays when the cluster changes.
pub(in crate::kms) fn hsm_provider_id(id: CustomKeyStoreId) -> crate::provider::ProviderId {
    crate::provider::ProviderId::new(id.as_str())
}

/// The write of all custom key stores of an account.
pub(in crate::kms) fn put_stores(
    account: AccountId,
    all: &CustomKeyStores,
    expected: Option<Revision>,
) -> Result<Edit> {
    Edit::put(CustomKeyStores::record_id(account), all, expected)
}

/// Refuses a cluster that could lose a new key with one member or one zone.
pub(in crate::kms) fn check_strength(connection: &Connection, what: &str) -> Result<()> {
    let (mut members, mut zones) = connection.strength();
    if members < MEMBERS_FOR_NEW.0 || zones < MEMBERS_FOR_NEW.1 {
        // One that was away may be back by now.
        connection.cluster.probe();
        (members, zones) = connection.strength();
    }
    if (members, zones) >= MEMBERS_FOR_NEW && zones >= MEMBERS_FOR_NEW.1 {
        return Ok(());
    }
    let text = format!(
        "the cluster of {what} has {members} active HSMs in {zones} zones, and {} in {} are needed",
        MEMBERS_FOR_NEW.0, MEMBERS_FOR_NEW.1
    );
    Err(Error::new(ErrorKind::ClusterInvalidConfiguration, text))
}

fn unavailable(id: CustomKeyStoreId, reason: &str) -> Error {
    Error::new(ErrorKind::KeyUnavailable, format!("the custom key store {id} cannot be reached: {reason}"))
}

fn unsupported(record: &KeyRecord) -> Error {
    let text = format!("the cluster makes no {} keys for {}", record.spec, record.usage);
    Error::new(ErrorKind::UnsupportedOperation, text)
}
