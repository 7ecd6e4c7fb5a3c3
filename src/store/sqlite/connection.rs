//! One connection to the file of a store. Opening it verifies that the file is a store, or is empty
//! and can become one, and applies the settings.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::failure::reason;
use super::options::{MissingFile, SqliteOptions};
use crate::private_file::directory_of;
use crate::store::StoreId;
use crate::store::error::{Cause, StoreError};

/// Identifies the application in the header of the file: "StRm".
const APPLICATION_ID: i64 = 0x5374_526D;

/// The migrations from an empty file to the format of this release. A file whose `user_version` is
/// n has the first n applied. Released migrations are never changed; new ones are appended.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        id BLOB NOT NULL CHECK (length(id) = 16),
        revision INTEGER NOT NULL CHECK (revision >= 0)
    ) STRICT;
    CREATE TABLE record (
        kind INTEGER NOT NULL,
        account BLOB NOT NULL CHECK (length(account) = 12),
        name BLOB NOT NULL,
        revision INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, account, name)
    ) STRICT, WITHOUT ROWID;
",
    // The tables are the same, but the records of the index can have the format 2 of
    // `kms::storage::sealed::index`. Releases that cannot read it must reject the file.
    "",
];

/// The settings that every connection requires, as SQLite reports them.
const SETTINGS: [(&str, i64, &str); 7] = [
    // FULL: a commit is on disk before it is acknowledged.
    ("synchronous", 2, "FULL"),
    // On macOS, flush the disk's own cache, too.
    ("fullfsync", 1, "ON"),
    ("checkpoint_fullfsync", 1, "ON"),
    // Overwrite deleted data.
    ("secure_delete", 1, "ON"),
    // Detect a damaged page when it is read.
    ("cell_size_check", 1, "ON"),
    // Run no code from the schema.
    ("trusted_schema", 0, "OFF"),
    // Write nothing to temporary files.
    ("temp_store", 2, "MEMORY"),
];

/// Switches that disable features that a store never needs.
const SWITCHES: [(DbConfig, bool); 5] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
];

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Reader,
    Writer,
}

/// Opens the store in an existing file.
pub(super) fn open(path: &Path, role: Role, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let connection = connect(path, busy_timeout)?;
    recognise(&connection, path)?;
    set_up(&connection, role, busy_timeout)?;
    Ok(connection)
}

/// Opens the store in an existing file. If the file is empty or has an older format, creates or
/// migrates the store first.
pub(super) fn prepare(path: &Path, new_id: StoreId, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let prepare = || {
        let mut connection = connect(path, options.busy_timeout)?;
        if options.missing_file == MissingFile::Refuse && version(&connection, path)? == 0 {
            return Err(StoreError::Missing(path.to_owned()));
        }
        migrate(&mut connection, path, new_id)?;
        recognise(&connection, path)?;
        set_up(&connection, Role::Writer, options.busy_timeout)?;
        // The first statement after the switch opens the log and its index.
        version(&connection, path)?;
        Ok(connection)
    };
    prepare().map_err(|error| match error {
        // These errors do not contain the path.
        StoreError::Io(cause) | StoreError::ReadOnly(cause) => cannot_use(path, cause),
        other => other,
    })
}

/// Configures a connection to leave the log unchanged when it is closed.
pub(super) fn leave_log(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop).map_err(reason)
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    connection.busy_timeout(busy_timeout).map_err(reason)?;
    // Until the owner of the file is known, closing the connection must not change its log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(reason)?;
    Ok(connection)
}

fn cannot_open(path: &Path, error: rusqlite::Error) -> StoreError {
    StoreError::CannotOpen { path: path.to_owned(), source: Box::new(error) }
}

/// Returns the error for a file that can be opened but not used as a store, usually because the
/// directory is not writable.
fn cannot_use(path: &Path, cause: Cause) -> StoreError {
    let source = CannotUse { directory: directory_of(path).to_owned(), cause };
    StoreError::CannotOpen { path: path.to_owned(), source: Box::new(source) }
}

