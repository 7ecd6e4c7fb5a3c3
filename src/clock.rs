//! Time as a dependency: the [`Clock`] trait, the system clock, and a manual clock for tests.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Formats as RFC 3339 in UTC, and
/// parses RFC 3339 with any offset.
///
/// # Examples
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use strongroom::Timestamp;
///
/// let start = Timestamp::from_unix_millis(1_700_000_000_000);
/// assert_eq!(start.unix_millis(), 1_700_000_000_000);
/// assert_eq!(start.to_string(), "2023-11-14T22:13:20Z");
/// assert_eq!("2023-11-14T23:13:20+01:00".parse::<Timestamp>()?, start);
///
/// assert_eq!(start.plus(Duration::from_secs(60)).since(start), Duration::from_secs(60));
/// assert_eq!(start.since(start.plus_days(1)), Duration::ZERO); // never negative
/// assert!(Timestamp::from(SystemTime::now()) > start);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since the start of 1970 in UTC. Negative values are
    /// earlier.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the start of 1970 in UTC.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Creates a timestamp from seconds since the start of 1970 in UTC, rounded to a millisecond.
    /// This is the form of times in the AWS KMS API.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if `seconds` is not a number or out of range.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Timestamp;
    ///
    /// let time = Timestamp::from_unix_seconds(1_700_000_000.123)?;
    /// assert_eq!(time.unix_millis(), 1_700_000_000_123);
    /// assert_eq!(time.unix_seconds(), 1_700_000_000.123);
    /// assert!(Timestamp::from_unix_seconds(f64::NAN).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn from_unix_seconds(seconds: f64) -> Result<Self, Error> {
        let span = Duration::try_from_secs_f64(seconds.abs()).ok();
        let rounded = span.and_then(|span| span.checked_add(Duration::from_micros(500)));
        let millis = rounded.and_then(|span| i64::try_from(span.as_millis()).ok());
        match millis {
            Some(millis) if seconds < 0.0 => Ok(Self(-millis)),
            Some(millis) => Ok(Self(millis)),
            None => Err(Error::new(ErrorKind::Validation, "a time in seconds since 1970 must be a number in range")),
        }
    }

    /// Returns the seconds since the start of 1970 in UTC, with a fraction. The result is exact to
    /// the millisecond within 285,000 years of 1970.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_unix_millis(-1_500).unix_seconds(), -1.5);
    /// ```
    pub fn unix_seconds(self) -> f64 {
        let seconds = Duration::from_millis(self.0.unsigned_abs()).as_secs_f64();
        if self.0 < 0 { -seconds } else { seconds }
    }

    /// Returns this timestamp plus `span`, saturating at the end of the range.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(saturating_millis(span)))
    }

    /// Returns this timestamp plus a number of 24-hour days.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        self.plus(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// Returns the time elapsed since `earlier`, or zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX))
    }
}

