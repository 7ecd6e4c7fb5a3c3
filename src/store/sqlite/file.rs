//! The file that a store is in: made for its owner alone, and known again as long as it is in use.
//!
//! It is never opened here once it exists, only looked at: a process that closes any handle to a file loses all its locks
//! on it, SQLite's too.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::options::MissingFile;
use crate::private_file;
use crate::store::error::StoreError;

/// A file that was found fit for a store.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    identity: Identity,
}

impl StoreFile {
    /// Finds the file, or makes an empty one that only its owner may read and write.
    pub(super) fn find(path: &Path, missing: MissingFile) -> Result<Self, StoreError> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match missing {
                MissingFile::Refuse => return Err(StoreError::Missing(path.to_owned())),
                MissingFile::Create => create(path).and_then(|()| fs::metadata(path)),
            },
            found => found,
        };
        let metadata = found.map_err(|error| cannot_open(path, error))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile(path.to_owned()));
        }
        // With all links followed, so that every process names file and log alike, wherever it works.
        let path = fs::canonicalize(path).map_err(|error| cannot_open(path, error))?;
        check_access(&path, &metadata)?;
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

fn cannot_open(path: &Path, error: io::Error) -> StoreError {
    StoreError::CannotOpen { path: path.to_owned(), source: Box::new(error) }
}

#[cfg(unix)]
pub(super) use unix::Identity;
#[cfg(unix)]
use unix::check_access;

#[cfg(unix)]
mod unix {
    use std::fs::{self, Metadata};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::cannot_open;
    use crate::private_file::directory_of;
    use crate::store::error::StoreError;

    /// The bits of a mode that are permissions.
    const PERMISSIONS: u32 = 0o7777;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    const OTHERS_WRITE: u32 = 0o002;
    /// In such a directory only the owner of a file may replace it.
    const STICKY: u32 = 0o1000;

    /// What stays the same as long as a file exists: its device and its number there.
    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::store::sqlite) struct Identity(u64, u64);

    impl Identity {
        pub(in crate::store::sqlite) fn of(metadata: &Metadata) -> Self {
            Self(metadata.dev(), metadata.ino())
        }
    }

    pub(super) fn check_access(path: &Path, file: &Metadata) -> Result<(), StoreError> {
        let writable =
            |path: &Path, mode: u32| StoreError::WritableByOthers { path: path.to_owned(), mode: mode & PERMISSIONS };
        if file.mode() & GROUP_OR_OTHERS_WRITE != 0 {
            return Err(writable(path, file.mode()));
        }
        let directory = directory_of(path);
        let mode = fs::metadata(directory).map_err(|error| cannot_open(directory, error))?.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(writable(directory, mode));
        }
        match file.nlink() {
            0 | 1 => Ok(()),
            names => Err(StoreError::SeveralNames { path: path.to_owned(), names }),
        }
    }
}

#[cfg(not(unix))]
pub(super) use other::Identity;
#[cfg(not(unix))]
use other::check_access;

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

    pub(super) fn check_access(_: &Path, _: &Metadata) -> Result<(), StoreError> {
        Ok(())
    }
}
