//! Tables in SQLite that are difficult for a sweep.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};
use strongroom::columns::{
    BlindIndex, Column, ColumnKeys, Encrypted, RowId, SqliteSweepTable, Sweep, SweepColumns, SweepError, SweepReport,
    SweepTable,
};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{Error, ErrorKind, Kms, Result};

use super::support::{Mode, TestResult, kms_with_key};
use crate::support::child_process::is_alone;
use crate::support::rejecting_sink::RejectingSink;

fn column() -> TestResult<(Kms, Column<String>)> {
    let (kms, key) = kms_with_key()?;
    let column = Column::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    Ok((kms, column))
}

fn database(sql: &str) -> TestResult<Connection> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(sql)?;
    Ok(database)
}

fn text(_: &RowId, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::new(ErrorKind::Validation, "it is not text"))
}

fn plain() -> SweepColumns {
    SweepColumns::new("users", "id", "phone")
}

fn run(
    sweep: &Sweep<String>,
    database: &Connection,
    columns: SweepColumns,
) -> Result<SweepReport, SweepError<rusqlite::Error>> {
    sweep.run(&mut SqliteSweepTable::new(database, columns), |_| ControlFlow::Continue(()))
}

/// Returns the decrypted values of `secret`, which must equal `phone` in all rows.
fn check_converted(database: &Connection, column: &Column<String>, key: &str) -> TestResult<usize> {
    let mut select = database.prepare(&format!("SELECT CAST({key} AS TEXT), phone, secret FROM users"))?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(String, String, Encrypted<String>)> = rows.collect::<Result<_, _>>()?;
    for (id, phone, secret) in &rows {
        assert_eq!(column.decrypt(&RowId::new(id), secret)?, *phone, "{id}");
    }
    Ok(rows.len())
}

#[test]
fn text_of_every_encoding_is_converted() -> TestResult {
    let (_kms, column) = column()?;
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        for kind in ["TEXT", "TEXT COLLATE NOCASE", "BLOB"] {
            let database = database(&format!(
                "PRAGMA encoding = '{encoding}';
                 CREATE TABLE users (id TEXT PRIMARY KEY, phone {kind}, secret BLOB);
                 INSERT INTO users (id, phone) VALUES ('a', '+44 20'), ('b', ''), ('\u{E9}', 'Ren\u{E9}'), ('\u{1F511}', '\u{1F511} \u{FFFD}');",
            ))?;
            let found: String = database.query_row("PRAGMA encoding", [], |row| row.get(0))?;
            assert_eq!(found, encoding);
            let convert = Sweep::convert(&column, text).batch_size(1);
            let report = run(&convert, &database, plain().target("secret"))?;
            assert!(report.is_complete() && report.changed() == 4, "{encoding}, {kind}: {report:?}");
            assert_eq!(check_converted(&database, &column, "id")?, 4);

            let report = run(&Sweep::convert_in_place(&column, text), &database, plain())?;
            assert!(report.is_complete() && report.changed() == 4, "{encoding}, {kind}: {report:?}");
            let again = run(&Sweep::convert_in_place(&column, text), &database, plain())?;
            assert!(again.is_complete() && again.current() == 4);
        }
    }
    // Bytes that are no UTF-8 are a failure of the row, and remain as they are.
    let database = database(
        "CREATE TABLE users (id TEXT PRIMARY KEY, phone TEXT);
         INSERT INTO users VALUES ('a', CAST(X'FFFE' AS TEXT)), ('b', X'FFFE'), ('c', 'good');",
    )?;
    let report = run(&Sweep::convert_in_place(&column, text), &database, plain())?;
    assert_eq!((report.changed(), report.failed()), (1, 2));
    // The old scheme may have written them.
    let latin = |_: &RowId, bytes: &[u8]| Ok(bytes.iter().map(|byte| char::from(*byte)).collect());
    let report = run(&Sweep::convert_in_place(&column, latin), &database, plain())?;
    assert!(report.is_complete() && report.changed() == 2, "{report:?}");
    Ok(())
}

