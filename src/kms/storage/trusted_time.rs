//! How far time is known to have come: kept in the store, so that a clock that jumps destroys nothing.
//!
//! The mark is a record of kind `Store`, called `time`: `u8 1 ‖ u64 trusted ‖ doubted? (u64)`, in milliseconds since 1970, with a
//! byte 0 or 1 before what may be absent. It is made when a store is first opened and moved by maintenance, at most once an
//! hour but for doubts.
//!
//! A step of the clock is believed if it is no longer than the tolerance. A longer one is believed
//!
//! - if the monotonic clock of this process has moved as far, so that the process was only idle;
//! - after [`CONFIRMATION`], if the clock has advanced from the doubted time and not gone back; a process that has seen the doubt
//!   begin also requires that much of its monotonic clock, so that a second jump confirms nothing;
//! - if the authority confirms it ([`Kms::confirm_clock`](crate::kms::engine::handle::Kms::confirm_clock)).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::registry::{Edit, MAX_COMMIT_ATTEMPTS, Registry};
use super::sealed::store_record_id;
use crate::clock::{Clock, Timestamp};
use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{CommitError, RecordId, Revision};

const LAYOUT: u8 = 1;

/// The longest step of the clock that is believed at once, unless the builder says otherwise: a day, and two hours for a daily
/// sweep that starts late or on the day when summer time ends.
pub(in crate::kms) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(26 * 3_600);

/// The shortest tolerance that the builder accepts: the mark in the store may lag by as much.
pub(in crate::kms) const MIN_TOLERANCE: Duration = PRECISION;

/// The time by which a doubted clock must advance before it is believed, in which an operator can notice and cancel.
const CONFIRMATION: Duration = Duration::from_secs(86_400);

/// The longest duration of a doubt. A sweep after that begins a new one: it could be a pause or a second jump.
const DOUBT_LIFETIME: Duration = Duration::from_secs(31 * 86_400);

/// How far the mark in the store may lie behind.
const PRECISION: Duration = Duration::from_secs(3_600);

/// How far the mark in memory may lie behind, so that threads seldom write it.
const MEMORY_PRECISION: Duration = Duration::from_secs(1);

/// Up to when time has come without a doubt, and the first moment that was seen after an implausible jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct TimeMark {
    trusted: Timestamp,
    doubted: Option<Timestamp>,
}

/// Whether a moment may be the reason to destroy something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Trust {
    Trusted,
    /// Not before a sweep at this moment or later.
    WaitsUntil(Timestamp),
}

/// Facts about the clock that only the process of a sweep knows.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// It has seen time come here without a jump.
    is_continuous: bool,
    /// The time since it began the doubt that is in the store, by its monotonic clock.
    doubted_for: Option<Duration>,
}

impl TimeMark {
    const fn new(now: Timestamp) -> Self {
        Self { trusted: now, doubted: None }
    }

    /// What a sweep that finds the clock at `now` makes of the mark.
    fn at(self, now: Timestamp, tolerance: Duration, evidence: Evidence) -> (Self, Trust) {
        if evidence.is_continuous || now <= self.trusted.plus(tolerance) {
            return (Self::new(self.trusted.max(now)), Trust::Trusted);
        }
        let goes_on = |doubted: &Timestamp| *doubted <= now && now <= doubted.plus(DOUBT_LIFETIME);
        let Some(doubted) = self.doubted.filter(goes_on) else {
            return (Self { doubted: Some(now), ..self }, Trust::WaitsUntil(now.plus(CONFIRMATION)));
        };
        let passed = now.since(doubted).min(evidence.doubted_for.unwrap_or(Duration::MAX));
        match CONFIRMATION.saturating_sub(passed) {
            Duration::ZERO => (Self::new(now), Trust::Trusted),
            missing => (self, Trust::WaitsUntil(now.plus(missing))),
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(18);
        writer.u8(LAYOUT).bytes(&self.trusted.unix_millis().to_be_bytes()).u8(u8::from(self.doubted.is_some()));
        self.doubted.iter().for_each(|doubted| _ = writer.bytes(&doubted.unix_millis().to_be_bytes()));
        writer.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("layout of the time mark")? != LAYOUT {
            return Err(CodecError::Invalid { field: "layout of the time mark" });
        }
        let time = |reader: &mut Reader<'_>| {
            Ok::<_, CodecError>(Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("time")?)))
        };
        let trusted = time(&mut reader)?;
        let doubted = match reader.u8("presence")? {
            0 => None,
            1 => Some(time(&mut reader)?),
            _ => return Err(CodecError::Invalid { field: "presence" }),
        };
        reader.finish()?;
        Ok(Self { trusted, doubted })
    }
}

/// The latest moment that this process has seen and believed, and how it came to believe it.
#[derive(Debug)]
pub(in crate::kms) struct Believed {
    latest: AtomicI64,
    tolerance: Duration,
    seen: Mutex<Seen>,
}

/// Observations of the clock by this process.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// A moment that was believed, and what the monotonic clock showed then.
    since: (Timestamp, Option<Duration>),
    /// A doubt that began with a sweep of this process, and what the monotonic clock showed then.
    doubt: Option<(Timestamp, Duration)>,
}

impl Believed {
    /// Takes up the mark of the store, or makes it.
    pub(in crate::kms) fn open(registry: &Registry, clock: &dyn Clock, tolerance: Duration) -> Result<Self> {
        let now = clock.now();
        let mark = match read(registry)? {
            Some((_, mark)) => mark,
            None => match write(registry, TimeMark::new(now), None) {
                Ok(_) => TimeMark::new(now),
                // Another process was faster.
                Err(CommitError::Conflict(_)) => read(registry)?.map_or(TimeMark::new(now), |(_, mark)| mark),
                Err(CommitError::Failed(error)) => return Err(error),
            },
        };
        let trusted = mark.trusted;
        let start = if now <= trusted.plus(tolerance) { now.max(trusted) } else { trusted };
        let seen = Seen { since: (start, clock.monotonic()), doubt: None };
        Ok(Self { latest: AtomicI64::new(trusted.unix_millis()), tolerance, seen: Mutex::new(seen) })
    }

