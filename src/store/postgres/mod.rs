//! A store in a PostgreSQL database, for processes on several machines.

mod connect;
mod failure;
mod fence;
mod freshness;
mod group;
mod inspection;
mod join;
mod link;
mod options;
mod outcome;
mod pool;
mod primary;
mod rows;
mod runtime;
mod schema;
mod session;
mod statements;
mod transaction;
mod uptime;
mod writer;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::options::PostgresOptions;

use self::freshness::Freshness;
use self::group::{Groups, MAX_GROUPS};
use self::link::Link;
use self::options::Settings;
use self::pool::Pool;
use self::rows::Names;
use self::runtime::Runtime;
use self::writer::Writer;
use super::error::StoreError;
use super::{CommitError, Expectation, KeyStore, Record, RecordId, Revision, Scan, StoreId, WriteChanges};
use crate::error::Result;
use crate::fork_guard::ForkGuard;
use crate::lock::Mutex;

/// The maximum duration of a check of the whole table.
const MAX_CHECK: Duration = Duration::from_secs(60 * 60);

/// Stores records in a PostgreSQL database, which processes on several machines may share.
///
/// A commit is durable on the server, and on its synchronous replicas, before it returns. Calls
/// block the calling thread, inside or outside an asynchronous runtime. A thread of the store's own
/// speaks to the server. Commits of several threads that wait for each other share a transaction.
///
/// Connect to the servers themselves, with all of them in the connection string. A connection pooler
/// in between must assign a connection of the server to each of the client (in PgBouncer, session
/// mode), because statements are prepared once per connection.
///
/// # Roles
///
/// [`create_schema`](Self::create_schema) creates the tables with a role that may do so, once, for
/// example when you deploy. [`grant_access`](Self::grant_access) grants a second role what an open
/// store needs. Alternatively, an administrator executes the same:
///
/// ```sql
/// CREATE SCHEMA strongroom;
/// SET search_path = strongroom;
/// -- every text of PostgresStore::MIGRATIONS, in one transaction
/// GRANT USAGE ON SCHEMA strongroom TO app;
/// GRANT SELECT, UPDATE (revision, token) ON strongroom.store TO app;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON strongroom.record TO app;
/// ```
///
/// # What an administrator of the database sees
///
/// Bodies are sealed under the root key, which the database never receives. Administrators of the
/// server, and everyone who can read a backup, see the rest: the number, sizes and kinds of
/// records, the times of changes, and the names of records. These contain account IDs, key IDs,
/// alias names and the names of principals with policies or grants in plaintext. Administrators can
/// delete data and roll it back; the page [`manual::persistence`](crate::manual::persistence)
/// describes what a `Kms` detects.
///
/// # Examples
/// ```no_run
/// use strongroom::seal::RootKey;
/// use strongroom::store::{KeyStore, PostgresOptions, PostgresStore};
/// use strongroom::{Kms, SecretBytes};
///
/// // When you deploy:
/// let owner = PostgresOptions::new("host=/run/postgresql user=owner dbname=keys")?;
/// PostgresStore::create_schema(&owner)?;
/// PostgresStore::grant_access(&owner, "app")?;
///
/// // In every process:
/// let options = PostgresOptions::new("host=/run/postgresql user=app dbname=keys")?;
/// let store = PostgresStore::open(&options)?;
/// assert_eq!(store.id(), PostgresStore::open(&options)?.id());
/// let root = RootKey::from_bytes(&[7; 32]); // for tests only
/// let kms = Kms::builder().store(store, root).build()?;
/// kms.create_key(Default::default())?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct PostgresStore {
    id: StoreId,
    settings: Arc<Settings>,
    runtime: Arc<Runtime>,
    readers: Arc<Pool>,
    writers: Arc<Pool>,
    groups: Groups,
    freshness: Arc<Freshness>,
    location: Arc<Mutex<Option<[u8; 16]>>>,
    fork_guard: ForkGuard,
    is_closed: AtomicBool,
}

