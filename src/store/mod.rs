//! Storage of records: sealed bytes under a name, with a revision for each record and atomic
//! commits.
//!
//! | store | records are |
//! |---|---|
//! | [`MemoryStore`] | in memory, for as long as the process runs ([`Kms::in_memory`](crate::Kms::in_memory)) |
//! | `SqliteStore` (feature `sqlite`) | in one file, which several processes may share (`Kms::open`) |
//! | `PostgresStore` (feature `postgres`) | in a PostgreSQL database, which processes on several machines may share |
//! | a custom [`KeyStore`] | in your database |
//!
//! [`KmsBuilder::store`](crate::KmsBuilder::store) accepts any of them. An [`Anchor`] in another
//! place ([`FileAnchor`], [`StoreAnchor`]) reveals that the whole store was rolled back.
//!
//! A store has no knowledge of keys or cryptography, because all bodies are sealed before they
//! reach it. It must provide three guarantees, which the suite in `conformance` checks (feature
//! `conformance`):
//!
//! - A commit is atomic.
//! - A commit succeeds only if every record is still at the revision that the writer observed.
//! - A revision is never reused, not even for a record that was deleted and created again.
//!
//! The same number serves for change notification. [`KeyStore::revision`] changes with every commit
//! and is cheap to read, so a single comparison shows that cached data is still current. Readers
//! can check it at the start of every operation. A notification channel could not replace it: a
//! notification can report a change, but never that nothing has changed.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//!
//! use strongroom::seal::RootKey;
//! use strongroom::store::{KeyStore, MemoryStore};
//! use strongroom::{ErrorKind, Kms};
//!
//! let store = Arc::new(MemoryStore::new(&Default::default())?);
//! let open = |root: RootKey| Kms::builder().store(Arc::clone(&store), root).build();
//! let kms = open(RootKey::from_bytes(&[7; 32]))?;
//! let before = store.revision()?;
//! let key = kms.create_key(Default::default())?;
//! assert!(store.revision()? > before);
//!
//! // Every handle on the store sees the key. Without the root key, it cannot be opened.
//! assert_eq!(open(RootKey::from_bytes(&[7; 32]))?.describe_key(key.key_id())?, key);
//! assert_eq!(open(RootKey::from_bytes(&[8; 32])).unwrap_err().kind(), ErrorKind::RootKey);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod anchor;
mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use anchor::{Anchor, AnchorPoint, FileAnchor, MemoryAnchor, StoreAnchor};
pub use error::StoreError;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{MissingFile, SqliteOptions, SqliteStore};

use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;

/// The maximum number of records that one [`KeyStore::scan`] returns. It bounds the memory that any
/// caller needs.
pub const MAX_SCAN: usize = 1_000;

/// The identity of a store. It is drawn at random when the store is created, and everything sealed
/// for the store is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

/// The number of a commit, ascending from 1. It is also the version of every record that the commit
/// wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)*) => {
        /// The kind of a record. A store that persists kinds must write their [`code`](Self::code).
        /// Later releases add kinds but never reuse a code.
        ///
        /// # Examples
        /// ```
        /// use strongroom::store::RecordKind;
        ///
        /// let code = RecordKind::Alias.code();
        /// assert_eq!(RecordKind::from_code(code), Some(RecordKind::Alias));
        /// assert!(RecordKind::Key.code() < code, "codes are in the order of the kinds");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum RecordKind { $($(#[$doc])* $kind,)* }

        impl RecordKind {
            /// All kinds, in order. Traversals of the whole store visit them in this order.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the number that represents the kind in storage. Codes are in the order of
            /// the kinds and are never reused.
            pub const fn code(self) -> u8 {
                match self { $(Self::$kind => $code,)* }
            }

            /// Returns the kind with this code, or `None` if this release does not know it.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A KMS key with its versions.
    Key = 1,
    /// An alias.
    Alias = 2,
    /// Data of the store as a whole.
    Store = 3,
    /// The position of a chain of the audit log.
    Audit = 4,
    /// A grant on a key.
    Grant = 5,
    /// The policies of a principal.
    IdentityPolicy = 6,
    /// Usage counts of keys.
    Usage = 7,
    /// The custom key stores of an account.
    CustomKeyStore = 8,
    /// An operation in an HSM that was started and must be completed or undone.
    Intent = 9,
    /// The tombstone of a deleted key.
    Tombstone = 10,
    /// The number of messages that were encrypted under a key in an HSM.
    MessageCount = 11,
    /// The permission of a principal to retire a grant.
    RetirableGrant = 12,
    /// The parts of a deleted key that a provider has yet to destroy.
    Destruction = 13,
    /// A parameter: its labels, its tags and its current version.
    Parameter = 14,
    /// An earlier version of a parameter.
    ParameterVersion = 15,
    /// The number of parameters of an account.
    ParameterCount = 16,
    /// An item of a branch key. No store of a [`Kms`](crate::Kms) contains any.
    BranchKey = 17,
}

