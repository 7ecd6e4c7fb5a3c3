//! The files that form a store: the main file, which only its owner can access, the log, and the
//! index of the log. Their identity is checked as long as the store is in use.
//!
//! This module never opens an existing file and only reads its metadata. A process that closes any
//! handle to a file loses all its locks on that file, including those of SQLite.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::options::MissingFile;
use crate::private_file::{self, Exposure, TrustedUsers, directory_of};
use crate::store::error::StoreError;

/// The files of a store. The main file has passed the access checks.
#[derive(Debug)]
pub(super) struct StoreFile {
    main: Part,
    place: Option<[u8; 16]>,
    /// Both exist and stay the same as long as any process has the store open.
    log: Option<Part>,
    index: Option<Part>,
}

/// A file and its identity.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    identity: Identity,
}

impl StoreFile {
    /// Finds the file, or creates an empty one that only its owner can read and write.
    pub(super) fn find(path: &Path, missing: MissingFile, trusted: TrustedUsers) -> Result<Self, StoreError> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match missing {
                MissingFile::Refuse => return Err(StoreError::Missing(path.to_owned())),
                MissingFile::Create => {
                    check_directory_exists(path)?;
                    check(private_file::check_directory(directory_of(path), trusted))?;
                    create(path).and_then(|()| fs::metadata(path))
                }
            },
            found => found,
        };
        let metadata = found.map_err(|error| cannot_open(path, error))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile(path.to_owned()));
        }
        // Resolve all links, so that every process uses the same names for file and log, regardless
        // of its working directory.
        let given = path;
        let path = fs::canonicalize(given).map_err(|error| cannot_open(given, error))?;
        check_single_name(&path, &metadata)?;
        check_access(given, &path, trusted)?;
        // A new store gets its content before its log.
        if missing == MissingFile::Refuse && metadata.len() == 0 {
            return Err(StoreError::Missing(path));
        }
        Ok(Self {
            main: Part { identity: Identity::of(&metadata), path },
            place: place_of(&metadata),
            log: None,
            index: None,
        })
    }

    /// Adds the log and its index. They must exist, so a connection to the store must be open and
    /// stay open.
    pub(super) fn add_log(&mut self) -> Result<(), StoreError> {
        self.log = Some(Part::find(self.log_path())?);
        self.index = Some(Part::find(beside(&self.main.path, "-shm"))?);
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.main.path
    }

    /// Distinguishes the file from its copies. The value is stable across restarts of the system.
    pub(super) const fn location(&self) -> Option<[u8; 16]> {
        self.place
    }

    pub(super) fn log_path(&self) -> PathBuf {
        beside(&self.main.path, "-wal")
    }

    /// Checks that all paths still refer to the original files. A change written to an unlinked
    /// file would be lost, and so would one that was ordered by locks on such a file.
    pub(super) fn check_still_there(&self) -> Result<(), StoreError> {
        self.check_locks()?;
        self.log.as_ref().map_or(Ok(()), Part::check)
    }

    /// Checks the files that carry SQLite's locks. Processes that lock different files do not
    /// exclude one another.
    pub(super) fn check_locks(&self) -> Result<(), StoreError> {
        self.main.check()?;
        self.index.as_ref().map_or(Ok(()), Part::check)
    }
}

impl Part {
    fn find(path: PathBuf) -> Result<Self, StoreError> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { identity: Identity::of(&metadata), path }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::Replaced(path)),
            Err(error) => Err(cannot_open(&path, error)),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Io(Box::new(error))),
            _ => Err(StoreError::Replaced(self.path.clone())),
        }
    }
}

/// Returns the path of a file that SQLite names after the main file.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Rejects the path of a new store whose directory is missing, with advice: it is the most common
/// mistake at the first start.
fn check_directory_exists(path: &Path) -> Result<(), StoreError> {
    let directory = directory_of(path);
    match fs::metadata(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!("the directory {} does not exist: create it first", directory.display());
            Err(cannot_open(path, io::Error::new(ErrorKind::NotFound, text)))
        }
        // Other problems of the directory are reported by the access check.
        _ => Ok(()),
    }
}

