//! Options for opening a store in a file.

use std::time::Duration;

use crate::private_file::TrustedUsers;

/// The action to take if the file is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingFile {
    /// Creates an empty store.
    #[default]
    Create,
    /// Rejects a missing file, an empty file, and a store that no record was ever written to. A
    /// mistyped path is then reported immediately and does not look like a store without keys.
    Refuse,
}

/// Settings of a [`SqliteStore`](super::SqliteStore).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::store::{MissingFile, SqliteOptions, SqliteStore};
/// use strongroom::{TrustedUsers, store::KeyStore};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let options = SqliteOptions::default()
///     .missing_file(MissingFile::Create)
///     .staleness(Duration::ZERO) // read the revision from the file each time
///     .busy_timeout(Duration::from_secs(30))
///     .readers(8)
///     .trusted_users(TrustedUsers::Owner);
/// let store = SqliteStore::open_with(directory.join("keys.strongroom"), &CryptoBackend::default(), options)?;
/// assert_eq!(store.revision()?.0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    pub(super) missing_file: MissingFile,
    pub(super) staleness: Duration,
    pub(super) busy_timeout: Duration,
    pub(super) readers: usize,
    pub(super) trusted_users: TrustedUsers,
}

impl SqliteOptions {
    /// Sets the action to take if the file is missing. By default, an empty store is created.
    #[must_use]
    pub const fn missing_file(mut self, missing_file: MissingFile) -> Self {
        self.missing_file = missing_file;
        self
    }

    /// Sets the maximum delay before a change by another process is observed, by default 10 ms.
    /// Changes by this process are always observed immediately. With zero, the revision is read
    /// from the file at the start of every operation, which takes a few microseconds.
    #[must_use]
    pub const fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// Sets how long to wait while another process writes, by default 10 s.
    #[must_use]
    pub const fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Sets the maximum number of connections for reading, at least one and by default four. This
    /// is the number of threads that can read at the same time; others wait. Connections are opened
    /// when they are first needed. Writers use a separate connection and do not block readers.
    #[must_use]
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets the users that may be able to write the file of the store or a directory on its path.
    /// By default, only root and the user of the process.
    #[must_use]
    pub const fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            missing_file: MissingFile::Create,
            staleness: Duration::from_millis(10),
            busy_timeout: Duration::from_secs(10),
            readers: 4,
            trusted_users: TrustedUsers::Owner,
        }
    }
}
