//! The file that a store is in: made for its owner alone, and known again as long as it is in use.
//!
//! It is never opened here once it exists, only looked at: a process that closes any handle to a file loses all its locks
//! on it, SQLite's too.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::options::MissingFile;
use crate::private_file::{self, Exposure, TrustedUsers, directory_of};
use crate::store::error::StoreError;

/// A file that was found fit for a store.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    identity: Identity,
}

impl StoreFile {
    /// Finds the file, or makes an empty one that only its owner may read and write.
    pub(super) fn find(path: &Path, missing: MissingFile, trusted: TrustedUsers) -> Result<Self, StoreError> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match missing {
                MissingFile::Refuse => return Err(StoreError::Missing(path.to_owned())),
                MissingFile::Create => {
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
        // With all links followed, so that every process names file and log alike, wherever it works.
        let given = path;
        let path = fs::canonicalize(given).map_err(|error| cannot_open(given, error))?;
        check_single_name(&path, &metadata)?;
        check_access(given, &path, trusted)?;
        Ok(Self { identity: Identity::of(&metadata), path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the path still leads to the file that was found. A change that went into a file without a name
    /// would be lost.
    pub(super) fn check_still_there(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Io(Box::new(error))),
            _ => Err(StoreError::Replaced(self.path.clone())),
        }
    }
}

/// Makes the file, whose name is on the disk when this returns. That someone else was faster is as good.
fn create(path: &Path) -> io::Result<()> {
    match private_file::create_new(path) {
        Ok(_) => private_file::sync_name(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses a file that other users could write or replace, by the name that was given or by its own, or whose log or index
/// they could have put there.
fn check_access(given: &Path, path: &Path, trusted: TrustedUsers) -> Result<(), StoreError> {
    check(private_file::check_directory(directory_of(path), trusted))?;
    check(private_file::check_file(given, trusted))?;
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        if fs::symlink_metadata(&name).is_ok() {
            match private_file::check_file(Path::new(&name), trusted) {
                // Another process that was the last to use the store has removed it.
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

    /// What stays the same as long as a file exists: its device and its number there.
    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::store::sqlite) struct Identity(u64, u64);

    impl Identity {
        pub(in crate::store::sqlite) fn of(metadata: &Metadata) -> Self {
            Self(metadata.dev(), metadata.ino())
        }
    }

    pub(super) fn check_single_name(path: &Path, file: &Metadata) -> Result<(), StoreError> {
        match file.nlink() {
            0 | 1 => Ok(()),
            names => Err(StoreError::SeveralNames { path: path.to_owned(), names }),
        }
    }
}

#[cfg(not(unix))]
pub(super) use other::Identity;
#[cfg(not(unix))]
use other::check_single_name;

/// Elsewhere a new file has the permissions of its directory, and a file in use can be neither deleted nor replaced.
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
    }

    pub(super) fn check_single_name(_: &Path, _: &Metadata) -> Result<(), StoreError> {
        Ok(())
    }
}
