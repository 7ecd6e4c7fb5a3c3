//! Reasons for the SQLite settings of the store: each setting is compared with the behavior without
//! it.
//!
//! The store's own connections always have their settings, so the comparison uses a bare
//! connection. `fullfsync` and `checkpoint_fullfsync` have an effect only on macOS, and the damage
//! that `cell_size_check` detects varies (`bit_rot`). These three settings are not tested here.

use std::io::Write;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use strongroom::crypto::CryptoBackend;
use strongroom::identity::AccountId;
use strongroom::store::{Change, Expectation, KeyStore, RecordId, RecordKind, SqliteStore};
use tempfile::TempDir;

use crate::support::child_process::{STORE, child, fast_folder};
use crate::support::disk_faults::{self, Fault, Shim};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const TABLE: &str = "CREATE TABLE record (name INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT";

/// Opens a bare connection to a database with a table.
fn database(folder: &TempDir, setting: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(folder.path().join("bare"))?;
    connection.execute_batch(setting)?;
    connection.execute_batch(TABLE)?;
    Ok(connection)
}

fn again(folder: &TempDir) -> rusqlite::Result<Connection> {
    Connection::open(folder.path().join("bare"))
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn files_hold(folder: &TempDir, text: &[u8]) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder.path())? {
        if fs::read(entry?.path())?.windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The environment variable that specifies the child's `synchronous` setting.
const SYNCHRONOUS: &str = "STRONGROOM_SYNCHRONOUS";

#[test]
#[ignore = "run only as the child process of a test"]
fn commits_through_a_bare_connection() -> TestResult {
    let path = env::var_os(STORE).ok_or("run only by another test")?;
    let connection = Connection::open(Path::new(&path))?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    connection.pragma_update(None, "synchronous", env::var(SYNCHRONOUS)?)?;
    connection.execute_batch(TABLE)?;
    for number in 0..5 {
        connection.execute("INSERT INTO record VALUES (?1, zeroblob(100))", [number])?;
        println!("done insert {number}");
        std::io::stdout().flush()?;
    }
    // Closing the connection is part of the tested work.
    drop(connection);
    println!("end");
    Ok(())
}

/// Cuts the power at every call and counts the acknowledged commits that are lost.
fn lost_to_power_cuts(shim: &Shim, synchronous: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let run = |folder: &TempDir, kind, at| {
        let path = folder.path().join("bare");
        let mut command = child("storage::sqlite_settings::commits_through_a_bare_connection", &path)?;
        shim.run(command.env(SYNCHRONOUS, synchronous), &path, Fault { kind, at, seed: 0 })
    };
    let calls = run(&fast_folder()?, "none", 0)?.calls.len();
    let mut lost = 0;
    for at in (1..=u64::try_from(calls)?).step_by(2) {
        let folder = fast_folder()?;
        let acknowledged = run(&folder, "power", at)?.acknowledged.len();
        let query = "SELECT count(*) FROM record";
        let found: i64 = again(&folder)?.query_row(query, [], |row| row.get(0)).unwrap_or(0);
        lost += acknowledged.saturating_sub(usize::try_from(found)?);
    }
    Ok(lost)
}

#[test]
fn without_synchronous_full_a_power_cut_takes_acknowledged_commits() -> TestResult {
    let name = "storage::sqlite_settings::without_synchronous_full_a_power_cut_takes_acknowledged_commits";
    let Some(shim) = disk_faults::built(name) else { return Ok(()) };
    assert_eq!(lost_to_power_cuts(&shim, "FULL")?, 0);
    let lost = lost_to_power_cuts(&shim, "NORMAL")?;
    println!(
        "power cuts after every second call: {lost} acknowledged commits lost with synchronous = NORMAL, none with \
         FULL"
    );
    assert!(lost > 0);
    Ok(())
}

#[test]
fn without_a_write_ahead_log_a_reader_holds_up_the_writer() -> TestResult {
    for (mode, held_up) in [("DELETE", true), ("WAL", false)] {
        let folder = tempfile::tempdir()?;
        let writer = database(&folder, &format!("PRAGMA journal_mode = {mode}"))?;
        let mut reader = again(&folder)?;
        let reading = reader.transaction()?;
        reading.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, i64>(0))?;
        writer.busy_timeout(Duration::ZERO)?;
        let written = writer.execute("INSERT INTO record VALUES (1, x'00')", []);
        assert_eq!(written.is_err_and(|error| code(&error) == Some(ErrorCode::DatabaseBusy)), held_up, "{mode}");
    }
    Ok(())
}

