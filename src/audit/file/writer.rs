//! The writer of a chain: its lines in order, and the changes that they announce and end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::files::{ChainLock, Durability, Output};
use super::group::{Entry, Group, Queue};
use crate::audit::chain::{ChainId, ChainState, ChangeId, PendingChange, Position};
use crate::audit::line::{self, ChangeStep, FileHeader, MAX_LINE};
use crate::crypto::CryptoBackend;

/// The state of a writer, once the trail is attached.
pub(super) struct Writer {
    pub(super) origin: ChainState,
    pub(super) _lock: ChainLock,
    /// The end of the stored lines.
    pub(super) kept: Position,
    /// Lines that are not being written yet.
    pub(super) queue: Queue,
    /// The number of lines that are being written.
    pub(super) under_way: usize,
    /// Changes that the stored lines announce but do not end.
    pub(super) pending: BTreeMap<ChangeId, PendingChange>,
    /// Removed by the leader while it writes.
    pub(super) line_writer: Option<LineWriter>,
}

/// The file and the buffers that a leader uses for writing.
pub(super) struct LineWriter {
    pub(super) backend: CryptoBackend,
    pub(super) output: Output,
    /// The text of a group of lines.
    pub(super) text: Vec<u8>,
    /// Reused for the lines of the next group.
    pub(super) buffer: Vec<Entry>,
}

/// A group of lines and everything that is needed to write them.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) group: Arc<Group>,
    pub(super) line_writer: LineWriter,
    pub(super) chain: ChainId,
    /// The end of the chain before these lines.
    pub(super) start: Position,
}

impl Batch {
    /// Adds the lines to the chain and the file. Returns the new end of the chain.
    pub(super) fn write(&mut self, directory: &Path, file_bytes: u64, durability: Durability) -> io::Result<Position> {
        let Self { entries, line_writer, chain, start, .. } = self;
        let mut end = start.copy();
        line_writer.text.clear();
        for Entry { kind, body, .. } in entries {
            let covered = line::open(&mut line_writer.text, *chain, end.next, *kind, body);
            let mac = end.advance(&line_writer.backend, &line_writer.text[covered..]);
            line::close(&mut line_writer.text, &mac);
        }
        if line_writer.output.length() >= file_bytes {
            if durability == Durability::Buffered {
                // Closing the trail syncs only its last file.
                line_writer.output.sync()?;
            }
            let header = FileHeader {
                chain: *chain,
                index: line_writer.output.index() + 1,
                first: start.next,
                previous: start.mac,
            };
            // If the next file cannot be created, the current one continues to grow without any
            // loss.
            if let Ok(fresh) = Output::create(directory, header) {
                line_writer.output = fresh;
            }
        }
        line_writer.output.append(&line_writer.text, durability)?;
        Ok(end)
    }
}

impl Writer {
    /// Returns the number of the next appended line, or a higher one if a write fails.
    pub(super) fn next(&self) -> u64 {
        // Every line occupies memory, so their number fits.
        self.kept.next + u64::try_from(self.under_way + self.queue.len()).unwrap_or(u64::MAX)
    }

    /// Starts writing all queued lines.
    pub(super) fn begin(&mut self) -> Batch {
        let mut line_writer = self.line_writer.take().expect("only the leader has the line writer, and returns it");
        let (entries, group) = self.queue.take(std::mem::take(&mut line_writer.buffer));
        self.under_way = entries.len();
        Batch { entries, group, line_writer, chain: self.origin.id(), start: self.kept.copy() }
    }

    /// Records lines as written, or discards them. Returns the group that needs a leader.
    pub(super) fn finish(&mut self, batch: Batch, end: Option<Position>, write_time: Duration) -> Option<Arc<Group>> {
        let Batch { mut entries, mut line_writer, .. } = batch;
        if let Some(end) = end {
            self.kept = end;
            entries.iter().filter_map(|entry| entry.step).for_each(|step| self.note(step));
        }
        self.under_way = 0;
        let next = self.queue.written(entries.len(), write_time);
        entries.clear();
        line_writer.buffer = entries;
        line_writer.text.clear();
        line_writer.text.shrink_to(MAX_LINE);
        self.line_writer = Some(line_writer);
        next
    }

    /// Records the step of a line that is now stored.
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

    pub(super) fn snapshot(&self, committing: Option<ChangeId>) -> ChainState {
        let flagged = |change: &PendingChange| PendingChange {
            id: change.id,
            committed: change.committed || committing == Some(change.id),
        };
        self.origin.at(self.kept.copy(), self.pending.values().map(flagged).collect())
    }
}