impl PostgresStore {
    /// The migrations from an empty schema to the format of this release, in order. Each is SQL text
    /// with several statements, for a transaction in which the schema is the `search_path`. A
    /// released migration never changes.
    pub const MIGRATIONS: &'static [&'static str] = schema::MIGRATIONS;

    /// Creates the schema and the tables of an empty store, or applies the migrations that are
    /// missing. Does nothing if the tables are up to date. Processes may call this at the same
    /// time.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the options are invalid.
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if the
    ///   server cannot be reached, the role must not create tables, or the schema contains other
    ///   tables with these names.
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::store::{PostgresOptions, PostgresStore, StoreError};
    ///
    /// let options = PostgresOptions::new("host=/run/postgresql user=app dbname=keys")?;
    /// let refused = PostgresStore::open(&options).unwrap_err();
    /// assert!(matches!(refused.downcast_ref(), Some(StoreError::NoSchema { .. })));
    /// PostgresStore::create_schema(&options)?;
    /// assert!(PostgresStore::open(&options).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
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

    /// Opens the store in a schema of a database. Creates nothing.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the options are invalid, for
    ///   example without a connector for TLS on a network.
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store), with a [`StoreError`] as its source, if no
    ///   server can be reached that accepts writes, the server is unsuitable, the schema does not
    ///   contain a store of this format, or the role lacks a privilege.
    pub fn open(options: &PostgresOptions) -> Result<Self> {
        let settings = Arc::new(Settings::new(options)?);
        let (runtime, opening) = (Arc::new(Runtime::start(settings.name())?), Arc::clone(&settings));
        let opened = runtime.run(settings.timeout, async move {
            let (link, id) = Link::open(&opening, None).await?;
            let proof = fence::prove(&link).await?;
            Ok((link, id, proof))
        });
        let (link, id, proof) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                runtime.stop();
                return Err(error.into());
            }
        };
        let location = Arc::new(Mutex::new(link.location()));
        let pool = |most| Arc::new(Pool::new(Arc::clone(&settings), id, most, Arc::clone(&location)));
        let (readers, writers) = (pool(settings.connections), pool(MAX_GROUPS));
        let freshness = Arc::new(Freshness::new(Arc::clone(&settings), id, proof));
        runtime.spawn(Arc::clone(&freshness).renew(Arc::new(link)));
        let groups = Groups::new(Writer::new(
            Arc::clone(&runtime),
            Arc::clone(&settings),
            Arc::clone(&writers),
            id,
            Arc::clone(&freshness),
        ));
        let (fork_guard, is_closed) = (ForkGuard::here(), AtomicBool::new(false));
        Ok(Self { id, settings, runtime, readers, writers, groups, freshness, location, fork_guard, is_closed })
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
            true => Err(StoreError::Closed(self.settings.name()).into()),
        }
    }

    fn check_process(&self) -> Result<()> {
        match self.fork_guard.is_here() {
            true => Ok(()),
            false => Err(StoreError::Forked(self.settings.name()).into()),
        }
    }
}

/// Runs work on tables in a separate runtime.
fn administer<F>(options: &PostgresOptions, work: impl FnOnce(Arc<Settings>) -> F) -> Result<()>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let settings = Arc::new(Settings::new(options)?);
    let runtime = Runtime::start(settings.name())?;
    let done = runtime.run(settings.timeout, work(Arc::clone(&settings)));
    runtime.stop();
    Ok(done?)
}

impl KeyStore for PostgresStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn location(&self) -> Option<[u8; 16]> {
        *self.location.lock()
    }

    fn revision(&self) -> Result<Revision> {
        self.check_usable()?;
        Ok(self.freshness.revision()?)
    }

    fn latest_revision(&self) -> Result<Revision> {
        self.check_usable()?;
        Ok(self.freshness.latest_revision()?)
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let names = Arc::new(ids.iter().collect::<Names>());
        self.revision()?;
        self.read(move |link| {
            let names = Arc::clone(&names);
            async move { rows::get_all(&link, &names).await }
        })
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.scan_since(scan, Revision::default())
    }

    fn scan_since(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
        let scan = Arc::new(scan.clone());
        self.revision()?;
        self.read(move |link| {
            let scan = Arc::clone(&scan);
            async move { rows::scan(&link, &scan, since).await }
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
        self.groups.commit(expected, prefetch, changes)
    }

    /// Does nothing. PostgreSQL cannot overwrite old bodies: `VACUUM` frees their space for reuse,
    /// and the write-ahead log, its archive, replicas and backups contain them for as long as you
    /// keep these.
    fn scrub(&self) -> Result<()> {
        self.check_usable()
    }

    /// Reads the whole table, once in the order of its pages and once through its index, and
    /// compares the two. The server finds a damaged page if it has checksums (`initdb -k`).
    fn check_structure(&self) -> Result<Vec<StoreError>> {
        self.check_usable()?;
        let (readers, schema) = (Arc::clone(&self.readers), self.settings.quoted_schema());
        let check = readers.read(move |link| {
            let schema = schema.clone();
            async move { inspection::damage(link.client(), &schema).await }
        });
        Ok(self.runtime.run(MAX_CHECK, check)?)
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
        // Calls that wait for a proof would otherwise do so until their deadline.
        self.freshness.close();
        self.runtime.stop();
        Ok(closed?)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        match self.fork_guard.is_here() {
            true => self.runtime.stop(),
            false => {
                self.readers.leak();
                self.writers.leak();
                self.runtime.leak();
            }
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("id", &self.id).finish_non_exhaustive()
    }
}
