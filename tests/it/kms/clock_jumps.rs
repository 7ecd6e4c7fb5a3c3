//! What a clock that jumps does to keys: nothing for good.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use strongroom::audit::{Action, AuditEvent, MemoryTrail, Outcome};
use strongroom::key::{DeletionWindow, KeyId, KeyState, RotationPeriod};
use strongroom::seal::RootKey;
use strongroom::store::KeyStore;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

const START: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);

struct World {
    store: Arc<dyn KeyStore>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Result<Self> {
        Ok(Self { store: any_store::new()?, clock: ManualClock::new(START).into() })
    }

    /// A process over the store; several have the same clock.
    fn open(&self) -> Result<Kms> {
        let root = RootKey::from_bytes(&[7; 32]);
        Kms::builder().store(Arc::clone(&self.store), root).clock(Arc::clone(&self.clock)).build()
    }

    /// Lets days pass, in which a process is used.
    fn days(&self, days: u32, kms: &Kms) -> Result<()> {
        for _ in 0..days {
            self.clock.advance_days(1);
            kms.generate_random(1)?;
        }
        Ok(())
    }

    fn doomed_key(&self) -> Result<KeyId> {
        let kms = self.open()?;
        let key = kms.create_key(Default::default())?.key_id();
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        Ok(key)
    }
}

#[test]
fn a_jump_forward_destroys_nothing_until_a_later_sweep_confirms_it() -> TestResult {
    let world = World::new()?;
    let key = world.doomed_key()?;
    world.clock.advance_days(365);
    for _ in 0..3 {
        let report = world.open()?.run_maintenance()?;
        assert!(report.deleted.is_empty() && !report.is_complete());
        assert_eq!(report.destruction_postponed_until, Some(START.plus_days(366)));
    }
    assert_eq!(
        world.open()?.describe_key(key)?.state(),
        KeyState::PendingDeletion,
        "an unconfirmed clock is not sufficient"
    );
    world.clock.advance_days(1);
    let report = world.open()?.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.destruction_postponed_until), (1, None));
    assert_eq!(world.open()?.describe_key(key).expect_err("deleted").kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn a_jump_over_a_deletion_window_destroys_nothing_and_the_key_can_be_brought_back() -> TestResult {
    for (window, jump, is_put_right) in [(30, 30, true), (30, 31, false), (7, 7, false), (7, 2, true)] {
        let world = World::new()?;
        let kms = world.open()?;
        let key = kms.create_key(Default::default())?.key_id();
        kms.schedule_key_deletion(key, DeletionWindow::from_days(window)?)?;
        world.clock.advance_days(jump);
        for kms in [&kms, &world.open()?] {
            let report = kms.run_maintenance()?;
            assert_eq!(
                (report.deleted.len(), report.destruction_postponed_until.is_some()),
                (0, true),
                "{window} {jump}"
            );
            assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingDeletion);
        }
        if is_put_right {
            world.clock.set(START);
        }
        kms.cancel_key_deletion(key)?;
        assert_eq!(world.open()?.describe_key(key)?.state(), KeyState::Disabled);
    }
    Ok(())
}

#[test]
fn a_service_that_was_stopped_for_a_week_deletes_a_day_after_it_started() -> TestResult {
    let world = World::new()?;
    world.doomed_key()?;
    world.clock.advance_days(8);
    let kms = world.open()?;
    for _ in 0..24 {
        assert!(kms.run_maintenance()?.deleted.is_empty());
        world.clock.advance(Duration::from_secs(3_600));
    }
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    Ok(())
}

