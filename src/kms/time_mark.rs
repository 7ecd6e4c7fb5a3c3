//! How far time is known to have come: kept in the store, so that a clock that jumps destroys nothing.
//!
//! The mark is a record of kind `Store`, called `time`: `u8 1 ‖ u64 trusted ‖ doubted? (u64)`, in milliseconds since 1970, with a
//! byte 0 or 1 before what may be absent. It is made when a store is first opened and moved by maintenance, at most once an
//! hour but for doubts.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::registry::{Edit, MAX_COMMIT_ATTEMPTS, Registry};
use super::sealed::store_record_id;
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::store::{CommitError, RecordId, Revision};

const LAYOUT: u8 = 1;

/// The longest time between two sweeps that is believed at once. Destruction is never urgent, so the price of too short a
/// time is one more sweep, and of too long a time it is keys.
const MAX_PAUSE: Duration = Duration::from_secs(31 * 86_400);

/// How much later a sweep must find the clock that confirms what another one found implausible.
const CONFIRMATION: Duration = Duration::from_secs(3_600);

/// How far the mark in the store may lie behind.
const PRECISION: Duration = Duration::from_secs(3_600);

/// How far the mark in memory may lie behind, so that threads seldom write it.
const MEMORY_PRECISION: Duration = Duration::from_secs(1);

/// Up to when time has come without a doubt, and the first moment that was seen after an implausible jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeMark {
    trusted: Timestamp,
    doubted: Option<Timestamp>,
}

/// Whether a moment may be the reason to destroy something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    /// Not before a sweep at this moment or later.
    WaitsUntil(Timestamp),
}

impl TimeMark {
    const fn new(now: Timestamp) -> Self {
        Self { trusted: now, doubted: None }
    }

