//! Checks of the write-ahead log on disk against SQLite's in-memory state.
//!
//! SQLite keeps the number of frames in the index (`-shm`) and appends after them, regardless of
//! where the file ends. If the log is truncated while a store is open, later commits succeed but
//! are lost, because recovery stops at the first missing frame.
//!
//! Only the log may be opened here, because SQLite takes no locks on it. A process that closes any
//! handle to the other files loses its locks on them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::failure::reason;
use crate::lock::Mutex;
use crate::store::error::StoreError;

/// The first four bytes of a log. The last bit specifies the byte order of its checksums.
const MAGIC: u32 = 0x377F_0682;

const HEADER_LENGTH: usize = 32;
const FRAME_HEADER_LENGTH: usize = 24;

/// The maximum number of comparisons. Another process may restart the log between the two reads.
const ATTEMPTS: u32 = 8;

/// The number and length of pauses while another process changes the index: two seconds in total.
const MAX_PAUSES: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(1);

/// How a checkpoint treats other connections.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checkpoint {
    /// Copies as many frames as possible without waiting.
    Passive,
    /// Waits for the writer, and for readers of an earlier state.
    Full,
}

/// A handle to the log of an open store.
#[derive(Debug)]
pub(super) struct Log {
    file: Mutex<File>,
    page_size: u64,
    /// Set once a part of the log was missing. Later commits do not repair that.
    is_lost: AtomicBool,
}

impl Log {
    /// Opens the log of a store that `connection` has open.
    pub(super) fn open(path: &Path, connection: &Connection) -> Result<Self, StoreError> {
        let file = File::open(path)
            .map_err(|source| StoreError::CannotOpen { path: path.to_owned(), source: Box::new(source) })?;
        let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(reason)?;
        Ok(Self { file: Mutex::new(file), page_size: page_size.into(), is_lost: AtomicBool::new(false) })
    }

    /// Checks that the file contains all frames that SQLite counts, and returns their number.
    /// `since` is the number at an earlier check. Frames after it were written later, and the file
    /// must have no gap there.
    pub(super) fn check(&self, connection: &Connection, since: u64) -> Result<u64, StoreError> {
        let attempts = if self.is_lost.load(Ordering::Relaxed) { 0 } else { ATTEMPTS };
        let (mut tried, mut waited) = (0, 0);
        while tried < attempts {
            let Some(frames) = count_frames(connection)? else {
                // Another process is changing the index, or is recovering it after a crash.
                if waited == MAX_PAUSES {
                    return Err(StoreError::Busy("the index of the log kept changing".into()));
                }
                waited += 1;
                std::thread::sleep(PAUSE);
                continue;
            };
            tried += 1;
            if self.holds(since, frames).map_err(|error| StoreError::Io(Box::new(error)))? {
                return Ok(frames);
            }
        }
        self.is_lost.store(true, Ordering::Relaxed);
        Err(StoreError::LogLost("the log on the disk is truncated".into()))
    }

    /// Copies the frames of the log into the main file. Returns `true` if the main file then
    /// contains all of them.
    pub(super) fn copy_to_main_file(connection: &Connection, how: Checkpoint) -> Result<bool, StoreError> {
        let query = match how {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Full => "PRAGMA wal_checkpoint(FULL)",
        };
        let row = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let (is_busy, frames, copied): (bool, i64, i64) = row.map_err(reason)?;
        Ok(!is_busy && frames == copied)
    }

