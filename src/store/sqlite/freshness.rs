//! The latest known revision of the store, and how long it may be used without reading it again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::lock::Mutex;
use crate::store::Revision;
use crate::store::error::StoreError;

/// The latest observed revision. It is read again once it is older than the staleness bound.
#[derive(Debug)]
pub(super) struct Freshness {
    start: Instant,
    bound: Duration,
    revision: AtomicU64,
    /// The time until which the revision is fresh, in nanoseconds since the start.
    good_until: AtomicU64,
    asking: Mutex<()>,
}

impl Freshness {
    pub(super) fn new(bound: Duration) -> Self {
        let (revision, good_until) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { start: Instant::now(), bound, revision, good_until, asking: Mutex::new(()) }
    }

    /// Returns the revision, and reads it with `ask` if the known one is too old. One thread reads
    /// while the others wait for its result.
    pub(super) fn revision(&self, ask: impl FnOnce() -> Result<Revision>) -> Result<Revision> {
        if let Some(known) = self.known(self.start.elapsed()) {
            return Ok(known);
        }
        // The lock guards no data, so a poisoned lock can be used.
        let _asking = self.asking.lock();
        if let Some(known) = self.known(self.start.elapsed()) {
            return Ok(known);
        }
        self.read(ask)
    }

    /// Reads the revision with `ask`, however recent the known one is.
    pub(super) fn latest_revision(&self, ask: impl FnOnce() -> Result<Revision>) -> Result<Revision> {
        let _asking = self.asking.lock();
        self.read(ask)
    }

    fn read(&self, ask: impl FnOnce() -> Result<Revision>) -> Result<Revision> {
        // Take both before reading, so that the result is at least as recent as this moment.
        let (now, before) = (self.start.elapsed(), self.revision.load(Ordering::Acquire));
        let answer = ask()?;
        if answer.0 < before {
            return Err(StoreError::RolledBack { from: before, to: answer.0 }.into());
        }
        self.note(answer);
        self.good_until.store(nanoseconds(now.saturating_add(self.bound)), Ordering::Release);
        Ok(Revision(self.revision.load(Ordering::Acquire)))
    }

    /// Records a revision that this process created or observed.
    pub(super) fn note(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::AcqRel);
    }

    fn known(&self, now: Duration) -> Option<Revision> {
        let good = nanoseconds(now) < self.good_until.load(Ordering::Acquire);
        good.then(|| Revision(self.revision.load(Ordering::Acquire)))
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
