//! The high-water mark of time, stored so that a clock that jumps destroys nothing.
//!
//! The [`HighWaterMark`] is created when a store is first opened. Maintenance advances it, at most
//! once an hour unless an unconfirmed time begins or ends.
//!
//! A step of the clock is trusted if it is no longer than the tolerance. A longer step is trusted
//!
//! - if the monotonic clock of this process has advanced as far, so that the process was only idle;
//! - after [`CONFIRMATION`], if the clock has advanced from the unconfirmed time and not gone back;
//!   a process that observed the start of the unconfirmed time also requires this of its monotonic
//!   clock, so that a second jump confirms nothing;
//! - if the authority confirms it
//!   ([`Kms::confirm_clock`](crate::kms::engine::handle::Kms::confirm_clock)).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::edit::Edit;
use super::registry::Registry;
use super::retry::{commit_with_retry, retriable};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::records::high_water_mark::HighWaterMark;
use crate::lock::{Mutex, MutexGuard};
use crate::store::{CommitError, Revision};

/// The longest step of the clock that is trusted immediately, unless the builder overrides it. It
/// is a day plus two hours, for a daily sweep that starts late or on the day when summer time ends.
pub(in crate::kms) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(26 * 3_600);

/// Minimum tolerance that the builder accepts: the mark in the store may lag by as much.
pub(in crate::kms) const MIN_TOLERANCE: Duration = PRECISION;

/// The time by which an unconfirmed clock must advance before it is trusted. An operator can notice
/// and cancel in the meantime.
const CONFIRMATION: Duration = Duration::from_secs(86_400);

/// Maximum duration of an unconfirmed time. A later sweep records a new one: it could be a pause or
/// a second jump.
const UNCONFIRMED_LIFETIME: Duration = Duration::from_secs(31 * 86_400);

/// Maximum lag of the mark in the store.
const PRECISION: Duration = Duration::from_secs(3_600);

/// Maximum lag of the mark in memory, so that threads seldom write it.
const MEMORY_PRECISION: Duration = Duration::from_secs(1);

/// Indicates whether a time is trusted enough to destroy anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum ClockTrust {
    Trusted,
    /// Not trusted before a sweep at this time or later.
    WaitsUntil(Timestamp),
}

/// Facts about the clock that only the process of a sweep knows.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// `true` if the process observed time advance to this point without a jump.
    is_continuous: bool,
    /// The time since it recorded the unconfirmed time of the store, by its monotonic clock.
    unconfirmed_for: Option<Duration>,
}

impl HighWaterMark {
    /// Returns the mark after a sweep that reads the clock at `now`, and whether that time is
    /// trusted.
    fn at(self, now: Timestamp, tolerance: Duration, evidence: Evidence) -> (Self, ClockTrust) {
        if evidence.is_continuous || now <= self.trusted.plus(tolerance) {
            return (Self::new(self.trusted.max(now)), ClockTrust::Trusted);
        }
        let goes_on = |unconfirmed: &Timestamp| *unconfirmed <= now && now <= unconfirmed.plus(UNCONFIRMED_LIFETIME);
        let Some(unconfirmed) = self.unconfirmed.filter(goes_on) else {
            return (Self { unconfirmed: Some(now), ..self }, ClockTrust::WaitsUntil(now.plus(CONFIRMATION)));
        };
        let passed = now.since(unconfirmed).min(evidence.unconfirmed_for.unwrap_or(Duration::MAX));
        match CONFIRMATION.saturating_sub(passed) {
            Duration::ZERO => (Self::new(now), ClockTrust::Trusted),
            missing => (self, ClockTrust::WaitsUntil(now.plus(missing))),
        }
    }
}

/// The clock of a KMS, and the latest time that this process trusts.
#[derive(Debug)]
pub(in crate::kms) struct TrustedClock {
    clock: Arc<dyn Clock>,
    latest: AtomicI64,
    tolerance: Duration,
    seen: Mutex<Seen>,
}

/// Observations of the clock by this process.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// A trusted time and the reading of the monotonic clock at that time.
    since: (Timestamp, Option<Duration>),
    /// An unconfirmed time that a sweep of this process recorded, and the reading of the monotonic
    /// clock at that time.
    unconfirmed: Option<(Timestamp, Duration)>,
}

impl TrustedClock {
    /// Loads the mark of the store, or creates it.
    pub(in crate::kms) fn open(registry: &Registry, clock: Arc<dyn Clock>, tolerance: Duration) -> Result<Self> {
        let now = clock.now();
        let mark = match read(registry)? {
            Some((_, mark)) => mark,
            None => match write(registry, HighWaterMark::new(now), None) {
                Ok(_) => HighWaterMark::new(now),
                // Another process was faster.
                Err(CommitError::Conflict(_)) => read(registry)?.map_or(HighWaterMark::new(now), |(_, mark)| mark),
                Err(CommitError::Failed(error)) => return Err(error),
            },
        };
        let trusted = mark.trusted;
        let start = if now <= trusted.plus(tolerance) { now.max(trusted) } else { trusted };
        let seen = Seen { since: (start, clock.monotonic()), unconfirmed: None };
        Ok(Self { clock, latest: AtomicI64::new(trusted.unix_millis()), tolerance, seen: Mutex::new(seen) })
    }

