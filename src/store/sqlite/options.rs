//! How a store in a file is opened.

use std::time::Duration;

use crate::private_file::TrustedUsers;

/// What to do if there is no file yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingFile {
    /// Make an empty store.
    #[default]
    Create,
    /// Reject a missing file, an empty one, and a store that no record was ever written to. A mistyped path is then reported
    /// immediately, and does not appear as a store without keys.
    Refuse,
}

/// Settings of a [`SqliteStore`](super::SqliteStore) that have more than one right answer.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::store::{MissingFile, SqliteOptions};
///
/// let options = SqliteOptions::default().missing_file(MissingFile::Refuse).staleness(Duration::ZERO);
/// assert_eq!(format!("{options:?}").matches("Refuse").count(), 1);
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
    /// What to do if there is no file: by default an empty store is made.
    #[must_use]
    pub const fn missing_file(mut self, missing_file: MissingFile) -> Self {
        self.missing_file = missing_file;
        self
    }

    /// How late a change by another process may be noticed, by default 10 ms. Changes by this process are always seen at
    /// once. With zero the file is asked at the start of every operation, which takes some microseconds.
    #[must_use]
    pub const fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// How long to wait while another process writes, by default 10 s.
    #[must_use]
    pub const fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// The most connections for reading, at least one and by default four: as many threads read at once, others wait.
    /// They are opened when they are first needed. Whoever writes has a connection of its own and holds up no reader.
    #[must_use]
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Users that may be able to write the file of the store or a directory on its path, by default the user of the process
    /// and root only.
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
