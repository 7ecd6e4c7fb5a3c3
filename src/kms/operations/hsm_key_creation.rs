//! Creation of keys in custom key stores.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{ClusterId, CustomKeyStoreId, CustomKeyStoreMode, KeyArn, KeyEvent, KeyMetadata, KeySpec, Origin};
use crate::kms::engine::handle::Kms;
use crate::kms::engine::hsm_keys::BegunCreation;
use crate::kms::pipeline::change::{CallContext, Change};
use crate::kms::records::custom_key_store::CustomKeyStoreRecord;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::CreateKeyRequest;
use crate::kms::storage::retry::commit_with_retry;
use crate::store::CommitError;

impl Kms {
    /// Creates a key in the cluster of a custom key store.
    pub(in crate::kms) fn create_key_in_store(
        &self,
        request: &CreateKeyRequest,
        id: CustomKeyStoreId,
        call_context: &mut CallContext,
    ) -> Result<KeyMetadata> {
        let now = call_context.now();
        call_context.record_custom_key_store(Some(id));
        let store = self.core.registry.custom_key_store(self.account(), id)?.record;
        let mut record = self.new_key(request, now)?;
        self.permit_first_tags(call_context, &record)?;
        check_kind(&record, &store)?;
        self.set_first_policy(call_context, &mut record, request)?;
        self.set_first_alias(call_context, &mut record, request)?;
        record.custom_key_store = Some(id);
        call_context.record_key(record.account, record.key_id);
        call_context.record_param("cloudHsmClusterId", store.cluster.to_string());
        // The intent is written before anything exists in the HSM.
        drop(Change::new(&self.core, call_context).announce()?);
        let begun = self.core.create_in_hsm(&mut record, id, now)?;
        record.state = record.state.next(KeyEvent::CreatedWithMaterial).unwrap_or(record.state);
        let arn = KeyArn::new(self.locality().clone(), record.account, record.key_id);
        let made = self.core.registry.metadata(&record, &arn, now).and_then(|metadata| {
            Ok((metadata, self.commit_key_in_store(call_context, &record, &begun, &store.cluster)?))
        });
        match made {
            Ok((metadata, finished)) => {
                self.core.set_marks_of(&record);
                finished.map(|()| metadata)
            }
            Err(error) => {
                // Nothing refers to the material.
                self.core.abandon_creation(&begun);
                Err(error)
            }
        }
    }

    /// Commits a key whose material exists in the HSM, unless maintenance took over its creation.
    /// The inner result is that of the steps after the commit.
    fn commit_key_in_store(
        &self,
        call_context: &mut CallContext,
        record: &KeyRecord,
        begun: &BegunCreation,
        cluster: &ClusterId,
    ) -> Result<Result<()>> {
        let intent = begun.intent.record_id();
        commit_with_retry(
            || Err(Error::new(ErrorKind::Conflict, "too many concurrent changes to the custom key stores: try again")),
            || {
                let mut edits = self.core.creation_edits(record, begun, cluster)?;
                edits.extend(self.first_alias_edits(record, record.created)?);
                match Change::new(&self.core, call_context).announce()?.commit(edits) {
                    Ok(committed) => Ok(Some(committed.finish(()))),
                    Err(CommitError::Conflict(id)) if id != intent => Ok(None),
                    Err(error) => Err(error.into()),
                }
            },
        )
    }
}

/// Rejects key types that a custom key store cannot hold.
fn check_kind(record: &KeyRecord, store: &CustomKeyStoreRecord) -> Result<()> {
    let refused = |text: String| Err(Error::new(ErrorKind::UnsupportedOperation, text));
    if record.origin != Origin::Hsm {
        let text = format!("a key in a custom key store must have the origin {}, not {}", Origin::Hsm, record.origin);
        return Err(Error::new(ErrorKind::Validation, text));
    }
    match store.mode {
        CustomKeyStoreMode::AwsCompatible if record.spec != KeySpec::SymmetricDefault => refused(format!(
            "the custom key store {} supports only {} keys, not {}",
            store.id,
            KeySpec::SymmetricDefault,
            record.spec
        )),
        CustomKeyStoreMode::AwsCompatible | CustomKeyStoreMode::Extended => Ok(()),
    }
}
