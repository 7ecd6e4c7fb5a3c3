//! A file trail: one JSON object per line, in an HMAC chain.

mod error;
pub(super) mod files;
mod group;
mod resume;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(super) use self::error::failed;
pub use self::files::Durability;

use self::group::{Entry, Role, Written};
use self::writer::Writer;
use super::chain::{ChainId, ChainState, ChangeId, PendingChange};
use super::checkpoint::{CheckpointSigner, checkpoint_message};
use super::json::to_json;
use super::line::{self, ChangeStep, LineKind, MAX_BODY, MAX_LINE};
use super::{Attachment, AuditChain, AuditEvent, AuditSink, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::fork_guard::ForkGuard;
use crate::identity::Locality;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::private_file::TrustedUsers;

/// The default maximum size of a file of a [`FileTrail`]: 64 MiB.
pub const DEFAULT_TRAIL_FILE_BYTES: u64 = 64 << 20;
/// The maximum distance in records between a checkpoint and the record that it signs.
pub(super) const CHECKPOINT_REACH: u64 = 4_096;
/// The maximum number of attempts to sign a checkpoint while the trail outruns the signer.
const CHECKPOINT_ATTEMPTS: usize = 8;

/// Stores the trail as files in a directory, one JSON object per line, each with its MAC in an HMAC
/// chain.
///
/// Every process that writes has its own chain (`<chain>.<number>.jsonl`), so processes that share
/// a store may share a directory. The secret of a chain is generated when a [`Kms`](crate::Kms) is
/// built with the trail. It is sealed in the store of that `Kms`, together with the number of
/// records and the last MAC. [`verify`](super::verify()) therefore detects altered, removed, and
/// reordered records, and a truncated tail.
///
/// The chain is resumed after a restart. Every change whose outcome is missing then gets a record
/// that states whether the change was committed. A change that the store did not confirm gets the
/// outcome `ambiguous`, and such a record as soon as the store shows the result.
///
/// If a file cannot be written, the event is rejected and the operation fails. The trail recovers
/// as soon as writing works again. A file that another program has changed or, on Unix, deleted is
/// not written anymore. The process must then be restarted, and verification reports the problem.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Durability, FileTrail};
/// use strongroom::{Kms, TrustedUsers};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let trail = FileTrail::new(directory)
///     .durability(Durability::Synced)
///     .file_bytes(16 << 20)
///     .trusted_users(TrustedUsers::Owner);
/// let trail = Arc::new(trail);
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// kms.create_key(Default::default())?;
/// let report = kms.verify_audit_trail(trail.directory())?;
/// assert!(report.is_intact());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileTrail {
    directory: PathBuf,
    durability: Durability,
    file_bytes: u64,
    trusted_users: TrustedUsers,
    /// Set once the trail is attached.
    locality: OnceLock<Locality>,
    state: Mutex<State>,
    fork_guard: ForkGuard,
    /// Signals to a leader that the expected callers have arrived.
    batch_complete: Condvar,
}

#[derive(Default)]
struct State {
    writer: Option<Writer>,
}

