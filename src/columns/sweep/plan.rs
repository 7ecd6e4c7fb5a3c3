//! Decides for each row whether and how it changes.

use std::collections::HashMap;

use super::failure::SweepFailure;
use super::rows::{SweepChange, SweepPlan, SweepRow};
use crate::blob::BlobPrefix;
use crate::columns::blind_index::IndexValue;
use crate::columns::column::Column;
use crate::columns::row_id::RowId;
use crate::columns::stored::Encrypted;
use crate::columns::value::ColumnValue;
use crate::error::{Error, Fault, Result};

/// Computes the index value of a decrypted value.
pub(super) type Index<T> = dyn Fn(&RowId, &T) -> Result<IndexValue> + Send + Sync;

/// Returns the value of bytes in another form.
pub(super) type Convert<T> = dyn Fn(&RowId, &[u8]) -> Result<T> + Send + Sync;

/// The content of the rows before the sweep.
pub(super) enum Source<T> {
    /// Values of the column.
    Encrypted,
    /// Values in another form.
    Other(Box<Convert<T>>),
    /// Values in another form, and values of the column that were converted before.
    Mixed(Box<Convert<T>>),
}

impl<T> Source<T> {
    /// Returns `true` if the values must be written to another column: a conversion does not recognize
    /// values that are already converted.
    pub(super) const fn needs_target(&self) -> bool {
        matches!(self, Self::Other(_))
    }
}

/// The rules of a sweep.
pub(super) struct Rules<T> {
    pub(super) column: Column<T>,
    pub(super) source: Source<T>,
    pub(super) index: Option<Box<Index<T>>>,
    pub(super) rewrite_all: bool,
}

/// The newest key of each tenant in a batch, or the reason why it cannot be used.
type NewestKeys<'a> = HashMap<Option<&'a str>, Result<BlobPrefix>>;

impl<T: ColumnValue> Rules<T> {
    /// Examines a batch.
    ///
    /// # Errors
    /// - Errors that are no fault of a row: an outage of the KMS, its store or the audit trail.
    pub(super) fn plan(&self, rows: &[SweepRow]) -> Result<SweepPlan> {
        let mut plan = SweepPlan { changes: Vec::new(), current: 0, failures: Vec::new() };
        let mut newest = NewestKeys::new();
        for row in rows {
            match self.examine(row, &mut newest) {
                Ok(None) => plan.current += 1,
                Ok(Some(change)) => plan.changes.push(change),
                Err(error) if error.kind().fault() == Fault::Server => return Err(error),
                Err(error) => plan.failures.push(SweepFailure::new(row.cursor.clone(), error)),
            }
        }
        Ok(plan)
    }

    /// Returns the change of a row, or `None` if it is current.
    fn examine<'a>(&self, row: &'a SweepRow, newest: &mut NewestKeys<'a>) -> Result<Option<SweepChange>> {
        let stored = match &self.source {
            Source::Encrypted => {
                Ok(Encrypted::try_from(&row.stored[..]).map_err(|error| self.malformed(error.into()))?)
            }
            Source::Mixed(convert) => Encrypted::try_from(&row.stored[..]).map_err(|_| convert),
            Source::Other(convert) => Err(convert),
        };
        let (encoded, value, current) = match stored {
            Ok(stored) => {
                let current = !self.rewrite_all && self.is_current(row, &stored, newest)?;
                if current && self.index.is_none() {
                    return Ok(None);
                }
                let (encoded, value) = self.column.decrypt_encoded(&row.row, &stored)?;
                (Some(encoded), value, current)
            }
            Err(convert) => (None, convert(&row.row, &row.stored)?, false),
        };
        let index = self.index.as_ref().map(|index| index(&row.row, &value)).transpose()?;
        if current && index.as_ref().map(IndexValue::as_bytes) == row.index.as_deref() {
            return Ok(None);
        }
        // The same bytes again: the type may ignore a field that a later release of the program added.
        let new = match (current, encoded) {
            (true, _) => row.stored.clone(),
            (false, Some(encoded)) => self.column.encrypt_encoded(&row.row, &encoded)?.into_bytes(),
            (false, None) => self.column.encrypt(&row.row, value.as_borrowed())?.into_bytes(),
        };
        let tenant = row.row.tenant_name().map(str::to_owned);
        Ok(Some(SweepChange { cursor: row.cursor.clone(), old: row.stored.clone(), new, tenant, index }))
    }

    /// Returns `true` if a value was encrypted with the newest version of the key for new values.
    fn is_current<'a>(&self, row: &'a SweepRow, stored: &Encrypted<T>, newest: &mut NewestKeys<'a>) -> Result<bool> {
        let tenant = row.row.tenant_name();
        let newest = newest.entry(tenant).or_insert_with(|| self.column.newest_key(tenant));
        let newest = newest.as_ref().map_err(Error::clone)?;
        Ok(stored.key_id().as_bytes() == &newest.key_id && stored.key_version() >= newest.key_version)
    }

    fn malformed(&self, error: Error) -> Error {
        let text = format!("cannot read a value of {}.{}: {error}", self.column.table(), self.column.name());
        Error::new(error.kind(), text).with_source(error)
    }
}
