//! Sweeps over a table in PostgreSQL.

use std::ops::ControlFlow;
use std::path::Path;

use strongroom::columns::{PostgresSweepTable, Sweep, SweepColumns, SweepReport};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use super::super::support::TestResult;
use super::database::{self, Database, Row, Write};
use super::kind::Kind;
use super::{kills, sweep_forever};
use crate::support::postgres;

const PROGRAM: &str = "columns::sweep_kills::postgres::sweeps_until_it_is_killed";

#[test]
fn killed_renewals_in_postgresql_lose_and_double_nothing() -> TestResult {
    kills_in_postgresql("killed_renewals_in_postgresql", Kind::Renew)
}

#[test]
fn killed_conversions_in_postgresql_lose_and_double_nothing() -> TestResult {
    kills_in_postgresql("killed_conversions_in_postgresql", Kind::Convert)
}

#[test]
fn killed_conversions_in_place_in_postgresql_lose_and_double_nothing() -> TestResult {
    kills_in_postgresql("killed_conversions_in_place_in_postgresql", Kind::ConvertInPlace)
}

#[test]
#[ignore = "run only as the child process of a test"]
fn sweeps_until_it_is_killed() -> TestResult {
    sweep_forever(connect)
}

fn kills_in_postgresql(test: &str, kind: Kind) -> TestResult {
    let Some(server) = postgres::shared(&format!("columns::sweep_kills::postgres::{test}")) else { return Ok(()) };
    let database = postgres::Database::create(server)?;
    kills(kind, PROGRAM, &database.url(), connect)
}

/// A connection, and the threads on which it runs.
struct Connected {
    runtime: Runtime,
    client: Client,
}

fn connect(_: &Path, url: &str) -> TestResult<Connected> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
    runtime.spawn(connection);
    Ok(Connected { runtime, client })
}

impl Database for Connected {
    fn create_table(&mut self) -> TestResult {
        Ok(self.runtime.block_on(self.client.batch_execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, tenant text NOT NULL, phone text, secret bytea, phone_index bytea)",
        ))?)
    }

    fn write(&mut self, write: &Write) -> TestResult {
        let client = &self.client;
        let changed = self.runtime.block_on(async {
            match write {
                Write::Insert(row) => put(client, database::INSERT, row).await,
                Write::Update(row) => put(client, database::UPDATE, row).await,
                Write::UpdatePhone { id, phone } => client.execute(database::UPDATE_PHONE, &[phone, id]).await,
                Write::UpdateSecret { id, secret } => {
                    client.execute(database::UPDATE_SECRET, &[&secret.as_bytes(), id]).await
                }
                Write::Delete { id } => client.execute(database::DELETE, &[id]).await,
            }
        })?;
        assert_eq!(changed, 1, "{write:?}");
        Ok(())
    }

    fn rows(&mut self) -> TestResult<Vec<Row>> {
        let rows = self.runtime.block_on(self.client.query(database::ROWS, &[]))?;
        let row = |row: &tokio_postgres::Row| -> Result<Row, tokio_postgres::Error> {
            let (id, tenant, phone) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Row { id, tenant, phone, secret: row.try_get(3)?, index: row.try_get(4)? })
        };
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    fn sweep(&mut self, sweep: Sweep<String>, columns: SweepColumns) -> TestResult<SweepReport> {
        let table = PostgresSweepTable::new(columns);
        Ok(self.runtime.block_on(table.run(&mut self.client, sweep, |_| ControlFlow::Continue(())))?)
    }
}

async fn put(client: &Client, sql: &str, row: &Row) -> Result<u64, tokio_postgres::Error> {
    let Row { id, tenant, phone, secret, index } = row;
    client.execute(sql, &[id, tenant, phone, secret, index]).await
}
