//! Files that only their owner can read, replaced atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Reads a file of at most `limit` bytes after checking that other users can neither read nor
/// replace it.
///
/// # Errors
/// - If the file cannot be read, is exposed to other users, or is too large.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let cannot = |error| Error::new(format!("cannot read {}", path.display())).with_source(error);
    let file = File::open(path).map_err(cannot)?;
    exposure::check(&file, path)?;
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(cannot)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= limit) {
        Ok(content)
    } else {
        Err(Error::new(format!("cannot read {}: the file is larger than {limit} bytes", path.display())))
    }
}

/// Creates a file or replaces its content. After a crash, the file has its old content or its new
/// content.
///
/// # Errors
/// - If another process is writing the file, or the file cannot be written.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let cannot = |error| Error::new(format!("cannot write {}", path.display())).with_source(error);
    let mut file = create(&new).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::new(format!(
            "cannot write {}: {} exists; another process is writing it, or crashed, in which case delete that file",
            path.display(),
            new.display()
        )),
        _ => cannot(error),
    })?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| exposure::sync_directory(directory_of(path)));
    written.map_err(|error| {
        // Ignored because the first failure is the one to report.
        let _ = fs::remove_file(&new);
        cannot(error)
    })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    exposure::for_the_owner_alone(&mut options);
    options.open(path)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
mod exposure {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    use std::path::Path;

    use super::directory_of;
    use crate::error::{Error, Result};

    /// Permissions that a private file must not have: any of the group and of others.
    const OTHERS: u32 = 0o077;
    /// Permissions to replace a file in a directory, for the group and others.
    const OTHERS_WRITE: u32 = 0o022;
    /// In a directory with this bit, users replace only their own files.
    const STICKY: u32 = 0o1000;

    pub(super) fn check(file: &File, path: &Path) -> Result<()> {
        let shown = path.display();
        let cannot = |error| Error::new(format!("cannot read {shown}")).with_source(error);
        let found = file.metadata().map_err(cannot)?;
        let directory = fs::metadata(directory_of(path)).map_err(cannot)?;
        let user = rustix::process::geteuid().as_raw();
        let is_trusted = |owner: u32| owner == user || owner == 0;
        if !found.is_file() {
            return Err(Error::new(format!("cannot read {shown}: it is not a regular file")));
        }
        if !is_trusted(found.uid()) || found.mode() & OTHERS != 0 {
            return Err(Error::new(format!("cannot use {shown}: other users can access it; run chmod 600 {shown}")));
        }
        let is_shared = directory.mode() & OTHERS_WRITE != 0 && directory.mode() & STICKY == 0;
        if !is_trusted(directory.uid()) || is_shared {
            return Err(Error::new(format!("cannot use {shown}: other users can write to its directory")));
        }
        Ok(())
    }

    pub(super) fn for_the_owner_alone(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// On other platforms, permissions are not checked, and a directory cannot be opened.
#[cfg(not(unix))]
mod exposure {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    use crate::error::Result;

    pub(super) fn check(_: &File, _: &Path) -> Result<()> {
        Ok(())
    }

    pub(super) fn for_the_owner_alone(_: &mut OpenOptions) {}

    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
