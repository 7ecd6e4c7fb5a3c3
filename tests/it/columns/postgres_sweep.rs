//! Tables in PostgreSQL that are difficult for a sweep.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use strongroom::columns::{
    BlindIndex, Column, ColumnKeys, Encrypted, PostgresSweepTable, RowId, Sweep, SweepColumns, SweepError, SweepReport,
};
use strongroom::key::{KeyId, KeySpec, KeyUsage, OnDemandRotationLimit};
use strongroom::request::CreateKeyRequest;
use strongroom::{Error, ErrorKind, Kms, KmsLimits, Result};
use tokio_postgres::Client;

use super::postgres::{connect, with_database};
use super::support::TestResult;
use crate::support::postgres::psql;

fn column() -> TestResult<(Kms, KeyId, Column<String>)> {
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1_000), ..KmsLimits::default() };
    let kms = Kms::builder().limits(limits).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let column = Column::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    Ok((kms, key, column))
}

fn text(_: &RowId, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::new(ErrorKind::Validation, "it is not text"))
}

fn plain() -> SweepColumns {
    SweepColumns::new("users", "id", "phone")
}

async fn run(
    client: &mut Client,
    sweep: Sweep<String>,
    columns: SweepColumns,
) -> Result<SweepReport, SweepError<tokio_postgres::Error>> {
    PostgresSweepTable::new(columns).run(client, sweep, |_| ControlFlow::Continue(())).await
}

