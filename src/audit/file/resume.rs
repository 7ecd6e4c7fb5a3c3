//! Resuming a chain after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::{altered, failed};
use super::files::{self, ChainLock, Lines, Next, Output};
use super::group::Queue;
use super::writer::{LineWriter, Writer};
use crate::audit::Attachment;
use crate::audit::chain::{ChainId, ChainState, ChangeId, PendingChange, Position};
use crate::audit::line::{ChangeStep, FileHeader, Line};
use crate::error::Result;

/// Takes over the first chain of the store that was started here and has no writer, or starts a new
/// one.
pub(super) fn open(directory: &Path, attachment: &Attachment<'_>) -> Result<Writer> {
    files::make_directory(directory).map_err(|error| failed("make", directory, error))?;
    let present: BTreeSet<ChainId> = list(directory)?.into_iter().map(|(chain, _)| chain).collect();
    for known in attachment.chains.chains()? {
        let id = known.id();
        if !present.contains(&id) && !files::was_begun(directory, id) {
            continue;
        }
        let Some(lock) = take_lock(directory, id)? else { continue };
        // Read the state again under the lock: the previous writer may have changed it a moment
        // ago.
        let Some(state) = find(attachment, id)? else { continue };
        match last_file(directory, id)? {
            Some(last) => return resume(directory, attachment, state, last, lock),
            // The process ended, or the disk was full, before the first file was created.
            None if state.records() == 0 => return begin(directory, attachment, state, lock),
            // The files of this chain were moved elsewhere.
            None => {}
        }
    }
    let origin = ChainState::generate(attachment.backend)?;
    let lock = take_lock(directory, origin.id())?
        .ok_or_else(|| altered(origin.id(), "a newly created chain is in use by another process"))?;
    // Update the store first: verification reports a file whose chain is unknown to the store as
    // forged.
    if let Err(error) = attachment.chains.add(&origin) {
        // If the store did commit the chain, later starts ignore it, because it has no lock file.
        let _ = files::abandon(directory, origin.id());
        return Err(error);
    }
    begin(directory, attachment, origin, lock)
}

/// Creates the first file of a chain without records.
fn begin(directory: &Path, attachment: &Attachment<'_>, origin: ChainState, lock: ChainLock) -> Result<Writer> {
    let header = FileHeader { chain: origin.id(), index: 1, first: 1, previous: [0; 32] };
    let output = Output::create(directory, header).map_err(|error| failed("create a file in", directory, error))?;
    let position = origin.position();
    Ok(writer(attachment, origin, lock, position, BTreeMap::new(), output))
}

/// Reads the current state of a chain from the store.
fn find(attachment: &Attachment<'_>, id: ChainId) -> Result<Option<ChainState>> {
    Ok(attachment.chains.chains()?.into_iter().find(|state| state.id() == id))
}

/// Returns the number of the last file of a chain.
fn last_file(directory: &Path, id: ChainId) -> Result<Option<u64>> {
    Ok(list(directory)?.into_iter().filter(|(chain, _)| *chain == id).map(|(_, index)| index).next_back())
}

/// Returns the chains and numbers of the files, in order.
fn list(directory: &Path) -> Result<Vec<(ChainId, u64)>> {
    let present = files::list(directory).map_err(|error| failed("read", directory, error))?;
    Ok(present.into_iter().map(|(chain, index, _)| (chain, index)).collect())
}

fn take_lock(directory: &Path, chain: ChainId) -> Result<Option<ChainLock>> {
    files::lock(directory, chain).map_err(|error| failed("lock a chain in", directory, error))
}

fn writer(
    attachment: &Attachment<'_>,
    origin: ChainState,
    lock: ChainLock,
    position: Position,
    pending: BTreeMap<ChangeId, PendingChange>,
    output: Output,
) -> Writer {
    let line_writer = LineWriter { backend: *attachment.backend, output, text: Vec::new(), buffer: Vec::new() };
    let queue = Queue::new();
    Writer { origin, _lock: lock, kept: position, queue, under_way: 0, pending, line_writer: Some(line_writer) }
}

/// Reads and verifies the records written since the last state in the store, and resumes the chain
/// after them.
fn resume(
    directory: &Path,
    attachment: &Attachment<'_>,
    state: ChainState,
    last: u64,
    lock: ChainLock,
) -> Result<Writer> {
    let id = state.id();
    let (mut state, mut tail) = (state.copy(), Tail::read(directory, attachment, &state, last)?);
    if tail.pending(&state).values().any(|change| !change.committed)
        && let Some(settled) = attachment.chains.settled(id)?
    {
        (tail, state) = (Tail::read(directory, attachment, &settled, last)?, settled);
    }
    let path = files::path(directory, id, last);
    let output = Output::resume(directory, tail.header, tail.length).map_err(|error| failed("write", &path, error))?;
    let pending = tail.pending(&state);
    let origin = state.at(state.position(), Vec::new());
    Ok(writer(attachment, origin, lock, tail.position, pending, output))
}

