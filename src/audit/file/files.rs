//! The files of a trail on disk: names, locks, and writing that can be taken back.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::failed;
use crate::audit::chain::ChainId;
use crate::audit::line::{FileHeader, MAX_LINE};
use crate::error::{Error, ErrorKind, Result};
use crate::private_file::{self, Exposure, TrustedUsers};

const SUFFIX: &str = ".jsonl";

/// The name of the `index`-th file of a chain: `<chain>.00000001.jsonl`.
pub(in crate::audit) fn path(directory: &Path, chain: ChainId, index: u64) -> PathBuf {
    directory.join(format!("{chain}.{index:08}{SUFFIX}"))
}

/// The chain and number that a file's name tells.
pub(in crate::audit) fn parse_name(path: &Path) -> Option<(ChainId, u64)> {
    let (chain, index) = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.split_once('.')?;
    let digits = index.len() >= 8 && index.bytes().all(|byte| byte.is_ascii_digit());
    Some((ChainId::parse(chain)?, if digits { index.parse().ok()? } else { return None }))
}

/// The trail files of a directory, by chain and number.
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

/// Refuses a directory in which other users could write or replace the files of a trail.
pub(super) fn check_access(directory: &Path, trusted: TrustedUsers) -> Result<()> {
    let refused = |exposure| {
        if let Exposure::Unknown { path, source } = exposure {
            return failed("find out who may change", &path, source);
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
    // A file that was moved away in between is not written.
    let is_gone = |exposure: &Exposure| matches!(exposure, Exposure::Unknown { source, .. } if source.kind() == io::ErrorKind::NotFound);
    checked
        .filter_map(Result::err)
        .find(|exposure| !is_gone(exposure))
        .map_or(Ok(()), |exposure| Err(refused(exposure)))
}

/// Makes the directory, for its owner only, if it is missing.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Takes the lock of a chain, or finds that another writer has it. Held as long as the file is open.
pub(super) fn lock(directory: &Path, chain: ChainId) -> io::Result<Option<File>> {
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

fn try_lock(file: File) -> io::Result<Option<File>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens for writing, for the owner only if the file is new.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    private_file::for_the_owner_alone(&mut options);
    options
}

/// When an event counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives a power cut. Callers that wait at the same time share one `fsync`.
    #[default]
    Synced,
    /// When the operating system has it: it survives the end of the process, not a power cut.
    Buffered,
}

/// The file that is written at present.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    index: u64,
    /// Its first line, as long as that is not written.
    header: Option<String>,
    /// Bytes that are whole lines and, where that was asked for, on disk.
    length: u64,
    /// Whether a write failed half-way, so that the file may be longer than `length`.
    torn: bool,
    /// Whether the file system counts the names of a file: then it can be told that there is none left.
    counts_names: bool,
}

impl Output {
    /// Makes a file that must not exist.
    pub(super) fn create(directory: &Path, header: FileHeader) -> io::Result<Self> {
        let file = private().create_new(true).open(path(directory, header.chain, header.index))?;
        #[cfg(unix)]
        File::open(directory)?.sync_all()?;
        Self::new(file, header.index, Some(header.to_line()), 0, false)
    }

    /// Goes on with a file whose first `length` bytes are whole lines; what stands behind them is cut off. The header is
    /// written again if there are none.
    pub(super) fn resume(directory: &Path, header: FileHeader, length: u64) -> io::Result<Self> {
        let file = private().open(path(directory, header.chain, header.index))?;
        let missing = (length == 0).then(|| header.to_line());
        Self::new(file, header.index, missing, length, true)
    }

    /// A file that is written from where it is, as a device is.
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

    /// Appends whole lines. After a failure the next call first takes back what was half written.
    ///
    /// Nothing is written into a file that somebody else has deleted, cut or made longer: it would be lost, or could not be
    /// verified.
    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        let found = self.file.metadata()?;
        if self.counts_names && !has_name(&found) {
            return Err(io::Error::other("somebody has deleted the file"));
        }
        if found.len() < self.length || (!self.torn && found.len() != self.length) {
            let text = format!("somebody has changed the file: it has {} bytes and not {}", found.len(), self.length);
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

/// Whether a file can be found under a name. What is written into one that cannot is lost.
#[cfg(unix)]
fn has_name(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 0
}

/// Nobody deletes a file here that is open.
#[cfg(not(unix))]
fn has_name(_: &Metadata) -> bool {
    true
}

/// Reads a file line by line, never more than a bounded number of bytes for one.
#[derive(Debug)]
pub(in crate::audit) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Bytes behind the last line that was returned.
    pub(in crate::audit) offset: u64,
}

/// What comes next in a file.
pub(in crate::audit) enum Next<'a> {
    /// A line, without its break.
    Line(&'a [u8]),
    /// Bytes without a line break at the end of the file.
    Torn,
    /// A line over the limit.
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

    /// The bytes that [`Next::Torn`] stands for.
    pub(in crate::audit) fn unfinished(&self) -> &[u8] {
        &self.line
    }
}
