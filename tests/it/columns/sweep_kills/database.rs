//! The statements of sweeps and writers.

use strongroom::columns::{Sweep, SweepColumns, SweepReport};

use super::super::support::TestResult;

/// The columns of a row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) tenant: String,
    pub(super) phone: Option<String>,
    pub(super) secret: Option<Vec<u8>>,
    pub(super) index: Option<Vec<u8>>,
}

/// A change by a writer. The database has acknowledged it when [`Database::write`] returns.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// The row does not exist.
    Insert(Row),
    /// Replaces all columns.
    Update(Row),
    /// Replaces the plaintext, like a program that knows no index: it resets the encrypted value.
    UpdatePhone {
        id: i64,
        phone: String,
    },
    /// Replaces the value by plaintext, like a program that knows no encryption.
    UpdateSecret {
        id: i64,
        secret: String,
    },
    Delete {
        id: i64,
    },
}

pub(super) trait Database {
    /// Creates the table `users`.
    fn create_table(&mut self) -> TestResult;

    /// Makes a change.
    fn write(&mut self, write: &Write) -> TestResult;

    /// Returns all rows.
    fn rows(&mut self) -> TestResult<Vec<Row>>;

    /// Runs a sweep to the end of the table.
    fn sweep(&mut self, sweep: Sweep<String>, columns: SweepColumns) -> TestResult<SweepReport>;
}

// The numbers are in the order in which they occur: SQLite counts occurrences of `$n`.
pub(super) const INSERT: &str =
    "INSERT INTO users (id, tenant, phone, secret, phone_index) VALUES ($1, $2, $3, $4, $5)";
pub(super) const UPDATE: &str =
    "UPDATE users SET id = $1, tenant = $2, phone = $3, secret = $4, phone_index = $5 WHERE id = $1";
pub(super) const UPDATE_PHONE: &str = "UPDATE users SET phone = $1, secret = NULL WHERE id = $2";
pub(super) const UPDATE_SECRET: &str = "UPDATE users SET secret = $1 WHERE id = $2";
pub(super) const DELETE: &str = "DELETE FROM users WHERE id = $1";
pub(super) const ROWS: &str = "SELECT id, tenant, phone, secret, phone_index FROM users";