#[test]
fn rows_are_visited_once_in_the_order_of_any_collation() -> TestResult {
    let (_kms, column) = column()?;
    let keys = ["b", "A", "c", "B2", "Z", "a1", "_", "\u{E9}", "", " ", "a ", "i:7", "t:", "it's \"it\""];
    for collation in ["BINARY", "NOCASE", "RTRIM"] {
        let database = database(&format!(
            "CREATE TABLE users (id TEXT PRIMARY KEY COLLATE {collation}, phone TEXT, secret BLOB)"
        ))?;
        let mut inserted = 0;
        for key in keys {
            let insert = "INSERT OR IGNORE INTO users VALUES (?1, ?1 || '!', NULL)";
            inserted += u64::try_from(database.execute(insert, [key])?)?;
        }
        assert!(inserted > 10);
        let report = run(&Sweep::convert(&column, text).batch_size(1), &database, plain().target("secret"))?;
        // An empty key identifies no row.
        assert_eq!((report.examined(), report.changed(), report.failed()), (inserted, inserted - 1, 1), "{collation}");
        database.execute("DELETE FROM users WHERE length(id) = 0", [])?;
        assert_eq!(u64::try_from(check_converted(&database, &column, "id")?)?, inserted - 1);
    }
    Ok(())
}

#[test]
fn numbers_up_to_the_limits_are_keys() -> TestResult {
    let (_kms, column) = column()?;
    let keys = [i64::MIN, i64::MIN + 1, -100, -9, -1, 0, 1, 2, 10, 100, i64::MAX - 1, i64::MAX];
    for kind in ["INTEGER PRIMARY KEY", "INT PRIMARY KEY", "NUMERIC UNIQUE"] {
        let database = database(&format!("CREATE TABLE users (id {kind}, phone TEXT, secret BLOB)"))?;
        for key in keys {
            database.execute("INSERT INTO users VALUES (?1, 'number ' || ?1, NULL)", [key])?;
        }
        let report = run(&Sweep::convert(&column, text).batch_size(1), &database, plain().target("secret"))?;
        assert!(report.is_complete() && report.changed() == 12, "{kind}: {report:?}");
        assert_eq!(report.cursor(), Some("i:9223372036854775807"));
        assert_eq!(check_converted(&database, &column, "id")?, keys.len());
    }
    Ok(())
}

#[test]
fn keys_that_identify_no_row_stop_a_sweep_before_it_changes_anything() -> TestResult {
    let (_kms, column) = column()?;
    let repeated = [
        "CREATE TABLE users (id INTEGER, phone TEXT, secret BLOB);
         INSERT INTO users (id, phone) VALUES (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')",
        "CREATE TABLE users (id TEXT COLLATE NOCASE, phone TEXT, secret BLOB);
         INSERT INTO users (id, phone) VALUES ('a', 'a'), ('b', 'b'), ('B', 'c'), ('c', 'd')",
        // Unique only together with the tenant.
        "CREATE TABLE users (tenant TEXT, id INTEGER, phone TEXT, secret BLOB, PRIMARY KEY (tenant, id));
         INSERT INTO users (tenant, id, phone) VALUES ('acme', 1, 'a'), ('acme', 2, 'b'), ('globex', 2, 'c')",
        // One of them was converted by another program.
        "CREATE TABLE users (id INTEGER, phone TEXT, secret BLOB);
         INSERT INTO users VALUES (1, 'a', NULL), (2, 'b', X'01'), (2, 'c', NULL)",
    ];
    for sql in repeated {
        for batch in [1, 2, 3, 100] {
            let database = database(sql)?;
            let sweep = Sweep::convert(&column, text).batch_size(batch);
            let stopped = run(&sweep, &database, plain().target("secret"));
            let repeats = matches!(stopped, Err(SweepError::Key | SweepError::Order));
            assert!(repeats, "batches of {batch}: {stopped:?}");
            let changed: i64 =
                database
                    .query_row("SELECT count(*) FROM users WHERE secret > X'02' AND id = 2", [], |row| row.get(0))?;
            assert_eq!(changed, 0);
        }
    }
    for key in ["1.5", "NULL", "X'0102'"] {
        let database = database("CREATE TABLE users (id PRIMARY KEY, phone TEXT, secret BLOB)")?;
        database.execute_batch(&format!("INSERT INTO users (id, phone) VALUES ({key}, 'secret text'), (1, 'b')"))?;
        let stopped = run(&Sweep::convert(&column, text), &database, plain().target("secret"));
        let Err(SweepError::Table(error)) = stopped else { panic!("{key}: {stopped:?}") };
        assert!(error.to_string().contains("primary key") && !error.to_string().contains("secret text"), "{error}");
    }
    Ok(())
}

/// SQLite takes a quoted name that no column has for a text.
#[test]
fn a_misspelled_column_is_an_error() -> TestResult {
    let (_kms, column) = column()?;
    let database = database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, tenant TEXT, phone TEXT, secret BLOB, phone_index BLOB);
         INSERT INTO users (id, phone) VALUES (1, '+44 20')",
    )?;
    let hmac = |row: &RowId, value: &String| -> Result<_> {
        let _ = (row, value);
        Err(Error::new(ErrorKind::Validation, "it is never called"))
    };
    for names in [
        SweepColumns::new("users", "idd", "phone"),
        SweepColumns::new("users", "id", "phne"),
        plain().tenant("tennant"),
        plain().index("phone_indx"),
    ] {
        let stopped =
            run(&Sweep::convert_in_place(&column, text).index(hmac), &database, names.clone().index("phone_indx"));
        assert!(matches!(stopped, Err(SweepError::Table(_))), "{names:?}: {stopped:?}");
    }
    let stopped = run(&Sweep::convert(&column, text), &database, plain().target("secrett"));
    assert!(matches!(stopped, Err(SweepError::Table(_))), "{stopped:?}");
    let phone: String = database.query_row("SELECT phone FROM users", [], |row| row.get(0))?;
    assert_eq!(phone, "+44 20");
    Ok(())
}

