//! The whole store gone through, for what nobody touches.

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
    /// Reads the whole store while it is in use, and makes sure that each record is the one that was written last under its
    /// name, opens with all its material, and makes sense; that no record was added; and that none is missing. It compares the
    /// store with its anchor too, and has the store look at what holds the records together: SQLite checks the whole file.
    /// Nothing is changed. Needs the authority's handle.
    ///
    /// A key that is touched is checked as well; this finds what nobody touches. `progress` is called about every
    /// thousand records.
    ///
    /// # Errors
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for a narrowed handle; [`Store`](crate::ErrorKind::Store) if the store
    /// cannot be read; [`Integrity`](crate::ErrorKind::Integrity) if its index is not whole or does not fit the anchor.
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
    /// Makes sure that a record makes sense, and that all its material opens.
    fn examine(&self, id: &RecordId, body: &SecretBytes) -> Result<()> {
        match id.kind {
            RecordKind::Key => self.sealed().open_all_material(&KeyRecord::decode(id, body.expose_secret())?),
            _ => records::check(id, body.expose_secret()),
        }
    }
}