/// The part of a chain after the last position known to the store.
struct Tail<'a> {
    chain: ChainId,
    attachment: &'a Attachment<'a>,
    position: Position,
    /// The number of the last record that was read.
    seen: u64,
    announced: BTreeSet<ChangeId>,
    ended: BTreeSet<ChangeId>,
    failed: BTreeSet<ChangeId>,
    /// The header of the last file, and the length of its complete lines in bytes.
    header: FileHeader,
    length: u64,
}

impl<'a> Tail<'a> {
    /// Reads the files from the position of `state` to the end of the last one.
    fn read(directory: &Path, attachment: &'a Attachment<'a>, state: &ChainState, last: u64) -> Result<Self> {
        let position = state.position();
        let mut tail = Self {
            chain: state.id(),
            attachment,
            header: FileHeader { chain: state.id(), index: last, first: position.next, previous: position.mac },
            position,
            seen: 0,
            announced: BTreeSet::new(),
            ended: BTreeSet::new(),
            failed: BTreeSet::new(),
            length: 0,
        };
        for index in tail.file_of_next_record(directory, last)?..=last {
            (tail.header, tail.length) = tail.read_file(directory, index, index == last)?;
        }
        if tail.seen < state.records() {
            return Err(altered(state.id(), "records are missing at the end"));
        }
        Ok(tail)
    }

    /// Returns the changes that the trail announces but does not end.
    fn pending(&self, state: &ChainState) -> BTreeMap<ChangeId, PendingChange> {
        let mut pending: BTreeMap<_, _> = state.pending().iter().map(|change| (change.id, *change)).collect();
        for id in &self.announced {
            pending.entry(*id).or_insert(PendingChange { id: *id, committed: false });
        }
        // A change that the store committed took effect, even if a disk error made the process report a failure.
        let is_over = |change: &PendingChange| {
            self.ended.contains(&change.id) || (self.failed.contains(&change.id) && !change.committed)
        };
        pending.retain(|_, change| !is_over(change));
        pending
    }

    /// Returns the file that contains or would contain the next record: the last file that does not
    /// start after it.
    fn file_of_next_record(&self, directory: &Path, last: u64) -> Result<u64> {
        let mut index = last;
        loop {
            let path = files::path(directory, self.chain, index);
            let mut lines = Lines::open(&path).map_err(|error| failed("read", &path, error))?;
            match lines.next().map_err(|error| failed("read", &path, error))? {
                Next::Line(line) => match FileHeader::parse(line) {
                    Some(header) if header.first <= self.position.next => return Ok(index),
                    Some(_) => {}
                    None => return Err(altered(self.chain, "the first line of a file is corrupt")),
                },
                // The process ended while it created this file.
                Next::End | Next::Torn if index == last => {}
                Next::End | Next::Torn | Next::TooLong => {
                    return Err(altered(self.chain, "the first line of a file is corrupt"));
                }
            }
            if index == 1 {
                // Only the first file exists, and it is empty.
                return if index == last { Ok(1) } else { Err(altered(self.chain, "records are missing")) };
            }
            index -= 1;
        }
    }

    /// Reads a file to its end. Returns its header and the length of its complete lines in bytes.
    fn read_file(&mut self, directory: &Path, index: u64, is_last: bool) -> Result<(FileHeader, u64)> {
        let path = files::path(directory, self.chain, index);
        let mut lines = Lines::open(&path).map_err(|error| failed("read", &path, error))?;
        let expected = FileHeader { chain: self.chain, index, first: self.position.next, previous: self.position.mac };
        let mut header = None;
        loop {
            let line = match lines.next().map_err(|error| failed("read", &path, error))? {
                Next::Line(line) => line,
                Next::End => break,
                // An incomplete line was never acknowledged.
                Next::Torn if is_last => break,
                Next::Torn | Next::TooLong => return Err(altered(self.chain, "a line is truncated")),
            };
            match header {
                None => {
                    let found = FileHeader::parse(line).filter(|found| {
                        *found == expected || (found.index == index && (1..expected.first).contains(&found.first))
                    });
                    let found = found.ok_or_else(|| altered(self.chain, "the first line of a file is corrupt"))?;
                    self.seen = found.first - 1;
                    header = Some(found);
                }
                Some(_) => self.read_line(line)?,
            }
        }
        Ok((header.unwrap_or(expected), lines.offset))
    }

    /// Verifies a line, unless it precedes the position known to the store.
    fn read_line(&mut self, line: &[u8]) -> Result<()> {
        let parsed = Line::parse(line).ok_or_else(|| altered(self.chain, "a line is corrupt"))?;
        if parsed.chain != self.chain || parsed.sequence != self.seen + 1 {
            return Err(altered(self.chain, "records are missing or out of order"));
        }
        self.seen = parsed.sequence;
        if parsed.sequence < self.position.next {
            return Ok(());
        }
        if self.position.advance(self.attachment.backend, parsed.covered) != parsed.mac {
            return Err(altered(self.chain, "a record does not match its MAC"));
        }
        match parsed.change() {
            Some(ChangeStep::Announced(id)) => {
                self.announced.insert(id);
            }
            Some(ChangeStep::Ended(id)) => {
                self.ended.insert(id);
            }
            Some(ChangeStep::Failed(id)) => {
                self.failed.insert(id);
            }
            None => {}
        }
        Ok(())
    }
}