#[test]
fn a_sweep_that_does_not_fit_its_table_does_not_start() -> TestResult {
    let (kms, column) = column()?;
    let database = database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, phone TEXT, secret BLOB, phone_index BLOB);
         INSERT INTO users (id, phone) VALUES (1, '+44 20')",
    )?;
    // Repeated, it would encrypt values twice.
    for names in [plain(), plain().target("phone")] {
        assert!(matches!(run(&Sweep::convert(&column, text), &database, names), Err(SweepError::Target)));
    }
    // They would leave the target empty, and report that they are complete.
    for sweep in [Sweep::new(&column), Sweep::convert_in_place(&column, text)] {
        assert!(matches!(run(&sweep, &database, plain().target("secret")), Err(SweepError::Target)));
    }
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let keys = ColumnKeys::new(&kms, kms.create_key(hmac)?.key_id())?;
    let index = BlindIndex::builder(&keys, "users", "phone").build()?;
    let sweep = Sweep::convert_in_place(&column, text).index(move |_, value: &String| index.of_text(None, value));
    assert!(matches!(run(&sweep, &database, plain()), Err(SweepError::Index)));
    assert!(run(&sweep, &database, plain().index("phone_index"))?.is_complete());
    Ok(())
}

#[test]
fn names_may_contain_any_characters() -> TestResult {
    let (_kms, column) = column()?;
    let database = database(
        r#"ATTACH ':memory:' AS "the ""other"""; CREATE TABLE "the ""other"""."us""er's; --" ("i""d" INTEGER PRIMARY KEY,
           "select" TEXT, "pho ne" TEXT, "sécret" BLOB, "1" BLOB);
           INSERT INTO "us""er's; --" VALUES (1, 'acme', 'one', NULL, NULL), (2, NULL, 'two', NULL, NULL)"#,
    )?;
    let names = SweepColumns::new("us\"er's; --", "i\"d", "pho ne").schema("the \"other\"").tenant("select");
    let report = run(&Sweep::convert(&column, text), &database, names.target("sécret").index("1"))?;
    assert!(report.is_complete() && report.changed() == 2, "{report:?}");
    let stored =
        database.query_row(r#"SELECT "sécret" FROM "us""er's; --" WHERE "i""d" = 1"#, [], |row| row.get(0))?;
    assert_eq!(column.decrypt(&RowId::new(1).tenant("acme"), &stored)?, "one");
    Ok(())
}