#[test]
fn without_an_immediate_transaction_what_was_checked_is_overtaken_and_no_waiting_helps() -> TestResult {
    for (behavior, refused) in [(TransactionBehavior::Deferred, true), (TransactionBehavior::Immediate, false)] {
        let folder = tempfile::tempdir()?;
        let other = database(&folder, "PRAGMA journal_mode = WAL")?;
        other.busy_timeout(Duration::ZERO)?;
        let mut writer = again(&folder)?;
        writer.busy_timeout(Duration::from_secs(10))?;
        let checking = writer.transaction_with_behavior(behavior)?;
        checking.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, i64>(0))?;
        // Another connection writes between the check and the write, if that is possible.
        let overtaken = other.execute("INSERT INTO record VALUES (1, x'00')", []);
        assert_eq!(overtaken.is_ok(), refused);
        let written = checking.execute("INSERT INTO record VALUES (2, x'00')", []);
        assert_eq!(written.is_err_and(|error| code(&error) == Some(ErrorCode::DatabaseBusy)), refused);
    }
    Ok(())
}

#[test]
fn without_a_busy_timeout_the_second_writer_is_refused_at_once() -> TestResult {
    for (timeout, refused) in [(Duration::ZERO, true), (Duration::from_secs(60), false)] {
        let folder = tempfile::tempdir()?;
        let mut first = database(&folder, "PRAGMA journal_mode = WAL")?;
        let second = again(&folder)?;
        second.busy_timeout(timeout)?;
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (tried, was_tried) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let writing = first.transaction_with_behavior(TransactionBehavior::Immediate).expect("alone");
                begun.send(()).expect("someone waits");
                // Without a timeout, wait until the other connection was rejected. With one, wait
                // for a while, because the other connection waits as long as necessary.
                if refused {
                    was_tried.recv().expect("the other thread signals");
                } else {
                    std::thread::sleep(Duration::from_millis(50));
                }
                writing.commit().expect("committed");
            });
            has_begun.recv().expect("the other thread signals");
            let written = second.execute("INSERT INTO record VALUES (2, x'00')", []);
            tried.send(()).ok();
            assert_eq!(written.is_err_and(|error| code(&error) == Some(ErrorCode::DatabaseBusy)), refused);
        });
    }
    Ok(())
}

#[test]
fn without_secure_delete_and_a_truncating_checkpoint_deleted_bytes_stay() -> TestResult {
    const BODY: &[u8] = b"the body of a key that is to be erased";
    for (secure_delete, checkpoint, stays) in
        [("OFF", "TRUNCATE", true), ("ON", "PASSIVE", true), ("ON", "TRUNCATE", false)]
    {
        let folder = tempfile::tempdir()?;
        let connection =
            database(&folder, &format!("PRAGMA journal_mode = WAL; PRAGMA secure_delete = {secure_delete}"))?;
        connection.execute("INSERT INTO record VALUES (1, ?1)", [BODY])?;
        connection.execute("INSERT INTO record VALUES (2, x'00')", [])?;
        connection.execute("DELETE FROM record WHERE name = 1", [])?;
        connection.query_row(&format!("PRAGMA wal_checkpoint({checkpoint})"), [], |_| Ok(()))?;
        assert_eq!(files_hold(&folder, BODY)?, stays, "secure_delete = {secure_delete}, {checkpoint}");
    }
    Ok(())
}

#[test]
fn without_strict_tables_a_body_can_be_a_text_and_a_revision_too() -> TestResult {
    let connection = Connection::open_in_memory()?;
    for (strict, accepted) in [("", true), ("STRICT", false)] {
        connection.execute_batch(&format!("CREATE TABLE record (revision INTEGER, body BLOB) {strict}"))?;
        let put = connection.execute("INSERT INTO record VALUES ('not a number', 'not bytes')", []);
        assert_eq!(put.is_ok(), accepted, "{strict}");
        connection.execute_batch("DROP TABLE record")?;
    }
    Ok(())
}

#[test]
fn with_triggers_a_stranger_could_undo_every_write() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys.strongroom");
    let store = SqliteStore::open(&path, &CryptoBackend::default())?;
    let put = |name: &[u8]| {
        let id = RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.to_vec() };
        let absent = Expectation { id: id.clone(), revision: None };
        let change = Change { id: id.clone(), body: Some(b"body".to_vec()) };
        store.commit(&[absent], &mut |_| Ok(vec![change.clone()])).map(|_| id).map_err(strongroom::Error::from)
    };
    // The store now has a connection for writing and one for reading.
    assert!(store.get(&put(b"1")?)?.is_some());
    // Another program adds a trigger to a store that is already open, so its tables are not checked
    // again.
    let stranger = Connection::open(&path)?;
    stranger.execute_batch("CREATE TRIGGER undo AFTER INSERT ON record BEGIN DELETE FROM record; END")?;
    let id = put(b"2")?;
    assert!(store.get(&id)?.is_some());

    // A connection that runs triggers loses all of its writes.
    assert!(stranger.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER)?);
    stranger.execute("INSERT INTO record VALUES (1, CAST('000000000000' AS BLOB), x'33', 9, x'00')", [])?;
    assert!(store.get(&id)?.is_none());
    Ok(())
}
