//! Verification of a store: compares every record with the index, and every index entry with the
//! records.

use std::collections::HashSet;

use super::Sealed;
use super::index::{Name, Slot, is_part_of_index};
use super::record_aad::root_record_id;
use super::violations::compare;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;
use crate::store::{MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan};

/// The progress of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Checked {
    pub(in crate::kms) records: u64,
    pub(in crate::kms) total: u64,
}

impl Sealed {
    /// Reads every record, compares it with the index, opens it and passes it to `examine`. Then
    /// searches for records that the index lists but that are missing, and asks the store to check
    /// its structure. Problems are collected and do not stop the verification.
    pub(in crate::kms) fn verify(
        &self,
        progress: &mut dyn FnMut(Checked),
        examine: &dyn Fn(&RecordId, &SecretBytes) -> Result<()>,
    ) -> Result<(u64, Vec<Error>)> {
        self.check_anchor()?;
        let start = self.store.revision()?;
        let listed = self.open_index(0..=u8::MAX)?.values().map(|bucket| bucket.1.len()).sum();
        let mut checked = Checked { records: 0, total: u64::try_from(listed).unwrap_or(u64::MAX) };
        let mut seen = HashSet::with_capacity(listed);
        let mut problems = Vec::new();
        self.each_page(|page| {
            for (id, record) in page.iter().filter(|(id, _)| !is_part_of_index(id)) {
                let slot = Slot::of(&self.identity, id);
                seen.insert(slot.name);
                checked.records += 1;
                problems.extend(self.verify_record(id, record, slot, examine).err());
            }
            progress(checked);
        })?;
        problems.extend(self.missing(&seen, start)?);
        problems.extend(self.store.check_structure()?.into_iter().map(Error::from));
        Ok((checked.records, problems))
    }

    /// Visits every record as stored, up to `MAX_SCAN` at a time.
    pub(super) fn each_page(&self, mut visit: impl FnMut(&[(RecordId, Record)])) -> Result<()> {
        for &kind in RecordKind::ALL {
            let mut after = None;
            loop {
                let page = self.store.scan(&Scan { kind, account: None, after, limit: MAX_SCAN })?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                visit(&page);
            }
        }
        Ok(())
    }

    fn verify_record(
        &self,
        id: &RecordId,
        record: &Record,
        slot: Slot,
        examine: &dyn Fn(&RecordId, &SecretBytes) -> Result<()>,
    ) -> Result<()> {
        let known = self.index.bucket(slot.bucket);
        let listed = known.and_then(|bucket| bucket.1.find(&slot.name));
        let mut current = Some(record.clone());
        if compare(id, Some(record), listed).is_err() {
            // Either the record was changed in the meantime, or it is damaged.
            current = self.get_sealed(id)?;
        }
        match current {
            Some(current) if *id != root_record_id() => examine(id, &self.open_record(id, &current)?),
            _ => Ok(()),
        }
    }

    /// Returns a problem for each index entry of revision `start` or earlier whose record was not
    /// seen.
    pub(super) fn missing(&self, seen: &HashSet<Name>, start: Revision) -> Result<Vec<Error>> {
        let index = self.open_index(0..=u8::MAX)?;
        let entries = index.values().flat_map(|bucket| bucket.1.entries());
        let missing = entries.filter(|(name, mark)| mark.revision <= start && !seen.contains(name));
        let problem = |revision: Revision| {
            let text = format!("a record that was last written at revision {} was removed", revision.0);
            Error::new(ErrorKind::Integrity, text)
        };
        Ok(missing.map(|(_, mark)| problem(mark.revision)).collect())
    }
}
