//! A trail in files: one JSON object a line, in a chain of authentication codes.

pub(super) mod files;
mod group;
mod resume;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::files::Output;
use self::group::{Entry, Group, Queue, Turn, Written};
use super::chain::{ChainId, ChainState, ChangeId, PendingChange, Position};
use super::checkpoint::{CheckpointSigner, checkpoint_message};
use super::json::to_json;
use super::line::{self, ChangeStep, FileHeader, LineKind, MAX_BODY, MAX_LINE};
use super::{Attachment, AuditChain, AuditEvent, AuditSink, Outcome};
use crate::birthplace::Birthplace;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Locality;
use crate::private_file::TrustedUsers;

/// A file of a [`FileTrail`] holds at most so many bytes unless told otherwise: 64 MiB.
pub const DEFAULT_TRAIL_FILE_BYTES: u64 = 64 << 20;
/// How many records a checkpoint may lie behind the record that it signs.
pub(super) const CHECKPOINT_REACH: u64 = 4_096;
/// How often a checkpoint is signed anew because the trail ran ahead.
const CHECKPOINT_ATTEMPTS: usize = 8;

/// When an event counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives a power cut. Callers that wait at the same time share one `fsync`.
    #[default]
    Synced,
    /// When the operating system has it: it survives the end of the process, not a power cut.
    Buffered,
}

/// Keeps the trail in a directory of files, one JSON object a line, each with the code of a keyed chain.
///
/// Every process that writes has a chain of its own (`<chain>.<number>.jsonl`), so several over one store may share a directory. The
/// secret of a chain is made when a [`Kms`](crate::Kms) is built with the trail, and kept sealed in that `Kms`'s store
/// together with the number of records and the last code: who alters, removes or reorders records, or cuts the tail off,
/// is found out by [`verify`](super::verify()). After a restart the chain goes on, and changes whose outcome is missing get
/// a record that says whether they were committed.
///
/// If a file cannot be written the event is refused, and the operation with it; once writing works again, so does the
/// trail. A file that somebody has changed under the process, or deleted (on Unix), is not written any more: the process must
/// be started anew, and verification names what is wrong.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::FileTrail;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let kms = Kms::builder().audit(FileTrail::new(directory)).build()?;
/// kms.create_key(Default::default())?;
/// let report = kms.verify_audit_trail(directory)?;
/// assert!(report.is_intact());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileTrail {
    directory: PathBuf,
    durability: Durability,
    file_bytes: u64,
    trusted_users: TrustedUsers,
    /// Known once the trail is attached.
    locality: OnceLock<Locality>,
    state: Mutex<State>,
    birthplace: Birthplace,
    /// Tells a leader that all whom it expects are there.
    gathered: Condvar,
}

/// What one writer holds, once it is attached.
struct Writer {
    origin: ChainState,
    /// Held for its lock.
    _lock: File,
    /// Where the lines end that are kept.
    kept: Position,
    /// Lines that nobody writes yet.
    queue: Queue,
    /// How many lines are written at present.
    under_way: usize,
    /// Changes that are announced, and not ended, among the lines that are kept.
    pending: BTreeMap<ChangeId, PendingChange>,
    /// Taken by the thread that writes at present.
    pen: Option<Pen>,
}

/// What lines are written with.
struct Pen {
    backend: CryptoBackend,
    output: Output,
    /// The text of a group of lines.
    text: Vec<u8>,
    /// Room for the lines of the next group.
    spare: Vec<Entry>,
}

#[derive(Default)]
struct State {
    writer: Option<Writer>,
}

/// A group of lines with all that it takes to write them.
struct Work {
    entries: Vec<Entry>,
    group: Arc<Group>,
    pen: Pen,
    chain: ChainId,
    /// Where the chain ends before them.
    start: Position,
}

