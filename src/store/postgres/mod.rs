//! A store in a PostgreSQL database, for processes on several machines.

mod connect;
mod failure;
mod join;
mod link;
mod options;
mod pool;
mod rows;
mod runtime;
mod schema;
mod session;
mod statements;
mod transaction;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::options::PostgresOptions;

use self::link::Link;
use self::options::Settings;
use self::pool::Pool;
use self::rows::Names;
use self::runtime::Runtime;
use self::transaction::{Begun, Failed, Reads, Transaction};
use super::error::StoreError;
use super::{
    Change, CommitError, Expectation, KeyStore, Pending, Record, RecordId, Revision, Scan, StoreId, WriteChanges,
    check_named,
};
use crate::error::{Error, Result};
use crate::fork_guard::ForkGuard;

/// Stores records in a PostgreSQL database, which processes on several machines may share.
pub struct PostgresStore {
    id: StoreId,
    settings: Arc<Settings>,
    runtime: Runtime,
    readers: Arc<Pool>,
    writers: Arc<Pool>,
    fork_guard: ForkGuard,
    is_closed: AtomicBool,
}

impl PostgresStore {
    /// Creates the tables of an empty store, unless they exist.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store) if the server cannot be reached or the role
    ///   must not create them.
    pub fn create_schema(options: &PostgresOptions) -> Result<()> {
        administer(options, |settings| async move { schema::create(&settings).await })
    }

    /// Grants a role of the database the privileges that an open store needs, and no others: it can
    /// neither create nor alter a table. Call this with a role that owns the tables.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the options are invalid.
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if the
    ///   server cannot be reached, or the role does not exist or may not be granted privileges.
    pub fn grant_access(options: &PostgresOptions, role: &str) -> Result<()> {
        let role = role.to_owned();
        administer(options, |settings| async move { schema::grant(&settings, &role).await })
    }

    /// Opens the store in a database.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if the
    ///   server cannot be reached or has no store.
    pub fn open(options: &PostgresOptions) -> Result<Self> {
        let settings = Arc::new(Settings::new(options)?);
        let (runtime, opening) = (Runtime::start()?, Arc::clone(&settings));
        let opened = runtime.run(settings.timeout, async move { Link::open(&opening, None).await });
        let (link, id) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                runtime.stop();
                return Err(error.into());
            }
        };
        let readers = Arc::new(Pool::new(Arc::clone(&settings), id, settings.connections));
        let writers = Arc::new(Pool::new(Arc::clone(&settings), id, 1));
        readers.add(Arc::new(link));
        let (fork_guard, is_closed) = (ForkGuard::here(), AtomicBool::new(false));
        Ok(Self { id, settings, runtime, readers, writers, fork_guard, is_closed })
    }

    /// Runs a request that changes nothing.
    fn read<T, F>(&self, work: impl Fn(Arc<Link>) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.check_usable()?;
        Ok(self.runtime.run(self.settings.timeout, Arc::clone(&self.readers).read(work))?)
    }

    /// Rejects use after the store was closed, and in a child of `fork`, which has no thread that
    /// would answer.
    fn check_usable(&self) -> Result<()> {
        self.check_process()?;
        match self.is_closed.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(StoreError::Closed(self.settings.location()).into()),
        }
    }

    fn check_process(&self) -> Result<()> {
        match self.fork_guard.is_here() {
            true => Ok(()),
            false => Err(StoreError::Forked(self.settings.location()).into()),
        }
    }

    fn begin(&self, reads: Reads) -> Result<Transaction, CommitError> {
        let (pool, settings) = (Arc::clone(&self.writers), Arc::clone(&self.settings));
        let begin = async move { transaction::begin(&pool, &settings, &reads).await };
        match self.runtime.run(self.settings.timeout, begin).map_err(Error::from)? {
            Begun::Locked(transaction) => Ok(transaction),
            Begun::Conflict(transaction, id) => {
                self.roll_back(transaction);
                Err(CommitError::Conflict(id))
            }
        }
    }

    /// Writes the changes and commits.
    fn finish(&self, transaction: Transaction, changes: Vec<Change>) -> Result<Revision> {
        let number = transaction.number();
        let commit = async move { Ok(transaction.commit(changes).await) };
        let failed = match self.runtime.run(self.settings.timeout, commit) {
            Ok(Ok(revision)) => return Ok(revision),
            Ok(Err(failed)) => failed,
            Err(no_answer) => Failed::Unknown(Box::new(no_answer)),
        };
        Err(match failed {
            Failed::Nothing(error) => error.into(),
            Failed::Unknown(cause) => {
                StoreError::Ambiguous(format!("transaction {number} was not confirmed: {cause}").into()).into()
            }
        })
    }

    /// Rolls back without waiting for it. The lock is held until then.
    fn roll_back(&self, transaction: Transaction) {
        let timeout = self.settings.timeout;
        self.runtime.spawn(async move {
            // After the timeout, the connection is closed, which has the same effect.
            let _ = tokio::time::timeout(timeout, transaction.roll_back()).await;
        });
    }
}

/// Runs work on tables with a runtime of its own.
fn administer<F>(options: &PostgresOptions, work: impl FnOnce(Arc<Settings>) -> F) -> Result<()>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let settings = Arc::new(Settings::new(options)?);
    let runtime = Runtime::start()?;
    let done = runtime.run(settings.timeout, work(Arc::clone(&settings)));
    runtime.stop();
    Ok(done?)
}

/// A commit in progress.
struct Next<'a> {
    store: &'a PostgresStore,
    transaction: &'a mut Transaction,
    read: Vec<RecordId>,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        self.transaction.revision()
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.push(id.clone());
        if let Some(known) = self.transaction.known(id) {
            return Ok(known.clone());
        }
        let record = self.store.runtime.run(self.store.settings.timeout, self.transaction.read(id))?;
        self.transaction.note(id.clone(), record.clone());
        Ok(record)
    }
}

impl KeyStore for PostgresStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn revision(&self) -> Result<Revision> {
        self.read(|link| async move { rows::revision(&link).await })
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let names = Arc::new(ids.iter().collect::<Names>());
        self.read(move |link| {
            let names = Arc::clone(&names);
            async move { rows::get_all(&link, &names).await }
        })
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let scan = Arc::new(scan.clone());
        self.read(move |link| {
            let scan = Arc::clone(&scan);
            async move { rows::scan(&link, &scan).await }
        })
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.commit_prefetching(expected, &[], changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        self.check_usable()?;
        let mut transaction = self.begin(Reads { expected: expected.to_vec(), prefetch: prefetch.to_vec() })?;
        let mut pending = Next { store: self, transaction: &mut transaction, read: Vec::new() };
        let changed = changes(&mut pending).and_then(|changes| {
            check_named(expected, &pending.read, &changes)?;
            Ok(changes)
        });
        match changed {
            Ok(changes) => Ok(self.finish(transaction, changes)?),
            Err(error) => {
                self.roll_back(transaction);
                Err(error.into())
            }
        }
    }

    /// Waits for calls in progress and closes all connections.
    fn close(&self) -> Result<()> {
        self.check_process()?;
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let pools = [Arc::clone(&self.readers), Arc::clone(&self.writers)];
        let closed = self.runtime.run(self.settings.timeout, async move {
            for pool in pools {
                pool.close().await;
            }
            Ok(())
        });
        self.runtime.stop();
        Ok(closed?)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        match self.fork_guard.is_here() {
            true => self.runtime.stop(),
            false => self.runtime.leak(),
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("id", &self.id).finish_non_exhaustive()
    }
}
