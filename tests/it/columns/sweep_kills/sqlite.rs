//! Sweeps over a table in SQLite.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use strongroom::columns::{Encrypted, SqliteSweepTable, Sweep, SweepColumns, SweepReport};

use super::super::support::TestResult;
use super::database::{self, Database, Row, Write};
use super::kind::Kind;
use super::{kills, sweep_forever};

const PROGRAM: &str = "columns::sweep_kills::sqlite::sweeps_until_it_is_killed";

#[test]
fn killed_renewals_in_sqlite_lose_and_double_nothing() -> TestResult {
    kills(Kind::Renew, PROGRAM, "", connect_with_log)
}

#[test]
fn killed_conversions_in_sqlite_lose_and_double_nothing() -> TestResult {
    kills(Kind::Convert, PROGRAM, "", connect_with_log)
}

/// With a rollback journal, which readers and writers block.
#[test]
fn killed_conversions_in_place_in_sqlite_lose_and_double_nothing() -> TestResult {
    kills(Kind::ConvertInPlace, PROGRAM, "", connect)
}

#[test]
#[ignore = "run only as the child process of a test"]
fn sweeps_until_it_is_killed() -> TestResult {
    sweep_forever(connect)
}

fn connect(folder: &Path, _: &str) -> TestResult<Connection> {
    let database = Connection::open(folder.join("users.db"))?;
    database.busy_timeout(Duration::from_secs(60))?;
    Ok(database)
}

/// The file remains in this mode.
fn connect_with_log(folder: &Path, url: &str) -> TestResult<Connection> {
    let database = connect(folder, url)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    Ok(database)
}

impl Database for Connection {
    fn create_table(&mut self) -> TestResult {
        Ok(self.execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, phone TEXT, secret BLOB, phone_index BLOB)",
        )?)
    }

    fn write(&mut self, write: &Write) -> TestResult {
        let changed = match write {
            Write::Insert(row) => put(self, database::INSERT, row)?,
            Write::Update(row) => put(self, database::UPDATE, row)?,
            Write::UpdatePhone { id, phone } => self.execute(database::UPDATE_PHONE, params![phone, id])?,
            Write::UpdateSecret { id, secret } => self.execute(database::UPDATE_SECRET, params![secret, id])?,
            Write::Delete { id } => self.execute(database::DELETE, params![id])?,
        };
        assert_eq!(changed, 1, "{write:?}");
        Ok(())
    }

    fn rows(&mut self) -> TestResult<Vec<Row>> {
        let mut select = self.prepare_cached(database::ROWS)?;
        let rows = select.query_map([], |row| {
            let secret = match row.get_ref(3)? {
                ValueRef::Null => None,
                value => Some(value.as_bytes()?.to_vec()),
            };
            Ok(Row { id: row.get(0)?, tenant: row.get(1)?, phone: row.get(2)?, secret, index: row.get(4)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn sweep(&mut self, sweep: Sweep<String>, columns: SweepColumns) -> TestResult<SweepReport> {
        Ok(sweep.run(&mut SqliteSweepTable::new(self, columns), |_| ControlFlow::Continue(()))?)
    }
}

/// Writes a row. Plaintext is `TEXT`.
fn put(database: &Connection, sql: &str, row: &Row) -> TestResult<usize> {
    let Row { id, tenant, phone, secret, index } = row;
    let secret = secret.as_deref().map(|bytes| match Encrypted::<String>::try_from(bytes) {
        Ok(_) => ValueRef::Blob(bytes),
        Err(_) => ValueRef::Text(bytes),
    });
    let secret = rusqlite::types::ToSqlOutput::Borrowed(secret.unwrap_or(ValueRef::Null));
    Ok(database.execute(sql, params![id, tenant, phone, secret, index])?)
}
