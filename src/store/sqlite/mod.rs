//! A store in one SQLite file, for one process or several.

mod backup;
mod connection;
mod failure;
mod file;
mod freshness;
mod log;
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
use self::log::{Checkpoint, Log};
use self::pool::Pool;
use super::error::StoreError;
use super::{
    CommitError, Expectation, KeyStore, Pending, Record, RecordId, Revision, Scan, StoreId, WriteChanges, check_named,
};
use crate::crypto::CryptoBackend;
use crate::error::{Error, Result};
use crate::fork_guard::ForkGuard;
use crate::lock::Mutex;

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
    log: Log,
    readers: Pool,
    writer: Pool,
    /// As long as this connection is open, SQLite deletes neither the log nor the index into it.
    keeper: Mutex<Option<Connection>>,
    fork_guard: ForkGuard,
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
    /// Those of [`SqliteStore::open`], and [`StoreError::Missing`] with [`MissingFile::Refuse`] if the file is missing or
    /// empty, or a store without records.
    pub fn open_with(path: impl AsRef<Path>, backend: &CryptoBackend, options: SqliteOptions) -> Result<Self> {
        let mut new_id = StoreId([0; 16]);
        backend.random().fill(&mut new_id.0)?;
        let mut file = StoreFile::find(path.as_ref(), options.missing_file, options.trusted_users)?;
        let connection = connection::prepare(file.path(), new_id, &options)?;
        file.add_log()?;
        let log = Log::open(&file.log_path(), &connection)?;
        if let Err(lost) = log.check(&connection, 0) {
            connection::leave_log(&connection)?;
            return Err(lost.into());
        }
        if options.missing_file == MissingFile::Refuse && rows::revision(&connection)? == Revision(0) {
            return Err(StoreError::Missing(file.path().to_owned()).into());
        }
        Ok(Self {
            id: rows::store_id(&connection)?,
            file,
            log,
            readers: Pool::new(Role::Reader, options.readers, options.busy_timeout),
            writer: Pool::new(Role::Writer, 1, options.busy_timeout),
            keeper: Mutex::new(Some(connection)),
            fork_guard: ForkGuard::here(),
            freshness: Freshness::new(options.staleness),
        })
    }

    /// The file, with all symbolic links followed.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.check_process()?;
        self.readers.with(&self.file, work)
    }

    fn write<T, E: From<Error>>(&self, work: impl FnOnce(&mut Connection) -> Result<T, E>) -> Result<T, E> {
        self.check_process()?;
        self.writer.with(&self.file, work)
    }

    fn ask_revision(&self) -> Result<Revision> {
        self.check_names()?;
        self.read(|connection| rows::revision(connection))
    }

    /// Refuses to work in a child of `fork`, even with what its parent has just read.
    fn check_process(&self) -> Result<()> {
        match self.fork_guard.is_here() {
            true => Ok(()),
            false => Err(StoreError::Forked(self.file.path().to_owned()).into()),
        }
    }

    /// Checks that the names of the store's files still lead to them. If not, tries to save the contents of the log.
    fn check_names(&self) -> Result<()> {
        self.check_process()?;
        self.file.check_still_there().map_err(|lost| {
            let keeper = self.keeper.lock();
            // The store is unusable either way, so an error here changes nothing.
            let _ = keeper.as_ref().map(|keeper| self.save(keeper, 0, Checkpoint::Passive));
            lost.into()
        })
    }

    /// Checks that the files of the store contain a commit that SQLite reported as done. `frames` is their number before it.
    ///
    /// If only the name of the log is gone, the commit is moved into the main file and is safe there.
    fn confirm(&self, connection: &Connection, frames: u64) -> Result<()> {
        let whole = self.file.check_still_there().and_then(|()| self.log.check(connection, frames));
        match whole {
            Ok(_) => Ok(()),
            Err(_) if self.save(connection, frames, Checkpoint::Full).unwrap_or(false) => Ok(()),
            Err(lost) => Err(StoreError::Unconfirmed(Box::new(lost)).into()),
        }
    }

    /// Copies a log that lost its name into the main file, if all processes use the same locks and the log is complete.
    /// Returns `true` if all of it was copied.
    fn save(&self, connection: &Connection, since: u64, how: Checkpoint) -> Result<bool> {
        self.file.check_locks()?;
        self.log.check(connection, since)?;
        Ok(Log::copy_to_main_file(connection, how)?)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        let keeper = self.keeper.as_mut();
        if !self.fork_guard.is_here() {
            // SQLite must not close in a child what its parent has opened.
            std::mem::forget(keeper.take());
            self.readers.leak();
            self.writer.leak();
            return;
        }
        let is_whole = |keeper: &Connection| self.log.check(keeper, 0).is_ok();
        if self.file.check_locks().is_ok() && keeper.as_ref().is_none_or(is_whole) {
            return;
        }
        // The last connection to close copies the log into the main file. With a replaced index, that would undo later changes of
        // other processes; with a log that was cut, it would stop halfway.
        for connection in self.readers.idle().chain(self.writer.idle()).chain(keeper.as_ref()) {
            let _ = connection::leave_log(connection);
        }
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

    fn location(&self) -> Option<[u8; 16]> {
        self.file.location()
    }

    fn revision(&self) -> Result<Revision> {
        self.check_process()?;
        self.freshness.revision(|| self.ask_revision())
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.read(|connection| {
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
        self.check_names()?;
        let revision = self.write(|connection| {
            let frames = self.log.check(connection, 0).map_err(Error::from)?;
            // Whoever writes first writes alone from here on: what is checked stays true until the commit.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Again, as another process may have held the lock for long.
            self.file.check_still_there().map_err(Error::from)?;
            rows::check(&transaction, expected)?;
            let revision = Revision(rows::revision(&transaction)?.0 + 1);
            let mut pending = Next { transaction: &transaction, revision, read: Vec::new() };
            let changes = changes(&mut pending)?;
            check_named(expected, &pending.read, &changes)?;
            rows::apply(&transaction, &changes, revision)?;
            transaction.commit().map_err(failed)?;
            self.confirm(connection, frames)?;
            Ok::<_, CommitError>(revision)
        })?;
        self.freshness.note(revision);
        Ok(revision)
    }

    fn scrub(&self) -> Result<()> {
        self.check_names()?;
        self.write(|connection| {
            self.log.check(connection, 0)?;
            let query = "PRAGMA wal_checkpoint(TRUNCATE)";
            let blocked: bool = connection.query_row(query, [], |row| row.get(0)).map_err(failed)?;
            if blocked {
                return Err(StoreError::Busy("someone still reads an earlier state".into()).into());
            }
            Ok(())
        })
    }

    fn check_structure(&self) -> Result<Vec<StoreError>> {
        self.read(|connection| rows::damage(connection))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("id", &self.id).field("path", &self.path()).finish_non_exhaustive()
    }
}
