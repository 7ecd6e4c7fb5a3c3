//! Where records are kept: bytes under a name, a revision for each, and commits that happen whole or not at all.
//!
//! A store knows nothing of keys or cryptography: bodies reach it sealed. It owes three things, which the suite in
//! `conformance` checks (feature `conformance`): a commit is atomic, a commit happens only if every record is still at the revision that the writer
//! saw, and a revision never comes twice, also not for a record that was deleted and made again.
//!
//! One number serves for change notification too: [`KeyStore::revision`] moves with every commit and is cheap to read,
//! so a reader knows with one comparison that what it holds is still current. It can be asked at the start of every
//! operation, which a signal on a channel can not: a signal says that something changed, never that nothing did.

mod anchor;
mod error;
mod memory;
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
#[cfg(feature = "sqlite")]
pub use sqlite::{MissingFile, SqliteOptions, SqliteStore};

use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;

/// The most records that one [`KeyStore::scan`] returns: a bound on memory for any caller.
pub const MAX_SCAN: usize = 1_000;

/// The identity of a store, drawn at random when it is made and bound into everything that is sealed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

/// The number of a commit, ascending from 1, and the version of every record that the commit wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)*) => {
        /// What a record is about. A store that writes down kinds writes their [`code`](Self::code): later releases add
        /// kinds, and take no number again.
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
            /// Every kind, in their order: what is gone through by whoever goes through the whole store.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            /// The number that stands for the kind wherever it is stored. In the order of the kinds, and never used again.
            pub const fn code(self) -> u8 {
                match self { $(Self::$kind => $code,)* }
            }

            /// The kind that a number stands for; `None` for one that this release does not know.
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
    /// What concerns the store as a whole.
    Store = 3,
    /// How far a chain of the audit trail has come.
    Audit = 4,
    /// A grant on a key.
    Grant = 5,
    /// The policies of a principal.
    IdentityPolicy = 6,
    /// How often keys were used.
    Usage = 7,
    /// The custom key stores of an account.
    CustomKeyStore = 8,
    /// Work in an HSM that was begun, to be finished or undone.
    Intent = 9,
    /// That a key was deleted.
    Tombstone = 10,
    /// How many messages were encrypted under a key in an HSM.
    MessageCount = 11,
    /// That a principal may retire a grant.
    RetirableGrant = 12,
    /// What a provider has to destroy of a key that was deleted.
    Destruction = 13,
}

/// The name of a record. Records are ordered by kind, then account, then the bytes of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// What the record is about.
    pub kind: RecordKind,
    /// The account that owns it.
    pub account: AccountId,
    /// Its name within the account: the 16 bytes of a key id, the text of an alias name, the 8 bytes of a chain id. Any
    /// bytes, and at most 1,024 of them.
    pub name: Vec<u8>,
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The commit that wrote it.
    pub revision: Revision,
    /// Its sealed bytes.
    pub body: Arc<[u8]>,
}

/// The state that a record must be in for a commit to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The record.
    pub id: RecordId,
    /// The revision it must have, or `None` if it must be absent.
    pub revision: Option<Revision>,
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The record, which must be among the commit's expectations or have been read through [`Pending`].
    pub id: RecordId,
    /// Its new body, or `None` to delete it.
    pub body: Option<Vec<u8>>,
}

/// Which records a scan visits: those of a kind, of one account or of all, behind a given one.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The kind.
    pub kind: RecordKind,
    /// One account, or every account.
    pub account: Option<AccountId>,
    /// Start behind this record.
    pub after: Option<RecordId>,
    /// The most records wanted; [`MAX_SCAN`] bounds it further.
    pub limit: usize,
}

/// Why a commit did not happen. Nothing was changed.
#[derive(Debug)]
pub enum CommitError {
    /// A record is not at the revision that the writer expected: read again and decide anew.
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
            CommitError::Conflict(_) => Self::new(ErrorKind::Conflict, "another change to the same record came first"),
            CommitError::Failed(error) => error,
        }
    }
}

/// A commit that is under way: its expectations hold, and nobody else writes until it is over.
pub trait Pending {
    /// The revision that the commit will have.
    fn revision(&self) -> Revision;