    fn holds(&self, since: u64, frames: u64) -> io::Result<bool> {
        if frames == 0 {
            return Ok(true);
        }
        // The position of the file is set before every read.
        let mut file = self.file.lock();
        if file.metadata()?.len() < self.start_of(frames + 1) {
            return Ok(false);
        }
        for frame in [since.clamp(1, frames), frames] {
            match self.holds_frame(&mut file, frame) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // The log has just been truncated.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Checks a frame as recovery would: it must belong to this run of the log, and its checksum
    /// must continue that of the previous frame.
    fn holds_frame(&self, file: &mut File, frame: u64) -> io::Result<bool> {
        let mut header = [0; HEADER_LENGTH];
        read_at(file, 0, &mut header)?;
        let magic = number(&header[..4]);
        let mut before = [0; FRAME_HEADER_LENGTH];
        let mut sum = (number(&header[24..28]), number(&header[28..]));
        if frame > 1 {
            read_at(file, self.start_of(frame - 1), &mut before)?;
            sum = (number(&before[16..20]), number(&before[20..]));
        }
        let length = usize::try_from(self.page_size).map_err(io::Error::other)?;
        let mut bytes = vec![0; FRAME_HEADER_LENGTH + length];
        read_at(file, self.start_of(frame), &mut bytes)?;
        let (of_frame, page) = bytes.split_at(FRAME_HEADER_LENGTH);
        for words in of_frame[..8].chunks_exact(8).chain(page.chunks_exact(8)) {
            let word = |bytes: &[u8]| if magic & 1 == 1 { number(bytes) } else { number(bytes).swap_bytes() };
            sum.0 = sum.0.wrapping_add(word(&words[..4])).wrapping_add(sum.1);
            sum.1 = sum.1.wrapping_add(word(&words[4..])).wrapping_add(sum.0);
        }
        let stored = (number(&of_frame[16..20]), number(&of_frame[20..]));
        Ok(magic & !1 == MAGIC && of_frame[8..16] == header[16..24] && sum == stored)
    }

    /// Returns the offset of a frame, counted from 1.
    fn start_of(&self, frame: u64) -> u64 {
        let header = u64::try_from(HEADER_LENGTH).unwrap_or(u64::MAX);
        let length = self.page_size + u64::try_from(FRAME_HEADER_LENGTH).unwrap_or(u64::MAX);
        header.saturating_add((frame - 1).saturating_mul(length))
    }
}

/// Returns the number of frames that a reader or writer currently takes into account. Returns
/// `None` while another process changes the index, because SQLite reports no error in that case.
fn count_frames(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").map_err(reason)?;
    let row = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    let (is_busy, frames): (bool, i64) = row.map_err(reason)?;
    if is_busy {
        return Ok(None);
    }
    let not_a_log = StoreError::UnsupportedSetting { setting: "journal_mode", wanted: "WAL" };
    u64::try_from(frames).map(Some).map_err(|_| not_a_log)
}

fn read_at(file: &mut File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

/// Reads four bytes as a big-endian number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_hole_is_found() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("keys");
        let connection = Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch("CREATE TABLE t (body BLOB); INSERT INTO t VALUES (randomblob(30000))")?;
        let log_path = folder.path().join("keys-wal");
        let check = |since| Log::open(&log_path, &connection)?.check(&connection, since);
        let frames = check(0)?;
        assert!(frames > 7);
        let whole = std::fs::read(&log_path)?;
        for length in [0, 31, 32, 60, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&log_path, &whole[..length])?;
            assert!(matches!(check(0), Err(StoreError::LogLost(_))), "cut to {length}");
        }
        for length in [0, 31, 32, 60, whole.len() / 2, whole.len() - 4_000] {
            // A commit after the truncation leaves zeros before it.
            let hole = [&whole[..length], &vec![0; whole.len() - length][..]].concat();
            let is_a_hole = hole != whole;
            std::fs::write(&log_path, hole)?;
            assert_eq!(check(frames).is_err(), is_a_hole, "a hole from {length}");
        }
        let mut hole = whole.clone();
        let log = Log::open(&log_path, &connection)?;
        let frame = usize::try_from(log.start_of(4))?;
        hole[frame..frame + 100].fill(0);
        std::fs::write(&log_path, hole)?;
        assert!(log.check(&connection, 4).is_err(), "directly after the frames of the earlier check");
        std::fs::write(&log_path, &whole)?;
        assert!(log.check(&connection, 4).is_err(), "the log is never trusted again");
        assert_eq!(check(4)?, frames);
        assert!(Log::copy_to_main_file(&connection, Checkpoint::Full)?);
        Ok(())
    }
}
