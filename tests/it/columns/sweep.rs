//! Sweeps over tables in SQLite: alone, and alongside writers.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use strongroom::columns::{
    BlindIndex, Column, ColumnKeys, Encrypted, RowId, SqliteSweepTable, Sweep, SweepColumns, SweepError, SweepReport,
};
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::seal::RootKey;
use strongroom::{Error, ErrorKind, Kms};

use super::support::{Mode, TestResult, kms_with_key, kms_with_tenants};
use crate::support::child_process::fast_folder;

const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, tenant TEXT, phone BLOB, phone_index BLOB)";

fn columns() -> SweepColumns {
    SweepColumns::new("users", "id", "phone")
}

fn run(sweep: &Sweep<String>, database: &Connection, columns: SweepColumns) -> TestResult<SweepReport> {
    Ok(sweep.run(&mut SqliteSweepTable::new(database, columns), |_| ControlFlow::Continue(()))?)
}

fn text_of(id: i64) -> String {
    format!("number {id}")
}

/// Fills a table with rows without a tenant.
fn filled(column: &Column<String>, rows: i64) -> TestResult<Connection> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(USERS)?;
    fill(&database, column, 1..=rows)?;
    Ok(database)
}

fn fill(database: &Connection, column: &Column<String>, ids: impl Iterator<Item = i64>) -> TestResult {
    let transaction = database.unchecked_transaction()?;
    for id in ids {
        let stored = column.encrypt(&RowId::new(id), &text_of(id))?;
        database.execute("INSERT INTO users (id, phone) VALUES (?1, ?2)", params![id, stored])?;
    }
    Ok(transaction.commit()?)
}