/// The name of a record. Records are ordered by kind, then account, then the bytes of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The kind of the record.
    pub kind: RecordKind,
    /// The account that owns the record.
    pub account: AccountId,
    /// The name within the account: the 16 bytes of a key ID, the text of an alias name, or the 8
    /// bytes of a chain ID. It consists of arbitrary bytes, at most 1,024.
    pub name: Vec<u8>,
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The revision of the commit that wrote it.
    pub revision: Revision,
    /// The sealed bytes.
    pub body: Arc<[u8]>,
}

/// The state that a record must have for a commit to succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The record.
    pub id: RecordId,
    /// The required revision, or `None` if the record must be absent.
    pub revision: Option<Revision>,
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The record. It must be among the commit's expectations or have been read through
    /// [`Pending`].
    pub id: RecordId,
    /// The new body, or `None` to delete the record.
    pub body: Option<Vec<u8>>,
}

/// The records that a scan visits: those of a kind, of one account or of all accounts, optionally
/// after a specified record.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The kind.
    pub kind: RecordKind,
    /// The account, or `None` for every account.
    pub account: Option<AccountId>,
    /// The record after which to start.
    pub after: Option<RecordId>,
    /// The maximum number of records to return, further limited by [`MAX_SCAN`].
    pub limit: usize,
}

/// The reason why a commit failed. A failed commit has no effect, unless the error has
/// [`StoreError::Ambiguous`] or [`StoreError::Unconfirmed`] as its source: the store then does not
/// know whether the commit took effect.
#[derive(Debug)]
pub enum CommitError {
    /// A record is not at the revision that the writer expected. Read it again and retry.
    Conflict(RecordId),
    /// The store, or the writer's own sealing step, failed.
    Failed(Error),
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => {
                Self::new(ErrorKind::Conflict, "a concurrent change to the same record was committed first")
            }
            CommitError::Failed(error) => error,
        }
    }
}

/// A commit in progress. Its expectations hold, and there are no other writers until it completes.
///
/// # Examples
/// ```
/// use strongroom::identity::AccountId;
/// use strongroom::store::{Change, KeyStore, MemoryStore, RecordId, RecordKind};
///
/// let store = MemoryStore::new(&Default::default())?;
/// let id = RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"counter".to_vec() };
/// // Adds one, without an expectation: the commit reads the latest state.
/// let increment = || {
///     store.commit(&[], &mut |pending| {
///         let before = pending.get(&id)?.map_or(0, |record| record.body[0]);
///         assert_eq!(pending.revision().0, u64::from(before) + 1);
///         Ok(vec![Change { id: id.clone(), body: Some(vec![before + 1]) }])
///     })
/// };
/// increment()?;
/// increment()?;
/// assert_eq!(store.get(&id)?.map(|record| record.body[0]), Some(2));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Pending {
    /// Returns the revision that the commit will have.
    fn revision(&self) -> Revision;

    /// Reads a record in its state just before the commit. The commit may change records that were
    /// read here without an expectation. A record that every commit changes therefore causes no
    /// conflicts.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the store cannot be read.
    fn get(&mut self, id: &RecordId) -> Result<Option<Record>>;
}

/// Returns the writes of a commit once its revision is known, so that bodies can be sealed with
/// that revision.
pub type WriteChanges<'a> = dyn FnMut(&mut dyn Pending) -> Result<Vec<Change>> + 'a;

