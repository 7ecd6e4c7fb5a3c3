//! A store in one SQLite file, for one or more processes.

mod backup;
mod connection;
mod failure;
mod file;
mod freshness;
mod library_version;
mod log;
mod options;
mod pool;
mod rows;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Stores records durably in one file. A commit is on disk before it returns. Whatever happens to
/// the process or the machine, a commit is either applied completely or not at all.
///
/// Several processes on one machine can open the file at the same time. They observe each other's
/// changes within [`SqliteOptions::staleness`]. Readers and the writer do not block each other.
///
/// The page [`manual::persistence`](crate::manual::persistence) describes which failures a store
/// survives, and from what the file must be protected.
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
    /// As long as this connection is open, SQLite deletes neither the log nor its index.
    keeper: Mutex<Option<Connection>>,
    fork_guard: ForkGuard,
    is_closed: AtomicBool,
    freshness: Freshness,
}

impl SqliteStore {
    /// Opens the store in a file. Creates the file if it is missing, readable and writable only for
    /// its owner.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if the
    ///   file is not a store, was written by a later release, can be written by other users, or
    ///   cannot be opened, or if the linked SQLite library can corrupt a store.
    /// - [`ErrorKind::Internal`](crate::ErrorKind::Internal) if random bytes for the identity of a
    ///   new store are unavailable.
    pub fn open(path: impl AsRef<Path>, backend: &CryptoBackend) -> Result<Self> {
        Self::open_with(path, backend, SqliteOptions::default())
    }

    /// Opens the store in a file with the specified options. Creates the file if it is missing and
    /// the options allow it.
    ///
    /// # Errors
    /// - The errors of [`SqliteStore::open`].
    /// - [`StoreError::Missing`] with [`MissingFile::Refuse`] if the file is missing or empty, or
    ///   contains a store without records.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::store::{MissingFile, SqliteOptions, SqliteStore, StoreError};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let (path, backend) = (directory.join("keys.strongroom"), CryptoBackend::default());
    /// let existing = SqliteOptions::default().missing_file(MissingFile::Refuse);
    /// let refused = SqliteStore::open_with(&path, &backend, existing).unwrap_err();
    /// assert!(matches!(refused.downcast_ref(), Some(StoreError::Missing(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_with(path: impl AsRef<Path>, backend: &CryptoBackend, options: SqliteOptions) -> Result<Self> {
        library_version::check()?;
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
            is_closed: AtomicBool::new(false),
            freshness: Freshness::new(options.staleness),
        })
    }

    /// Returns the path of the file, with all symbolic links resolved.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.check_usable()?;
        self.readers.with(&self.file, work)
    }

    fn write<T, E: From<Error>>(&self, work: impl FnOnce(&mut Connection) -> Result<T, E>) -> Result<T, E> {
        self.check_usable()?;
        self.writer.with(&self.file, work)
    }

    fn ask_revision(&self) -> Result<Revision> {
        self.check_names()?;
        self.read(|connection| rows::revision(connection))
    }

    /// Rejects use after the store was closed, and in a child of `fork`, even of data that was just
    /// read.
    fn check_usable(&self) -> Result<()> {
        self.check_process()?;
        match self.is_closed.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(StoreError::Closed(self.file.path().display().to_string()).into()),
        }
    }

    fn check_process(&self) -> Result<()> {
        match self.fork_guard.is_here() {
            true => Ok(()),
            false => Err(StoreError::Forked(self.file.path().display().to_string()).into()),
        }
    }

    /// Checks that the names of the store's files still refer to them. If not, tries to save the
    /// contents of the log.
    fn check_names(&self) -> Result<()> {
        self.check_usable()?;
        self.file.check_still_there().or_else(|lost| {
            // Closing the store removes its log.
            self.check_usable()?;
            let keeper = self.keeper.lock();
            // The store is unusable either way, so an error here makes no difference.
            let _ = keeper.as_ref().map(|keeper| self.save(keeper, 0, Checkpoint::Passive));
            Err(lost.into())
        })
    }

    /// Checks that the files of the store contain a commit that SQLite reported as complete.
    /// `frames` is the number of frames before the commit.
    ///
    /// If only the name of the log is gone, copies the commit into the main file, where it is safe.
    fn confirm(&self, connection: &Connection, frames: u64) -> Result<()> {
        let whole = self.file.check_still_there().and_then(|()| self.log.check(connection, frames));
        match whole {
            Ok(_) => Ok(()),
            Err(_) if self.save(connection, frames, Checkpoint::Full).unwrap_or(false) => Ok(()),
            Err(lost) => Err(StoreError::Unconfirmed(Box::new(lost)).into()),
        }
    }

    /// Copies the log into the main file, if the log is complete, and closes all connections. If it
    /// is the last process that uses the store, the log is then deleted.
    fn close_connections(&self, connections: Vec<Connection>) -> Result<(), StoreError> {
        let Some(last) = connections.last() else { return Ok(()) };
        let is_whole = self.file.check_locks().and_then(|()| self.log.check(last, 0));
        let copied = match is_whole {
            Ok(_) => Log::copy_to_main_file(last, Checkpoint::Passive).map(drop),
            // As in `drop`: the last connection to close must not copy such a log.
            Err(lost) => connections.iter().try_for_each(connection::leave_log).and(Err(lost)),
        };
        let close = |connection: Connection| connection.close().map_err(|(_, error)| failure::reason(error));
        let closed: Vec<_> = connections.into_iter().map(close).collect();
        closed.into_iter().fold(copied, Result::and)
    }

    /// Copies a log that lost its name into the main file, if all processes use the same locks and
    /// the log is complete. Returns `true` if all of it was copied.
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
            // SQLite must not close connections in a child that its parent has opened.
            std::mem::forget(keeper.take());
            self.readers.leak();
            self.writer.leak();
            return;
        }
        let is_whole = |keeper: &Connection| self.log.check(keeper, 0).is_ok();
        if self.file.check_locks().is_ok() && keeper.as_ref().is_none_or(is_whole) {
            return;
        }
        // The last connection to close copies the log into the main file. With a replaced index,
        // that would undo later changes of other processes. With a truncated log, it would stop
        // halfway.
        for connection in self.readers.idle().chain(self.writer.idle()).chain(keeper.as_ref()) {
            let _ = connection::leave_log(connection);
        }
    }
}