#[test]
fn a_new_process_every_week_deletes_in_every_second_sweep_or_with_a_longer_tolerance_in_each() -> TestResult {
    for (tolerance, expected) in [(None, [0, 1, 0, 1]), (Some(Duration::from_secs(8 * 86_400)), [1, 1, 1, 1])] {
        let world = World::new()?;
        let deleted = [(); 4].map(|()| -> Result<usize> {
            world.doomed_key()?;
            world.clock.advance_days(7);
            let root = RootKey::from_bytes(&[7; 32]);
            let builder = Kms::builder().store(Arc::clone(&world.store), root).clock(Arc::clone(&world.clock));
            let builder = tolerance.into_iter().fold(builder, strongroom::KmsBuilder::clock_tolerance);
            Ok(builder.build()?.run_maintenance()?.deleted.len())
        });
        let deleted = deleted.into_iter().collect::<Result<Vec<_>>>()?;
        assert_eq!(deleted.iter().map(|count| usize::from(*count > 0)).collect::<Vec<_>>(), expected);
    }
    let builder = any_store::builder().clock_tolerance(Duration::from_secs(3_599));
    assert_eq!(builder.build().expect_err("too short").kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn a_daily_sweep_is_not_doubted() -> TestResult {
    let world = World::new()?;
    world.doomed_key()?;
    for day in 1..=8 {
        // Some minutes late, and once by the hour of the change from summer time.
        world.clock.advance(Duration::from_secs(86_400 + 300 + if day == 4 { 3_600 } else { 0 }));
        let report = world.open()?.run_maintenance()?;
        assert_eq!((report.deleted.len(), report.destruction_postponed_until), (usize::from(day == 7), None), "{day}");
    }
    Ok(())
}

/// A clock that a test sets, and a monotonic one.
#[derive(Debug)]
struct Drifting {
    wall: ManualClock,
    monotonic: ManualClock,
}

impl Clock for Drifting {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn monotonic(&self) -> Option<Duration> {
        Some(self.monotonic.now().since(Timestamp::from_unix_millis(0)))
    }
}

#[test]
fn a_process_that_was_idle_deletes_at_once_and_a_second_jump_confirms_nothing() -> TestResult {
    let (zero, hour) = (Timestamp::from_unix_millis(0), Duration::from_secs(3_600));
    let clock = Arc::new(Drifting { wall: ManualClock::new(START), monotonic: ManualClock::new(zero) });
    let kms = any_store::builder().clock(Arc::clone(&clock)).build()?;
    let doom = || kms.schedule_key_deletion(kms.create_key(Default::default())?.key_id(), DeletionWindow::MIN);
    doom()?;
    clock.wall.advance_days(8);
    clock.monotonic.advance_days(8);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1, "the key was not used for a week");

    doom()?;
    clock.wall.advance_days(8);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    clock.wall.advance_days(2);
    clock.monotonic.advance(hour);
    let waits = kms.run_maintenance()?.destruction_postponed_until;
    assert_eq!(waits, Some(clock.now().plus(23 * hour)), "a second jump");
    clock.wall.advance(hour);
    clock.monotonic.advance(hour);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    clock.wall.advance_days(2);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some(), "a third jump, after a sweep in between");
    clock.wall.advance(22 * hour);
    clock.monotonic.advance(22 * hour);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);

    doom()?;
    clock.wall.advance_days(8);
    clock.monotonic.advance_days(8);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1, "idle again, since the jumps were confirmed");
    Ok(())
}