/// Changes between the read and the change of a sweep that leave the same plaintext, or nearly.
#[test]
fn a_row_of_another_tenant_or_in_other_letters_is_left_alone() -> TestResult {
    let (_kms, column) = column()?;
    let database = database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, tenant TEXT COLLATE NOCASE, phone TEXT COLLATE NOCASE);
         INSERT INTO users VALUES (1, 'acme', 'one'), (2, 'acme', 'two'), (3, NULL, 'three'), (4, 'acme', 'four'),
             (5, 'acme', 'five'), (6, 'acme', 'six')",
    )?;
    let mut table = SqliteSweepTable::new(&database, plain().tenant("tenant"));
    let rows = table.read_batch(None, 10)?;
    let plan = Sweep::convert_in_place(&column, text).plan(&rows)?;
    assert_eq!(plan.changes().len(), 6);
    assert_eq!((plan.changes()[0].tenant_name(), plan.changes()[2].tenant_name()), (Some("acme"), None));
    database.execute_batch(
        "DELETE FROM users WHERE id = 1; INSERT INTO users VALUES (1, 'globex', 'one');
         UPDATE users SET tenant = NULL WHERE id = 2;
         UPDATE users SET tenant = 'acme' WHERE id = 3;
         UPDATE users SET tenant = 'ACME' WHERE id = 4;
         UPDATE users SET phone = 'FIVE' WHERE id = 5;",
    )?;
    assert_eq!(table.replace(plan.changes())?, 1);
    let report = run(&Sweep::convert_in_place(&column, text), &database, plain().tenant("tenant"))?;
    assert!(report.is_complete() && (report.changed(), report.current()) == (5, 1));
    for (id, tenant, phone) in [
        (1, Some("globex"), "one"),
        (2, None, "two"),
        (3, Some("acme"), "three"),
        (4, Some("ACME"), "four"),
        (5, Some("acme"), "FIVE"),
    ] {
        let stored = database.query_row("SELECT phone FROM users WHERE id = ?1", [id], |row| row.get(0))?;
        let place = tenant.into_iter().fold(RowId::new(id), RowId::tenant);
        assert_eq!(column.decrypt(&place, &stored)?, phone);
    }
    Ok(())
}

#[test]
fn one_row_that_cannot_be_identified_stops_no_other_row() -> TestResult {
    let (_kms, column) = column()?;
    let database = database("CREATE TABLE users (id TEXT PRIMARY KEY, phone TEXT, secret BLOB)")?;
    let long = "personal key ".repeat(10_000);
    for key in ["", &long, "a", "z"] {
        database.execute("INSERT INTO users VALUES (?1, 'the plaintext', NULL)", [key])?;
    }
    // Two rounds, as the first sweep reads the bad rows first.
    for sweep in [Sweep::convert(&column, text), Sweep::convert(&column, text).batch_size(1)] {
        let report = run(&sweep, &database, plain().target("secret"))?;
        assert_eq!(report.failed(), 2);
        for failure in report.failures() {
            assert_eq!(failure.error().kind(), ErrorKind::Validation);
            let shown = format!("{failure:?} {} {report:?} {:?}", failure.error(), failure.error());
            assert!(!shown.contains("personal key") && !shown.contains("the plaintext"), "{shown}");
            assert!(shown.contains("users.phone"), "{shown}");
        }
    }
    // The values under these keys, for the sweep that compares key versions.
    let stored = column.encrypt(&RowId::new("a"), "the plaintext")?;
    database.execute("UPDATE users SET secret = ?1 WHERE id <> 'z'", [stored])?;
    let report = run(&Sweep::new(&column).rewrite_all(), &database, SweepColumns::new("users", "id", "secret"))?;
    assert_eq!((report.changed(), report.failed()), (2, 2));
    let current = run(&Sweep::new(&column), &database, SweepColumns::new("users", "id", "secret"))?;
    assert_eq!((current.current(), current.failed()), (4, 0), "a bad first row does not fail the others");
    Ok(())
}

#[test]
fn no_output_contains_a_value_or_the_key_of_a_row() -> TestResult {
    let (_kms, column) = column()?;
    // A value of one character.
    let database =
        database("CREATE TABLE users (id TEXT PRIMARY KEY, phone BLOB); INSERT INTO users VALUES ('alice', '7')")?;
    let report = run(&Sweep::new(&column), &database, plain())?;
    let [failure] = report.failures() else { panic!("{report:?}") };
    let shown = format!("{report:?} {failure:?} {}", failure.error());
    assert!(!shown.contains("alice") && !shown.contains('7') && !shown.contains("55"), "{shown}");
    assert_eq!(failure.cursor(), "t:alice");

    let mut table = SqliteSweepTable::new(&database, plain());
    let rows = table.read_batch(None, 10)?;
    let sweep = Sweep::convert_in_place(&column, text).start_after("t:alice");
    let plan = sweep.plan(&rows)?;
    assert_eq!(plan.changes().len(), 1);
    let shown = format!("{rows:?} {plan:?} {:?} {sweep:?} {:?}", plan.changes(), RowId::new("alice").tenant("acme"));
    assert!(!shown.contains("alice") && !shown.contains("acme") && !shown.contains("[55"), "{shown}");
    Ok(())
}

