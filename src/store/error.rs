//! Why a store failed.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// What the library below a store said.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store failed: found in an error of kind [`ErrorKind::Store`] with [`Error::downcast_ref`]. Nothing was changed, and once the reason is
/// gone the same store goes on.
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
    /// There is no room for the change.
    #[error("the disk that holds the store is full; nothing was changed: make room and try again")]
    Full(#[source] Cause),
    /// The medium or the file may not be written.
    #[error("the store is read-only; nothing was changed: check its permissions and how its disk is mounted")]
    ReadOnly(#[source] Cause),
    /// Someone else held the store for longer than this process was told to wait.
    #[error("the store was locked by someone else for too long; nothing was changed: try again")]
    Busy(#[source] Cause),
    /// The file or its directory cannot be opened.
    #[error("cannot open the store {}", path.display())]
    CannotOpen {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: Cause,
    },
    /// The operating system failed to read or write.
    #[error("the store could not be read or written: check its disk")]
    Io(#[source] Cause),
    /// The structure of the file is broken.
    #[error("the store's file is damaged: restore it from a backup")]
    Damaged(#[source] Cause),
    /// There is no such file, and none was to be made.
    #[error("there is no store at {}", .0.display())]
    Missing(PathBuf),
    /// A backup is to be written where there is a file already.
    #[error("{} exists already; nothing was written: choose another name", .0.display())]
    Exists(PathBuf),
    /// The path leads to a directory or a device.
    #[error("{} is not a file, so no store can be there", .0.display())]
    NotAFile(PathBuf),
    /// The file was made by another program, or another program has altered its structure.
    #[error("{} is not a store of this library; it was left as it is", .0.display())]
    NotAStore(PathBuf),
    /// A later release has written the file.
    #[error("the store has format {found} and this release reads formats up to {known}: use a later release")]
    NewerFormat {
        /// The format of the file.
        found: i64,
        /// The latest that this release knows.
        known: i64,
    },
    /// Others may write the file, or replace it because they may write a directory on its path.
    #[error(
        "{} can be written by other users (mode {mode:03o}): remove that permission with chmod, or trust them by \
         TrustedUsers",
        path.display()
    )]
    WritableByOthers {
        /// The file or the directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file, or a directory or symbolic link on its path, belongs to neither the user of the process nor root.
    #[error(
        "{} belongs to another user (uid {owner}), who could replace it: give it to the user of this process or to root with \
         chown, or accept every user with SqliteOptions::trusted_users",
        path.display()
    )]
    OwnedByAnother {
        /// The file, directory or link.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// The file has several names. Each of them would get a log of its own, and the logs would destroy each other's work.
    #[error("{} has {names} names (hard links), so it cannot be shared safely: remove all but one", path.display())]
    MultipleHardLinks {
        /// The name it was to be opened by.
        path: PathBuf,
        /// How many it has.
        names: u64,
    },
    /// The file, its log or the index into the log was deleted or replaced while the store was in use. What was
    /// acknowledged is copied into the main file if possible.
    #[error("{} was replaced or deleted while the store was in use; nothing was changed: close the store in every process and open it again", .0.display())]
    Replaced(PathBuf),
    /// The log was cut, or replaced by a shorter one, while the store was in use.
    #[error(
        "the log of the store was cut, replaced or deleted while the store was in use; changes that were acknowledged last may be lost: close the store in every process, look for the file that was moved, and open the store again"
    )]
    LogLost(#[source] Cause),
    /// One of the store's files was cut, deleted or replaced during a commit. The change may exist later or not.
    #[error(
        "a file of the store was cut, replaced or deleted during a commit, so the change may be lost or kept: close the store in every process, open it again and look"
    )]
    Unconfirmed(#[source] Box<StoreError>),
    /// The store was opened by the parent of this process, before a `fork`. SQLite does not allow that.
    #[error("{} was opened before this process was forked; nothing was changed: open it again in this process", .0.display())]
    Forked(PathBuf),
    /// The file went back to an earlier state while it was in use.
    #[error("the store went back from revision {from} to {to} while it was in use: open it again")]
    RolledBack {
        /// The revision that was seen before.
        from: u64,
        /// The revision that the file has now.
        to: u64,
    },
    /// This SQLite, or this file system, cannot work as the store needs it.
    #[error("SQLite refuses to work with {setting} = {wanted} here: do not put a store on a network file system")]
    UnsupportedSetting {
        /// The setting.
        setting: &'static str,
        /// The value it must have.
        wanted: &'static str,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        // What the operating system said is all that tells one such failure from another.
        let text = match &error {
            StoreError::CannotOpen { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::new(ErrorKind::Store, text).with_source(error)
    }
}
