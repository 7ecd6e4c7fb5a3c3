//! How far time is known to have come: kept in the store, so that a clock that jumps destroys
//! nothing.
//!
//! The [`HighWaterMark`] is created when a store is first opened and moved by maintenance, at
//! most once an hour unless an unconfirmed time begins or ends.
//!
//! A step of the clock is trusted if it is no longer than the tolerance. A longer one is trusted
//!
//! - if the monotonic clock of this process has moved as far, so that the process was only idle;
//! - after [`CONFIRMATION`], if the clock has advanced from the unconfirmed time and not gone back;
//!   a process that has seen the unconfirmed time begin also requires that much of its monotonic
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

/// The longest step of the clock that is trusted immediately, unless the builder says otherwise: a
/// day, and two hours for a daily sweep that starts late or on the day when summer time ends.
pub(in crate::kms) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(26 * 3_600);

/// The shortest tolerance that the builder accepts: the mark in the store may lag by as much.
pub(in crate::kms) const MIN_TOLERANCE: Duration = PRECISION;

/// The time by which an unconfirmed clock must advance before it is trusted. An operator can notice
/// and cancel in the meantime.
const CONFIRMATION: Duration = Duration::from_secs(86_400);

/// Maximum duration of an unconfirmed time. A later sweep records a new one: it could be a pause or
/// a second jump.
const UNCONFIRMED_LIFETIME: Duration = Duration::from_secs(31 * 86_400);

/// How far the mark in the store may lie behind.
const PRECISION: Duration = Duration::from_secs(3_600);

/// How far the mark in memory may lie behind, so that threads seldom write it.
const MEMORY_PRECISION: Duration = Duration::from_secs(1);

/// Whether a moment may be the reason to destroy something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum ClockTrust {
    Trusted,
    /// Not before a sweep at this moment or later.
    WaitsUntil(Timestamp),
}

/// Facts about the clock that only the process of a sweep knows.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// It has seen time come here without a jump.
    is_continuous: bool,
    /// The time since it recorded the unconfirmed time of the store, by its monotonic clock.
    unconfirmed_for: Option<Duration>,
}

impl HighWaterMark {
    /// What a sweep that finds the clock at `now` makes of the mark.
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

/// The clock of a KMS, and the latest moment up to which this process trusts it.
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
    /// A moment that was trusted, and what the monotonic clock showed then.
    since: (Timestamp, Option<Duration>),
    /// An unconfirmed time that a sweep of this process recorded, and what the monotonic clock
    /// showed then.
    unconfirmed: Option<(Timestamp, Duration)>,
}

impl TrustedClock {
    /// Takes up the mark of the store, or makes it.
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

    /// The present moment, never before one that was trusted. A moment that is implausibly late
    /// counts without being trusted: when the clock goes back from it, so does everything.
    pub(in crate::kms) fn now(&self) -> Timestamp {
        let (now, latest) = (self.clock.now(), self.latest());
        // A thread that finds another one at it leaves it to that one.
        if now > latest.plus(MEMORY_PRECISION)
            && let Some(seen) = self.seen.try_lock()
            && self.is_continuous(&seen, now, self.clock.monotonic())
        {
            self.latest.fetch_max(now.unix_millis(), Ordering::Relaxed);
        }
        now.max(latest)
    }

    /// The present moment, or the latest trusted one if the clock is unconfirmed. What has ended by
    /// it has ended for good.
    pub(in crate::kms) fn confirmed(&self) -> Timestamp {
        let (now, latest) = (self.clock.now(), self.latest());
        if now <= latest.plus(MEMORY_PRECISION) { now.max(latest) } else { latest }
    }

    /// The reading of the clock itself, whether or not it is trusted, and also if it is behind a
    /// moment that was.
    pub(in crate::kms) fn reading(&self) -> Timestamp {
        self.clock.now()
    }

    fn latest(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.latest.load(Ordering::Relaxed))
    }

    /// Lets a sweep move the mark in the store. Returns the time, and if it may destroy anything.
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

    /// The write by which the mark comes to `now`, whatever is unconfirmed.
    pub(in crate::kms) fn confirmation(&self, registry: &Registry, now: Timestamp) -> Result<Edit> {
        let (revision, trusted) = match read(registry)? {
            Some((revision, mark)) => (Some(revision), mark.trusted.max(now)),
            None => (None, now),
        };
        Edit::put(HighWaterMark::record_id(), &HighWaterMark::new(trusted), revision)
    }

    /// Believes a moment that was confirmed.
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

    /// Takes up what became of the mark.
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

    /// Returns `true` if time can have come to `now` since the last observation, without a jump.
    /// Without a monotonic clock, only the length of the step decides.
    fn is_continuous(&self, seen: &Seen, now: Timestamp, monotonic: Option<Duration>) -> bool {
        let reached = match (seen.since, monotonic) {
            ((start, Some(then)), Some(monotonic)) => start.plus(monotonic.saturating_sub(then)),
            _ => self.latest(),
        };
        now <= reached.plus(self.tolerance)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every assignment leaves it whole.
        self.seen.lock()
    }
}

/// Refuses a tolerance that would have every sweep unconfirmed.
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