#[test]
fn a_process_that_starts_after_a_jump_has_not_seen_the_time_pass() -> TestResult {
    let world = World::new()?;
    world.doomed_key()?;
    let zero = Timestamp::from_unix_millis(0);
    let clock = Arc::new(Drifting { wall: ManualClock::new(START), monotonic: ManualClock::new(zero) });
    clock.wall.advance_days(30);
    let builder = Kms::builder().store(Arc::clone(&world.store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.clock(Arc::clone(&clock)).build()?;
    let report = kms.run_maintenance()?;
    assert!(report.deleted.is_empty() && report.destruction_postponed_until.is_some(), "{report:?}");
    Ok(())
}

#[test]
fn the_authority_confirms_the_clock_and_the_trail_tells() -> TestResult {
    let world = World::new()?;
    let trail = Arc::new(MemoryTrail::default());
    let root = RootKey::from_bytes(&[7; 32]);
    let builder = Kms::builder().store(Arc::clone(&world.store), root).clock(Arc::clone(&world.clock));
    let kms = builder.audit(Arc::clone(&trail)).build()?;
    world.doomed_key()?;
    world.clock.advance_days(30);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    let hour = Duration::from_secs(3_600);
    for wrong in [START, world.clock.now().plus(hour + Duration::from_millis(1))] {
        assert_eq!(kms.confirm_clock(wrong).expect_err("another time").kind(), ErrorKind::Validation);
    }
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some(), "a refusal confirms nothing");
    let user =
        kms.as_principal(strongroom::identity::Principal::user(strongroom::identity::AccountId::default(), "alice")?)?;
    assert_eq!(user.confirm_clock(world.clock.now()).expect_err("narrowed").kind(), ErrorKind::AccessDenied);
    kms.confirm_clock(world.clock.now().plus(hour))?;
    let told = |outcome| {
        let is_it =
            |event: &&AuditEvent| event.action == Action::Authority("confirm_clock") && event.outcome == outcome;
        trail.events().iter().filter(is_it).count()
    };
    assert_eq!((told(Outcome::Intent), told(Outcome::Success)), (1, 1));
    assert_eq!(told(Outcome::Failure(ErrorKind::Validation)), 2);
    // The confirmed time is not taken back, also before the next sweep.
    let confirmed = world.clock.now();
    world.clock.set(START);
    assert_eq!(kms.create_key(Default::default())?.creation_date(), confirmed);
    world.clock.set(confirmed);
    assert_eq!(world.open()?.run_maintenance()?.deleted.len(), 1, "in every process");
    Ok(())
}

#[test]
fn the_alias_of_a_key_that_is_over_says_what_takes_it_away() -> TestResult {
    let world = World::new()?;
    let kms = world.open()?;
    let (doomed, next) = (kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id());
    kms.create_alias("alias/x", doomed)?;
    kms.schedule_key_deletion(doomed, DeletionWindow::MIN)?;
    let taken = || kms.create_alias("alias/x", next).expect_err("taken").to_string();
    assert!(!taken().contains("run_maintenance"));
    world.days(7, &kms)?;
    assert!(taken().contains("run_maintenance"), "{}", taken());
    kms.run_maintenance()?;
    kms.create_alias("alias/x", next)?;
    Ok(())
}

#[test]
fn a_jump_that_a_sweep_has_confirmed_is_not_taken_back_in_the_same_process() -> TestResult {
    let world = World::new()?;
    let kms = world.open()?;
    world.clock.advance_days(1_000);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    world.clock.advance_days(1);
    assert_eq!(kms.run_maintenance()?.destruction_postponed_until, None);
    world.clock.set(START);
    assert_eq!(kms.create_key(Default::default())?.creation_date(), START.plus_days(1_001));
    Ok(())
}

#[test]
fn a_jump_does_not_put_rotation_off() -> TestResult {
    let world = World::new()?;
    let kms = world.open()?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::MIN)?;
    let rotated = || Ok::<_, strongroom::Error>(world.open()?.run_maintenance()?.rotated.len());
    world.clock.advance_days(3_650);
    assert_eq!(rotated()?, 1);
    world.clock.set(START.plus_days(1));
    assert_eq!((rotated()?, rotated()?), (1, 0), "in time again");
    let next = kms.get_key_rotation_status(key)?.next_rotation_date;
    assert_eq!(next, Some(START.plus_days(91)));
    world.clock.set(START.plus_days(91));
    assert_eq!((rotated()?, rotated()?), (1, 0));
    // A clock that is some days behind the one that made the schedule is no reason to rotate.
    world.clock.set(START.plus_days(70));
    assert_eq!(rotated()?, 0);
    Ok(())
}

#[test]
fn a_jump_that_is_put_right_has_cost_nothing() -> TestResult {
    let world = World::new()?;
    let key = world.doomed_key()?;
    let kms = world.open()?;
    world.clock.advance_days(3_650);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingDeletion);
    world.clock.set(START.plus_days(1));
    assert_eq!(kms.run_maintenance()?.destruction_postponed_until, None);
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingDeletion);
    kms.cancel_key_deletion(key)?;
    // The doubt is forgotten too: the same jump is doubted again from the start.
    world.clock.advance_days(3_650);
    assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    Ok(())
}

#[test]
fn a_clock_that_goes_back_revives_nothing() -> TestResult {
    let world = World::new()?;
    let key = world.doomed_key()?;
    let kms = world.open()?;
    world.days(8, &kms)?;
    assert_eq!(kms.describe_key(key).expect_err("the waiting period has ended").kind(), ErrorKind::NotFound);
    world.clock.set(START);
    assert_eq!(kms.describe_key(key).expect_err("in this process").kind(), ErrorKind::NotFound);
    assert_eq!(kms.cancel_key_deletion(key).expect_err("too late").kind(), ErrorKind::NotFound);

    world.clock.advance_days(6);
    kms.run_maintenance()?;
    world.clock.advance_days(1);
    let kms = world.open()?;
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1, "a usual pause");
    world.clock.set(START);
    let made = world.open()?.create_key(Default::default())?;
    assert!(made.creation_date() >= START.plus_days(7), "another process reads the latest time from the store");
    Ok(())
}