    /// What a sweep that finds the clock at `now` makes of the mark.
    fn at(self, now: Timestamp) -> (Self, Trust) {
        if now <= self.trusted.plus(MAX_PAUSE) {
            return (Self::new(self.trusted.max(now)), Trust::Trusted);
        }
        match self.doubted {
            Some(doubted) if now >= doubted.plus(CONFIRMATION) && now <= doubted.plus(MAX_PAUSE) => {
                (Self::new(now), Trust::Trusted)
            }
            Some(doubted) if now >= doubted && now < doubted.plus(CONFIRMATION) => {
                (self, Trust::WaitsUntil(doubted.plus(CONFIRMATION)))
            }
            _ => (Self { doubted: Some(now), ..self }, Trust::WaitsUntil(now.plus(CONFIRMATION))),
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

/// The latest moment that this process has seen and believed.
#[derive(Debug)]
pub(super) struct Believed(AtomicI64);

impl Believed {
    /// Takes up the mark of the store, or makes it.
    pub(super) fn open(registry: &Registry, now: Timestamp) -> Result<Self> {
        let mark = match read(registry)? {
            Some((_, mark)) => mark,
            None => match write(registry, TimeMark::new(now), None) {
                Ok(_) => TimeMark::new(now),
                // Another process was faster.
                Err(CommitError::Conflict(_)) => read(registry)?.map_or(TimeMark::new(now), |(_, mark)| mark),
                Err(CommitError::Failed(error)) => return Err(error),
            },
        };
        Ok(Self(AtomicI64::new(mark.trusted.unix_millis())))
    }

    /// The moment that counts when the clock shows `now`: never one before what was believed. A moment that is implausibly late
    /// counts, and is not believed: when the clock goes back from it, so does everything.
    pub(super) fn moment(&self, now: Timestamp) -> Timestamp {
        let believed = Timestamp::from_unix_millis(self.0.load(Ordering::Relaxed));
        if now > believed.plus(MEMORY_PRECISION) && now <= believed.plus(MAX_PAUSE) {
            self.0.fetch_max(now.unix_millis(), Ordering::Relaxed);
        }
        now.max(believed)
    }

    /// Lets a sweep that finds the clock at `now` move the mark in the store, and tells whether it may destroy anything.
    pub(super) fn sweep(&self, registry: &Registry, now: Timestamp) -> Result<Trust> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (revision, mark) = match read(registry)? {
                Some((revision, mark)) => (Some(revision), mark),
                None => (None, TimeMark::new(now)),
            };
            let (next, trust) = mark.at(now);
            let is_close = next.doubted == mark.doubted && next.trusted.since(mark.trusted) < PRECISION;
            if !is_close || revision.is_none() {
                match write(registry, next, revision) {
                    Err(CommitError::Conflict(_)) => continue,
                    Err(CommitError::Failed(error)) => return Err(error),
                    Ok(_) => {}
                }
            }
            self.0.fetch_max(next.trusted.unix_millis(), Ordering::Relaxed);
            return Ok(trust);
        }
        Err(CommitError::Conflict(record_id()).into())
    }
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
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn time(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn a_mark_moves_as_the_table_says() {
        let mark = |trusted, doubted: Option<i64>| TimeMark { trusted: time(trusted), doubted: doubted.map(time) };
        let waits = |until| Trust::WaitsUntil(time(until));
        let (pause, late) = (31 * DAY, 1_000 * DAY);
        let table = [
            ("time goes on", mark(0, None), 1, mark(1, None), Trust::Trusted),
            ("time stands still", mark(5, None), 5, mark(5, None), Trust::Trusted),
            ("time goes back", mark(late, None), 0, mark(late, None), Trust::Trusted),
            ("a pause of a month", mark(0, None), pause, mark(pause, None), Trust::Trusted),
            ("a longer one", mark(0, None), pause + 1, mark(0, Some(pause + 1)), waits(pause + 1 + HOUR)),
            ("a sweep right after", mark(0, Some(late)), late, mark(0, Some(late)), waits(late + HOUR)),
            ("one too early", mark(0, Some(late)), late + HOUR - 1, mark(0, Some(late)), waits(late + HOUR)),
            ("one that confirms", mark(0, Some(late)), late + HOUR, mark(late + HOUR, None), Trust::Trusted),
            ("a month later", mark(0, Some(late)), late + pause, mark(late + pause, None), Trust::Trusted),
            ("another jump", mark(0, Some(late)), 2 * late, mark(0, Some(2 * late)), waits(2 * late + HOUR)),
            ("back a bit", mark(0, Some(late)), late - 1, mark(0, Some(late - 1)), waits(late - 1 + HOUR)),
            ("put right", mark(0, Some(late)), DAY, mark(DAY, None), Trust::Trusted),
        ];
        for (what, before, now, after, trust) in table {
            assert_eq!(before.at(time(now)), (after, trust), "{what}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_part_of_it_is() {
        for mark in [TimeMark::new(time(-1)), TimeMark { trusted: time(1), doubted: Some(time(i64::MAX)) }] {
            let bytes = mark.encode();
            assert_eq!(TimeMark::decode(&bytes), Ok(mark));
            assert!((0..bytes.len()).all(|end| TimeMark::decode(&bytes[..end]).is_err()));
            assert!(TimeMark::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert!(TimeMark::decode(&[2; 10]).is_err() && TimeMark::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 2]).is_err());
    }

    #[test]
    fn a_moment_never_goes_back_behind_what_was_believed() {
        let believed = Believed(AtomicI64::new(0));
        assert_eq!(believed.moment(time(DAY)), time(DAY));
        assert_eq!(believed.moment(time(5)), time(DAY));
        assert_eq!(believed.moment(time(1_000 * DAY)), time(1_000 * DAY), "it counts");
        assert_eq!(believed.moment(time(2 * DAY)), time(2 * DAY), "and is not believed");
        assert_eq!(believed.moment(time(i64::MIN)), time(2 * DAY));
    }
}
