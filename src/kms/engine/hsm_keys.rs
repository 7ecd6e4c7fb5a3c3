//! Creation and destruction of keys in HSMs. A creation writes an intent first, so that maintenance
//! can undo one that was interrupted.

use super::core::Core;
use super::mark_holder::MarkHolder;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ClusterId, CustomKeyStoreId};
use crate::kms::records::custom_key_store::CustomKeyStoreRecord;
use crate::kms::records::intent::{Intent, Purpose};
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::custom_key_stores::{CONTENDED, put_stores};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::retry::{commit_with_retry, retriable};
use crate::kms::storage::sealed::only_prepared;
use crate::provider::ProviderId;
use crate::store::{CommitError, Revision};

/// A creation in progress.
pub(in crate::kms) struct BegunCreation {
    pub(in crate::kms) intent: Intent,
    expected: Revision,
}

impl BegunCreation {
    /// Returns the write that ends the creation, in one commit with the key. It fails if
    /// maintenance has taken the creation over.
    fn end(&self) -> Edit {
        Edit::delete(self.intent.record_id(), self.expected)
    }
}

impl Core {
    /// Generates the material of a new key in the cluster of its custom key store. The intent is
    /// recorded first. A later commit stores the key and ends the intent.
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
                self.abandon_creation(&begun);
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

    /// Records an intent and counts the key in its store, if the store can currently accept a new
    /// key.
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
        let connection = self.connection(intent.account, store.id)?;
        connection.check_strength(&format!("custom key store {}", store.id))?;
        // A copy starts no creation, because it could not undo it.
        self.copy_guard().confirm(&MarkHolder::of_cluster(&store.cluster, connection))?;
        let makes = &connection.cluster.provider().capabilities().generates;
        if makes.contains(&(intent.spec, intent.usage)) {
            return Ok(());
        }
        let (spec, usage, cluster) = (intent.spec, intent.usage, &store.cluster);
        let mut text = format!("the cluster {cluster} does not support {spec} keys for {usage}");
        if let Some(missing) = connection.cluster.unsupported_reason(spec, usage) {
            text = format!("{text}: {missing}");
        }
        Err(Error::new(ErrorKind::UnsupportedOperation, text))
    }

    /// Returns the writes that finish a creation: the key, the end of the intent, and the mark that
    /// supersedes earlier copies.
    pub(in crate::kms) fn creation_edits(
        &self,
        record: &KeyRecord,
        begun: &BegunCreation,
        cluster: &ClusterId,
    ) -> Result<Vec<Edit>> {
        let mut edits = vec![Edit::put_key(record.clone(), None), begun.end()];
        edits.extend(self.copy_guard().next_cluster_mark(cluster, self.time.now())?);
        Ok(edits)
    }

    /// Undoes a creation as far as possible now. Maintenance does the rest.
    pub(in crate::kms) fn abandon_creation(&self, begun: &BegunCreation) {
        let marked = match self.registry.take_over_creation(&begun.intent, begun.expected) {
            Ok(revision) => Ok((Purpose::Abandon, revision)),
            Err(CommitError::Conflict(_)) => self.registry.destroy_later(&begun.intent),
            Err(CommitError::Failed(error)) => Err(error),
        };
        let Ok((purpose, revision)) = marked else { return };
        // If this fails, the intent remains, and maintenance tries again.
        let _ = self.finish_destroying(&Intent { purpose, ..begun.intent }, revision);
    }

    /// Destroys the material of an intent on every member, and then deletes the intent. If this
    /// fails, the intent remains.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member does not answer.
    /// - [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy.
    pub(in crate::kms) fn finish_destroying(&self, intent: &Intent, expected: Revision) -> Result<()> {
        let cluster = self.registry.custom_key_store(intent.account, intent.custom_key_store)?.record.cluster;
        let connection = self.connection(intent.account, intent.custom_key_store)?;
        self.copy_guard().leave_copies_behind(&MarkHolder::of_cluster(&cluster, connection))?;
        connection.cluster.erase(&intent.binding(self.registry.store_id()))?;
        self.registry.forget_intent(intent, expected)
    }
}

/// Returns the provider name in versions of a key: that of the custom key store, which remains the
/// same when its cluster changes.
fn hsm_provider_id(id: CustomKeyStoreId) -> ProviderId {
    ProviderId::new(id.as_str())
}

fn unsupported(record: &KeyRecord) -> Error {
    let text = format!("the cluster does not support {} keys for {}", record.spec, record.usage);
    Error::new(ErrorKind::UnsupportedOperation, text)
}
