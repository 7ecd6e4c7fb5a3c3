//! Columns in a PostgreSQL database.

use std::error::Error as _;
use std::ops::ControlFlow;

use strongroom::columns::{
    Column, ColumnKeys, Encrypted, PostgresSweepTable, RowId, StoredValueError, Sweep, SweepColumns,
};
use tokio_postgres::{Client, NoTls};

use super::support::{Mode, TestResult, kms_with_key};
use crate::support::postgres::{Database, shared};

/// Connects to a new database, and runs a test on a runtime.
pub(super) fn with_database<F>(test: &str, body: impl FnOnce(Client, String) -> F) -> TestResult
where
    F: Future<Output = TestResult>,
{
    let Some(server) = shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let url = database.url();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let client = connect(&url).await?;
        body(client, url.clone()).await
    })
}

/// Opens another connection.
pub(super) async fn connect(url: &str) -> TestResult<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[test]
fn null_empty_and_long_values_stay_apart_in_postgresql() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    with_database("columns::postgres::null_empty_and_long_values", async |client, _| {
        client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, phone bytea)").await?;
        for (number, mode) in (0_i64..).zip(Mode::ALL) {
            let column: Column<String> = mode.column(&keys, "users", "phone")?;
            let long = "x".repeat(10_000);
            for (id, value) in [(1, None), (2, Some("")), (3, Some("+44 20 7946 0123")), (4, Some(&long[..]))] {
                let id = 10 * number + id;
                let stored = value.map(|text| column.encrypt(&RowId::new(id), text)).transpose()?;
                client.execute("INSERT INTO users VALUES ($1, $2)", &[&id, &stored]).await?;
                let row = client.query_one("SELECT phone FROM users WHERE id = $1", &[&id]).await?;
                let read: Option<Encrypted<String>> = row.try_get(0)?;
                let read = read.map(|stored| column.decrypt(&RowId::new(id), &stored)).transpose()?;
                assert_eq!(read.as_deref(), value);
            }
        }
        Ok(())
    })
}

#[test]
fn values_that_sql_moved_or_wrote_are_rejected() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    with_database("columns::postgres::values_that_sql_moved", async |client, _| {
        client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, phone bytea, note text)").await?;
        for id in [1_i64, 2] {
            let stored = column.encrypt(&RowId::new(id), &format!("number {id}"))?;
            client.execute("INSERT INTO users VALUES ($1, $2)", &[&id, &stored]).await?;
        }
        let swap = "UPDATE users SET phone = (SELECT phone FROM users other WHERE other.id = 3 - users.id)";
        client.batch_execute(swap).await?;
        for row in client.query("SELECT id, phone FROM users", &[]).await? {
            let (id, stored): (i64, Encrypted<String>) = (row.try_get(0)?, row.try_get(1)?);
            assert!(column.decrypt(&RowId::new(id), &stored).is_err());
            assert_eq!(column.decrypt(&RowId::new(3 - id), &stored)?, format!("number {}", 3 - id));
        }
        client.batch_execute("UPDATE users SET phone = '\\x2b', note = 'text'").await?;
        let row = client.query_one("SELECT phone, note FROM users WHERE id = 1", &[]).await?;
        let plaintext = row.try_get::<_, Encrypted<String>>(0).expect_err("a plaintext");
        let reason = plaintext.source().and_then(|cause| cause.downcast_ref()).copied();
        assert_eq!(reason, Some(StoredValueError::NotEncrypted));
        assert!(row.try_get::<_, Encrypted<String>>(1).is_err(), "text is no stored value");
        Ok(())
    })
}

#[test]
fn a_sweep_over_postgresql_renews_converts_and_respects_writers() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::CachedDataKeys.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    with_database("columns::postgres::a_sweep_over_postgresql", async |mut client, url| {
        client
            .batch_execute(
                "CREATE SCHEMA crm; CREATE TABLE crm.users (id uuid PRIMARY KEY, tenant text, phone text, secret bytea);
                 INSERT INTO crm.users SELECT gen_random_uuid(), 'acme', 'number ' || n FROM generate_series(1, 40) n;
                 INSERT INTO crm.users VALUES (gen_random_uuid(), NULL, ''), (gen_random_uuid(), NULL, NULL);",
            )
            .await?;
        let names = || SweepColumns::new("users", "id", "phone").schema("crm").tenant("tenant");
        let text = |_: &RowId, bytes: &[u8]| Ok(String::from_utf8_lossy(bytes).into_owned());
        let table = PostgresSweepTable::new(names().target("secret"));
        let sweep = Sweep::convert(&column, text).batch_size(15);
        let report = table.run(&mut client, sweep, |_| ControlFlow::Continue(())).await?;
        assert!(report.is_complete() && report.changed() == 41, "{report:?}");

        kms.rotate_key_on_demand(key)?;
        let table = PostgresSweepTable::new(SweepColumns::new("users", "id", "secret").schema("crm").tenant("tenant"));
        let other = connect(&url).await?;
        let newer = "UPDATE crm.users SET secret = NULL WHERE phone = 'number 7'";
        other.batch_execute(newer).await?;
        let report = table.run(&mut client, Sweep::new(&column).batch_size(9), |_| ControlFlow::Continue(())).await?;
        assert!(report.is_complete() && report.changed() == 40, "{report:?}");
        let rows = client.query("SELECT id::text, tenant, phone, secret FROM crm.users WHERE secret IS NOT NULL", &[]);
        for row in rows.await? {
            let (id, tenant, phone): (String, Option<String>, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let stored: Encrypted<String> = row.try_get(3)?;
            assert_eq!(stored.key_version(), 2);
            let place = tenant.into_iter().fold(RowId::new(id), RowId::tenant);
            assert_eq!(column.decrypt(&place, &stored)?, phone);
        }
        let again = table.run(&mut client, Sweep::new(&column), |_| ControlFlow::Continue(())).await?;
        assert_eq!((again.current(), again.changed()), (40, 0));
        Ok(())
    })
}

/// A writer on another connection changes rows while the sweep runs.
#[test]
fn writers_beside_a_sweep_over_postgresql_lose_nothing() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::Blobs.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    with_database("columns::postgres::writers_beside_a_sweep", async |mut client, url| {
        client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, phone bytea)").await?;
        for id in 1_i64..=100 {
            let stored = column.encrypt(&RowId::new(id), "first")?;
            client.execute("INSERT INTO users VALUES ($1, $2)", &[&id, &stored]).await?;
        }
        let writer = {
            let (column, other) = (column.clone(), connect(&url).await?);
            tokio::spawn(async move {
                for id in (2_i64..=100).step_by(2) {
                    let stored = column.encrypt(&RowId::new(id), "second").expect("the KMS works");
                    let update = "UPDATE users SET phone = $2 WHERE id = $1";
                    assert_eq!(other.execute(update, &[&id, &stored]).await.expect("the database works"), 1);
                }
            })
        };
        let table = PostgresSweepTable::new(SweepColumns::new("users", "id", "phone"));
        while !writer.is_finished() {
            let sweep = Sweep::new(&column).rewrite_all().batch_size(6);
            table.run(&mut client, sweep, |_| ControlFlow::Continue(())).await?;
        }
        writer.await?;
        for row in client.query("SELECT id, phone FROM users", &[]).await? {
            let (id, stored): (i64, Encrypted<String>) = (row.try_get(0)?, row.try_get(1)?);
            let expected = if id % 2 == 0 { "second" } else { "first" };
            assert_eq!(column.decrypt(&RowId::new(id), &stored)?, expected);
        }
        Ok(())
    })
}
