//! Anchors: records of a store's progress that are kept outside the store, so that a rollback of
//! the whole store is detected.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{Change, CommitError, Expectation, KeyStore, RecordId, RecordKind, Revision, StoreId};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::lock::Mutex;
use crate::private_file::{self, Exposure, TrustedUsers};

/// The first word of an anchor file.
const FILE_FORMAT: &str = "strongroom-anchor-1";

/// The maximum size of an anchor file that is read.
const MAX_FILE: u64 = 512;

/// The state of a store after one of its commits. It is not secret, and only the KMS of the store
/// can create it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorPoint {
    /// The store.
    pub store: StoreId,
    /// The revision of the commit.
    pub revision: Revision,
    /// A keyed hash of the state after the commit.
    pub digest: [u8; 32],
}

/// Records how far a store has progressed, in a place that is not rolled back together with the
/// store. This can be a file on another disk or another store. With an anchor, a KMS detects that
/// the whole store was replaced by an older copy, or that it lost the end of its log.
///
/// # Examples
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use strongroom::seal::RootKey;
/// use strongroom::store::{FileAnchor, SqliteStore};
/// use strongroom::{ErrorKind, Kms};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("keys.strongroom");
/// let open = || {
///     let store = SqliteStore::open(&path, &Default::default())?;
///     let anchor = FileAnchor::new(directory.path().join("keys.anchor")); // in production, on another disk
///     Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).anchor(anchor).build()
/// };
/// let kms = open()?;
/// SqliteStore::open(&path, &Default::default())?.back_up(directory.path().join("monday"))?;
/// kms.create_key(Default::default())?;
/// drop(kms);
///
/// std::fs::rename(directory.path().join("monday"), &path)?;
/// assert_eq!(open().unwrap_err().kind(), ErrorKind::Integrity);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Anchor: fmt::Debug + Send + Sync {
    /// Returns the current point of the anchor, or `None` before the first.
    ///
    /// A KMS calls this within every commit, while other writers wait.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the point cannot be read. The KMS then refuses to continue.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::{Anchor, KeyStore, MemoryAnchor, MemoryStore};
    ///
    /// let (store, anchor) = (Arc::new(MemoryStore::new(&Default::default())?), Arc::new(MemoryAnchor::default()));
    /// assert_eq!(anchor.last()?, None);
    /// let builder = Kms::builder().store(Arc::clone(&store), RootKey::generate());
    /// let kms = builder.anchor(Arc::clone(&anchor)).build()?;
    /// kms.create_key(Default::default())?;
    /// assert_eq!(anchor.last()?.map(|point| point.revision), Some(store.revision()?));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn last(&self) -> Result<Option<AnchorPoint>>;

    /// Moves the anchor to `point` durably. Does nothing if the anchor is already at that revision
    /// or a later one, or at a point of another store. Several processes may call this
    /// concurrently.
    ///
    /// # Errors
    /// - [`ErrorKind::Store`] if the anchor cannot be moved.
    ///
    /// # Examples
    /// ```
    /// use strongroom::store::{Anchor, AnchorPoint, MemoryAnchor, Revision, StoreId};
    ///
    /// let anchor = MemoryAnchor::default();
    /// let point = |store, revision| AnchorPoint { store: StoreId([store; 16]), revision, digest: [0; 32] };
    /// anchor.advance(&point(1, Revision(2)))?;
    /// anchor.advance(&point(1, Revision(1)))?; // an earlier revision
    /// anchor.advance(&point(2, Revision(3)))?; // another store
    /// assert_eq!(anchor.last()?, Some(point(1, Revision(2))));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn advance(&self, point: &AnchorPoint) -> Result<()>;
}

impl<A: Anchor + ?Sized> Anchor for Arc<A> {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        (**self).last()
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        (**self).advance(point)
    }
}

/// Keeps the point in memory, for tests.
///
/// # Examples
/// ```
/// use strongroom::store::{Anchor, AnchorPoint, MemoryAnchor, Revision, StoreId};
///
/// let anchor = MemoryAnchor::default();
/// assert_eq!(anchor.last()?, None);
/// let point = |revision| AnchorPoint { store: StoreId([1; 16]), revision: Revision(revision), digest: [0; 32] };
/// anchor.advance(&point(2))?;
/// anchor.advance(&point(1))?; // never moves back
/// assert_eq!(anchor.last()?, Some(point(2)));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryAnchor(Mutex<Option<AnchorPoint>>);

