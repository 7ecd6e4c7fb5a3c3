//! Files with a secret, which other programs read and replace too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::exposure::{Exposure, TrustedUsers};

/// A file with a secret that only its owner may read, such as a passphrase, a password, or access
/// keys.
///
/// It is checked like a [root key file](crate::seal::RootKey::from_file): other users can neither
/// read it nor replace it or a directory on its path. Permissions are checked on Unix only.
///
/// # Examples
/// ```
/// use strongroom::seal::PrivateFile;
///
/// let directory = tempfile::tempdir()?;
/// let file = PrivateFile::new(directory.path().join("password"));
/// assert!(file.read(100).is_err(), "it does not exist");
/// file.lock()?.replace(b"secret")?;
/// assert_eq!(*file.read(100)?, b"secret");
/// assert!(file.read(5).is_err(), "it is longer than expected");
///
/// # #[cfg(unix)]
/// std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
/// # #[cfg(unix)]
/// assert!(file.read(100).unwrap_err().to_string().contains("other users"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFile {
    path: PathBuf,
    trusted_users: TrustedUsers,
}

impl PrivateFile {
    /// Refers to the file at a path, which may not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), trusted_users: TrustedUsers::default() }
    }

    /// Sets the users that may be able to read the file, by default only root and the user of the
    /// process. A mounted secret of Kubernetes and a credential of systemd can be readable by their
    /// group.
    ///
    /// # Examples
    /// ```
    /// use strongroom::TrustedUsers;
    /// use strongroom::seal::PrivateFile;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("password");
    /// std::fs::write(&path, "secret")?;
    /// # #[cfg(unix)]
    /// std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o440))?;
    /// # #[cfg(unix)]
    /// assert!(PrivateFile::new(&path).read(100).is_err());
    /// # #[cfg(unix)]
    /// assert_eq!(*PrivateFile::new(&path).trusted_users(TrustedUsers::Group).read(100)?, b"secret");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads at most `limit` bytes.
    ///
    /// # Errors
    /// - The error of the operating system if the file cannot be read.
    /// - [`ErrorKind::InvalidInput`] if the path is not a regular file.
    /// - [`ErrorKind::PermissionDenied`] if other users can read it, or replace a part of its path.
    /// - [`ErrorKind::FileTooLarge`] if it is longer than `limit`.
    pub fn read(&self, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        // Check before opening, because opening a pipe would block until a writer opens it.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        super::check_secret(&self.path, self.trusted_users).map_err(refused)?;
        let file = File::open(&self.path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(limit);
        // The content is never moved, so that no copy remains: one byte more shows the end.
        let mut content = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
        let maximum = u64::try_from(content.capacity()).unwrap_or(u64::MAX);
        file.take(maximum).read_to_end(&mut content)?;
        if content.len() > length {
            let text = format!("it is longer than {limit} bytes, or another program is writing it");
            return Err(io::Error::new(ErrorKind::FileTooLarge, text));
        }
        Ok(content)
    }

    /// Waits until no other process holds the lock of this file, and holds it until the returned
    /// value is dropped. In the meantime, the file `<path>.lock` exists.
    ///
    /// # Errors
    /// - [`ErrorKind::PermissionDenied`] if other users can replace a part of the path.
    /// - The error of the operating system if the lock cannot be created.
    pub fn lock(&self) -> io::Result<LockedFile<'_>> {
        super::check_reachable(&self.path).map_err(refused)?;
        let path = self.beside(".lock");
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            super::for_the_owner_alone(&mut options);
            let lock = options.open(&path)?;
            lock.lock()?;
            // The last holder may have deleted it.
            if super::is_at(&lock, &path)? {
                return Ok(LockedFile { file: self, _lock: lock, lock_path: path });
            }
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }
}