impl FileTrail {
    /// Creates a trail in this directory. The directory is created when a `Kms` is built with the
    /// trail.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            durability: Durability::default(),
            file_bytes: DEFAULT_TRAIL_FILE_BYTES,
            trusted_users: TrustedUsers::Owner,
            locality: OnceLock::new(),
            state: Mutex::default(),
            fork_guard: ForkGuard::here(),
            batch_complete: Condvar::new(),
        }
    }

    /// Sets when an event counts as stored. The default is once it is on disk.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the maximum size of a file, by default [`DEFAULT_TRAIL_FILE_BYTES`]. A new file is
    /// started when the current one would exceed it. Earlier files are never written again and may
    /// be moved elsewhere.
    #[must_use]
    pub const fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }

    /// Sets the users that may have write access to the directory, its files, and the directories
    /// on its path. The default is only the user of the process and root.
    #[must_use]
    pub const fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Signs the current end of the chain and writes the signature. Afterward, even an attacker
    /// with the chain's secret can no longer alter earlier records. The signer runs outside of all
    /// locks and may use a key of the same `Kms`.
    ///
    /// # Errors
    /// - [`Audit`](ErrorKind::Audit) if the trail is not attached or cannot be written
    /// - any error of the signer
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::algorithm::SigningAlgorithm::EcdsaSha256;
    /// use strongroom::audit::FileTrail;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, SignRequest};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let trail = Arc::new(FileTrail::new(directory));
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id(); // better, a key in an HSM
    /// let signer = |message: &[u8]| Ok(kms.sign(SignRequest::new(key, EcdsaSha256, message))?.signature);
    /// trail.checkpoint(&signer)?; // for example, every hour
    /// assert!(kms.verify_audit_trail(directory)?.is_intact());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
                return self.append_and_wait(state, Entry { kind: LineKind::Checkpoint, body, step: None });
            }
        }
        Err(Error::new(
            ErrorKind::Audit,
            "cannot sign a checkpoint, because the audit trail grows too fast: try again later",
        ))
    }

    /// After a `fork`, the child would append to the chain of its parent, and the records of one of
    /// them would look forged.
    fn check_process(&self) -> Result<()> {
        if self.fork_guard.is_here() {
            return Ok(());
        }
        let text = "the audit trail was opened before this process was forked: build the Kms again in this process";
        Err(Error::new(ErrorKind::Audit, text))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that can panic.
        self.state.lock()
    }

    /// Writes the result of each change whose outcome is missing.
    fn reconcile_all(&self) -> Result<()> {
        let pending: Vec<PendingChange> = self.lock().writer()?.pending.values().copied().collect();
        pending.into_iter().try_for_each(|change| self.write_result(change.id, change.committed))
    }

    fn write_result(&self, change: ChangeId, committed: bool) -> Result<()> {
        let body = line::reconciled_body(change, committed);
        self.keep(Entry { kind: LineKind::Reconciled, body, step: Some(ChangeStep::Ended(change)) })
    }

    /// Appends a line and waits until it is stored.
    fn keep(&self, entry: Entry) -> Result<()> {
        self.append_and_wait(self.lock(), entry)
    }

    /// Appends a line, releases the lock, and waits until the line is stored. One of the waiting
    /// threads writes for all of them.
    fn append_and_wait(&self, mut state: MutexGuard<'_, State>, entry: Entry) -> Result<()> {
        if entry.body.len() > MAX_BODY {
            return Err(Error::new(
                ErrorKind::Audit,
                format!("cannot write an audit event of more than {MAX_LINE} bytes"),
            ));
        }
        let queue = &mut state.writer_mut()?.queue;
        let (group, leads) = queue.push(entry);
        let completes = queue.completes_batch();
        drop(state);
        if completes {
            self.batch_complete.notify_one();
        }
        let written = match if leads { Role::Leader } else { group.wait() } {
            Role::Leader => self.lead()?,
            Role::Follower(written) => written,
        };
        written.map_err(|reason| {
            let text = format!("cannot write the audit trail in {}: {reason}", self.directory.display());
            Error::new(ErrorKind::Audit, text).with_source(reason)
        })
    }

    /// Writes all queued lines without holding the lock, and notifies the waiting callers.
    fn lead(&self) -> Result<Written> {
        let mut batch = self.wait_for_batch()?.writer_mut()?.begin();
        let started = Instant::now();
        // A panic must not leave the other callers waiting forever: they see it as a failed write.
        // A partial write is rolled back as after any other failure.
        let written = catch_unwind(AssertUnwindSafe(|| batch.write(&self.directory, self.file_bytes, self.durability)));
        let write_time = started.elapsed();
        let (end, written, panic) = match written {
            Ok(Ok(end)) => (Some(end), Ok(()), None),
            Ok(Err(reason)) => (None, Err(Arc::new(reason)), None),
            Err(panic) => (None, Err(Arc::new(io::Error::other("the write was interrupted by a panic"))), Some(panic)),
        };
        let group = Arc::clone(&batch.group);
        let next = self.lock().writer_mut()?.finish(batch, end, write_time);
        group.finish(written.clone());
        if let Some(next) = next {
            next.call_leader();
        }
        panic.map_or(Ok(written), |panic| resume_unwind(panic))
    }

    /// Waits for callers that are likely to arrive soon, if that takes less time than another
    /// write.
    fn wait_for_batch(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let window = match self.durability {
            Durability::Synced => state.writer()?.queue.batch_window(),
            Durability::Buffered => Duration::ZERO,
        };
        if window.is_zero() {
            return Ok(state);
        }
        let deadline = Instant::now() + window;
        state.writer_mut()?.queue.set_window_open(true);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let queue = &mut state.writer_mut()?.queue;
            if left.is_zero() || !queue.is_window_open() {
                queue.set_window_open(false);
                return Ok(state);
            }
            (state, _) = self.batch_complete.wait_timeout(state, left);
        }
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

impl AuditSink for FileTrail {
    fn record(&self, event: AuditEvent) -> Result<()> {
        self.check_process()?;
        let body = to_json(&event, self.locality.get().ok_or_else(unattached)?)?;
        let step = event.change.and_then(|change| match event.outcome {
            Outcome::Intent => Some(ChangeStep::Announced(change)),
            Outcome::Success => Some(ChangeStep::Ended(change)),
            Outcome::Failure(_) => Some(ChangeStep::Failed(change)),
            Outcome::Ambiguous(_) => None,
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
            if self.locality.get().is_some_and(|locality| locality != attachment.locality) {
                let text = "this audit trail belonged to a KMS of another partition or region";
                return Err(Error::new(ErrorKind::Audit, text));
            }
            files::check_access(&self.directory, self.trusted_users)?;
            let writer = resume::open(&self.directory, attachment)?;
            // Check again, because the directory may not have existed before.
            files::check_access(&self.directory, self.trusted_users)?;
            state.writer = Some(writer);
            self.locality.get_or_init(|| attachment.locality.clone());
        }
        self.reconcile_all()?;
        Ok(Some(self.lock().writer()?.snapshot(None)))
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        Some(self)
    }

    /// Syncs the trail to disk, whatever its durability, and releases the chain and its files. A
    /// later `Kms` that attaches the trail resumes the chain.
    fn close(&self) -> Result<()> {
        self.check_process()?;
        let mut state = self.lock();
        let Some(writer) = &state.writer else { return Ok(()) };
        match &writer.line_writer {
            Some(line_writer) if writer.queue.len() == 0 => {
                line_writer.output.sync().map_err(|error| failed("sync the audit trail in", &self.directory, error))?;
            }
            _ => {
                let text = "cannot close the audit trail while it is being written: try again";
                return Err(Error::new(ErrorKind::Audit, text));
            }
        }
        state.writer = None;
        Ok(())
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

    fn reconcile(&self, change: ChangeId, committed: bool) -> Result<()> {
        self.check_process()?;
        if !self.lock().writer()?.pending.contains_key(&change) {
            return Ok(());
        }
        self.write_result(change, committed)
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
