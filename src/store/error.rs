//! Reasons for the failure of a store.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// The error of the underlying library.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The reason for the failure of a store. It is the source of errors of kind [`ErrorKind::Store`];
/// retrieve it with [`Error::downcast_ref`]. The failed operation had no effect, except as stated at
/// [`Ambiguous`](Self::Ambiguous) and [`Unconfirmed`](Self::Unconfirmed), and the same store works
/// again once the cause is resolved.
///
/// # Examples
/// ```
/// use strongroom::store::StoreError;
/// use strongroom::{Error, ErrorKind};
///
/// let error = Error::from(StoreError::NewerFormat { found: 9, known: 1 });
/// assert_eq!(error.kind(), ErrorKind::Store);
/// assert!(matches!(error.downcast_ref(), Some(StoreError::NewerFormat { found: 9, .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is not enough space for the change.
    #[error("the disk of the store is full; nothing was changed: free some space and try again")]
    Full(#[source] Cause),
    /// The medium, the file or the server is not writable.
    #[error(
        "the store is read-only; nothing was changed: check the permissions of its file and the mount options of its \
         disk, or whether its server is a standby"
    )]
    ReadOnly(#[source] Cause),
    /// Another process or thread held the lock of the store for longer than the configured timeout.
    #[error("timed out waiting for a lock on the store; nothing was changed: try again")]
    Busy(#[source] Cause),
    /// The file or its directory cannot be opened.
    #[error("cannot open the store {}", path.display())]
    CannotOpen {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: Cause,
    },
    /// The operating system failed to read or write.
    #[error("cannot read or write the store: check its disk")]
    Io(#[source] Cause),
    /// The structure of the file or of a table is damaged.
    #[error("the store is corrupt: restore it from a backup")]
    Damaged(#[source] Cause),
    /// The file is missing, and the options do not allow creating it.
    #[error("there is no store at {}", .0.display())]
    Missing(PathBuf),
    /// A backup cannot be written because the file already exists.
    #[error("{} already exists; nothing was written: choose another name", .0.display())]
    Exists(PathBuf),
    /// The path refers to a directory or a device.
    #[error("{} is not a file, so it cannot be a store", .0.display())]
    NotAFile(PathBuf),
    /// The file was created by another program, or another program has altered its structure.
    #[error("{} is not a strongroom store; it was not changed", .0.display())]
    NotAStore(PathBuf),
    /// The file was written by a later release.
    #[error("the store has format {found}, but this release supports formats only up to {known}: use a later release")]
    NewerFormat {
        /// The format of the file.
        found: i64,
        /// The latest format that this release supports.
        known: i64,
    },
    /// Other users can write the file, or can replace it because they can write a directory on its
    /// path.
    #[error(
        "{} can be written by other users (mode {mode:03o}): remove that permission with chmod, or trust them with \
         TrustedUsers",
        path.display()
    )]
    WritableByOthers {
        /// The file or the directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file, or a directory or symbolic link on its path, belongs to neither the user of the
    /// process nor root.
    #[error(
        "{} belongs to another user (uid {owner}), who could replace it: change its owner to the user of this \
         process or root with chown, or accept every user with SqliteOptions::trusted_users",
        path.display()
    )]
    OwnedByAnother {
        /// The file, directory, or link.
        path: PathBuf,
        /// The user ID of its owner.
        owner: u32,
    },
    /// The file has several hard links. Each name would get a separate log, and the logs would
    /// corrupt the file.
    #[error("{} has {names} hard links, so it cannot be shared safely: remove all but one", path.display())]
    MultipleHardLinks {
        /// The name by which it was to be opened.
        path: PathBuf,
        /// The number of names.
        names: u64,
    },
    /// The file, its log, or the index of the log was deleted or replaced while the store was in
    /// use. Acknowledged changes are copied into the main file if possible.
    #[error("{} was replaced or deleted while the store was in use; nothing was changed: close the store in every process and open it again", .0.display())]
    Replaced(PathBuf),
    /// The log was truncated, or replaced by a shorter one, while the store was in use.
    #[error(
        "the log of the store was truncated, replaced or deleted while the store was in use; the last acknowledged \
         changes may be lost: close the store in every process, restore the log if it was moved, and open the \
         store again"
    )]
    LogLost(#[source] Cause),
    /// One of the store's files was truncated, deleted, or replaced during a commit. The change may
    /// or may not be visible later.
    #[error(
        "a file of the store was truncated, replaced or deleted during a commit, so the change may or may not have \
         been saved: close the store in every process, open it again and check"
    )]
    Unconfirmed(#[source] Box<StoreError>),
    /// The store was opened by the parent of this process, before a `fork`. Neither SQLite nor the
    /// connections to a server support this. Contains the path of the file, or the server.
    #[error("{0} was opened before this process was forked; nothing was changed: open the store again in this process")]
    Forked(String),
    /// The store was closed ([`KeyStore::close`](crate::store::KeyStore::close)). Contains the path
    /// of the file, or the server.
    #[error("the store {0} was closed; nothing was changed: open it again")]
    Closed(String),
    /// The file was rolled back to an earlier state while it was in use.
    #[error("the store was rolled back from revision {from} to {to} while it was in use: open it again")]
    RolledBack {
        /// The revision that was observed before.
        from: u64,
        /// The current revision of the file.
        to: u64,
    },
    /// The linked SQLite library can corrupt a store that several connections use.
    #[error(
        "SQLite {version} can corrupt a store that several connections use: link 3.51.3 or later, or the version that \
         this crate bundles"
    )]
    DefectiveLibrary {
        /// The version of the library.
        version: &'static str,
    },
    /// The server of the store does not accept a connection, or did not answer within the deadline.
    /// No commit was requested from it, or it did not receive the request completely.
    #[error(
        "the server of the store is unreachable; nothing was changed: check the server and the network, and try again"
    )]
    Unreachable(#[source] Cause),
    /// The server has as many connections as it or the role may have.
    #[error(
        "the server of the store accepts no more connections; nothing was changed: close some, or raise its \
         max_connections or the connection limit of the role"
    )]
    TooManyConnections(#[source] Cause),
    /// The connection was lost, or the deadline passed, after a commit was requested and before the
    /// server confirmed it. Neither the server nor its successor could say in time whether the
    /// commit took effect.
    #[error(
        "the server of the store did not confirm a commit, so the change may or may not have been saved: read the \
         current state before you repeat the change"
    )]
    Ambiguous(#[source] Cause),
    /// The server has not proved for longer than the configured bound that it is still the
    /// primary. Another server may have taken its place, and its data may be out of date.
    #[error(
        "the server of the store has not proved for {age:?} that it is still the primary, and the limit is \
         {limit:?}; nothing was changed: check the server, its synchronous replicas, and whether another server \
         was promoted"
    )]
    Fenced {
        /// The time since the last proof.
        age: Duration,
        /// The configured bound.
        limit: Duration,
        /// The error of the latest attempt, if there was an attempt.
        #[source]
        source: Option<Cause>,
    },
    /// The server rejected the role or its password, or the role lacks a privilege.
    #[error(
        "the server of the store denied access; nothing was changed: check the role, its password and its privileges"
    )]
    AccessDenied(#[source] Cause),
    /// The server reported an error that no other variant describes.
    #[error("the server of the store rejected a request; nothing was changed: check the log of the server")]
    Rejected(#[source] Cause),
    /// The schema of the database contains no store.
    #[error(
        "schema {schema} of the database contains no store: create it with PostgresStore::create_schema, or set \
         another schema with PostgresOptions::schema"
    )]
    NoSchema {
        /// The name of the schema.
        schema: String,
    },
    /// The tables in the schema were created by another program, or were altered.
    #[error(
        "schema {schema} of the database contains tables that are not those of a store ({difference}); nothing was \
         changed: set another schema with PostgresOptions::schema, or undo the alteration"
    )]
    UnknownTables {
        /// The name of the schema.
        schema: String,
        /// The first difference from the tables of a store.
        difference: String,
    },
    /// The tables were created by an earlier release and must be migrated first.
    #[error(
        "the store has format {found}, and this release requires {known}: call PostgresStore::create_schema with a \
         role that owns the tables"
    )]
    OlderFormat {
        /// The format of the tables.
        found: i64,
        /// The format that this release requires.
        known: i64,
    },
    /// The server is too old, or a setting of it endangers acknowledged changes.
    #[error("the server of the store has {setting} = {found}, but a store requires {wanted}: change the server")]
    UnsuitableServer {
        /// The setting of PostgreSQL.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The required value.
        wanted: &'static str,
    },
    /// A connection reached a database with another store than the one that was opened.
    #[error(
        "the server now has another store than the one that was opened; nothing was changed: check the hosts in the \
         connection string"
    )]
    AnotherStore,
    /// This version of SQLite, or this file system, does not support a setting that the store
    /// requires.
    #[error("SQLite does not support {setting} = {wanted} here: do not put a store on a network file system")]
    UnsupportedSetting {
        /// The setting.
        setting: &'static str,
        /// The required value.
        wanted: &'static str,
    },
}

impl StoreError {
    /// Returns `true` if the failed commit may have taken effect: for
    /// [`Ambiguous`](Self::Ambiguous) and [`Unconfirmed`](Self::Unconfirmed). Read the state again
    /// before you decide whether to repeat the change.
    ///
    /// # Examples
    /// ```
    /// use strongroom::store::StoreError;
    ///
    /// assert!(StoreError::Ambiguous("connection reset".into()).is_ambiguous());
    /// assert!(!StoreError::Unreachable("connection refused".into()).is_ambiguous());
    /// ```
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_) | Self::Unconfirmed(_))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        // Only the error of the operating system or the server distinguishes one such failure from
        // another.
        let text = match &error {
            StoreError::Busy(source)
            | StoreError::CannotOpen { source, .. }
            | StoreError::Unreachable(source)
            | StoreError::TooManyConnections(source)
            | StoreError::Ambiguous(source)
            | StoreError::Fenced { source: Some(source), .. }
            | StoreError::AccessDenied(source)
            | StoreError::Rejected(source) => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::new(ErrorKind::Store, text).with_source(error)
    }
}