#[test]
fn batches_are_limited_in_rows_and_bytes() -> TestResult {
    let (_kms, column) = column()?;
    let stored = column.encrypt(&RowId::new(1), "+44 20")?;
    let database = database("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)")?;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) INSERT INTO users SELECT i, ?1 FROM n";
    database.execute(fill, params![stored, 20_001])?;
    let batches = |batch: usize| -> TestResult<Vec<u64>> {
        let mut steps = Vec::new();
        let report =
            Sweep::new(&column).batch_size(batch).run(&mut SqliteSweepTable::new(&database, plain()), |report| {
                steps.push(report.examined());
                ControlFlow::Continue(())
            })?;
        // They are not decrypted: the versions of their keys are those of new values.
        assert!(report.is_complete() && Some(&report.current()) == steps.last());
        Ok(steps)
    };
    assert_eq!(batches(usize::MAX)?, [10_000, 20_000, 20_001]);
    assert_eq!(batches(20_000)?, [10_000, 20_000, 20_001]);

    database.execute("DELETE FROM users WHERE id > 80", [])?;
    database.execute("UPDATE users SET phone = CAST(phone || zeroblob(1 << 20) AS BLOB)", [])?;
    let lengths: i64 = database.query_row("SELECT min(length(phone)) FROM users", [], |row| row.get(0))?;
    assert!(lengths > 1 << 20);
    let mut steps = BTreeSet::new();
    Sweep::new(&column).run(&mut SqliteSweepTable::new(&database, plain()), |report| {
        steps.insert(report.examined());
        ControlFlow::Continue(())
    })?;
    assert_eq!(steps, BTreeSet::from([32, 64, 80]));
    Ok(())
}

/// Returns a column, and a table with twelve values of it.
fn twelve_rows(mode: Mode, kms: &Kms, key: KeyId) -> TestResult<(Column<String>, Connection)> {
    let column: Column<String> = mode.column(&ColumnKeys::new(kms, key)?, "users", "phone")?;
    let database = database("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)")?;
    for id in 1..=12 {
        database.execute("INSERT INTO users VALUES (?1, ?2)", params![id, column.encrypt(&RowId::new(id), "x")?])?;
    }
    Ok((column, database))
}

#[test]
fn a_rotation_during_a_sweep_is_completed_by_the_next() -> TestResult {
    for mode in Mode::ALL {
        let (kms, key) = kms_with_key()?;
        let (column, database) = twelve_rows(mode, &kms, key)?;
        kms.rotate_key_on_demand(key)?;
        let mut rotated = Ok(());
        let sweep = Sweep::new(&column).batch_size(4);
        let report = sweep.run(&mut SqliteSweepTable::new(&database, plain()), |report| {
            if report.examined() == 4 {
                rotated = kms.rotate_key_on_demand(key).map(drop);
            }
            ControlFlow::Continue(())
        })?;
        rotated?;
        assert!(report.is_complete() && report.changed() == 12);
        // With cached data keys, the rotation is unknown until the sweep runs again.
        let left = if mode == Mode::Blobs { 4 } else { 12 };
        assert_eq!(run(&sweep, &database, plain())?.changed(), left, "{mode:?}");
        assert_eq!(run(&sweep, &database, plain())?.current(), 12);
        for id in 1..=12 {
            let stored = database.query_row("SELECT phone FROM users WHERE id = ?1", [id], |row| row.get(0))?;
            assert_eq!(column.decrypt(&RowId::new(id), &stored)?, "x");
            assert_eq!(stored.key_version(), 3);
        }
    }
    Ok(())
}