/// Compares the encrypted values with the plaintext in the same rows.
async fn check_converted(client: &Client, column: &Column<String>) -> TestResult<u64> {
    let rows = client.query("SELECT id::text, phone, secret FROM users", &[]).await?;
    for row in &rows {
        let (id, phone, secret): (String, String, Encrypted<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        assert_eq!(column.decrypt(&RowId::new(&id), &secret)?, phone, "{id}");
    }
    Ok(u64::try_from(rows.len())?)
}

/// Types of primary keys, and values of each.
const KEYS: [(&str, &str); 20] = [
    (
        "bigint",
        "(-9223372036854775808), (-10), (-9), (-1), (0), (1), (2), (3), (9), (10), (11), (100), (9223372036854775807)",
    ),
    ("integer", "(2147483647), (-2147483648), (7), (70), (8)"),
    ("smallint", "(9), (10), (-1), (-10)"),
    ("numeric", "(10), (9), (1.50), (-0.001), (12345678901234567890.5), ('NaN'), ('Infinity')"),
    ("double precision", "(0.1), (1e300), (-1e-300), (3), ('NaN'), ('-Infinity'), (1.0000000000000002), (10), (9)"),
    ("real", "(0.1), (16777216), (3.4e38), (-1)"),
    (
        "text",
        "('b'), ('A'), ('a'), ('B'), ('Z'), ('\u{E9}'), ('e\u{301}'), (' '), ('a b'), ('ab'), ('''\"'), ('10'), ('9')",
    ),
    ("text COLLATE \"C\"", "('b'), ('A'), ('a'), ('\u{E9}'), ('e')"),
    ("text COLLATE \"und-x-icu\"", "('b'), ('A'), ('a'), ('\u{E9}'), ('e'), ('a-b'), ('ab'), ('a c')"),
    ("text COLLATE any_case", "('b'), ('A'), ('c'), ('\u{C9}'), ('e'), ('Z')"),
    ("varchar(5)", "('b'), ('A'), ('abcde')"),
    ("char(5)", "('b'), ('A'), ('abcde')"),
    ("uuid", "('00000000-0000-0000-0000-000000000001'), ('ffffffff-ffff-ffff-ffff-ffffffffffff')"),
    ("timestamptz", "('2026-11-30 12:00+00'), ('2026-10-25 02:30+02'), ('2026-10-25 02:30+01'), ('-infinity')"),
    ("date", "('2026-11-30'), ('0044-03-15 BC'), ('2025-12-01')"),
    ("bytea", "('\\x00'), ('\\x'), ('\\xff00')"),
    ("boolean", "(true), (false)"),
    ("mood", "('sad'), ('happy'), ('calm')"),
    ("number", "(10), (9), (1)"),
    ("inet", "('10.0.0.2'), ('10.0.0.10'), ('::1')"),
];

#[test]
fn every_row_is_visited_once_in_the_order_of_any_type() -> TestResult {
    let (kms, key, column) = column()?;
    with_database("columns::postgres_sweep::every_row_is_visited_once", async |mut client, _| {
        client
            .batch_execute(
                "CREATE TYPE mood AS ENUM ('sad', 'calm', 'happy'); CREATE DOMAIN number AS integer CHECK (VALUE > 0);
                 CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                 SET TIME ZONE 'Europe/Berlin'",
            )
            .await?;
        for (kind, values) in KEYS {
            for batch in [1, 3] {
                let table = format!(
                    "DROP TABLE IF EXISTS users; CREATE TABLE users (id {kind} PRIMARY KEY, phone text, secret bytea);
                     INSERT INTO users (id) VALUES {values}; UPDATE users SET phone = 'number ' || id::text"
                );
                client.batch_execute(&table).await.map_err(|error| format!("{kind}: {error:?}"))?;
                let sweep = Sweep::convert(&column, text).batch_size(batch);
                let report = run(&mut client, sweep, plain().target("secret")).await;
                let report = report.map_err(|error| format!("{kind}: {error:?}"))?;
                assert!(report.is_complete(), "{kind}: {report:?}");
                assert_eq!(check_converted(&client, &column).await?, report.changed(), "{kind}");

                kms.rotate_key_on_demand(key)?;
                let secret = SweepColumns::new("users", "id", "secret");
                let renewed = run(&mut client, Sweep::new(&column).batch_size(batch), secret).await?;
                assert!(renewed.is_complete() && renewed.changed() == report.changed(), "{kind}: {renewed:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn keys_that_identify_no_row_stop_a_sweep() -> TestResult {
    let (_kms, _, column) = column()?;
    with_database("columns::postgres_sweep::keys_that_identify_no_row", async |mut client, _| {
        client
            .batch_execute(
                "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            )
            .await?;
        for (columns, rows) in [
            ("id integer, phone text, secret bytea", "(1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')"),
            ("id integer, phone text, secret bytea", "(1, 'a'), (2, 'b'), (NULL, 'c')"),
            ("id text COLLATE any_case, phone text, secret bytea", "('a', 'a'), ('b', 'b'), ('B', 'c')"),
            (
                "id integer, phone text, tenant text DEFAULT gen_random_uuid(), secret bytea, PRIMARY KEY (tenant, id)",
                "(1, 'a'), (2, 'b'), (2, 'c')",
            ),
        ] {
            for batch in [1, 2, 100] {
                let table = format!(
                    "DROP TABLE IF EXISTS users; CREATE TABLE users ({columns}); INSERT INTO users (id, phone) VALUES {rows}"
                );
                client.batch_execute(&table).await?;
                let sweep = Sweep::convert(&column, text).batch_size(batch);
                let stopped = run(&mut client, sweep, plain().target("secret")).await;
                assert!(matches!(stopped, Err(SweepError::Key | SweepError::Order)), "{columns}, {batch}: {stopped:?}");
                let changed =
                    "SELECT count(*) FROM users WHERE secret IS NOT NULL AND id::text <> '1' AND id::text <> 'a'";
                assert_eq!(client.query_one(changed, &[]).await?.try_get::<_, i64>(0)?, 0);
            }
        }
        // A text that is not exactly the key.
        client
            .batch_execute(
                "DROP TABLE users; CREATE TABLE users (id real PRIMARY KEY, phone text, secret bytea);
            INSERT INTO users VALUES (0.123456789, 'a', NULL); SET extra_float_digits = -2",
            )
            .await?;
        let stopped = run(&mut client, Sweep::convert(&column, text), plain().target("secret")).await;
        assert!(matches!(stopped, Err(SweepError::Key)), "{stopped:?}");
        Ok(())
    })
}

#[test]
fn a_sweep_that_does_not_fit_its_table_does_not_start() -> TestResult {
    let (kms, _, column) = column()?;
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let keys = ColumnKeys::new(&kms, kms.create_key(hmac)?.key_id())?;
    let index = BlindIndex::builder(&keys, "users", "phone").build()?;
    with_database("columns::postgres_sweep::a_sweep_that_does_not_fit", async |mut client, _| {
        client.batch_execute("CREATE TABLE users (id integer PRIMARY KEY, phone bytea, secret bytea)").await?;
        client.batch_execute("INSERT INTO users VALUES (1, 'one', NULL)").await?;
        let convert = || Sweep::convert(&column, text);
        assert!(matches!(run(&mut client, convert(), plain()).await, Err(SweepError::Target)));
        let target = || plain().target("secret");
        assert!(matches!(run(&mut client, Sweep::new(&column), target()).await, Err(SweepError::Target)));
        let in_place = Sweep::convert_in_place(&column, text);
        assert!(matches!(run(&mut client, in_place, target()).await, Err(SweepError::Target)));
        let with_index = convert().index(move |_, value: &String| index.of_text(None, value));
        assert!(matches!(run(&mut client, with_index, target()).await, Err(SweepError::Index)));
        let misspelled = run(&mut client, convert(), plain().target("secrett")).await;
        assert!(matches!(misspelled, Err(SweepError::Table(_))));
        Ok(())
    })
}

#[test]
fn names_may_contain_any_characters() -> TestResult {
    let (_kms, _, column) = column()?;
    with_database("columns::postgres_sweep::names_may_contain_any_characters", async |mut client, _| {
        client
            .batch_execute(
                r#"CREATE SCHEMA "Ü ""s"; CREATE TABLE "Ü ""s"."User; --" ("I""d" integer PRIMARY KEY, "select" text,
                   "pho ne" text, "1" bytea, "index" bytea);
                   INSERT INTO "Ü ""s"."User; --" SELECT n, 'acme', 'number ' || n FROM generate_series(1, 12) n"#,
            )
            .await?;
        let names = SweepColumns::new("User; --", "I\"d", "pho ne").schema("Ü \"s").tenant("select");
        let sweep = Sweep::convert(&column, text).batch_size(5);
        let report = run(&mut client, sweep, names.target("1").index("index")).await?;
        assert!(report.is_complete() && report.changed() == 12, "{report:?}");
        for row in client.query(r#"SELECT "I""d", "pho ne", "1" FROM "Ü ""s"."User; --""#, &[]).await? {
            let (id, phone, stored): (i32, String, Encrypted<String>) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            assert_eq!(column.decrypt(&RowId::new(id).tenant("acme"), &stored)?, phone);
        }
        Ok(())
    })
}

/// The conversion function itself makes the changes that another program could make.
#[test]
fn a_row_of_another_tenant_with_the_same_plaintext_is_left_alone() -> TestResult {
    let (_kms, _, column) = column()?;
    with_database("columns::postgres_sweep::a_row_of_another_tenant", async |mut client, url| {
        client
            .batch_execute(
                "CREATE TABLE users (id integer PRIMARY KEY, tenant text, phone bytea);
                 INSERT INTO users VALUES (1, 'acme', 'one'), (2, 'acme', 'two'), (3, NULL, 'three'), (4, 'acme', 'four')",
            )
            .await?;
        let interference = Mutex::new(Some(
            "DELETE FROM users WHERE id = 1; INSERT INTO users VALUES (1, 'globex', 'one');
             UPDATE users SET tenant = NULL WHERE id = 2; UPDATE users SET tenant = 'acme' WHERE id = 3",
        ));
        let convert = move |row: &RowId, bytes: &[u8]| {
            if let Some(sql) = interference.lock().expect("no thread panicked").take() {
                psql(&url, sql).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
            }
            text(row, bytes)
        };
        let names = || plain().tenant("tenant");
        let report = run(&mut client, Sweep::convert_in_place(&column, convert), names()).await?;
        assert_eq!((report.changed(), report.changed_by_others()), (1, 3));
        let report = run(&mut client, Sweep::convert_in_place(&column, text), names()).await?;
        assert!(report.is_complete() && report.changed() == 3);
        for row in client.query("SELECT id, tenant, phone FROM users", &[]).await? {
            let (id, tenant, stored): (i32, Option<String>, Encrypted<String>) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            column.decrypt(&tenant.into_iter().fold(RowId::new(id), RowId::tenant), &stored)?;
        }
        Ok(())
    })
}

/// A writer changes rows in the opposite order, and the server ends the transaction of the sweep.
#[test]
fn a_deadlock_with_a_writer_does_not_stop_a_sweep() -> TestResult {
    let (_kms, _, column) = column()?;
    with_database("columns::postgres_sweep::a_deadlock_with_a_writer", async |mut client, url| {
        client
            .batch_execute(
                "CREATE TABLE users (id integer PRIMARY KEY, phone text, secret bytea);
                 INSERT INTO users SELECT n, 'number ' || n FROM generate_series(1, 40) n;
                 SET deadlock_timeout = '5ms'; SET default_transaction_isolation = 'serializable'",
            )
            .await?;
        // The sweep is the last one to wait, and then looks for deadlocks first.
        let (writer, blocker, monitor) = (connect(&url).await?, connect(&url).await?, connect(&url).await?);
        writer
            .batch_execute("SET deadlock_timeout = '60s'; BEGIN; UPDATE users SET phone = 'other' WHERE id = 40")
            .await?;
        blocker.batch_execute("BEGIN; SELECT FROM users WHERE id = 20 FOR UPDATE").await?;
        let blocking: i32 = blocker.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        let writes = tokio::spawn(async move {
            wait_for(&monitor, &format!("{blocking} = ANY(pg_blocking_pids(pid))")).await?;
            // The sweep has changed the first rows.
            let written = tokio::spawn(async move {
                writer.batch_execute("UPDATE users SET phone = 'first' WHERE id = 1; COMMIT").await
            });
            wait_for(&monitor, "query LIKE '%WHERE id = 1; COMMIT' AND cardinality(pg_blocking_pids(pid)) > 0").await?;
            blocker.batch_execute("ROLLBACK").await?;
            written.await.expect("no task panicked")
        });
        let report = run(&mut client, Sweep::convert(&column, text), plain().target("secret")).await?;
        writes.await??;
        assert_eq!((report.changed(), report.changed_by_others()), (38, 2), "{report:?}");
        let rest = run(&mut client, Sweep::convert(&column, text), plain().target("secret")).await?;
        assert!(rest.is_complete() && rest.changed() == 2);
        assert_eq!(check_converted(&client, &column).await?, 40);
        Ok(())
    })
}

/// Waits until a session of the database fulfils a condition.
async fn wait_for(client: &Client, condition: &str) -> Result<(), tokio_postgres::Error> {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}");
    while client.query_one(&count, &[]).await?.try_get::<_, i64>(0)? == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

#[test]
fn a_batch_is_limited_in_bytes() -> TestResult {
    let (_kms, _, column) = column()?;
    let stored = column.encrypt(&RowId::new(1), "+44 20")?;
    with_database("columns::postgres_sweep::a_batch_is_limited_in_bytes", async |mut client, _| {
        client.batch_execute("CREATE TABLE users (id integer PRIMARY KEY, phone bytea)").await?;
        let fill =
            "INSERT INTO users SELECT n, $1 || convert_to(repeat('x', 1 << 20), 'UTF8') FROM generate_series(1, 70) n";
        client.execute(fill, &[&stored]).await?;
        let mut steps = Vec::new();
        let table = PostgresSweepTable::new(plain());
        let report = table.run(&mut client, Sweep::new(&column), |report| {
            steps.push(report.examined());
            ControlFlow::Continue(())
        });
        assert_eq!(report.await?.examined(), 70);
        assert_eq!(steps, [32, 64, 70]);
        Ok(())
    })
}

/// Converts many rows. `STRONGROOM_SWEEP_ROWS` sets their number.
#[test]
fn a_long_table_is_converted() -> TestResult {
    let rows: i64 = std::env::var("STRONGROOM_SWEEP_ROWS").map_or(Ok(2_000), |text| text.parse())?;
    let (_kms, _, column) = column()?;
    with_database("columns::postgres_sweep::a_long_table_is_converted", async |mut client, _| {
        client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, phone text, secret bytea)").await?;
        let fill = "INSERT INTO users SELECT n, 'number ' || n FROM generate_series(1, $1::bigint) n";
        client.execute(fill, &[&rows]).await?;
        let begun = std::time::Instant::now();
        let report = run(&mut client, Sweep::convert(&column, text), plain().target("secret")).await?;
        println!("{rows} rows in {:?}", begun.elapsed());
        assert!(report.is_complete() && report.changed() == u64::try_from(rows)?, "{report:?}");
        Ok(())
    })
}