fn all(database: &Connection) -> TestResult<Vec<(i64, Encrypted<String>)>> {
    let mut select = database.prepare("SELECT id, phone FROM users WHERE phone IS NOT NULL ORDER BY id")?;
    Ok(select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

#[test]
fn a_sweep_renews_old_versions_and_keys_and_nothing_else() -> TestResult {
    for mode in Mode::ALL {
        let (kms, key) = kms_with_key()?;
        let column: Column<String> = mode.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
        let database = filled(&column, 25)?;
        database.execute("INSERT INTO users (id) VALUES (100)", [])?;
        let sweep = Sweep::new(&column).batch_size(10);
        let report = run(&sweep, &database, columns())?;
        assert!(report.is_complete() && (report.examined(), report.current(), report.changed()) == (25, 25, 0));

        kms.rotate_key_on_demand(key)?;
        let before = all(&database)?;
        // The column may still cache a data key of the older version; the sweep does not.
        let dry = run(&Sweep::new(&column).dry_run(), &database, columns())?;
        assert!(dry.is_complete() && dry.changed() == 25 && all(&database)? == before, "{mode:?}: {dry:?}");
        let mut cursors = Vec::new();
        // The same sweep as before the rotation.
        let report = sweep.run(&mut SqliteSweepTable::new(&database, columns()), |report| {
            cursors.push((report.examined(), report.cursor().map(str::to_owned)));
            ControlFlow::Continue(())
        })?;
        assert!(report.is_complete() && report.changed() == 25);
        assert_eq!(cursors, [10, 20, 25].map(|row| (row, Some(format!("i:{row}")))));
        for ((id, stored), (_, old)) in all(&database)?.iter().zip(&before) {
            assert_eq!((stored.key_version(), old.key_version()), (2, 1));
            assert_eq!(column.decrypt(&RowId::new(id), stored)?, text_of(*id));
        }
        let again = run(&Sweep::new(&column), &database, columns())?;
        assert_eq!((again.current(), again.changed()), (25, 0));

        // Another key.
        let new = kms.create_key(CreateKeyRequest::default())?.key_id();
        let keys = ColumnKeys::new(&kms, new)?.previous_key(key)?;
        let moved: Column<String> = mode.column(&keys, "users", "phone")?;
        assert_eq!(run(&Sweep::new(&moved), &database, columns())?.changed(), 25);
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        for (id, stored) in all(&database)? {
            assert_eq!(stored.key_id(), new);
            assert_eq!(moved.decrypt(&RowId::new(id), &stored)?, text_of(id));
        }
    }
    Ok(())
}

#[test]
fn a_sweep_continues_where_it_stopped() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::Blobs.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = filled(&column, 30)?;
    kms.rotate_key_on_demand(key)?;
    let mut position: Option<String> = None;
    let mut rounds = 0;
    loop {
        let sweep = Sweep::new(&column).batch_size(7);
        let sweep = position.iter().fold(sweep, Sweep::start_after);
        let report = sweep.run(&mut SqliteSweepTable::new(&database, columns()), |_| ControlFlow::Break(()))?;
        if report.is_complete() {
            break;
        }
        assert!(report.examined() <= 7);
        position = report.cursor().map(str::to_owned);
        rounds += 1;
    }
    assert_eq!(rounds, 5);
    assert!(all(&database)?.iter().all(|(_, stored)| stored.key_version() == 2));
    let bad = Sweep::new(&column)
        .start_after("nonsense")
        .run(&mut SqliteSweepTable::new(&database, columns()), |_| ControlFlow::Continue(()));
    assert!(matches!(bad, Err(SweepError::Table(_))));
    Ok(())
}

#[test]
fn rows_that_do_not_open_are_reported_and_kept() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::Blobs.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = filled(&column, 10)?;
    kms.rotate_key_on_demand(key)?;
    database.execute_batch(
        "UPDATE users SET phone = (SELECT phone FROM users WHERE id = 1) WHERE id = 2;
         UPDATE users SET phone = X'2B' WHERE id = 3;",
    )?;
    let phone =
        |id: i64| database.query_row("SELECT phone FROM users WHERE id = ?1", [id], |row| row.get::<_, Vec<u8>>(0));
    let before = (phone(2)?, phone(3)?);
    let report = run(&Sweep::new(&column).batch_size(3), &database, columns())?;
    assert_eq!((report.examined(), report.changed(), report.failed()), (10, 8, 2));
    assert!(!report.is_complete());
    let failures: Vec<_> = report.failures().iter().map(|failure| (failure.cursor(), failure.error().kind())).collect();
    assert_eq!(failures, [("i:2", ErrorKind::InvalidCiphertext), ("i:3", ErrorKind::InvalidCiphertext)]);
    assert_eq!((phone(2)?, phone(3)?), before);
    Ok(())
}

#[test]
fn an_outage_stops_a_sweep_and_a_deleted_tenant_does_not() -> TestResult {
    let (kms, keys) = kms_with_tenants(&["acme", "globex"])?;
    let column: Column<String> = Mode::Blobs.column(&keys, "users", "phone")?;
    let database = Connection::open_in_memory()?;
    database.execute_batch(USERS)?;
    for (id, tenant) in (1_i64..=10).zip(["acme", "globex"].into_iter().cycle()) {
        let stored = column.encrypt(&RowId::new(id).tenant(tenant), &text_of(id))?;
        database.execute("INSERT INTO users VALUES (?1, ?2, ?3, NULL)", params![id, tenant, stored])?;
    }
    let [acme, globex] = ["acme", "globex"].map(|tenant| kms.describe_key(format!("alias/tenant/{tenant}")));
    kms.rotate_key_on_demand(globex?.key_id())?;
    kms.schedule_key_deletion(acme?.key_id(), DeletionWindow::MIN)?;
    let report = run(&Sweep::new(&column), &database, columns().tenant("tenant"))?;
    assert_eq!((report.changed(), report.failed()), (5, 5));
    assert!(report.failures().iter().all(|failure| failure.error().kind() == ErrorKind::InvalidState));

    kms.close()?;
    let stopped = Sweep::new(&column)
        .run(&mut SqliteSweepTable::new(&database, columns().tenant("tenant")), |_| ControlFlow::Continue(()));
    assert!(matches!(stopped, Err(SweepError::Kms(error)) if error.kind() == ErrorKind::Closed));
    Ok(())
}