#[test]
fn a_sweep_stops_when_the_audit_trail_fails_and_continues_afterwards() -> TestResult {
    for mode in Mode::ALL {
        let sink = Arc::new(RejectingSink::default());
        let kms = Kms::builder().audit(Arc::clone(&sink)).build()?;
        let key = kms.create_key(Default::default())?.key_id();
        let (column, database) = twelve_rows(mode, &kms, key)?;
        kms.rotate_key_on_demand(key)?;
        let mut position = None;
        // A data key is cached for the rest of the sweep, so the trail fails before the first batch.
        sink.0.store(mode == Mode::CachedDataKeys, Ordering::SeqCst);
        let sweep = Sweep::new(&column).batch_size(5);
        let stopped = sweep.run(&mut SqliteSweepTable::new(&database, plain()), |report| {
            position = report.cursor().map(str::to_owned);
            sink.0.store(true, Ordering::SeqCst);
            ControlFlow::Continue(())
        });
        let Err(SweepError::Kms(error)) = stopped else { panic!("{mode:?}: {stopped:?}") };
        assert_eq!(error.kind(), ErrorKind::Audit);
        let renewed = || -> TestResult<Vec<i64>> {
            let mut select = database.prepare("SELECT id, phone FROM users ORDER BY id")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, Encrypted<String>>(1)?)))?;
            let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
            Ok(rows.into_iter().filter(|(_, stored)| stored.key_version() == 2).map(|(id, _)| id).collect())
        };
        let before: Vec<i64> = if mode == Mode::Blobs { (1..=5).collect() } else { Vec::new() };
        assert_eq!(renewed()?, before);
        sink.0.store(false, Ordering::SeqCst);
        let rest = position.iter().fold(sweep, Sweep::start_after);
        assert!(run(&rest, &database, plain())?.is_complete());
        assert_eq!(renewed()?, (1..=12).collect::<Vec<_>>());
    }
    Ok(())
}

/// A program of an earlier release, whose type lacks a field, sweeps rows of a later one.
#[test]
fn a_sweep_keeps_the_parts_of_a_value_that_its_type_ignores() -> TestResult {
    use serde_json::{Value, json};
    use strongroom::columns::Json;

    #[derive(serde::Deserialize, serde::Serialize)]
    struct Address {
        street: String,
    }

    for mode in Mode::ALL {
        let (kms, key) = kms_with_key()?;
        let keys = ColumnKeys::new(&kms, key)?;
        let later: Column<Json<Value>> = mode.column(&keys, "users", "phone")?;
        let value = json!({ "street": "12 Long Lane", "floor": 3, "share": 0.10 });
        let database = database("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)")?;
        database.execute("INSERT INTO users VALUES (1, ?1)", [later.encrypt(&RowId::new(1), &value)?])?;
        kms.rotate_key_on_demand(key)?;
        let earlier: Column<Json<Address>> = mode.column(&keys, "users", "phone")?;
        let mut table = SqliteSweepTable::new(&database, plain());
        assert_eq!(Sweep::new(&earlier).run(&mut table, |_| ControlFlow::Continue(()))?.changed(), 1);
        let stored: Encrypted<Json<Value>> = database.query_row("SELECT phone FROM users", [], |row| row.get(0))?;
        assert_eq!(stored.key_version(), 2);
        assert_eq!(later.decrypt(&RowId::new(1), &stored)?.0, value);
    }
    Ok(())
}

/// Converts many rows in a separate process, whose memory stays bounded. `STRONGROOM_SWEEP_ROWS` sets
/// their number.
#[test]
fn memory_does_not_grow_with_the_table() -> TestResult {
    if !is_alone("columns::sweep_tables::memory_does_not_grow_with_the_table")? {
        return Ok(());
    }
    let rows: u64 = std::env::var("STRONGROOM_SWEEP_ROWS").map_or(Ok(6_000), |text| text.parse())?;
    let folder = crate::support::child_process::fast_folder()?;
    let database = Connection::open(folder.path().join("users.db"))?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, phone TEXT, secret BLOB)",
    )?;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO users SELECT i, 'number ' || i, NULL FROM n";
    database.execute(fill, [i64::try_from(rows)?])?;
    let (_kms, column) = column()?;
    let (mut memory, begun) = (Vec::new(), std::time::Instant::now());
    let sweep = Sweep::convert(&column, text);
    let report = sweep.run(&mut SqliteSweepTable::new(&database, plain().target("secret")), |_| {
        memory.extend(allocated_memory());
        ControlFlow::Continue(())
    })?;
    assert!(report.is_complete() && report.changed() == rows, "{report:?}");
    println!("{rows} rows in {:?}", begun.elapsed());
    // The first batches fill the caches.
    if let (Some(early), Some(most)) = (memory.get(4), memory.iter().max()) {
        assert!(most - early < 16 << 10, "{early} KiB after a few batches, and {most} KiB later");
    }
    Ok(())
}

/// Returns the memory that this process has allocated in KiB, if the system reports it.
fn allocated_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
}
