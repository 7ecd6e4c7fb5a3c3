use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn time(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// A clock, and a monotonic clock if it has one, that a test sets.
#[derive(Debug, Default)]
struct TwoClocks {
    now: AtomicI64,
    monotonic: Mutex<Option<Duration>>,
}

impl TwoClocks {
    fn set(&self, now: i64, monotonic: Option<Duration>) {
        self.now.store(now, Ordering::Relaxed);
        *self.monotonic.lock().expect("no panic") = monotonic;
    }
}

impl Clock for TwoClocks {
    fn now(&self) -> Timestamp {
        time(self.now.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Option<Duration> {
        *self.monotonic.lock().expect("no panic")
    }
}

fn believed(monotonic: Option<Duration>) -> Believed {
    let seen = Seen { since: (time(0), monotonic), doubt: None };
    Believed { latest: AtomicI64::new(0), tolerance: DEFAULT_TOLERANCE, seen: Mutex::new(seen) }
}

#[test]
fn a_mark_moves_as_the_table_says() {
    let mark = |trusted, doubted: Option<i64>| TimeMark { trusted: time(trusted), doubted: doubted.map(time) };
    let waits = |until| Trust::WaitsUntil(time(until));
    let (pause, late, life) = (26 * HOUR, 1_000 * DAY, 31 * DAY);
    let none = Evidence::default();
    let idle = Evidence { is_continuous: true, doubted_for: None };
    let doubted_for = |hours_ago| Evidence { is_continuous: false, doubted_for: Some(hours(hours_ago)) };
    let table = [
        ("time goes on", mark(0, None), 1, none, mark(1, None), Trust::Trusted),
        ("time stands still", mark(5, None), 5, none, mark(5, None), Trust::Trusted),
        ("time goes back", mark(late, None), 0, none, mark(late, None), Trust::Trusted),
        ("a pause of a day", mark(0, None), pause, none, mark(pause, None), Trust::Trusted),
        ("a longer one", mark(0, None), pause + 1, none, mark(0, Some(pause + 1)), waits(pause + 1 + DAY)),
        ("the shortest window", mark(0, None), 7 * DAY, none, mark(0, Some(7 * DAY)), waits(8 * DAY)),
        ("the same, seen by an idle process", mark(0, None), 7 * DAY, idle, mark(7 * DAY, None), Trust::Trusted),
        ("a sweep right after", mark(0, Some(late)), late, none, mark(0, Some(late)), waits(late + DAY)),
        ("one too early", mark(0, Some(late)), late + DAY - 1, none, mark(0, Some(late)), waits(late + DAY)),
        ("one that confirms", mark(0, Some(late)), late + DAY, none, mark(late + DAY, None), Trust::Trusted),
        ("a month later", mark(0, Some(late)), late + life, none, mark(late + life, None), Trust::Trusted),
        ("another jump", mark(0, Some(late)), 2 * late, none, mark(0, Some(2 * late)), waits(2 * late + DAY)),
        ("back a bit", mark(0, Some(late)), late - 1, none, mark(0, Some(late - 1)), waits(late - 1 + DAY)),
        ("put right", mark(0, Some(late)), DAY, none, mark(DAY, None), Trust::Trusted),
        (
            "a second jump of a day, five hours later",
            mark(0, Some(late)),
            late + 2 * DAY,
            doubted_for(5),
            mark(0, Some(late)),
            waits(late + 2 * DAY + 19 * HOUR),
        ),
        (
            "a day by both clocks",
            mark(0, Some(late)),
            late + 2 * DAY,
            doubted_for(24),
            mark(late + 2 * DAY, None),
            Trust::Trusted,
        ),
    ];
    for (what, before, now, evidence, after, trust) in table {
        assert_eq!(before.at(time(now), DEFAULT_TOLERANCE, evidence), (after, trust), "{what}");
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
    let (believed, clock) = (believed(None), TwoClocks::default());
    let moment = |millis| {
        clock.set(millis, None);
        believed.moment(&clock)
    };
    assert_eq!((moment(DAY), believed.latest()), (time(DAY), time(DAY)));
    assert_eq!((moment(5), believed.latest()), (time(DAY), time(DAY)));
    assert_eq!(moment(1_000 * DAY), time(1_000 * DAY), "it counts");
    assert_eq!(believed.latest(), time(DAY), "and is not believed");
    assert_eq!(moment(2 * DAY), time(2 * DAY));
    assert_eq!((moment(i64::MIN), believed.latest()), (time(2 * DAY), time(2 * DAY)));
}

#[test]
fn a_process_that_was_idle_believes_the_clock_as_far_as_its_monotonic_clock_has_come() {
    let (believed, clock) = (believed(Some(hours(1))), TwoClocks::default());
    clock.set(7 * DAY, Some(hours(1 + 7 * 24)));
    assert_eq!((believed.moment(&clock), believed.latest()), (time(7 * DAY), time(7 * DAY)));
    assert!(believed.evidence(TimeMark::new(time(0)), time(7 * DAY), clock.monotonic()).is_continuous);

    // A clock that runs fast gains no more than the tolerance, however often it is looked at.
    for hour in 0..100_i64 {
        clock.set(7 * DAY + 2 * hour * HOUR, Some(hours(1 + 7 * 24 + u64::try_from(hour).expect("positive"))));
        believed.moment(&clock);
    }
    assert_eq!(believed.latest(), time(7 * DAY + 2 * 26 * HOUR));
}

#[test]
fn a_process_that_began_a_doubt_measures_how_long_it_lasts() {
    let believed = believed(Some(hours(0)));
    let doubt = TimeMark { trusted: time(0), doubted: Some(time(30 * DAY)) };
    believed.note(doubt, Trust::WaitsUntil(time(31 * DAY)), true, (time(30 * DAY), Some(hours(1))));
    let evidence = |mark| believed.evidence(mark, time(32 * DAY), Some(hours(6))).doubted_for;
    assert_eq!(evidence(doubt), Some(hours(5)));
    assert_eq!(evidence(TimeMark { doubted: Some(time(31 * DAY)), ..doubt }), None, "of another process");
    believed.note(TimeMark::new(time(1)), Trust::Trusted, true, (time(1), Some(hours(6))));
    assert_eq!(evidence(doubt), None, "it is over");
}