/// A writer changes each row between the read and the change of the sweep.
#[test]
fn a_value_that_was_written_in_between_is_kept() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::Blobs.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = filled(&column, 6)?;
    kms.rotate_key_on_demand(key)?;
    let mut table = SqliteSweepTable::new(&database, columns());
    let rows = strongroom::columns::SweepTable::read_batch(&mut table, None, 10)?;
    let plan = Sweep::new(&column).plan(&rows)?;
    assert_eq!(plan.changes().len(), 6);
    let newer = column.encrypt(&RowId::new(3), "newer")?;
    database.execute("UPDATE users SET phone = ?1 WHERE id = 3", [&newer])?;
    database.execute("DELETE FROM users WHERE id = 4", [])?;
    database.execute("UPDATE users SET phone = NULL WHERE id = 5", [])?;
    assert_eq!(strongroom::columns::SweepTable::replace(&mut table, plan.changes())?, 3);
    let rows = all(&database)?;
    assert_eq!(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 3, 6]);
    assert_eq!(column.decrypt(&RowId::new(3), &rows[2].1)?, "newer");
    Ok(())
}

#[test]
fn plaintext_and_other_schemes_are_converted_into_a_new_column_or_in_place() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::CachedDataKeys.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = Connection::open_in_memory()?;
    database.execute_batch(
        "CREATE TABLE users (id TEXT PRIMARY KEY, phone TEXT, phone_encrypted BLOB);
         INSERT INTO users (id, phone) VALUES ('a', '+44 20'), ('b', ''), ('c', NULL), ('d', 'secret'), ('e', 'bad');",
    )?;
    // The scheme of the application: hexadecimal would do as well.
    let convert = |_: &RowId, bytes: &[u8]| match bytes {
        b"bad" => Err(Error::new(ErrorKind::Validation, "it is not a number")),
        bytes => Ok(String::from_utf8_lossy(bytes).into_owned()),
    };
    let to_new = columns().target("phone_encrypted");
    let report = run(&Sweep::convert(&column, convert).batch_size(2), &database, to_new.clone())?;
    assert_eq!((report.examined(), report.changed(), report.failed()), (4, 3, 1));
    assert_eq!(report.failures()[0].cursor(), "t:e");
    let read = |id: &str, name: &str| {
        let select = format!("SELECT {name} FROM users WHERE id = ?1");
        database.query_row(&select, [id], |row| row.get::<_, Option<Encrypted<String>>>(0))
    };
    for (id, expected) in [("a", Some("+44 20")), ("b", Some("")), ("c", None), ("d", Some("secret")), ("e", None)] {
        let found = read(id, "phone_encrypted")?.map(|stored| column.decrypt(&RowId::new(id), &stored)).transpose()?;
        assert_eq!(found.as_deref(), expected, "{id}");
    }
    let again = run(&Sweep::convert(&column, convert), &database, to_new)?;
    assert_eq!((again.examined(), again.failed()), (1, 1));

    for _ in 0..2 {
        run(&Sweep::convert_in_place(&column, convert), &database, columns())?;
    }
    for (id, expected) in [("a", "+44 20"), ("b", ""), ("d", "secret")] {
        let stored = read(id, "phone")?.ok_or("a value")?;
        assert_eq!(column.decrypt(&RowId::new(id), &stored)?, expected);
    }
    Ok(())
}

