//! Verification of the whole store, including records that are not being accessed.

use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::kms::records;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::kms::request::{StoreVerificationProgress, StoreVerificationReport};
use crate::kms::storage::registry::Registry;
use crate::kms::storage::sealed::Checked;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

impl Kms {
    /// Verifies the whole store, while it is in use and without changing anything. Requires the
    /// authority's handle. It checks that
    ///
    /// - each record is the last one written under its name, can be unsealed with all its material,
    ///   and is consistent;
    /// - no record was added and none is missing;
    /// - the store matches its anchor;
    /// - the storage format itself is valid, as far as the store can check it: SQLite checks the
    ///   whole file.
    ///
    /// Accessing a key also checks it. This method finds damage in records that are never accessed.
    /// `progress` is called about every thousand records.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be read.
    /// - [`Integrity`](crate::ErrorKind::Integrity) if the index of the store is incomplete or does
    ///   not match the anchor.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// kms.create_key(Default::default())?;
    /// let mut last = None;
    /// let report = kms.verify_store(|progress| last = Some(progress))?;
    /// assert!(report.is_intact());
    /// assert_eq!(last.map(|progress| (progress.checked(), progress.total())), Some((4, 4)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn verify_store(&self, mut progress: impl FnMut(StoreVerificationProgress)) -> Result<StoreVerificationReport> {
        let mut tell = |Checked { records, total }| progress(StoreVerificationProgress { checked: records, total });
        let examine = |id: &RecordId, body: &SecretBytes| self.core.registry.examine(id, body);
        self.authority_call("verify_store", |_| {
            let (records, problems) = self.core.registry.sealed().verify(&mut tell, &examine)?;
            Ok(StoreVerificationReport { records, problems })
        })
    }
}

impl Registry {
    /// Checks that a record is consistent and that all its material can be unsealed.
    fn examine(&self, id: &RecordId, body: &SecretBytes) -> Result<()> {
        match id.kind {
            RecordKind::Key => self.sealed().open_all_material(&KeyRecord::decode(id, body.expose_secret())?),
            _ => records::check(id, body.expose_secret()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::kms::storage::edit::Edit;

    #[test]
    fn material_that_does_not_open_is_found_although_its_record_does() -> Result<()> {
        let kms = Kms::in_memory()?;
        let [_, damaged] = [kms.create_key(Default::default())?, kms.create_key(Default::default())?];
        let registry = &kms.core.registry;
        let key = registry.key(kms.account(), damaged.key_id())?.expect("the key was created");
        let mut record = key.record.clone();
        *record.versions[0].sealed_material.last_mut().expect("the key has material") ^= 1;
        registry.commit(&[Edit::put_key(record, Some(key.revision()))])?;
        let report = kms.verify_store(|_| {})?;
        let problems: Vec<_> = report.problems().iter().map(Error::kind).collect();
        assert_eq!(problems, [ErrorKind::Integrity]);
        Ok(())
    }
}