fn saturating_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(saturating_millis(after)),
            Err(before) => Self(-saturating_millis(before.duration())),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Parses RFC 3339. Fractions of a millisecond are truncated.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(|time: jiff::Timestamp| Self(time.as_millisecond())).map_err(|error| {
            let text = "a time must be in the RFC 3339 format, such as 2026-12-31T23:59:59Z";
            Error::new(ErrorKind::Validation, text).with_source(error)
        })
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = Error;

    /// Fails if the operating system cannot represent the time.
    fn try_from(time: Timestamp) -> Result<Self, Error> {
        let span = Duration::from_millis(time.0.unsigned_abs());
        let there = if time.0 < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
        there.ok_or_else(|| Error::new(ErrorKind::Validation, "the time is outside the range of the operating system"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A source of the current time. Everything that depends on time uses the configured clock and no
/// other source.
///
/// # Examples
/// ```
/// use strongroom::{Clock, Kms, Timestamp};
///
/// /// The clock of a simulation.
/// #[derive(Debug)]
/// struct Standstill;
///
/// impl Clock for Standstill {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_unix_millis(1_700_000_000_000)
///     }
/// }
///
/// assert_eq!(Standstill.monotonic(), None); // the default
/// let kms = Kms::builder().clock(Standstill).build()?;
/// let key = kms.create_key(Default::default())?;
/// assert_eq!(key.creation_date().to_string(), "2023-11-14T22:13:20Z");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment, from a clock that cannot be set and never goes
    /// backward.
    ///
    /// Returns `None`, the default, if there is no such clock. With a monotonic clock,
    /// [`Kms::run_maintenance`](crate::Kms::run_maintenance) can distinguish an idle process from a
    /// clock that jumped.
    fn monotonic(&self) -> Option<Duration> {
        None
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Option<Duration> {
        (**self).monotonic()
    }
}

/// The operating system's clock.
///
/// # Examples
/// ```
/// use strongroom::{Clock, SystemClock};
///
/// assert!(SystemClock.now().to_string() > "2025".to_owned());
/// assert!(SystemClock.monotonic().is_some());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Option<Duration> {
        static START: OnceLock<Instant> = OnceLock::new();
        Some(START.get_or_init(Instant::now).elapsed())
    }
}

/// A clock that changes only when it is set: for tests of rotation, expiration, and deletion
/// windows.
///
/// It has no monotonic clock, so a [`Kms`](crate::Kms) treats every step longer than its [clock
/// tolerance](crate::KmsBuilder::clock_tolerance) as a jump. It destroys nothing until the jump is
/// confirmed, for example by [`Kms::confirm_clock`](crate::Kms::confirm_clock).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_unix_millis(0));
/// clock.advance_days(30);
/// clock.advance(Duration::from_secs(3_600));
/// assert_eq!(clock.now().to_string(), "1970-01-31T01:00:00Z");
/// clock.set(Timestamp::from_unix_millis(0)); // also backward
/// assert_eq!(clock.now().unix_millis(), 0);
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `start`.
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Sets the time, forward or backward.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }

    /// Moves the time forward, saturating like [`Timestamp::plus`].
    pub fn advance(&self, span: Duration) {
        let later = |now| Some(Timestamp(now).plus(span).0);
        // The update always succeeds, because the closure never returns `None`.
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later).ok();
    }

    /// Moves the time forward by a number of 24-hour days.
    pub fn advance_days(&self, days: u32) {
        self.advance(Duration::from_secs(u64::from(days) * 86_400));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_in_range() {
        let last = Timestamp::from_unix_millis(i64::MAX);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(Timestamp::from_unix_millis(i64::MIN).since(last), Duration::ZERO);
        assert!(last.since(Timestamp::from_unix_millis(i64::MIN)) > Duration::from_secs(1));
        let clock = ManualClock::new(Timestamp::from_unix_millis(i64::MAX - 1));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), last);
    }

    #[test]
    fn times_before_1970_are_negative() {
        let time: Timestamp = (UNIX_EPOCH - Duration::from_millis(5)).into();
        assert_eq!(time.unix_millis(), -5);
    }

    #[test]
    fn a_time_is_read_as_it_was_written_and_given_back_to_the_system() {
        for millis in [0, -1, 1_700_000_000_123, -62_000_000_000_000] {
            let time = Timestamp::from_unix_millis(millis);
            assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
            assert_eq!(SystemTime::try_from(time).map(Timestamp::from).ok(), Some(time));
        }
        for text in ["", "tomorrow", "2026-12-31", "2026-13-01T00:00:00Z", "1700000000"] {
            let refused = text.parse::<Timestamp>().map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::Validation), "{text}");
        }
    }

    #[test]
    fn seconds_with_a_fraction_are_exact_to_the_millisecond() {
        for millis in [0, 1, -1, -5, 999, 1_700_000_000_123, 1_700_000_000_999, -62_000_000_000_001] {
            let time = Timestamp::from_unix_millis(millis);
            assert_eq!(Timestamp::from_unix_seconds(time.unix_seconds()).ok(), Some(time), "{millis}");
        }
        let millis = |seconds| Timestamp::from_unix_seconds(seconds).map(Timestamp::unix_millis).ok();
        assert_eq!((millis(0.000_4), millis(0.000_5), millis(-1.5)), (Some(0), Some(1), Some(-1_500)));
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 9.3e15] {
            assert_eq!(millis(seconds), None, "{seconds}");
        }
    }

    #[test]
    fn a_time_outside_the_calendar_still_displays() {
        assert!(Timestamp::from_unix_millis(i64::MAX).to_string().ends_with("since 1970"));
    }
}
