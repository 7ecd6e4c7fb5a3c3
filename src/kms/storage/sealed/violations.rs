//! Comparison of records with the index, and the errors that report altered stores.

use super::index::RecordVersion;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Record, RecordId, Revision};

/// Checks that a record matches its index entry.
pub(super) fn compare(id: &RecordId, record: Option<&Record>, listed: Option<RecordVersion>) -> Result<()> {
    let found = record.map(|record| RecordVersion::of(record.revision, &record.body)).transpose()?;
    match (found, listed) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(violated(id, "was removed")),
        (Some(_), None) => Err(unlisted(id)),
        (Some(found), Some(listed)) if found == listed => Ok(()),
        (Some(_), Some(_)) => Err(violated(id, "was replaced by an earlier or altered version")),
    }
}

pub(super) fn unlisted(id: &RecordId) -> Error {
    violated(id, "was not added by strongroom, or was deleted and restored")
}

pub(super) fn violated(id: &RecordId, what: &str) -> Error {
    let name = base16ct::lower::encode_string(&id.name);
    let text = format!("a record of the store {what} (kind {}, account {}, name {name})", id.kind.code(), id.account);
    Error::new(ErrorKind::Integrity, text)
}

pub(super) fn set_back(from: Revision, to: Revision) -> Error {
    let text =
        format!("the store's index was rolled back: it is at revision {}, but the store has reached {}", to.0, from.0);
    Error::new(ErrorKind::Integrity, text)
}

/// Returns the error for a store whose own records are missing or malformed.
pub(super) fn unusable() -> Error {
    Error::new(ErrorKind::Integrity, "the store's own records are missing or malformed")
}