impl Anchor for MemoryAnchor {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        // The point is always consistent, even if the lock is poisoned.
        Ok(*self.0.lock())
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        let mut last = self.0.lock();
        if is_ahead(*last, point) {
            *last = Some(*point);
        }
        Ok(())
    }
}

/// Keeps the point in a file of one line. Each move writes a new file, syncs it to disk, and
/// replaces the old file with it. A lock on an adjacent file with the extension `.lock` serializes
/// the processes that move the anchor.
///
/// # Examples
/// ```
/// use strongroom::TrustedUsers;
/// use strongroom::store::{Anchor, AnchorPoint, FileAnchor, Revision, StoreId};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let path = directory.join("keys.anchor"); // on another disk than the store
/// let anchor = FileAnchor::new(&path).trusted_users(TrustedUsers::Owner);
/// let point = AnchorPoint { store: StoreId([1; 16]), revision: Revision(1), digest: [0; 32] };
/// anchor.advance(&point)?;
/// assert_eq!(FileAnchor::new(&path).last()?, Some(point));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileAnchor {
    path: PathBuf,
    must_exist: bool,
    trusted_users: TrustedUsers,
    /// Set once access has been checked.
    checked: OnceLock<()>,
}

impl FileAnchor {
    /// Creates an anchor in this file. The file is created when the anchor is first moved.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), must_exist: false, trusted_users: TrustedUsers::Owner, checked: OnceLock::new() }
    }

    /// Rejects a missing file instead of creating it. Use this for a store that has been opened
    /// with its anchor before, so that an attacker cannot bypass the anchor by deleting it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::FileAnchor;
    /// use strongroom::{ErrorKind, Kms};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("keys.anchor");
    ///
    /// let anchor = FileAnchor::new(&path).must_exist();
    /// assert_eq!(Kms::builder().anchor(anchor).build().unwrap_err().kind(), ErrorKind::Store);
    /// Kms::builder().anchor(FileAnchor::new(&path)).build()?; // creates it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// Sets the users that may be able to write the file or a directory on its path. By default,
    /// only root and the user of the process.
    #[must_use]
    pub fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }

    /// Rejects an anchor that other users could move.
    fn check_access(&self) -> Result<()> {
        if self.checked.get().is_some() {
            return Ok(());
        }
        let refused = |exposure: Exposure| {
            if let Exposure::Unknown { path, source } = exposure {
                return failed(&path, "cannot be checked for write access by other users", source);
            }
            let text = format!("the anchor {} is not safe: {exposure}", self.path.display());
            Error::new(ErrorKind::Store, text).with_source(exposure)
        };
        private_file::check_directory(private_file::directory_of(&self.path), self.trusted_users).map_err(refused)?;
        match private_file::check_file(&self.path, self.trusted_users) {
            // Access is checked again once the file exists, because its directory may be missing,
            // too.
            Err(Exposure::Unknown { source, .. }) if source.kind() == IoErrorKind::NotFound => {}
            checked => {
                checked.map_err(refused)?;
                self.checked.get_or_init(|| ());
            }
        }
        Ok(())
    }

    fn write(&self, point: &AnchorPoint) -> io::Result<()> {
        let new = self.beside(".new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != IoErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private_file::create_new(&new)?;
        file.write_all(line(point).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        private_file::sync_name(&self.path)
    }

    /// Locks the anchor until the returned file is dropped. If the lock file was deleted or
    /// replaced before it was locked, locks the new one, because other processes would not wait for
    /// the old one.
    fn lock(&self) -> io::Result<File> {
        let path = self.beside(".lock");
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            private_file::for_the_owner_alone(&mut options);
            let lock = options.open(&path)?;
            lock.lock()?;
            if private_file::is_at(&lock, &path)? {
                return Ok(lock);
            }
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }
}

impl Anchor for FileAnchor {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        self.check_access()?;
        let path = &self.path;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound && self.must_exist => {
                return Err(missing(&path.display().to_string()));
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, "cannot be read", error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| failed(path, "cannot be read", error))?;
        let point = parse(&text)
            .ok_or_else(|| Error::new(ErrorKind::Store, format!("the anchor {} is corrupt", path.display())))?;
        Ok(Some(point))
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        self.check_access()?;
        let moved = |error| failed(&self.path, "cannot be moved", error);
        let _lock = self.lock().map_err(moved)?;
        if is_ahead(self.last()?, point) {
            self.write(point).map_err(moved)?;
        }
        Ok(())
    }
}

