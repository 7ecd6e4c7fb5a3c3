//! Files that only their owner can read, persisted durably together with their names, on paths that
//! no other user can change.

mod contents;
mod exposure;
#[cfg(unix)]
mod path;
#[cfg(target_os = "linux")]
mod private_group;

#[cfg(all(test, unix))]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a file that only its owner can read and write. Fails if the file exists.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    for_the_owner_alone(&mut options);
    options.open(path)
}

/// Syncs the directory entry of a file to disk.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    sync_directory(directory_of(path))
}

/// Returns the directory that contains a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns `true` if the path still refers to the open file.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(is_same(&file.metadata()?, &found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub use contents::{LockedFile, PrivateFile};
pub(crate) use exposure::Exposure;
pub use exposure::TrustedUsers;
#[cfg(unix)]
pub(crate) use path::{check_directory, check_file, check_reachable, check_secret};
#[cfg(unix)]
pub(crate) use unix::for_the_owner_alone;
#[cfg(unix)]
use unix::{is_same, sync_directory};

#[cfg(unix)]
mod unix {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    use std::path::Path;

    /// Restricts a file created with these options to its owner.
    pub(crate) fn for_the_owner_alone(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }

    pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[cfg(not(unix))]
pub(crate) use other::{check_directory, check_file, check_reachable, check_secret, for_the_owner_alone};
#[cfg(not(unix))]
use other::{is_same, sync_directory};

/// On other platforms, a new file has the permissions of its directory, which are not checked. A
/// file in use keeps its name, and a directory cannot be opened.
#[cfg(not(unix))]
mod other {
    use std::fs::{Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    use super::{Exposure, TrustedUsers};

    pub(crate) fn check_directory(_: &Path, _: TrustedUsers) -> Result<(), Exposure> {
        Ok(())
    }

    pub(super) fn is_same(_: &Metadata, _: &Metadata) -> bool {
        true
    }

    pub(crate) fn check_file(_: &Path, _: TrustedUsers) -> Result<(), Exposure> {
        Ok(())
    }

    pub(crate) fn check_reachable(_: &Path) -> Result<(), Exposure> {
        Ok(())
    }

    pub(crate) fn check_secret(_: &Path, _: TrustedUsers) -> Result<(), Exposure> {
        Ok(())
    }

    pub(crate) fn for_the_owner_alone(_: &mut OpenOptions) {}

    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