#[test]
fn an_index_is_filled_and_moved_to_a_new_key() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column: Column<String> = Mode::Blobs.column(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = filled(&column, 8)?;
    let index = || -> TestResult<BlindIndex> {
        let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
        Ok(BlindIndex::builder(&ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?, "users", "phone").build()?)
    };
    let with_index = columns().index("phone_index");
    let sweep = |index: &BlindIndex| {
        let index = index.clone();
        Sweep::new(&column).batch_size(3).index(move |row, value: &String| index.of_text(row.tenant_name(), value))
    };
    let find = |index: &BlindIndex, text: &str| -> TestResult<Option<i64>> {
        for value in index.search_text(None, text)? {
            let select = "SELECT id FROM users WHERE phone_index = ?1";
            if let Some(id) = database.query_row(select, [value], |row| row.get(0)).optional()? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    };
    let before = all(&database)?;
    let old = index()?;
    assert_eq!(find(&old, "number 5")?, None);
    let filled = run(&sweep(&old), &database, with_index.clone())?;
    assert!(filled.is_complete() && filled.changed() == 8 && all(&database)? == before);
    assert_eq!(find(&old, "number 5")?, Some(5));
    assert_eq!(run(&sweep(&old), &database, with_index.clone())?.current(), 8);

    let new = index()?.with_previous(old.clone());
    let half =
        sweep(&new).run(&mut SqliteSweepTable::new(&database, with_index.clone()), |_| ControlFlow::Break(()))?;
    assert_eq!(half.changed(), 3);
    for id in 1..=8 {
        assert_eq!(find(&new, &text_of(id))?, Some(id), "both are searched during the change");
    }
    assert!(run(&sweep(&new), &database, with_index)?.is_complete());
    assert_eq!((find(&new, "number 5")?, find(&old, "number 5")?), (Some(5), None));
    Ok(())
}

fn open(folder: &Path) -> TestResult<(Kms, Column<String>, Connection)> {
    let kms = Kms::open(folder.join("keys.db"), RootKey::from_bytes(&[7; 32]))?;
    let column = Column::new(&ColumnKeys::new(&kms, "alias/users")?, "users", "phone")?;
    let database = Connection::open(folder.join("users.db"))?;
    database.busy_timeout(Duration::from_secs(30))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    Ok((kms, column, database))
}

fn rotated_table(folder: &Path, rows: i64) -> TestResult<KeyId> {
    let kms = Kms::open(folder.join("keys.db"), RootKey::from_bytes(&[7; 32]))?;
    let key = kms.create_key(CreateKeyRequest::default().alias("alias/users"))?.key_id();
    let (_, column, database) = open(folder)?;
    database.execute_batch(USERS)?;
    fill(&database, &column, 1..=rows)?;
    kms.rotate_key_on_demand(key)?;
    Ok(key)
}

/// Several sweeps and writers at the same time, each on its own connection.
#[test]
fn sweeps_and_writers_run_at_the_same_time() -> TestResult {
    const ROWS: i64 = 120;
    let folder = fast_folder()?;
    rotated_table(folder.path(), ROWS)?;
    let path = folder.path();
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..2 {
            workers.push(scope.spawn(move || -> Result<(), String> {
                let work = || -> TestResult {
                    let (_kms, column, database) = open(path)?;
                    for _ in 0..3 {
                        let sweep = Sweep::new(&column).rewrite_all().batch_size(4);
                        sweep.run(&mut SqliteSweepTable::new(&database, columns()), |_| ControlFlow::Continue(()))?;
                    }
                    Ok(())
                };
                work().map_err(|error| error.to_string())
            }));
        }
        for writer in 0..2_i64 {
            workers.push(scope.spawn(move || -> Result<(), String> {
                let work = || -> TestResult {
                    let (_kms, column, database) = open(path)?;
                    // Each writer has its own rows.
                    for row in (1..=ROWS).filter(|row| row % 4 == writer) {
                        let stored = column.encrypt(&RowId::new(row), &format!("writer {writer}"))?;
                        database.execute("UPDATE users SET phone = ?1 WHERE id = ?2", params![stored, row])?;
                    }
                    Ok(())
                };
                work().map_err(|error| error.to_string())
            }));
        }
        workers.into_iter().try_for_each(|worker| worker.join().expect("no thread panicked"))
    })?;
    let (_kms, column, database) = open(path)?;
    assert!(run(&Sweep::new(&column), &database, columns())?.is_complete());
    for (id, stored) in all(&database)? {
        let expected = if id % 4 < 2 { format!("writer {}", id % 4) } else { text_of(id) };
        assert_eq!(column.decrypt(&RowId::new(id), &stored)?, expected);
    }
    Ok(())
}
