use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn time(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// A wall clock and an optional monotonic clock, both set by the test.
#[derive(Debug, Default)]
struct TwoClocks {
    now: AtomicI64,
    monotonic: Mutex<Option<Duration>>,
}

impl TwoClocks {
    fn set(&self, now: i64, monotonic: Option<Duration>) {
        self.now.store(now, Ordering::Relaxed);
        *self.monotonic.lock() = monotonic;
    }
}

impl Clock for TwoClocks {
    fn now(&self) -> Timestamp {
        time(self.now.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Option<Duration> {
        *self.monotonic.lock()
    }
}

fn trusted_clock(monotonic: Option<Duration>) -> (TrustedClock, Arc<TwoClocks>) {
    let (clock, seen) = (Arc::<TwoClocks>::default(), Seen { since: (time(0), monotonic), unconfirmed: None });
    let latest = AtomicI64::new(0);
    let trusted = TrustedClock { clock: clock.clone(), latest, tolerance: DEFAULT_TOLERANCE, seen: Mutex::new(seen) };
    (trusted, clock)
}

#[test]
fn a_mark_moves_as_the_table_says() {
    let mark = |trusted, unconfirmed: Option<i64>| HighWaterMark {
        trusted: time(trusted),
        unconfirmed: unconfirmed.map(time),
    };
    let waits = |until| ClockTrust::WaitsUntil(time(until));
    let (pause, late, life) = (26 * HOUR, 1_000 * DAY, 31 * DAY);
    let none = Evidence::default();
    let idle = Evidence { is_continuous: true, unconfirmed_for: None };
    let unconfirmed_for = |hours_ago| Evidence { is_continuous: false, unconfirmed_for: Some(hours(hours_ago)) };
    let table = [
        ("time advances", mark(0, None), 1, none, mark(1, None), ClockTrust::Trusted),
        ("time stands still", mark(5, None), 5, none, mark(5, None), ClockTrust::Trusted),
        ("time goes back", mark(late, None), 0, none, mark(late, None), ClockTrust::Trusted),
        ("a pause of a day", mark(0, None), pause, none, mark(pause, None), ClockTrust::Trusted),
        ("a longer one", mark(0, None), pause + 1, none, mark(0, Some(pause + 1)), waits(pause + 1 + DAY)),
        ("the shortest window", mark(0, None), 7 * DAY, none, mark(0, Some(7 * DAY)), waits(8 * DAY)),
        ("the same, seen by an idle process", mark(0, None), 7 * DAY, idle, mark(7 * DAY, None), ClockTrust::Trusted),
        ("a sweep right after", mark(0, Some(late)), late, none, mark(0, Some(late)), waits(late + DAY)),
        ("one too early", mark(0, Some(late)), late + DAY - 1, none, mark(0, Some(late)), waits(late + DAY)),
        ("one that confirms", mark(0, Some(late)), late + DAY, none, mark(late + DAY, None), ClockTrust::Trusted),
        ("a month later", mark(0, Some(late)), late + life, none, mark(late + life, None), ClockTrust::Trusted),
        ("another jump", mark(0, Some(late)), 2 * late, none, mark(0, Some(2 * late)), waits(2 * late + DAY)),
        ("back a bit", mark(0, Some(late)), late - 1, none, mark(0, Some(late - 1)), waits(late - 1 + DAY)),
        ("put right", mark(0, Some(late)), DAY, none, mark(DAY, None), ClockTrust::Trusted),
        (
            "a second jump of a day, five hours later",
            mark(0, Some(late)),
            late + 2 * DAY,
            unconfirmed_for(5),
            mark(0, Some(late)),
            waits(late + 2 * DAY + 19 * HOUR),
        ),
        (
            "a day by both clocks",
            mark(0, Some(late)),
            late + 2 * DAY,
            unconfirmed_for(24),
            mark(late + 2 * DAY, None),
            ClockTrust::Trusted,
        ),
    ];
    for (what, before, now, evidence, after, trust) in table {
        assert_eq!(before.at(time(now), DEFAULT_TOLERANCE, evidence), (after, trust), "{what}");
    }
}

#[test]
fn the_time_never_goes_back_behind_a_trusted_moment() {
    let (trusted, clock) = trusted_clock(None);
    let moment = |millis| {
        clock.set(millis, None);
        trusted.now()
    };
    assert_eq!((moment(DAY), trusted.latest()), (time(DAY), time(DAY)));
    assert_eq!((moment(5), trusted.latest()), (time(DAY), time(DAY)));
    assert_eq!(moment(1_000 * DAY), time(1_000 * DAY), "the reading is trusted");
    assert_eq!(trusted.latest(), time(DAY), "and is not trusted");
    assert_eq!(moment(2 * DAY), time(2 * DAY));
    assert_eq!((moment(i64::MIN), trusted.latest()), (time(2 * DAY), time(2 * DAY)));
}

#[test]
fn a_process_that_was_idle_trusts_the_clock_as_far_as_its_monotonic_clock_has_come() {
    let (trusted, clock) = trusted_clock(Some(hours(1)));
    clock.set(7 * DAY, Some(hours(1 + 7 * 24)));
    assert_eq!((trusted.now(), trusted.latest()), (time(7 * DAY), time(7 * DAY)));
    assert!(trusted.evidence(HighWaterMark::new(time(0)), time(7 * DAY), clock.monotonic()).is_continuous);

    // A fast clock never gains more than the tolerance, however often it is read.
    for hour in 0..100_i64 {
        clock.set(7 * DAY + 2 * hour * HOUR, Some(hours(1 + 7 * 24 + u64::try_from(hour).expect("positive"))));
        trusted.now();
    }
    assert_eq!(trusted.latest(), time(7 * DAY + 2 * 26 * HOUR));
}

#[test]
fn a_process_that_recorded_an_unconfirmed_time_measures_how_long_it_lasts() {
    let (trusted, _) = trusted_clock(Some(hours(0)));
    let unconfirmed = HighWaterMark { trusted: time(0), unconfirmed: Some(time(30 * DAY)) };
    trusted.note(unconfirmed, ClockTrust::WaitsUntil(time(31 * DAY)), true, (time(30 * DAY), Some(hours(1))));
    let evidence = |mark| trusted.evidence(mark, time(32 * DAY), Some(hours(6))).unconfirmed_for;
    assert_eq!(evidence(unconfirmed), Some(hours(5)));
    assert_eq!(
        evidence(HighWaterMark { unconfirmed: Some(time(31 * DAY)), ..unconfirmed }),
        None,
        "a confirmation by another process"
    );
    trusted.note(HighWaterMark::new(time(1)), ClockTrust::Trusted, true, (time(1), Some(hours(6))));
    assert_eq!(evidence(unconfirmed), None, "the evidence has expired");
}