/// Keeps the point as a record of another store, such as one on another disk or one that is shared
/// with other machines. That store must not belong to a [`Kms`](crate::Kms), which would report the
/// record as a violation because it did not write it.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom::store::{MemoryStore, StoreAnchor};
///
/// let elsewhere = Arc::new(MemoryStore::new(&Default::default())?);
/// let store = Arc::new(MemoryStore::new(&Default::default())?);
/// let kms = Kms::builder()
///     .store(Arc::clone(&store), RootKey::generate())
///     .anchor(StoreAnchor::new(Arc::clone(&elsewhere)))
///     .build()?;
/// kms.create_key(Default::default())?;
/// assert_eq!(elsewhere.len(), 1); // the anchor is one record
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct StoreAnchor<S> {
    store: S,
    must_exist: bool,
}

impl<S: KeyStore> StoreAnchor<S> {
    /// Creates an anchor in `store`, which must not be the store that it anchors.
    pub const fn new(store: S) -> Self {
        Self { store, must_exist: false }
    }

    /// Rejects a store without an anchor instead of creating the anchor, as
    /// [`FileAnchor::must_exist`] does.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::store::{Anchor, MemoryStore, StoreAnchor};
    ///
    /// let other = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    /// assert!(StoreAnchor::new(Arc::clone(&other)).must_exist().last().is_err());
    /// assert_eq!(StoreAnchor::new(other).last()?, None);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn must_exist(self) -> Self {
        Self { must_exist: true, ..self }
    }

    fn read(&self) -> Result<(Option<Revision>, Option<AnchorPoint>)> {
        let Some(record) = self.store.get(&record_id())? else {
            return if self.must_exist { Err(missing("another store")) } else { Ok((None, None)) };
        };
        let text = std::str::from_utf8(&record.body).ok();
        let damaged = || Error::new(ErrorKind::Store, "the anchor in another store is corrupt");
        Ok((Some(record.revision), Some(text.and_then(parse).ok_or_else(damaged)?)))
    }
}

impl<S: KeyStore> Anchor for StoreAnchor<S> {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        Ok(self.read()?.1)
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        loop {
            let (revision, last) = self.read()?;
            if !is_ahead(last, point) {
                return Ok(());
            }
            let expected = Expectation { id: record_id(), revision };
            let moved = self.store.commit(&[expected], &mut |_| {
                Ok(vec![Change { id: record_id(), body: Some(line(point).into_bytes()) }])
            });
            match moved {
                // Each conflict means that another process has moved the anchor.
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Failed(error)) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }
}

fn record_id() -> RecordId {
    RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"anchor".to_vec() }
}

fn is_ahead(last: Option<AnchorPoint>, point: &AnchorPoint) -> bool {
    last.is_none_or(|last| last.store == point.store && last.revision < point.revision)
}

/// Returns the line `strongroom-anchor-1 store revision digest` with a line ending. All values
/// except the revision are in hexadecimal.
fn line(point: &AnchorPoint) -> String {
    let hex = base16ct::lower::encode_string;
    format!("{FILE_FORMAT} {} {} {}\n", hex(&point.store.0), point.revision.0, hex(&point.digest))
}

fn parse(text: &str) -> Option<AnchorPoint> {
    let [format, store, revision, digest] = text.strip_suffix('\n')?.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let point = AnchorPoint {
        store: StoreId(bytes(store)?),
        revision: Revision(revision.parse().ok()?),
        digest: bytes(digest)?,
    };
    (format == FILE_FORMAT && line(&point) == text).then_some(point)
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = base16ct::lower::decode(digits, &mut bytes).ok()?.len();
    (decoded == N).then_some(bytes)
}

/// Returns the error for an anchor that must exist but is missing.
fn missing(place: &str) -> Error {
    let text =
        format!("the anchor in {place} is missing but must exist: restore it, or create a new one without that option");
    Error::new(ErrorKind::Store, text)
}

fn failed(path: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Store, format!("the anchor {} {what}: {error}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::crypto::CryptoBackend;
    use crate::store::{MemoryStore, conformance};

    #[test]
    fn every_anchor_meets_the_contract() -> Result<()> {
        conformance::run_anchor(|| Ok(Box::new(MemoryAnchor::default())))?;
        conformance::run_anchor(|| Ok(Box::new(StoreAnchor::new(MemoryStore::new(&CryptoBackend::default())?))))?;
        let homes = RefCell::new(Vec::new());
        conformance::run_anchor(|| {
            let home = tempfile::tempdir().expect("a folder");
            let anchor = FileAnchor::new(home.path().join("anchor"));
            homes.borrow_mut().push(home);
            Ok(Box::new(anchor))
        })
    }
}