/// The error of SQLite, with advice for the usual cause.
#[derive(Debug, thiserror::Error)]
#[error("check that {} can be written and its disk works: {cause}", directory.display())]
struct CannotUse {
    directory: PathBuf,
    #[source]
    cause: Cause,
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(reason)
}

/// Applies the missing migrations atomically.
fn migrate(connection: &mut Connection, path: &Path, new_id: StoreId) -> Result<(), StoreError> {
    let known = latest();
    if version(connection, path)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(reason)?;
    // Check again now that no other process can write, because another process may have been
    // faster.
    let from = version(&transaction, path)?;
    for (step, number) in MIGRATIONS.iter().zip(1..).filter(|(_, number)| *number > from) {
        transaction.execute_batch(step).map_err(reason)?;
        transaction.pragma_update(None, "user_version", number).map_err(reason)?;
    }
    if from == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(reason)?;
        transaction.execute("INSERT INTO store VALUES (1, ?1, 0)", [new_id.0]).map_err(reason)?;
    }
    transaction.commit().map_err(reason)
}

fn latest() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("the number of steps is small")
}

/// Returns the format of the file, or zero if the file has no content.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let application = pragma(connection, "application_id").map_err(|error| not_ours(error, path))?;
    let version = pragma(connection, "user_version")?;
    match application {
        APPLICATION_ID if version > latest() => Err(StoreError::NewerFormat { found: version, known: latest() }),
        APPLICATION_ID if version > 0 => Ok(version),
        // SQLite begins a transaction on an empty file with one page. A table would add a second
        // page.
        0 if version == 0 && pragma(connection, "page_count")? <= 1 => Ok(0),
        _ => Err(StoreError::NotAStore(path.to_owned())),
    }
}

/// Reports a file that is not a database as one that belongs to another program.
fn not_ours(error: StoreError, path: &Path) -> StoreError {
    let code = match &error {
        StoreError::Damaged(cause) => {
            cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)
        }
        _ => None,
    };
    if code == Some(ErrorCode::NotADatabase) { StoreError::NotAStore(path.to_owned()) } else { error }
}

/// Verifies that the file contains exactly the tables of a store. An additional trigger, for
/// example, could undo writes.
fn recognise(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if version(connection, path)? != latest() {
        return Err(StoreError::NotAStore(path.to_owned()));
    }
    let query = "SELECT sql FROM sqlite_schema";
    let mut statement = connection.prepare(query).map_err(reason)?;
    let found: Result<Vec<String>, _> = statement.query_map([], |row| row.get(0)).map_err(reason)?.collect();
    let found: Vec<String> = found.map_err(reason)?.iter().map(|sql| without_space(sql)).collect();
    let mut expected: Vec<String> = MIGRATIONS.iter().flat_map(|step| step.split(';')).map(without_space).collect();
    expected.retain(|sql| !sql.is_empty());
    if found != expected {
        return Err(StoreError::NotAStore(path.to_owned()));
    }
    Ok(())
}

fn without_space(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set_up(connection: &Connection, role: Role, busy_timeout: Duration) -> Result<(), StoreError> {
    for (switch, on) in SWITCHES {
        connection.set_db_config(switch, on).map_err(reason)?;
    }
    for (name, value, wanted) in SETTINGS {
        // Some pragmas return a row and some do not. Only the value that is read back afterwards
        // matters.
        connection.pragma(None, name, wanted, |_| Ok(())).map_err(reason)?;
        if pragma(connection, name)? != value {
            return Err(StoreError::UnsupportedSetting { setting: name, wanted });
        }
    }
    write_ahead(connection, busy_timeout)?;
    connection.pragma_update(None, "query_only", role == Role::Reader).map_err(reason)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(reason)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(())
}

/// Switches the file to a write-ahead log, so that readers and the writer do not block each other.
/// If another process is doing the same, SQLite fails immediately, so this function waits and
/// retries.
fn write_ahead(connection: &Connection, busy_timeout: Duration) -> Result<(), StoreError> {
    let start = Instant::now();
    loop {
        let mode: Result<String, _> = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode.map_err(reason) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(StoreError::UnsupportedSetting { setting: "journal_mode", wanted: "WAL" }),
            Err(StoreError::Busy(_)) if start.elapsed() < busy_timeout => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}