/// A commit in progress.
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
        self.check_usable()?;
        self.freshness.revision(|| self.ask_revision())
    }

    fn latest_revision(&self) -> Result<Revision> {
        self.check_usable()?;
        self.freshness.latest_revision(|| self.ask_revision())
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.read(|connection| {
            // A transaction sees one state of the file from its first statement to its last.
            let moment = connection.transaction().map_err(failed)?;
            ids.iter().map(|id| rows::get(&moment, id)).collect()
        })
    }

    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        self.read(|connection| rows::get(connection, id))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.scan_since(scan, Revision::default())
    }

    fn scan_since(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
        self.read(|connection| rows::scan(connection, scan, since))
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.check_names()?;
        let revision = self.write(|connection| {
            let frames = self.log.check(connection, 0).map_err(Error::from)?;
            // From here on, this connection is the only writer, so checks stay valid until the
            // commit.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Check again, because another process may have held the lock for a long time.
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
                return Err(StoreError::Busy("another connection is still reading an earlier state".into()).into());
            }
            Ok(())
        })
    }

    fn check_structure(&self) -> Result<Vec<StoreError>> {
        self.read(|connection| rows::damage(connection))
    }

    /// Waits for calls in progress, copies the log into the main file, and closes all connections.
    fn close(&self) -> Result<()> {
        self.check_process()?;
        self.is_closed.store(true, Ordering::Release);
        let mut connections = self.readers.close();
        connections.extend(self.writer.close());
        connections.extend(self.keeper.lock().take());
        Ok(self.close_connections(connections)?)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("id", &self.id).field("path", &self.path()).finish_non_exhaustive()
    }
}
