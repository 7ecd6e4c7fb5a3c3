//! Commits of changes: edits are sealed and written, and the caches are updated.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::cache::Entry;
use super::edit::Edit;
use super::registry::{KeyName, Registry};
use crate::error::Result;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::store::{CommitError, Expectation, Record, RecordId, RecordKind, Revision};

impl Registry {
    /// Writes all edits or none.
    pub(in crate::kms) fn commit(&self, edits: &[Edit]) -> Result<Revision, CommitError> {
        let expected: Vec<_> = edits.iter().map(Edit::expectation).collect();
        let revision = self.sealed().commit(&expected, &mut |root| {
            edits.iter().map(|edit| Ok((edit.id().clone(), edit.body(self.store_id(), root)?))).collect()
        })?;
        edits.iter().for_each(|edit| self.carry_grants(edit, edits, revision));
        Ok(revision)
    }

    /// Carries the grants on a key over to the revision that a commit assigned to it. No other
    /// process can have changed them in between: creating and ending a grant also updates the count
    /// in the record of its key.
    fn carry_grants(&self, edit: &Edit, edits: &[Edit], revision: Revision) {
        let Some((&KeyRecord { account, key_id, grants, .. }, expected)) = edit.replaced_key() else { return };
        let name = KeyName { account, key_id };
        let before = self.keys.get(&name).filter(|before| before.revision() == expected);
        let Some(before) = before.filter(|before| grants > 0 || before.record.grants > 0) else { return };
        let changes = edits.iter().filter_map(|edit| edit.grant_change(account, key_id));
        let after = before.granted.after(changes);
        self.carried.insert(name, Entry::new(Arc::new(after), revision, revision));
    }

    /// Reseals records, including the material in them, under the current version of the root key.
    /// Returns the number of resealed records. Records that were changed in the meantime are
    /// already sealed under it.
    pub(in crate::kms) fn reseal(&self, records: &[(RecordId, Record)]) -> Result<u64> {
        match self.try_reseal(records) {
            Ok(_) => Ok(u64::try_from(records.len()).unwrap_or(u64::MAX)),
            Err(CommitError::Conflict(_)) if records.len() > 1 => {
                let (one, other) = records.split_at(records.len() / 2);
                Ok(self.reseal(one)? + self.reseal(other)?)
            }
            Err(CommitError::Conflict(_)) => Ok(0),
            Err(CommitError::Failed(error)) => Err(error),
        }
    }

    fn try_reseal(&self, records: &[(RecordId, Record)]) -> Result<Revision, CommitError> {
        let expected: Vec<_> = records
            .iter()
            .map(|(id, record)| Expectation { id: id.clone(), revision: Some(record.revision) })
            .collect();
        self.sealed().commit(&expected, &mut |root| {
            let reseal = |(id, record): &(RecordId, Record)| {
                let body = self.sealed().open_with(root, id, record)?;
                let body = match id.kind {
                    RecordKind::Key => {
                        let record = KeyRecord::decode(id, body.expose_secret())?;
                        record.sealed_under(self.store_id(), root)?.encode()?
                    }
                    _ => body.expose_secret().to_vec(),
                };
                Ok((id.clone(), Some(Zeroizing::new(body))))
            };
            records.iter().map(reseal).collect()
        })
    }
}