    /// Reads a record as it is right before the commit. What was read here may be changed by it without an expectation: so
    /// a record that every commit changes makes no two of them conflict.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    fn get(&mut self, id: &RecordId) -> Result<Option<Record>>;
}

/// Makes the writes of a commit once its revision is known, so that bodies can be sealed with that revision.
pub type WriteChanges<'a> = dyn FnMut(&mut dyn Pending) -> Result<Vec<Change>> + 'a;

/// A durable or volatile home of records. Blocking; shared by many threads.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::identity::AccountId;
/// use strongroom::store::{Change, Expectation, KeyStore, MemoryStore, RecordId, RecordKind};
///
/// let store = MemoryStore::new(&CryptoBackend::default())?;
/// let id = RecordId { kind: RecordKind::Key, account: AccountId::default(), name: b"a".to_vec() };
/// let absent = Expectation { id: id.clone(), revision: None };
/// let revision = store.commit(&[absent.clone()], &mut |_| {
///     Ok(vec![Change { id: id.clone(), body: Some(b"sealed".to_vec()) }])
/// })?;
/// assert_eq!(store.get(&id)?.map(|record| record.revision), Some(revision));
/// assert!(store.commit(&[absent], &mut |_| Ok(Vec::new())).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// The identity of this store.
    fn id(&self) -> StoreId;

    /// Tells where the store lies, if that distinguishes it from a copy of itself: the number and the time of birth of a file,
    /// say, or the timeline of a database cluster. It must stay the same for as long as the store is the same one, and
    /// should differ for a copy and for what was restored from a backup.
    ///
    /// A `Kms` that finds its store in another location than before destroys nothing outside of it, in an HSM for instance, until
    /// [`Kms::declare_successor`](crate::Kms::declare_successor). The default, `None`, is for stores that cannot tell.
    fn location(&self) -> Option<[u8; 16]> {
        None
    }

    /// The revision of the last commit; zero before the first. Cheap: it is asked at the start of every operation.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if it cannot be told, upon which the operation is refused.
    fn revision(&self) -> Result<Revision>;

    /// Reads several records, all from one moment. The answer has a place for each id, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>>;

    /// Reads one record.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        Ok(self.get_all(std::slice::from_ref(id))?.pop().flatten())
    }

    /// Reads records in ascending order, all from one moment.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>>;

    /// Writes all changes, or none: checks every expectation, assigns the next revision, asks `changes` for the bodies
    /// and makes them durable before it returns. `changes` is called at most once and must not call the store, but for what
    /// it reads through [`Pending`].
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if an expectation does not hold; [`CommitError::Failed`] if `changes` or the store
    /// failed, or a change is neither among the expectations nor to a record that was read through [`Pending`].
    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError>;

    /// Overwrites what is left of deleted and replaced records wherever this store has put it: until then a commit may
    /// leave old bodies behind, in a log for instance.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if something is left, because it could not be overwritten or someone still reads it. Call it
    /// again later.
    ///
    /// A store that keeps no old bodies has nothing to do, which is the default; one around another must pass it on.
    fn scrub(&self) -> Result<()> {
        Ok(())
    }

    /// Looks for damage to what holds the records together and is no record itself, such as pages of a file that are linked
    /// wrongly, and returns what it finds. It may read everything that there is.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if it cannot look.
    ///
    /// A store that has nothing of that kind has nothing to look for, which is the default; one around another must pass it on.
    fn check_structure(&self) -> Result<Vec<StoreError>> {
        Ok(Vec::new())
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

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        (**self).get_all(ids)
    }

    fn get(&self, id: &RecordId) -> Result<Option<Record>> {
        (**self).get(id)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        (**self).scan(scan)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        (**self).commit(expected, changes)
    }

    fn scrub(&self) -> Result<()> {
        (**self).scrub()
    }

    fn check_structure(&self) -> Result<Vec<StoreError>> {
        (**self).check_structure()
    }
}

/// Refuses a commit with a change that no expectation stands for, to a record that was not read either.
fn check_named(expected: &[Expectation], read: &[RecordId], changes: &[Change]) -> Result<()> {
    let named: BTreeSet<&RecordId> = expected.iter().map(|expectation| &expectation.id).chain(read).collect();
    if changes.iter().all(|change| named.contains(&change.id)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "a commit changes a record without an expectation"))
}
