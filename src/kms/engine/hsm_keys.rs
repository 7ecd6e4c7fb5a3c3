//! Keys in HSMs: created between an intent and its end, so that an interrupted creation is undone, and destroyed.

use super::core::Core;
use super::mark_holder::MarkHolder;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ClusterId, CustomKeyStoreId};
use crate::kms::records::custom_key_store::CustomKeyStoreRecord;
use crate::kms::records::intent::{Intent, Purpose};
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::commit::{commit_with_retry, retriable};
use crate::kms::storage::custom_key_stores::{CONTENDED, put_stores};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::sealed::only_prepared;
use crate::provider::ProviderId;
use crate::store::{CommitError, Revision};

/// A creation that was begun.
pub(in crate::kms) struct BegunCreation {
    pub(in crate::kms) intent: Intent,
    expected: Revision,
}

impl BegunCreation {
    /// The write that ends it, together with that of the key. It fails if the creation was taken over in the meantime.
    fn end(&self) -> Edit {
        Edit::delete(self.intent.record_id(), self.expected)
    }
}

impl Core {
    /// Makes the material of a new key in the cluster of its custom key store. Its intent is written down first, and the
    /// revision of that is what the record of the key is committed with.
    pub(in crate::kms) fn create_in_hsm(
        &self,
        record: &mut KeyRecord,
        id: CustomKeyStoreId,
        now: Timestamp,
    ) -> Result<BegunCreation> {
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
        let begun = BegunCreation { intent, expected };
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
        let contended = || Err(Error::new(ErrorKind::Conflict, CONTENDED));
        commit_with_retry(contended, || {
            let found = self.registry.custom_key_store(intent.account, intent.custom_key_store)?;
            self.check_new_key(intent, &found.record)?;
            let all = found.all.with(intent.custom_key_store, |store| store.keys = store.keys.saturating_add(1))?;
            let edits =
                [put_stores(intent.account, &all, Some(found.expected))?, Edit::put(intent.record_id(), intent, None)?];
            retriable(self.registry.commit(&edits)).map_err(only_prepared)
        })
    }

    fn check_new_key(&self, intent: &Intent, store: &CustomKeyStoreRecord) -> Result<()> {
        let connection = self.connection(intent.account, store.id).map_err(|error| {
            let text = format!("the custom key store {} is not connected, so no key can be made in it", store.id);
            Error::new(ErrorKind::CustomKeyStoreInvalidState, text).with_source(error)
        })?;
        connection.check_strength(&format!("custom key store {}", store.id))?;
        // A copy that could not undo it begins nothing.
        self.copy_guard().confirm(&MarkHolder::of_cluster(&store.cluster, connection))?;
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
        begun: &BegunCreation,
        cluster: &ClusterId,
    ) -> Result<Vec<Edit>> {
        let mut edits = vec![Edit::put_key(record.clone(), None), begun.end()];
        edits.extend(self.copy_guard().next_cluster_mark(cluster, self.time.now())?);
        Ok(edits)
    }

    /// Undoes a creation as far as that is possible now; maintenance does the rest.
    pub(in crate::kms) fn give_up(&self, begun: &BegunCreation) {
        let marked = match self.registry.take_over_creation(&begun.intent, begun.expected) {
            Ok(revision) => Ok((Purpose::Abandon, revision)),
            Err(CommitError::Conflict(_)) => self.registry.destroy_later(&begun.intent),
            Err(CommitError::Failed(error)) => Err(error),
        };
        let Ok((purpose, revision)) = marked else { return };
        // What cannot be destroyed now stays written down, and is tried again.
        let _ = self.finish_destroying(&Intent { purpose, ..begun.intent }, revision);
    }

    /// Destroys the material of an intent on every member, and then forgets the intent.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member could not be asked, and
    /// [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy: the intent stays.
    pub(in crate::kms) fn finish_destroying(&self, intent: &Intent, expected: Revision) -> Result<()> {
        let cluster = self.registry.custom_key_store(intent.account, intent.custom_key_store)?.record.cluster;
        let connection = self.connection(intent.account, intent.custom_key_store)?;
        self.copy_guard().leave_copies_behind(&MarkHolder::of_cluster(&cluster, connection))?;
        connection.cluster.erase(&intent.binding(self.registry.store_id()))?;
        self.registry.forget_intent(intent, expected)
    }
}

/// The name under which a cluster's material is kept: that of the custom key store, which stays when the cluster changes.
fn hsm_provider_id(id: CustomKeyStoreId) -> ProviderId {
    ProviderId::new(id.as_str())
}

fn unsupported(record: &KeyRecord) -> Error {
    let text = format!("the cluster makes no {} keys for {}", record.spec, record.usage);
    Error::new(ErrorKind::UnsupportedOperation, text)
}
