//! A trail in files: one JSON object a line, in a chain of authentication codes.

pub(super) mod files;
mod resume;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use self::files::Output;
use super::chain::{ChainId, ChainState, ChangeId, PendingChange, Position};
use super::checkpoint::{CheckpointSigner, checkpoint_message};
use super::json::to_json;
use super::line::{self, FileHeader, LineKind, MAX_LINE};
use super::{Attachment, AuditChain, AuditEvent, AuditSink, Outcome};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Locality;

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
/// Every process that writes has a chain of its own (`<chain>.<number>.jsonl`), so several may share a directory. The
/// secret of a chain is made when a [`Kms`](crate::Kms) is built with the trail, and kept sealed in that `Kms`'s store
/// together with the number of records and the last code: who alters, removes or reorders records, or cuts the tail off,
/// is found out by [`verify`](super::verify()). After a restart the chain goes on, and changes whose outcome is missing get
/// a record that says whether they were committed.
///
/// If a file cannot be written the event is refused, and the operation with it; once writing works again, so does the
/// trail.
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
    state: Mutex<State>,
    written: Condvar,
}

/// What one writer holds, once it is attached.
struct Writer {
    backend: CryptoBackend,
    locality: Locality,
    origin: ChainState,
    /// Held for its lock.
    _lock: File,
    /// Where the next line goes.
    position: Position,
    /// Where the lines end that are kept.
    kept: Position,
    /// Lines that nobody writes yet.
    buffer: Vec<u8>,
    pending: BTreeMap<ChangeId, PendingChange>,
    /// Taken by the thread that writes at present.
    output: Option<Output>,
    /// How often writing failed: whoever waits for a line of before then has failed too.
    failures: u64,
}

#[derive(Default)]
struct State {
    writer: Option<Writer>,
}

impl FileTrail {
    /// A trail in this directory, which is made when a `Kms` is built with the trail.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            durability: Durability::default(),
            file_bytes: DEFAULT_TRAIL_FILE_BYTES,
            state: Mutex::default(),
            written: Condvar::new(),
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
        for _ in 0..CHECKPOINT_ATTEMPTS {
            let (chain, place) = {
                let state = self.lock();
                let writer = state.writer()?;
                (writer.origin.id(), writer.kept.copy())
            };
            let sequence = place.next - 1;
            let signature = signer.sign(&checkpoint_message(chain, sequence, &place.mac))?;
            let state = self.lock();
            if state.writer()?.position.next - sequence <= CHECKPOINT_REACH {
                return self.keep(state, LineKind::Checkpoint, &line::checkpoint_body(sequence, &signature), None);
            }
        }
        Err(Error::new(ErrorKind::Audit, "the trail grows faster than checkpoints can be signed; try again later"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line and waits until it is kept. One of the threads that wait writes for all.
    fn keep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        kind: LineKind,
        body: &str,
        change: Option<(ChangeId, &Outcome)>,
    ) -> Result<()> {
        let writer = state.writer_mut()?;
        writer.append(kind, body)?;
        let (mine, failures) = (writer.position.next, writer.failures);
        if let Some((id, Outcome::Intent)) = change {
            writer.pending.insert(id, PendingChange { id, committed: false });
        }
        loop {
            let writer = state.writer_mut()?;
            if writer.failures != failures {
                if let Some((id, Outcome::Intent)) = change {
                    writer.pending.remove(&id);
                }
                return Err(Error::new(ErrorKind::Audit, "the audit trail cannot be written"));
            }
            if writer.kept.next >= mine {
                if let Some((id, Outcome::Success | Outcome::Failure(_))) = change {
                    writer.pending.remove(&id);
                }
                return Ok(());
            }
            state = match writer.output.take() {
                Some(output) => self.write(state, output)?,
                None => self.written.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes everything that waits, outside of the lock.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State>, mut output: Output) -> Result<MutexGuard<'a, State>> {
        let writer = state.writer_mut()?;
        let (lines, end) = (std::mem::take(&mut writer.buffer), writer.position.copy());
        let next = FileHeader {
            chain: writer.origin.id(),
            index: output.index() + 1,
            first: writer.kept.next,
            previous: writer.kept.mac,
        };
        drop(state);
        if output.length() >= self.file_bytes
            && let Ok(fresh) = Output::create(&self.directory, next)
        {
            // If the next file cannot be made, the present one goes on growing: nothing is lost by that.
            output = fresh;
        }
        let result = output.append(&lines, self.durability);
        let mut state = self.lock();
        let writer = state.writer_mut()?;
        writer.output = Some(output);
        match result {
            Ok(()) => writer.kept = end,
            Err(_) => writer.take_back(),
        }
        self.written.notify_all();
        Ok(state)
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
    fn append(&mut self, kind: LineKind, body: &str) -> Result<()> {
        let covered = line::covered(self.origin.id(), self.position.next, kind, body);
        if covered.len() > MAX_LINE - 128 {
            return Err(Error::new(ErrorKind::Audit, format!("an audit event of over {MAX_LINE} bytes")));
        }
        let mac = self.position.advance(&self.backend, covered.as_bytes());
        self.buffer.extend_from_slice(line::close(covered, &mac).as_bytes());
        Ok(())
    }

    /// Forgets every line that is not kept.
    fn take_back(&mut self) {
        self.failures += 1;
        self.buffer.clear();
        self.position = self.kept.copy();
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
        let locality = self.lock().writer()?.locality.clone();
        let body = to_json(&event, &locality)?;
        self.keep(self.lock(), LineKind::Event, &body, event.change.map(|change| (change, &event.outcome)))
    }

    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        let mut state = self.lock();
        if state.writer.is_some() {
            return Err(Error::new(ErrorKind::Audit, "this audit trail already belongs to another KMS"));
        }
        state.writer = Some(resume::open(&self.directory, attachment)?);
        let settled = resume::settle(self, state)?;
        Ok(Some(settled.writer()?.snapshot(None)))
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        Some(self)
    }
}

impl AuditChain for FileTrail {
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState> {
        Ok(self.lock().writer()?.snapshot(committing))
    }

    fn committed(&self, change: ChangeId) {
        if let Some(change) = self.lock().writer.as_mut().and_then(|writer| writer.pending.get_mut(&change)) {
            change.committed = true;
        }
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