    /// Returns the current time, never before a trusted one. An implausibly late time counts
    /// without being trusted: if the clock goes back from it, so does this time.
    pub(in crate::kms) fn now(&self) -> Timestamp {
        let (now, latest) = (self.clock.now(), self.latest());
        // A thread that finds the lock taken leaves the update to its owner.
        if now > latest.plus(MEMORY_PRECISION)
            && let Some(seen) = self.seen.try_lock()
            && self.is_continuous(&seen, now, self.clock.monotonic())
        {
            self.latest.fetch_max(now.unix_millis(), Ordering::Relaxed);
        }
        now.max(latest)
    }

    /// Returns the current time, or the latest trusted one if the clock is unconfirmed. Anything
    /// that has ended by this time has ended for good.
    pub(in crate::kms) fn confirmed(&self) -> Timestamp {
        let (now, latest) = (self.clock.now(), self.latest());
        if now <= latest.plus(MEMORY_PRECISION) { now.max(latest) } else { latest }
    }

    /// Returns the reading of the clock itself, even if it is not trusted or is behind a trusted
    /// time.
    pub(in crate::kms) fn reading(&self) -> Timestamp {
        self.clock.now()
    }

    fn latest(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.latest.load(Ordering::Relaxed))
    }

    /// Advances the mark in the store during a sweep. Returns the time, and whether the sweep may
    /// destroy anything.
    pub(in crate::kms) fn sweep(&self, registry: &Registry) -> Result<(Timestamp, ClockTrust)> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        commit_with_retry(kept_changing, || {
            let (revision, mark) = match read(registry)? {
                Some((revision, mark)) => (Some(revision), mark),
                None => (None, HighWaterMark::new(now)),
            };
            let (next, trust) = mark.at(now, self.tolerance, self.evidence(mark, now, monotonic));
            let is_close = next.unconfirmed == mark.unconfirmed && next.trusted.since(mark.trusted) < PRECISION;
            let is_stored = is_close && revision.is_some();
            if !is_stored && retriable(write(registry, next, revision))?.is_none() {
                return Ok(None);
            }
            self.note(next, trust, next.unconfirmed != mark.unconfirmed, (now, monotonic));
            Ok(Some((now, trust)))
        })
    }

    /// Returns the write that advances the mark to `now`, regardless of any unconfirmed time.
    pub(in crate::kms) fn confirmation(&self, registry: &Registry, now: Timestamp) -> Result<Edit> {
        let (revision, trusted) = match read(registry)? {
            Some((revision, mark)) => (Some(revision), mark.trusted.max(now)),
            None => (None, now),
        };
        Edit::put(HighWaterMark::record_id(), &HighWaterMark::new(trusted), revision)
    }

    /// Trusts a time that was confirmed.
    pub(in crate::kms) fn confirm(&self, now: Timestamp) {
        self.note(HighWaterMark::new(now), ClockTrust::Trusted, true, (now, self.clock.monotonic()));
    }

    fn evidence(&self, mark: HighWaterMark, now: Timestamp, monotonic: Option<Duration>) -> Evidence {
        let seen = self.seen();
        let unconfirmed_for = match (seen.unconfirmed, monotonic) {
            (Some((unconfirmed, start)), Some(monotonic)) if mark.unconfirmed == Some(unconfirmed) => {
                Some(monotonic.saturating_sub(start))
            }
            _ => None,
        };
        Evidence { is_continuous: self.is_continuous(&seen, now, monotonic), unconfirmed_for }
    }

    /// Updates the observations after the mark changed.
    fn note(
        &self,
        mark: HighWaterMark,
        trust: ClockTrust,
        is_new: bool,
        (now, monotonic): (Timestamp, Option<Duration>),
    ) {
        let mut seen = self.seen();
        let was_continuous = self.is_continuous(&seen, now, monotonic);
        self.latest.fetch_max(mark.trusted.unix_millis(), Ordering::Relaxed);
        match trust {
            ClockTrust::Trusted => {
                seen.unconfirmed = None;
                if !was_continuous {
                    seen.since = (now.max(mark.trusted), monotonic);
                }
            }
            ClockTrust::WaitsUntil(_) if is_new => seen.unconfirmed = monotonic.map(|monotonic| (now, monotonic)),
            ClockTrust::WaitsUntil(_) => {}
        }
    }

    /// Returns `true` if time can have come to `now` since the last observation without a jump.
    /// Without a monotonic clock, only the length of the step decides.
    fn is_continuous(&self, seen: &Seen, now: Timestamp, monotonic: Option<Duration>) -> bool {
        let reached = match (seen.since, monotonic) {
            ((start, Some(then)), Some(monotonic)) => start.plus(monotonic.saturating_sub(then)),
            _ => self.latest(),
        };
        now <= reached.plus(self.tolerance)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every assignment leaves the data consistent.
        self.seen.lock()
    }
}

/// Rejects a tolerance that would leave every sweep unconfirmed.
pub(in crate::kms) fn check_tolerance(tolerance: Duration) -> Result<()> {
    if tolerance >= MIN_TOLERANCE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, "the clock tolerance must be at least one hour"))
}

fn read(registry: &Registry) -> Result<Option<(Revision, HighWaterMark)>> {
    registry.read(&HighWaterMark::record_id())
}

fn write(registry: &Registry, mark: HighWaterMark, expected: Option<Revision>) -> Result<Revision, CommitError> {
    registry.commit(&[Edit::put(HighWaterMark::record_id(), &mark, expected)?])
}

fn kept_changing<T>() -> Result<T> {
    Err(CommitError::Conflict(HighWaterMark::record_id()).into())
}

#[cfg(test)]
mod tests;