#[test]
fn the_mark_is_written_at_most_once_an_hour() -> TestResult {
    use strongroom::store::KeyStore;
    let world = World::new()?;
    let kms = world.open()?;
    let start = world.store.revision()?;
    for _ in 0..59 {
        world.clock.advance(Duration::from_secs(60));
        kms.run_maintenance()?;
        kms.generate_random(1)?;
    }
    assert_eq!(world.store.revision()?, start);
    world.clock.advance(Duration::from_secs(60));
    kms.run_maintenance()?;
    assert_eq!(world.store.revision()?.0, start.0 + 1);
    Ok(())
}

#[test]
fn many_sweeps_at_once_destroy_once() -> TestResult {
    let world = World::new()?;
    for _ in 0..8 {
        world.doomed_key()?;
    }
    world.clock.advance_days(8);
    world.open()?.confirm_clock(world.clock.now())?;
    let processes = (0..4).map(|_| world.open()).collect::<Result<Vec<_>>>()?;
    let deleted: usize = std::thread::scope(|scope| {
        let sweeps: Vec<_> = processes.iter().map(|kms| scope.spawn(|| kms.run_maintenance())).collect();
        sweeps
            .into_iter()
            .map(|sweep| sweep.join().expect("no thread panicked").map(|report| report.deleted.len()))
            .sum::<Result<usize>>()
    })?;
    assert_eq!(deleted, 8);
    assert!(processes[0].verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn a_guard_sweeps_until_it_is_dropped_and_tells_what_came_of_it() -> TestResult {
    let world = World::new()?;
    world.doomed_key()?;
    let kms = world.open()?;
    world.days(8, &kms)?;
    let (sender, reports) = mpsc::channel();
    let sender = Mutex::new(sender);
    let guard = kms.maintain_every(Duration::from_millis(1), move |report| {
        let deleted = report.map(|report| report.deleted.len()).map_err(|error| error.kind());
        sender.lock().expect("no thread panicked").send(deleted).ok();
    })?;
    assert_eq!(reports.recv()?, Ok(1));
    assert_eq!(reports.recv()?, Ok(0), "and again");
    assert!(guard.is_running());
    drop(guard);
    while reports.try_recv().is_ok() {}
    assert!(reports.recv().is_err(), "the thread has ended");

    assert_eq!(kms.maintain_every(Duration::ZERO, |_| {}).expect_err("no interval").kind(), ErrorKind::Validation);
    let user =
        kms.as_principal(strongroom::identity::Principal::user(strongroom::identity::AccountId::default(), "alice")?)?;
    let refused = user.maintain_every(Duration::from_secs(1), |_| {}).expect_err("narrowed");
    assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_guard_waits_between_sweeps_and_ends_with_the_one_that_is_running() -> TestResult {
    let kms = World::new()?.open()?;
    let (begun, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (sender, has_begun) = mpsc::channel();
    let counts = (Arc::clone(&begun), Arc::clone(&ended));
    let guard = kms.maintain_every(Duration::from_secs(3_600), move |_| {
        counts.0.fetch_add(1, Ordering::SeqCst);
        sender.send(()).ok();
        std::thread::sleep(Duration::from_millis(100));
        counts.1.fetch_add(1, Ordering::SeqCst);
    })?;
    has_begun.recv()?;
    drop(guard);
    assert_eq!(
        (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)),
        (1, 1),
        "the drop waited for the end of the sweep"
    );

    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let guard = kms.maintain_every(Duration::from_secs(3_600), move |_| _ = counted.fetch_add(1, Ordering::SeqCst))?;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(count.load(Ordering::SeqCst), 1, "the second sweep is an hour later");
    drop(guard);
    Ok(())
}

#[test]
fn a_guard_whose_report_panics_no_longer_runs() -> TestResult {
    let kms = World::new()?.open()?;
    let guard = kms.maintain_every(Duration::from_millis(1), |_| panic!("the report is broken"))?;
    for _ in 0..1_000 {
        if !guard.is_running() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the callback panics");
}