    /// The moment that counts at present: never one before what was believed. A moment that is implausibly late counts, and is
    /// not believed: when the clock goes back from it, so does everything.
    pub(in crate::kms) fn moment(&self, clock: &dyn Clock) -> Timestamp {
        let (now, latest) = (clock.now(), self.latest());
        // A thread that finds another one at it leaves it to that one.
        if now > latest.plus(MEMORY_PRECISION)
            && let Ok(seen) = self.seen.try_lock()
            && self.is_continuous(&seen, now, clock.monotonic())
        {
            self.latest.fetch_max(now.unix_millis(), Ordering::Relaxed);
        }
        now.max(latest)
    }

    /// The present moment, or the latest that is believed if the clock is doubted. What has ended by it has ended for good.
    pub(in crate::kms) fn confirmed(&self, clock: &dyn Clock) -> Timestamp {
        let (now, latest) = (clock.now(), self.latest());
        if now <= latest.plus(MEMORY_PRECISION) { now.max(latest) } else { latest }
    }

    fn latest(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.latest.load(Ordering::Relaxed))
    }

    /// Lets a sweep move the mark in the store. Returns the time, and if it may destroy anything.
    pub(in crate::kms) fn sweep(&self, registry: &Registry, clock: &dyn Clock) -> Result<(Timestamp, Trust)> {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (revision, mark) = match read(registry)? {
                Some((revision, mark)) => (Some(revision), mark),
                None => (None, TimeMark::new(now)),
            };
            let (next, trust) = mark.at(now, self.tolerance, self.evidence(mark, now, monotonic));
            let is_close = next.doubted == mark.doubted && next.trusted.since(mark.trusted) < PRECISION;
            if !is_close || revision.is_none() {
                match write(registry, next, revision) {
                    Err(CommitError::Conflict(_)) => continue,
                    Err(CommitError::Failed(error)) => return Err(error),
                    Ok(_) => {}
                }
            }
            self.note(next, trust, next.doubted != mark.doubted, (now, monotonic));
            return Ok((now, trust));
        }
        Err(CommitError::Conflict(record_id()).into())
    }

    /// The write by which the mark comes to `now`, whatever is doubted.
    pub(in crate::kms) fn confirmation(&self, registry: &Registry, now: Timestamp) -> Result<Edit> {
        let (revision, trusted) = match read(registry)? {
            Some((revision, mark)) => (Some(revision), mark.trusted.max(now)),
            None => (None, now),
        };
        Ok(Edit::Put { id: record_id(), body: TimeMark::new(trusted).encode(), expected: revision })
    }

    /// Believes a moment that was confirmed.
    pub(in crate::kms) fn confirm(&self, clock: &dyn Clock, now: Timestamp) {
        self.note(TimeMark::new(now), Trust::Trusted, true, (now, clock.monotonic()));
    }

    fn evidence(&self, mark: TimeMark, now: Timestamp, monotonic: Option<Duration>) -> Evidence {
        let seen = self.seen();
        let doubted_for = match (seen.doubt, monotonic) {
            (Some((doubted, start)), Some(monotonic)) if mark.doubted == Some(doubted) => {
                Some(monotonic.saturating_sub(start))
            }
            _ => None,
        };
        Evidence { is_continuous: self.is_continuous(&seen, now, monotonic), doubted_for }
    }

    /// Takes up what became of the mark.
    fn note(&self, mark: TimeMark, trust: Trust, is_new: bool, (now, monotonic): (Timestamp, Option<Duration>)) {
        let mut seen = self.seen();
        let was_continuous = self.is_continuous(&seen, now, monotonic);
        self.latest.fetch_max(mark.trusted.unix_millis(), Ordering::Relaxed);
        match trust {
            Trust::Trusted => {
                seen.doubt = None;
                if !was_continuous {
                    seen.since = (now.max(mark.trusted), monotonic);
                }
            }
            Trust::WaitsUntil(_) if is_new => seen.doubt = monotonic.map(|monotonic| (now, monotonic)),
            Trust::WaitsUntil(_) => {}
        }
    }

    /// Returns `true` if time can have come to `now` since the last observation, without a jump. Without a monotonic clock, only
    /// the length of the step decides.
    fn is_continuous(&self, seen: &Seen, now: Timestamp, monotonic: Option<Duration>) -> bool {
        let reached = match (seen.since, monotonic) {
            ((start, Some(then)), Some(monotonic)) => start.plus(monotonic.saturating_sub(then)),
            _ => self.latest(),
        };
        now <= reached.plus(self.tolerance)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every assignment leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a tolerance that would have every sweep doubted.
pub(in crate::kms) fn check_tolerance(tolerance: Duration) -> Result<()> {
    if tolerance >= MIN_TOLERANCE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, "the clock tolerance must be at least one hour"))
}

fn read(registry: &Registry) -> Result<Option<(Revision, TimeMark)>> {
    let Some((revision, body)) = registry.sealed().get(&record_id())? else { return Ok(None) };
    Ok(Some((revision, TimeMark::decode(body.expose_secret())?)))
}

fn write(registry: &Registry, mark: TimeMark, expected: Option<Revision>) -> Result<Revision, CommitError> {
    registry.commit(&[Edit::Put { id: record_id(), body: mark.encode(), expected }])
}

fn record_id() -> RecordId {
    store_record_id(b"time")
}

#[cfg(test)]
mod tests;
