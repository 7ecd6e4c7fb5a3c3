//! The acknowledged writes.

use std::sync::{Mutex, MutexGuard};

use strongroom::columns::{Encrypted, RowId};

use super::super::support::{Mode, TestResult};
use super::database::Row;
use super::kind::{Kind, Place};

/// The number of rows that may exist. Few, so that sweeps and writers meet.
pub(super) const ROWS: i64 = 40;

/// The row that the last acknowledged write left. `None` in `text` is `NULL`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) tenant: &'static str,
    pub(super) text: Option<String>,
}

/// For each row, the last acknowledged write. A writer locks the row while it writes.
pub(super) struct Ledger(Vec<Mutex<Option<Expected>>>);

impl Ledger {
    pub(super) fn new() -> Self {
        Self((0..ROWS).map(|_| Mutex::new(None)).collect())
    }

    pub(super) fn lock(&self, id: i64) -> MutexGuard<'_, Option<Expected>> {
        let number = usize::try_from(id).expect("a number of a row");
        self.0[number].lock().expect("no thread panicked")
    }

    /// Compares all rows while no writer writes.
    pub(super) fn check(&self, kind: Kind, place: &Place, rows: &[Row]) -> TestResult {
        for id in 0..ROWS {
            let expected = self.lock(id).clone();
            let found: Vec<_> = rows.iter().filter(|row| row.id == id).collect();
            match (&found[..], expected) {
                ([], None) => {}
                ([row], Some(expected)) => check_row(kind, place, row, &expected)?,
                (found, expected) => return Err(format!("row {id}: {expected:?}, but {} rows", found.len()).into()),
            }
        }
        Ok(())
    }

    /// Compares all rows after a sweep that was complete.
    pub(super) fn check_complete(&self, kind: Kind, place: &Place, rows: &[Row]) -> TestResult {
        self.check(kind, place, rows)?;
        let mut encrypted = 0;
        for row in rows {
            let Some(text) = self.lock(row.id).clone().and_then(|expected| expected.text) else { continue };
            let secret = row.secret.clone().ok_or("the sweep encrypted the row")?;
            let stored = Encrypted::<String>::from_bytes(secret)?;
            assert_eq!(stored.key_version(), place.newest_version(&row.tenant)?, "{kind:?}: row {}", row.id);
            let index = place.index.of_text(Some(&row.tenant), &text)?;
            assert_eq!(row.index.as_deref(), Some(index.as_bytes()), "{kind:?}: the index of row {}", row.id);
            encrypted += 1;
        }
        assert!(encrypted > ROWS / 4, "{encrypted} rows have a value");
        Ok(())
    }
}

fn check_row(kind: Kind, place: &Place, row: &Row, expected: &Expected) -> TestResult {
    assert_eq!(row.tenant, expected.tenant);
    let column = place.column(Mode::Blobs)?;
    let secret = match &row.secret {
        None => None,
        Some(bytes) => Some(match Encrypted::try_from(&bytes[..]) {
            Ok(stored) => column.decrypt(&RowId::new(row.id).tenant(&row.tenant), &stored)?,
            Err(_) if kind == Kind::ConvertInPlace => String::from_utf8(bytes.clone())?,
            Err(error) => return Err(error.into()),
        }),
    };
    if kind == Kind::Convert {
        assert_eq!(row.phone, expected.text, "row {}", row.id);
        if secret.is_none() {
            return Ok(());
        }
    }
    assert_eq!(secret, expected.text, "{kind:?}: row {}", row.id);
    Ok(())
}