/// A [`PrivateFile`] that no other process replaces at the same time.
///
/// # Examples
/// ```
/// use strongroom::seal::PrivateFile;
///
/// let directory = tempfile::tempdir()?;
/// let file = PrivateFile::new(directory.path().join("counter"));
/// let locked = file.lock()?;
/// locked.replace(b"1")?;
/// let next = [file.read(10)?.as_slice(), b"2"].concat(); // nobody has changed it in the meantime
/// locked.replace(&next)?;
/// drop(locked);
/// assert_eq!(*file.read(10)?, b"12");
/// assert_eq!(std::fs::read_dir(directory.path())?.count(), 1); // no lock and no temporary file
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct LockedFile<'a> {
    file: &'a PrivateFile,
    _lock: File,
    lock_path: PathBuf,
}

impl LockedFile<'_> {
    /// Creates the file, or replaces its content. After a crash, it has its old content or its new
    /// content. Only its owner can read it.
    ///
    /// # Errors
    /// - The error of the operating system if the file cannot be written. Its content is the old
    ///   one, unless only the last step failed: to sync its name.
    pub fn replace(&self, content: &[u8]) -> io::Result<()> {
        let new = self.file.beside(".new");
        // A process that crashed may have left one.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = super::create_new(&new)?;
        let written = file
            .write_all(content)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &self.file.path))
            .and_then(|()| super::sync_name(&self.file.path));
        written.inspect_err(|_| {
            // Ignored because the first failure is the one to report.
            let _ = fs::remove_file(&new);
        })
    }
}

impl Drop for LockedFile<'_> {
    fn drop(&mut self) {
        // Still locked: a process that waits for the deleted file locks a new one. If it cannot be
        // deleted, it is used again.
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn refused(exposure: Exposure) -> io::Error {
    match exposure {
        Exposure::Unknown { source, .. } => source,
        exposure => io::Error::new(ErrorKind::PermissionDenied, exposure),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn only_a_regular_private_file_within_the_limit_is_read() -> TestResult {
        let directory = tempfile::tempdir()?;
        let file = PrivateFile::new(directory.path().join("secret"));
        let kind = |file: &PrivateFile, limit| file.read(limit).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind(&file, 10), Err(ErrorKind::NotFound));
        file.lock()?.replace(b"0123456789")?;
        assert_eq!(fs::metadata(file.path())?.permissions().mode() & 0o777, 0o600);
        assert_eq!((kind(&file, 10), kind(&file, 9)), (Ok(()), Err(ErrorKind::FileTooLarge)));
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode))?;
            assert_eq!(kind(&file, 10), Err(ErrorKind::PermissionDenied), "{mode:o}");
        }
        assert_eq!(kind(&PrivateFile::new(directory.path()), 10), Err(ErrorKind::InvalidInput));
        // A link is followed, and its directory is checked.
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600))?;
        let open = directory.path().join("open");
        fs::create_dir(&open)?;
        symlink(file.path(), open.join("link"))?;
        assert_eq!(kind(&PrivateFile::new(open.join("link")), 10), Ok(()));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777))?;
        assert_eq!(kind(&PrivateFile::new(open.join("link")), 10), Err(ErrorKind::PermissionDenied));
        assert!(PrivateFile::new(open.join("new")).lock().is_err());
        Ok(())
    }

    #[test]
    fn leftovers_of_a_crash_are_replaced() -> TestResult {
        let directory = tempfile::tempdir()?;
        let file = PrivateFile::new(directory.path().join("secret"));
        fs::write(directory.path().join("secret.new"), b"half")?;
        fs::write(directory.path().join("secret.lock"), b"")?;
        file.lock()?.replace(b"whole")?;
        assert_eq!(*file.read(10)?, b"whole");
        assert_eq!(fs::read_dir(directory.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn no_change_of_another_holder_is_lost() -> TestResult {
        let directory = tempfile::tempdir()?;
        let file = PrivateFile::new(directory.path().join("counter"));
        file.lock()?.replace(b"")?;
        let append = || -> io::Result<()> {
            for _ in 0..20 {
                let locked = file.lock()?;
                let mut content = file.read(1_000)?;
                content.push(b'+');
                locked.replace(&content)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(append)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        assert_eq!(file.read(1_000)?.len(), 80);
        Ok(())
    }
}