/// Creates the file and syncs its directory entry to disk. Succeeds if another process has already
/// created the file.
fn create(path: &Path) -> io::Result<()> {
    match private_file::create_new(path) {
        Ok(_) => private_file::sync_name(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Rejects a file that other users could write or replace, under the given name or its resolved
/// name. Also rejects a file whose log or index could have been created by other users.
fn check_access(given: &Path, path: &Path, trusted: TrustedUsers) -> Result<(), StoreError> {
    check(private_file::check_directory(directory_of(path), trusted))?;
    check(private_file::check_file(given, trusted))?;
    for suffix in ["-wal", "-shm"] {
        let name = beside(path, suffix);
        if fs::symlink_metadata(&name).is_ok() {
            match private_file::check_file(&name, trusted) {
                // Another process, the last to use the store, has removed it.
                Err(Exposure::Unknown { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                checked => check(checked)?,
            }
        }
    }
    Ok(())
}

fn check(checked: Result<(), Exposure>) -> Result<(), StoreError> {
    checked.map_err(|exposure| match exposure {
        Exposure::Writable { path, mode } | Exposure::Readable { path, mode } => {
            StoreError::WritableByOthers { path, mode }
        }
        Exposure::Owner { path, owner } => StoreError::OwnedByAnother { path, owner },
        Exposure::Unknown { path, source } => StoreError::CannotOpen { path, source: Box::new(source) },
    })
}

/// Returns the file's number and creation time, as far as the system reports them. A copy has a
/// different number or a later creation time. The device number is omitted because it may change
/// whenever the system restarts.
fn place_of(metadata: &fs::Metadata) -> Option<[u8; 16]> {
    let created = metadata.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let nanos = created.and_then(|since| u64::try_from(since.as_nanos()).ok());
    let number = Identity::of(metadata).number();
    let mut place = [0; 16];
    place[..8].copy_from_slice(&number.unwrap_or(0).to_be_bytes());
    place[8..].copy_from_slice(&nanos.unwrap_or(0).to_be_bytes());
    (number.is_some() || nanos.is_some()).then_some(place)
}

fn cannot_open(path: &Path, error: io::Error) -> StoreError {
    StoreError::CannotOpen { path: path.to_owned(), source: Box::new(error) }
}

#[cfg(unix)]
pub(super) use unix::Identity;
#[cfg(unix)]
use unix::check_single_name;

#[cfg(unix)]
mod unix {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use crate::store::error::StoreError;

    /// The device and file number, which stay the same as long as a file exists.
    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::store::sqlite) struct Identity(u64, u64);

    impl Identity {
        pub(in crate::store::sqlite) fn of(metadata: &Metadata) -> Self {
            Self(metadata.dev(), metadata.ino())
        }

        /// Returns the number of the file on its device.
        pub(super) const fn number(&self) -> Option<u64> {
            Some(self.1)
        }
    }

    pub(super) fn check_single_name(path: &Path, file: &Metadata) -> Result<(), StoreError> {
        match file.nlink() {
            0 | 1 => Ok(()),
            names => Err(StoreError::MultipleHardLinks { path: path.to_owned(), names }),
        }
    }
}

#[cfg(not(unix))]
pub(super) use other::Identity;
#[cfg(not(unix))]
use other::check_single_name;

/// On other platforms, a new file inherits the permissions of its directory, and a file in use
/// cannot be deleted or replaced.
#[cfg(not(unix))]
mod other {
    use std::fs::Metadata;
    use std::path::Path;

    use crate::store::error::StoreError;

    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::store::sqlite) struct Identity;

    impl Identity {
        pub(in crate::store::sqlite) fn of(_: &Metadata) -> Self {
            Self
        }

        /// Returns `None`, because the standard library reports no file number.
        pub(super) const fn number(&self) -> Option<u64> {
            None
        }
    }

    pub(super) fn check_single_name(_: &Path, _: &Metadata) -> Result<(), StoreError> {
        Ok(())
    }
}
