//! The files of a trail on disk: names, locks, and writes that can be rolled back.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::error::failed;
use crate::audit::chain::ChainId;
use crate::audit::line::{FileHeader, MAX_LINE};
use crate::error::{Error, ErrorKind, Result};
use crate::private_file::{self, Exposure, TrustedUsers};

const SUFFIX: &str = ".jsonl";

/// Returns the path of the `index`-th file of a chain: `<chain>.00000001.jsonl`.
pub(in crate::audit) fn path(directory: &Path, chain: ChainId, index: u64) -> PathBuf {
    directory.join(format!("{chain}.{index:08}{SUFFIX}"))
}

/// Parses the chain and number in a file name.
pub(in crate::audit) fn parse_name(path: &Path) -> Option<(ChainId, u64)> {
    let (chain, index) = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.split_once('.')?;
    let digits = index.len() >= 8 && index.bytes().all(|byte| byte.is_ascii_digit());
    Some((ChainId::parse(chain)?, if digits { index.parse().ok()? } else { return None }))
}

/// Lists the trail files of a directory by chain and number.
pub(in crate::audit) fn list(directory: &Path) -> io::Result<Vec<(ChainId, u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some((chain, index)) = parse_name(&path) {
            found.push((chain, index, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Rejects a directory in which other users could write or replace the files of a trail.
pub(super) fn check_access(directory: &Path, trusted: TrustedUsers) -> Result<()> {
    let refused = |exposure| {
        if let Exposure::Unknown { path, source } = exposure {
            return failed("determine which users can change", &path, source);
        }
        let text = format!("the audit trail in {} is not safe: {exposure}", directory.display());
        Error::new(ErrorKind::Audit, text).with_source(exposure)
    };
    private_file::check_directory(directory, trusted).map_err(refused)?;
    let files = match list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files.map_err(|error| failed("read", directory, error))?,
    };
    let checked = files.iter().map(|(.., path)| private_file::check_file(path, trusted));
    // A file that was moved away in the meantime is not written.
    let is_gone = |exposure: &Exposure| matches!(exposure, Exposure::Unknown { source, .. } if source.kind() == io::ErrorKind::NotFound);
    checked
        .filter_map(Result::err)
        .find(|exposure| !is_gone(exposure))
        .map_or(Ok(()), |exposure| Err(refused(exposure)))
}

/// Creates the directory, accessible only to its owner, if it is missing.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The lock of a chain.
///
/// The system releases it once every copy of the file is closed. A program that another thread is
/// about to start has a copy for a moment, so the lock is released explicitly.
#[derive(Debug)]
pub(super) struct ChainLock {
    file: File,
    process: u32,
}

impl Drop for ChainLock {
    fn drop(&mut self) {
        // A child of `fork` must not release the lock of its parent.
        if self.process == process::id() {
            // If this fails, the lock is released when the file is closed.
            let _ = self.file.unlock();
        }
    }
}

/// Acquires the lock of a chain, or returns `None` if another writer holds it.
pub(super) fn lock(directory: &Path, chain: ChainId) -> io::Result<Option<ChainLock>> {
    try_lock(private().create(true).truncate(false).open(lock_path(directory, chain))?)
}

/// Returns `true` if another writer holds the lock of a chain.
pub(super) fn is_locked(directory: &Path, chain: ChainId) -> io::Result<bool> {
    match private().open(lock_path(directory, chain)) {
        Ok(file) => Ok(try_lock(file)?.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns `true` if a chain was started in this directory, in which case its lock file exists.
pub(super) fn was_begun(directory: &Path, chain: ChainId) -> bool {
    lock_path(directory, chain).exists()
}

/// Removes the lock file of a chain that was never started. The caller must hold the lock.
pub(super) fn abandon(directory: &Path, chain: ChainId) -> io::Result<()> {
    fs::remove_file(lock_path(directory, chain))
}

fn lock_path(directory: &Path, chain: ChainId) -> PathBuf {
    directory.join(format!("{chain}.lock"))
}

fn try_lock(file: File) -> io::Result<Option<ChainLock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(ChainLock { file, process: process::id() })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns options to open a file for writing. A new file is accessible only to its owner.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    private_file::for_the_owner_alone(&mut options);
    options
}

/// The point at which an event counts as stored.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::audit::{Durability, FileTrail};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// // Faster, for events that a power failure may take.
/// let trail = FileTrail::new(directory).durability(Durability::Buffered);
/// let kms = Kms::builder().audit(trail).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(kms.verify_audit_trail(directory)?.records(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk: it survives a power failure. Callers that wait at the same time share
    /// one `fsync`.
    #[default]
    Synced,
    /// Once the operating system has it: it survives the end of the process, but not a power
    /// failure.
    Buffered,
}

/// The file that is being written.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    index: u64,
    /// The first line, until it is written.
    header: Option<String>,
    /// The length of all complete lines that are, if requested, on disk.
    length: u64,
    /// `true` if a write failed halfway, so that the file may be longer than `length`.
    torn: bool,
    /// `true` if the file system counts the links to a file, so that a deletion can be detected.
    counts_names: bool,
}

impl Output {
    /// Creates a file, which must not exist yet.
    pub(super) fn create(directory: &Path, header: FileHeader) -> io::Result<Self> {
        let file = private().create_new(true).open(path(directory, header.chain, header.index))?;
        #[cfg(unix)]
        File::open(directory)?.sync_all()?;
        Self::new(file, header.index, Some(header.to_line()), 0, false)
    }

    /// Resumes a file whose first `length` bytes are complete lines; anything after them is
    /// truncated. If there are no complete lines, the header is written again.
    pub(super) fn resume(directory: &Path, header: FileHeader, length: u64) -> io::Result<Self> {
        let file = private().open(path(directory, header.chain, header.index))?;
        let missing = (length == 0).then(|| header.to_line());
        Self::new(file, header.index, missing, length, true)
    }

    /// Opens a file that is written at its current position, as a device is.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn on_device(directory: &Path, header: FileHeader) -> io::Result<Self> {
        let file = private().open(path(directory, header.chain, header.index))?;
        Self::new(file, header.index, None, 0, false)
    }

    fn new(file: File, index: u64, header: Option<String>, length: u64, torn: bool) -> io::Result<Self> {
        let counts_names = has_name(&file.metadata()?);
        Ok(Self { file, index, header, length, torn, counts_names })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn index(&self) -> u64 {
        self.index
    }

    /// Puts all appended lines on disk, whatever the durability of each.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Appends complete lines. After a failure, the next call first rolls back the partial write.
    ///
    /// Nothing is written to a file that another program has deleted, truncated, or extended: the
    /// lines would be lost or could not be verified.
    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        let found = self.file.metadata()?;
        if self.counts_names && !has_name(&found) {
            return Err(io::Error::other("the file was deleted by another program"));
        }
        if found.len() < self.length || (!self.torn && found.len() != self.length) {
            let text = format!(
                "the file was changed by another program: it has {} bytes instead of {}",
                found.len(),
                self.length
            );
            return Err(io::Error::other(text));
        }
        if self.torn {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
        }
        self.torn = true;
        let header = self.header.as_ref().map_or(&[][..], String::as_bytes);
        self.file.write_all(header)?;
        self.file.write_all(lines)?;
        if durability == Durability::Synced {
            self.file.sync_data()?;
        }
        self.torn = false;
        self.length += u64::try_from(header.len() + lines.len()).map_err(io::Error::other)?;
        self.header = None;
        Ok(())
    }
}

/// Returns `true` if the file still has a name. Data written to a file without a name is lost.
#[cfg(unix)]
fn has_name(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 0
}

/// On this platform, an open file cannot be deleted.
#[cfg(not(unix))]
fn has_name(_: &Metadata) -> bool {
    true
}

/// Reads a file line by line, with a bounded number of bytes per line.
#[derive(Debug)]
pub(in crate::audit) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// The offset after the last line that was returned.
    pub(in crate::audit) offset: u64,
}

/// The next element of a file.
pub(in crate::audit) enum Next<'a> {
    /// A line without its line break.
    Line(&'a [u8]),
    /// Bytes at the end of the file without a line break.
    Torn,
    /// A line that exceeds the limit.
    TooLong,
    End,
}

impl Lines {
    pub(in crate::audit) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), line: Vec::new(), offset: 0 })
    }

    pub(in crate::audit) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE).map_err(io::Error::other)?;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)?;
        match self.line.split_last() {
            None => Ok(Next::End),
            Some((b'\n', line)) => {
                self.offset += u64::try_from(read).map_err(io::Error::other)?;
                Ok(Next::Line(line))
            }
            Some(_) if read == MAX_LINE => Ok(Next::TooLong),
            Some(_) => Ok(Next::Torn),
        }
    }

    /// Returns the bytes that [`Next::Torn`] refers to.
    pub(in crate::audit) fn unfinished(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::ChainState;
    use crate::crypto::FASTEST;

    #[test]
    fn a_lock_is_released_although_its_file_has_another_copy() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let chain = ChainState::generate(&FASTEST)?.id();
        let held = lock(folder.path(), chain)?.ok_or("nobody else has it")?;
        assert!(is_locked(folder.path(), chain)? && lock(folder.path(), chain)?.is_none());
        // As a program has it that is about to start.
        let _copy = held.file.try_clone()?;
        drop(held);
        assert!(!is_locked(folder.path(), chain)?);
        assert!(lock(folder.path(), chain)?.is_some());
        Ok(())
    }
}
