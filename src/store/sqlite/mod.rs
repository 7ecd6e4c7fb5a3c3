//! A store in one SQLite file, for one process or several.

mod backup;
mod connection;
mod failure;
mod file;
mod freshness;
mod options;
mod pool;
mod rows;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

pub use self::options::{MissingFile, SqliteOptions};

use self::connection::Role;
use self::failure::failed;
use self::file::StoreFile;
use self::freshness::Freshness;
use self::pool::Pool;
use super::error::StoreError;
use super::{
    CommitError, Expectation, KeyStore, Pending, Record, RecordId, Revision, Scan, StoreId, WriteChanges, check_named,
};
use crate::crypto::CryptoBackend;
use crate::error::Result;

/// Keeps records in one file, durably: a commit is on the disk before it returns, and is there whole or not at all
/// whatever happens to the process or the machine.
///
/// Several processes on one machine may open the file at once. A change by one is seen by the others within
/// [`SqliteOptions::staleness`]. Readers hold up no writer and the writer no reader.
///
/// The page [`manual::persistence`](crate::manual::persistence) says what survives what, and what the file must be kept from.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::store::{KeyStore, SqliteStore};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("keys.strongroom");
/// let first = SqliteStore::open(&path, &CryptoBackend::default())?;
/// let second = SqliteStore::open(&path, &CryptoBackend::default())?;
/// assert_eq!(first.id(), second.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    id: StoreId,
    file: StoreFile,
    readers: Pool,
    writer: Pool,
    freshness: Freshness,
}

impl SqliteStore {
    /// Opens the store in a file, or makes it, readable and writable for its owner alone.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if the file is not a store, was
    /// written by a later release, can be written by other users, or cannot be opened;
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if there is no randomness for the identity of a new store.
    pub fn open(path: impl AsRef<Path>, backend: &CryptoBackend) -> Result<Self> {
        Self::open_with(path, backend, SqliteOptions::default())
    }

    /// Opens the store in a file, or makes it, with settings of one's own.
    ///
    /// # Errors
    /// Those of [`SqliteStore::open`], and [`StoreError::Missing`] if there is no file and none is to be made.
    pub fn open_with(path: impl AsRef<Path>, backend: &CryptoBackend, options: SqliteOptions) -> Result<Self> {
        let mut new_id = StoreId([0; 16]);
        backend.random().fill(&mut new_id.0)?;
        let file = StoreFile::find(path.as_ref(), options.missing_file, options.trusted_users)?;
        let connection = connection::prepare(file.path(), new_id, options.busy_timeout)?;
        let store = Self {
            id: rows::store_id(&connection)?,
            file,
            readers: Pool::new(Role::Reader, options.readers, options.busy_timeout),
            writer: Pool::new(Role::Writer, 1, options.busy_timeout),
            freshness: Freshness::new(options.staleness),
        };
        store.writer.add(connection);
        Ok(store)
    }

    /// The file, with all symbolic links followed.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(&self.file, |connection| work(connection))
    }

    fn ask_revision(&self) -> Result<Revision> {
        self.file.check_still_there()?;
        self.read(rows::revision)
    }
}

/// A commit under way.
struct Next<'a> {
    transaction: &'a Connection,
    revision: Revision,
    read: Vec<RecordId>,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.push(id.clone());
        rows::get(self.transaction, id)
    }
}

impl KeyStore for SqliteStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn revision(&self) -> Result<Revision> {
        self.freshness.revision(|| self.ask_revision())
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.readers.with(&self.file, |connection| {
            // One state of the file from the first statement to the last.
            let moment = connection.transaction().map_err(failed)?;
            ids.iter().map(|id| rows::get(&moment, id)).collect()
        })
    }

    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        self.read(|connection| rows::get(connection, id))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.read(|connection| rows::scan(connection, scan))
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.file.check_still_there().map_err(crate::Error::from)?;
        let revision = self.writer.with(&self.file, |connection| {
            // Whoever writes first writes alone from here on: what is checked stays true until the commit.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            rows::check(&transaction, expected)?;
            let revision = Revision(rows::revision(&transaction)?.0 + 1);
            let mut pending = Next { transaction: &transaction, revision, read: Vec::new() };
            let changes = changes(&mut pending)?;
            check_named(expected, &pending.read, &changes)?;
            rows::apply(&transaction, &changes, revision)?;
            transaction.commit().map_err(failed)?;
            Ok::<_, CommitError>(revision)
        })?;
        self.freshness.note(revision);
        Ok(revision)
    }

    fn scrub(&self) -> Result<()> {
        self.writer.with(&self.file, |connection| {
            let query = "PRAGMA wal_checkpoint(TRUNCATE)";
            let blocked: bool = connection.query_row(query, [], |row| row.get(0)).map_err(failed)?;
            if blocked {
                return Err(StoreError::Busy("someone still reads an earlier state".into()).into());
            }
            Ok(())
        })
    }

    fn check_structure(&self) -> Result<Vec<StoreError>> {
        self.read(rows::damage)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("id", &self.id).field("path", &self.path()).finish_non_exhaustive()
    }
}
