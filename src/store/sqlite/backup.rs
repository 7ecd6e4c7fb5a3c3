//! Backups of the file while it is in use.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SqliteStore;
use super::failure::failed;
use super::file::Identity;
use crate::error::Result;
use crate::private_file;
use crate::store::error::StoreError;

/// Copies all pages in one step, and therefore one state of the file.
const ALL_PAGES: i32 = -1;

impl SqliteStore {
    /// Writes a consistent copy of the store to a new file that only its owner can read. Concurrent
    /// readers and writers are not blocked. The copy gets its final name once it is complete and on
    /// disk. A crash before that leaves a file with the extension `.partial`, which the next backup
    /// of the same name replaces.
    ///
    /// The copy is a store with the same identity and root key and can be opened in place. If two
    /// copies are both changed, they diverge and have no further relation to each other.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`](crate::ErrorKind::Store) if the file already exists, with
    ///   [`StoreError::Exists`] as its source, or if reading or writing fails, with another
    ///   [`StoreError`] as its source.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::store::{KeyStore, SqliteStore};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let backend = CryptoBackend::default();
    /// let store = SqliteStore::open(directory.path().join("keys.strongroom"), &backend)?;
    /// let copy = directory.path().join("monday.strongroom");
    /// store.back_up(&copy)?;
    /// assert_eq!(SqliteStore::open(&copy, &backend)?.id(), store.id());
    /// assert!(store.back_up(&copy).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up(&self, to: impl AsRef<Path>) -> Result<()> {
        let to = to.as_ref();
        refuse_existing(to)?;
        let partial = partial_name(to);
        let failed_at = |source: io::Error| StoreError::CannotOpen { path: partial.clone(), source: Box::new(source) };
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed_at(error).into()),
            _ => {}
        }
        let file = private_file::create_new(&partial).map_err(failed_at)?;
        self.check_names()?;
        self.read(|connection| {
            self.log.check(connection, 0)?;
            copy(connection, &partial)
        })?;
        publish(&file, &partial, to)
    }
}

fn refuse_existing(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() { Err(StoreError::Exists(path.to_owned()).into()) } else { Ok(()) }
}

/// Syncs a complete copy to disk and gives it its final name.
fn publish(file: &File, partial: &Path, to: &Path) -> Result<()> {
    let failed = |error| StoreError::Io(Box::new(error));
    let written = file.sync_all().and_then(|()| Ok((file.metadata()?, fs::symlink_metadata(partial)?)));
    let (ours, there) = written.map_err(failed)?;
    // Another backup to the same name has put its own file there.
    if Identity::of(&ours) != Identity::of(&there) {
        return Err(StoreError::Busy("another backup to this file is in progress".into()).into());
    }
    refuse_existing(to)?;
    fs::rename(partial, to).and_then(|()| private_file::sync_name(to)).map_err(|error| failed(error).into())
}

fn copy(from: &Connection, to: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(failed)?;
    let done = Backup::new(from, &mut copy).and_then(|backup| backup.step(ALL_PAGES)).map_err(failed)?;
    if done != StepResult::Done {
        return Err(StoreError::Busy("the copy was not finished".into()).into());
    }
    copy.close().map_err(|(_, error)| failed(error))
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_gets_its_name_only_if_it_is_the_one_that_was_made() -> Result<()> {
        let home = tempfile::tempdir().expect("a directory");
        let (partial, to) = (home.path().join("monday.partial"), home.path().join("monday"));
        let file = private_file::create_new(&partial).expect("a new file");
        fs::rename(&partial, home.path().join("elsewhere")).expect("moved");
        private_file::create_new(&partial).expect("another new file");
        assert!(publish(&file, &partial, &to).is_err() && !to.exists(), "another file exists");
        fs::rename(home.path().join("elsewhere"), &partial).expect("moved back");
        publish(&file, &partial, &to)?;
        private_file::create_new(&partial).expect("another new file");
        assert!(publish(&File::open(&partial).expect("there"), &partial, &to).is_err(), "the name is in use");
        Ok(())
    }
}