/// Stores records, durably or in memory. Calls are blocking, and many threads can share a store.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::identity::AccountId;
/// use strongroom::store::{Change, Expectation, KeyStore, MemoryStore, RecordId, RecordKind, Revision, Scan};
///
/// let store = MemoryStore::new(&CryptoBackend::default())?;
/// let account = AccountId::default();
/// let id = RecordId { kind: RecordKind::Key, account, name: b"a".to_vec() };
/// let absent = Expectation { id: id.clone(), revision: None };
/// let revision = store.commit(&[absent.clone()], &mut |_| {
///     Ok(vec![Change { id: id.clone(), body: Some(b"sealed".to_vec()) }])
/// })?;
/// assert_eq!((revision, store.revision()?), (Revision(1), Revision(1)));
/// assert_eq!(store.get(&id)?.map(|record| record.revision), Some(revision));
/// // The record is no longer absent.
/// assert!(store.commit(&[absent], &mut |_| Ok(Vec::new())).is_err());
///
/// let missing = RecordId { name: b"b".to_vec(), ..id.clone() };
/// let found = store.get_all(&[missing, id.clone()])?;
/// assert!(found[0].is_none() && found[1].is_some());
/// let all = store.scan(&Scan { kind: RecordKind::Key, account: Some(account), after: None, limit: 10 })?;
/// assert_eq!(all[0].0, id);
///
/// // Stores without a location, old bodies, or a structure use the defaults.
/// assert_eq!(store.location(), None);
/// store.scrub()?;
/// assert!(store.check_structure()?.is_empty());
/// assert_ne!(store.id(), MemoryStore::new(&CryptoBackend::default())?.id());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Returns the identity of this store.
    fn id(&self) -> StoreId;

    /// Returns the location of the store, if it distinguishes the store from a copy of itself. It
    /// can be the inode number and creation time of a file or the timeline of a database cluster,
    /// for example. The location must stay the same as long as the store is the same one. It should
    /// differ for a copy and for a store restored from a backup.
    ///
    /// A `Kms` that finds its store in a different location than before destroys nothing outside
    /// the store, for example in an HSM, until you call
    /// [`Kms::declare_successor`](crate::Kms::declare_successor). The default, `None`, is for
    /// stores that cannot determine their location.
    fn location(&self) -> Option<[u8; 16]> {
        None
    }

    /// Returns the revision of the last commit, or zero before the first. This must be cheap,
    /// because it is called at the start of every operation.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the revision cannot be read. The operation is then rejected.
    fn revision(&self) -> Result<Revision>;

    /// Returns the revision that was the last one at some moment during this call. From then on,
    /// [`revision`](Self::revision) returns this revision or a later one. An operation that finds
    /// nothing to change calls this, because another process may have changed it.
    ///
    /// The default calls [`revision`](Self::revision), which suits a store that reads it every time.
    /// A store that wraps another must forward the call.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the revision cannot be read.
    ///
    /// # Examples
    /// ```
    /// use strongroom::store::{KeyStore, MemoryStore};
    ///
    /// let store = MemoryStore::new(&Default::default())?;
    /// assert_eq!(store.latest_revision()?, store.revision()?);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn latest_revision(&self) -> Result<Revision> {
        self.revision()
    }

    /// Reads several records from one consistent state. The result contains an entry for each ID,
    /// in the same order.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the store cannot be read.
    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>>;

    /// Reads one record.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the store cannot be read.
    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        Ok(self.get_all(std::slice::from_ref(id))?.pop().flatten())
    }

    /// Reads records in ascending order from one consistent state.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the store cannot be read.
    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>>;

    /// Reads records like [`scan`](Self::scan), but only those that were written after a revision.
    /// The limit applies to the returned records, so a scan that returns none has reached the end.
    /// Deleted records do not appear.
    ///
    /// Maintenance calls this to find the keys that changed since its last run.
    ///
    /// The default calls [`scan`](Self::scan) and omits the other records, which suits a store whose
    /// records are in memory. A store that wraps another must forward the call.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::AccountId;
    /// use strongroom::store::{Change, KeyStore, MemoryStore, RecordId, RecordKind, Scan};
    ///
    /// let store = MemoryStore::new(&Default::default())?;
    /// let id = |name: &[u8]| RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.to_vec() };
    /// let put = |name: &'static [u8]| {
    ///     store.commit(&[], &mut |pending| {
    ///         pending.get(&id(name))?;
    ///         Ok(vec![Change { id: id(name), body: Some(b"sealed".to_vec()) }])
    ///     })
    /// };
    /// put(b"a")?;
    /// let seen = put(b"b")?;
    /// put(b"a")?;
    /// let scan = Scan { kind: RecordKind::Key, account: None, after: None, limit: 10 };
    /// let changed = store.scan_since(&scan, seen)?;
    /// assert_eq!(changed.iter().map(|(id, _)| &id.name[..]).collect::<Vec<_>>(), [b"a"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn scan_since(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
        let limit = scan.limit.min(MAX_SCAN);
        let (mut changed, mut next) = (Vec::new(), Scan { limit: MAX_SCAN, ..scan.clone() });
        while changed.len() < limit {
            let page = self.scan(&next)?;
            let Some((last, _)) = page.last() else { break };
            next.after = Some(last.clone());
            changed.extend(page.into_iter().filter(|(_, record)| record.revision > since));
        }
        changed.truncate(limit);
        Ok(changed)
    }

    /// Writes all changes atomically. Checks every expectation, assigns the next revision, requests
    /// the bodies from `changes`, and makes them durable before it returns. `changes` is called at
    /// most once and must not call the store, except to read through [`Pending`].
    ///
    /// # Errors
    /// - [`CommitError::Conflict`] if an expectation does not hold.
    /// - [`CommitError::Failed`] if `changes` or the store failed, or if a changed record is
    ///   neither among the expectations nor was read through [`Pending`].
    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError>;

    /// Commits like [`commit`](Self::commit). `prefetch` names the records that `changes` will
    /// probably read through [`Pending`], so that a store on a server can fetch them together with
    /// the expectations and save the round trips of these reads.
    ///
    /// The hint never affects the result. `changes` may read other records, or none of these. A
    /// record of the hint is neither expected nor read: `changes` must still read it before it
    /// changes it.
    ///
    /// The default ignores the hint, which suits a store without round trips. A store that wraps
    /// another must forward the call.
    ///
    /// # Errors
    /// - [`CommitError::Conflict`] if an expectation does not hold.
    /// - [`CommitError::Failed`] as for [`commit`](Self::commit).
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::AccountId;
    /// use strongroom::store::{Change, KeyStore, MemoryStore, RecordId, RecordKind, Revision};
    ///
    /// let store = MemoryStore::new(&Default::default())?;
    /// let id = RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"counter".to_vec() };
    /// let revision = store.commit_prefetching(&[], std::slice::from_ref(&id), &mut |pending| {
    ///     let before = pending.get(&id)?.map_or(0, |record| record.body[0]);
    ///     Ok(vec![Change { id: id.clone(), body: Some(vec![before + 1]) }])
    /// })?;
    /// assert_eq!((revision, store.get(&id)?.map(|record| record.body[0])), (Revision(1), Some(1)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let _ = prefetch;
        self.commit(expected, changes)
    }

    /// Overwrites the remains of deleted and replaced records wherever this store has written them.
    /// Until then, a commit may leave old bodies behind, for example in a log.
    ///
    /// The default does nothing, which suits a store that keeps no old bodies. A store that wraps
    /// another must forward the call.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if remains are left because they could not be overwritten or are
    ///   still being read. Call this again later.
    fn scrub(&self) -> Result<()> {
        Ok(())
    }

    /// Checks the structure that holds the records together for damage, such as incorrectly linked
    /// pages of a file, and returns the damage found. It may read the whole store.
    ///
    /// The default returns no damage, which suits a store without such a structure. A store that
    /// wraps another must forward the call.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the check cannot be performed.
    fn check_structure(&self) -> Result<Vec<StoreError>> {
        Ok(Vec::new())
    }

    /// Ends the use of the store: completes pending writes, and releases connections, files and
    /// locks. [`Kms::close`](crate::Kms::close) calls this when no operation is in progress.
    /// Afterward, every method that accesses records may return an error, for every user of the
    /// store. Closing it again must succeed.
    ///
    /// The default does nothing, which suits a store without such resources. A store that wraps
    /// another must forward the call.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if something pending could not be completed. Commits that were
    ///   acknowledged are safe nevertheless, unless the error says otherwise.
    ///
    /// # Examples
    /// ```
    /// use strongroom::store::{KeyStore, MemoryStore};
    ///
    /// let store = MemoryStore::new(&Default::default())?;
    /// store.close()?;
    /// assert!(store.close().is_ok()); // closing it again succeeds
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn id(&self) -> StoreId {
        (**self).id()
    }

    fn location(&self) -> Option<[u8; 16]> {
        (**self).location()
    }

    fn revision(&self) -> Result<Revision> {
        (**self).revision()
    }

    fn latest_revision(&self) -> Result<Revision> {
        (**self).latest_revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        (**self).get_all(ids)
    }

    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        (**self).get(id)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        (**self).scan(scan)
    }

    fn scan_since(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
        (**self).scan_since(scan, since)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        (**self).commit(expected, changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        (**self).commit_prefetching(expected, prefetch, changes)
    }

    fn scrub(&self) -> Result<()> {
        (**self).scrub()
    }

    fn check_structure(&self) -> Result<Vec<StoreError>> {
        (**self).check_structure()
    }

    fn close(&self) -> Result<()> {
        (**self).close()
    }
}

/// Rejects a commit with a change to a record that is not among the expectations and was not read.
fn check_named(expected: &[Expectation], read: &[RecordId], changes: &[Change]) -> Result<()> {
    let named: BTreeSet<&RecordId> = expected.iter().map(|expectation| &expectation.id).chain(read).collect();
    if changes.iter().all(|change| named.contains(&change.id)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "a commit must not change a record without an expectation"))
}