impl FileTrail {
    /// A trail in this directory, which is made when a `Kms` is built with the trail.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            durability: Durability::default(),
            file_bytes: DEFAULT_TRAIL_FILE_BYTES,
            trusted_users: TrustedUsers::Owner,
            locality: OnceLock::new(),
            state: Mutex::default(),
            birthplace: Birthplace::here(),
            gathered: Condvar::new(),
        }
    }

    /// When an event counts as kept: on disk, unless told otherwise.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Starts a new file when the present one would grow over so many bytes: [`DEFAULT_TRAIL_FILE_BYTES`] unless told
    /// otherwise. A file that was left is never written again, and may be moved elsewhere.
    #[must_use]
    pub const fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }

    /// Users that may be able to write the directory, its files or a directory on its path, by default the user of the process
    /// and root only.
    #[must_use]
    pub const fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a signature over the present end of the chain: from then on not even who holds the chain's secret can
    /// alter what is before it. The signer runs outside of all locks, and may use a key of the very same `Kms`.
    ///
    /// # Errors
    /// [`Audit`](ErrorKind::Audit) if the trail is not attached or cannot be written; those of the signer.
    pub fn checkpoint(&self, signer: &dyn CheckpointSigner) -> Result<()> {
        self.check_process()?;
        for _ in 0..CHECKPOINT_ATTEMPTS {
            let (chain, place) = {
                let state = self.lock();
                let writer = state.writer()?;
                (writer.origin.id(), writer.kept.copy())
            };
            let sequence = place.next - 1;
            let signature = signer.sign(&checkpoint_message(chain, sequence, &place.mac))?;
            let state = self.lock();
            if state.writer()?.next() - sequence <= CHECKPOINT_REACH {
                let body = line::checkpoint_body(sequence, &signature);
                return self.await_turn(state, Entry { kind: LineKind::Checkpoint, body, step: None });
            }
        }
        Err(Error::new(ErrorKind::Audit, "the trail grows faster than checkpoints can be signed; try again later"))
    }

    /// A child of `fork` would append to the chain of its parent, and one of them would look forged.
    fn check_process(&self) -> Result<()> {
        if self.birthplace.is_here() {
            return Ok(());
        }
        let text = "the audit trail was opened before this process was forked: build the Kms again in this process";
        Err(Error::new(ErrorKind::Audit, text))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line and waits until it is kept.
    fn keep(&self, entry: Entry) -> Result<()> {
        self.await_turn(self.lock(), entry)
    }

    /// Appends a line, releases the lock, and waits until the line is kept. One of the threads that wait writes for all.
    fn await_turn(&self, mut state: MutexGuard<'_, State>, entry: Entry) -> Result<()> {
        if entry.body.len() > MAX_BODY {
            return Err(Error::new(ErrorKind::Audit, format!("an audit event of over {MAX_LINE} bytes")));
        }
        let queue = &mut state.writer_mut()?.queue;
        let (group, leads) = queue.push(entry);
        let completes = queue.completes();
        drop(state);
        if completes {
            self.gathered.notify_one();
        }
        let written = match if leads { Turn::Lead } else { group.wait() } {
            Turn::Lead => self.lead()?,
            Turn::Done(written) => written,
        };
        written.map_err(|reason| {
            let text = format!("cannot write the audit trail in {}: {reason}", self.directory.display());
            Error::new(ErrorKind::Audit, text).with_source(reason)
        })
    }

    /// Writes everything that waits, outside of the lock, and tells those who wait for it.
    fn lead(&self) -> Result<Written> {
        let mut work = self.gather()?.writer_mut()?.begin();
        let started = Instant::now();
        // A panic must not leave the others waiting for ever: to them it is a write that failed. What it left half done is
        // taken back as after any other failure.
        let written = catch_unwind(AssertUnwindSafe(|| work.write(self)));
        let write_time = started.elapsed();
        let (end, written, panic) = match written {
            Ok(Ok(end)) => (Some(end), Ok(()), None),
            Ok(Err(reason)) => (None, Err(Arc::new(reason)), None),
            Err(panic) => (None, Err(Arc::new(io::Error::other("the write was cut off by a panic"))), Some(panic)),
        };
        let group = Arc::clone(&work.group);
        let next = self.lock().writer_mut()?.finish(work, end, write_time);
        group.finish(written.clone());
        if let Some(next) = next {
            next.call_leader();
        }
        panic.map_or(Ok(written), |panic| resume_unwind(panic))
    }

    /// Waits for callers who are likely to come at once, if that takes less long than one more write.
    fn gather(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let patience = match self.durability {
            Durability::Synced => state.writer()?.queue.patience(),
            Durability::Buffered => Duration::ZERO,
        };
        if patience.is_zero() {
            return Ok(state);
        }
        let deadline = Instant::now() + patience;
        state.writer_mut()?.queue.set_gathering(true);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let queue = &mut state.writer_mut()?.queue;
            if left.is_zero() || !queue.is_gathering() {
                queue.set_gathering(false);
                return Ok(state);
            }
            (state, _) = self.gathered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Work {
    /// Puts the lines into the chain and into the file. Returns where the chain ends then.
    fn write(&mut self, trail: &FileTrail) -> io::Result<Position> {
        let Self { entries, pen, chain, start, .. } = self;
        let mut end = start.copy();
        pen.text.clear();
        for Entry { kind, body, .. } in entries {
            let covered = line::open(&mut pen.text, *chain, end.next, *kind, body);
            let mac = end.advance(&pen.backend, &pen.text[covered..]);
            line::close(&mut pen.text, &mac);
        }
        if pen.output.length() >= trail.file_bytes {
            let header =
                FileHeader { chain: *chain, index: pen.output.index() + 1, first: start.next, previous: start.mac };
            // If the next file cannot be made, the present one goes on growing: nothing is lost by that.
            if let Ok(fresh) = Output::create(&trail.directory, header) {
                pen.output = fresh;
            }
        }
        pen.output.append(&pen.text, trail.durability)?;
        Ok(end)
    }
}

impl State {
    fn writer(&self) -> Result<&Writer> {
        self.writer.as_ref().ok_or_else(unattached)
    }

    fn writer_mut(&mut self) -> Result<&mut Writer> {
        self.writer.as_mut().ok_or_else(unattached)
    }
}

impl Writer {
    /// The number of the next line that is appended, or a higher one if a write fails.
    fn next(&self) -> u64 {
        // A line takes up memory, so that their number fits.
        self.kept.next + u64::try_from(self.under_way + self.queue.len()).unwrap_or(u64::MAX)
    }

    /// Takes everything that waits, to write it.
    fn begin(&mut self) -> Work {
        let mut pen = self.pen.take().expect("only the leader has the pen, and gives it back");
        let (entries, group) = self.queue.take(std::mem::take(&mut pen.spare));
        self.under_way = entries.len();
        Work { entries, group, pen, chain: self.origin.id(), start: self.kept.copy() }
    }

    /// Goes on behind lines that were written, or forgets them. Returns the group that needs a leader.
    fn finish(&mut self, work: Work, end: Option<Position>, write_time: Duration) -> Option<Arc<Group>> {
        let Work { mut entries, mut pen, .. } = work;
        if let Some(end) = end {
            self.kept = end;
            entries.iter().filter_map(|entry| entry.step).for_each(|step| self.note(step));
        }
        self.under_way = 0;
        let next = self.queue.written(entries.len(), write_time);
        entries.clear();
        pen.spare = entries;
        pen.text.clear();
        pen.text.shrink_to(MAX_LINE);
        self.pen = Some(pen);
        next
    }

    /// Notes what a line says that is kept now.
    fn note(&mut self, step: ChangeStep) {
        match step {
            ChangeStep::Announced(id) => {
                self.pending.insert(id, PendingChange { id, committed: false });
            }
            ChangeStep::Ended(id) | ChangeStep::Failed(id) => {
                self.pending.remove(&id);
            }
        }
    }

    fn snapshot(&self, committing: Option<ChangeId>) -> ChainState {
        let flagged = |change: &PendingChange| PendingChange {
            id: change.id,
            committed: change.committed || committing == Some(change.id),
        };
        self.origin.at(self.kept.copy(), self.pending.values().map(flagged).collect())
    }
}

impl AuditSink for FileTrail {
    fn record(&self, event: AuditEvent) -> Result<()> {
        self.check_process()?;
        let body = to_json(&event, self.locality.get().ok_or_else(unattached)?)?;
        let step = event.change.map(|change| match event.outcome {
            Outcome::Intent => ChangeStep::Announced(change),
            Outcome::Success => ChangeStep::Ended(change),
            Outcome::Failure(_) => ChangeStep::Failed(change),
        });
        self.keep(Entry { kind: LineKind::Event, body, step })
    }

    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        self.check_process()?;
        {
            let mut state = self.lock();
            if state.writer.is_some() {
                return Err(Error::new(ErrorKind::Audit, "this audit trail already belongs to another KMS"));
            }
            files::check_access(&self.directory, self.trusted_users)?;
            let writer = resume::open(&self.directory, attachment)?;
            // Again, as the directory may have been missing.
            files::check_access(&self.directory, self.trusted_users)?;
            state.writer = Some(writer);
            self.locality.get_or_init(|| attachment.locality.clone());
        }
        resume::settle(self)?;
        Ok(Some(self.lock().writer()?.snapshot(None)))
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        Some(self)
    }
}

impl AuditChain for FileTrail {
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState> {
        self.check_process()?;
        Ok(self.lock().writer()?.snapshot(committing))
    }

    fn committed(&self, change: ChangeId) {
        if let Some(change) = self.lock().writer.as_mut().and_then(|writer| writer.pending.get_mut(&change)) {
            change.committed = true;
        }
    }

    fn is_in_use(&self, chain: ChainId) -> Result<bool> {
        files::is_locked(&self.directory, chain).map_err(|error| failed("lock a chain in", &self.directory, error))
    }
}

impl fmt::Debug for FileTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTrail").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn unattached() -> Error {
    Error::new(ErrorKind::Audit, "the audit trail is not attached to a KMS yet")
}

/// The error for a trail whose files cannot be read or written.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Audit, format!("cannot {what} {}: {error}", path.display())).with_source(error)
}

/// The chain's name, for messages.
pub(super) fn altered(chain: ChainId, what: &str) -> Error {
    let text = format!(
        "the audit trail of chain {chain} does not fit the store: {what}. Verify it, and move its files elsewhere before going on"
    );
    Error::new(ErrorKind::Audit, text)
}
