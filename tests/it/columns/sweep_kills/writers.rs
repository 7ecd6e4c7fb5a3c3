//! A program that writes rows while they are swept.

use strongroom::Result;
use strongroom::columns::{Column, RowId};

use super::super::support::{Mode, TestResult};
use super::database::{Database, Row, Write};
use super::kind::{Kind, Place, TENANTS};
use super::ledger::{Expected, Ledger, ROWS};
use super::random;

/// The number of different texts: few, so that a row often gets one that it had before.
const TEXTS: u64 = 3;

pub(super) struct Writer {
    kind: Kind,
    place: Place,
    columns: [Column<String>; 2],
    writes: u64,
}

impl Writer {
    pub(super) fn new(kind: Kind, place: &Place) -> TestResult<Self> {
        let columns = [place.column(Mode::ALL[0])?, place.column(Mode::ALL[1])?];
        Ok(Self { kind, place: place.clone(), columns, writes: 0 })
    }

    pub(super) const fn writes(&self) -> u64 {
        self.writes
    }

    /// Writes to a random row, and records it when the database has acknowledged it.
    pub(super) fn write(&mut self, database: &mut impl Database, ledger: &Ledger) -> TestResult {
        let [id, action, tenant, text, column] = [ROWS.unsigned_abs(), 6, 2, TEXTS + 2, 2].map(below);
        let (id, tenant) = (i64::try_from(id?)?, if tenant? == 0 { TENANTS[0] } else { TENANTS[1] });
        let text = match text? {
            number if number < TEXTS => Some(format!("number {number}")),
            number if number == TEXTS => Some(format!("number {}", random()?)),
            _ => None,
        };
        let column = &self.columns[usize::try_from(column?)?];
        let mut locked = ledger.lock(id);
        let (action, before) = (action?, locked.clone());
        let after = match (action, before) {
            (0, Some(_)) => {
                database.write(&Write::Delete { id })?;
                None
            }
            // Deleted and inserted again, often for another tenant.
            (1, Some(_)) => {
                database.write(&Write::Delete { id })?;
                *locked = None;
                let expected = Expected { tenant, text };
                database.write(&Write::Insert(self.row(id, &expected, column)?))?;
                Some(expected)
            }
            (2 | 3, Some(before)) if text.is_some() && self.kind != Kind::Renew => {
                // A program of an earlier release writes plaintext.
                let phone = text.clone().ok_or("a text")?;
                database.write(&match self.kind {
                    Kind::Convert => Write::UpdatePhone { id, phone },
                    _ => Write::UpdateSecret { id, secret: phone },
                })?;
                Some(Expected { text, ..before })
            }
            (_, before) => {
                let expected = Expected { tenant, text };
                let row = self.row(id, &expected, column)?;
                database.write(&if before.is_some() { Write::Update(row) } else { Write::Insert(row) })?;
                Some(expected)
            }
        };
        *locked = after;
        self.writes += 1;
        Ok(())
    }

    /// Returns a row as it is written by a program that encrypts. In some new rows, the value is
    /// plaintext.
    fn row(&self, id: i64, expected: &Expected, column: &Column<String>) -> TestResult<Row> {
        let Expected { tenant, text } = expected;
        let place = RowId::new(id).tenant(*tenant);
        let has_plaintext = self.kind != Kind::Renew && below(3)? == 0;
        let secret = match (self.kind, text) {
            (_, None) => None,
            (Kind::Convert, Some(_)) if has_plaintext => None,
            (_, Some(text)) if has_plaintext => Some(text.clone().into_bytes()),
            (_, Some(text)) => Some(column.encrypt(&place, text)?.into_bytes()),
        };
        let index = match text {
            Some(text) if !has_plaintext => Some(self.place.index.of_text(Some(tenant), text)?.into_bytes()),
            _ => None,
        };
        let phone = if self.kind == Kind::Convert { text.clone() } else { None };
        Ok(Row { id, tenant: (*tenant).to_owned(), phone, secret, index })
    }
}

/// Returns a random number below a limit.
fn below(limit: u64) -> Result<u64> {
    Ok(random()? % limit)
}
