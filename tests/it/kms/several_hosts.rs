//! Processes on several machines that share a store: each has its own clock and its own files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strongroom::audit::FileTrail;
use strongroom::key::{DeletionWindow, RotationPeriod};
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{FileAnchor, KeyStore, StoreAnchor};
use strongroom::{ErrorKind, Kms, KmsBuilder, ManualClock, Result, Timestamp};

use crate::support::any_store::{self, Place};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

const START: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// Returns the builder of a host, which opens the store on its own.
fn builder(place: &Place) -> Result<KmsBuilder> {
    Ok(Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])))
}

/// Three machines: one has the right time, one is an hour ahead, and one an hour behind.
struct Fleet {
    clocks: [Arc<ManualClock>; 3],
    hosts: [Kms; 3],
}

impl Fleet {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        let at = |millis| Arc::new(ManualClock::new(Timestamp::from_unix_millis(START.unix_millis() + millis)));
        let clocks = [at(0), at(3_600_000), at(-3_600_000)];
        let open = |clock: &Arc<ManualClock>| builder(&place)?.clock(Arc::clone(clock)).build();
        let hosts = [open(&clocks[0])?, open(&clocks[1])?, open(&clocks[2])?];
        Ok(Self { clocks, hosts })
    }

    /// Lets time pass everywhere, a little at a time, with regular maintenance on every machine.
    fn pass(&self, time: Duration) -> Result<()> {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(20 * HOUR);
            self.clocks.iter().for_each(|clock| clock.advance(step));
            left -= step;
            for host in &self.hosts {
                assert!(host.run_maintenance()?.is_complete());
            }
        }
        Ok(())
    }
}

#[test]
fn a_key_is_deleted_at_most_as_early_as_the_fastest_clock() -> TestResult {
    for scheduling in 0..3 {
        let fleet = Fleet::new()?;
        let [right, ahead, behind] = &fleet.hosts;
        let key = right.create_key(Default::default())?.key_id();
        fleet.hosts[scheduling].schedule_key_deletion(key, DeletionWindow::MIN)?;
        // Clocks that differ by an hour schedule with a difference of an hour, and sweep as early.
        let day = 24 * HOUR;
        fleet.pass(7 * day - 2 * HOUR - MINUTE)?;
        for host in [right, ahead, behind] {
            assert!(host.describe_key(key)?.deletion_date().is_some(), "two clocks differ by two hours at most");
        }
        fleet.pass(4 * HOUR)?;
        for host in [right, ahead, behind] {
            assert_eq!(host.describe_key(key).expect_err("deleted").kind(), ErrorKind::NotFound);
        }
    }
    Ok(())
}

#[test]
fn a_key_is_rotated_once_although_clocks_differ() -> TestResult {
    let fleet = Fleet::new()?;
    let [right, ..] = &fleet.hosts;
    let key = right.create_key(Default::default())?.key_id();
    right.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    let all: &[usize] = if any_store::is_in_memory() { &[0, 1, 2] } else { &[0, 1] };
    for &rotations in all {
        let page = right.list_key_rotations(key, Default::default(), Default::default())?;
        assert_eq!(page.entries.len(), rotations);
        match rotations {
            last if last + 1 == all.len() => {}
            0 => fleet.pass(91 * 24 * HOUR)?,
            _ => fleet.pass(90 * 24 * HOUR)?,
        }
    }
    Ok(())
}

#[test]
fn the_last_usage_is_the_latest_by_any_clock() -> TestResult {
    let fleet = Fleet::new()?;
    let [right, ahead, behind] = &fleet.hosts;
    let key = right.create_key(Default::default())?.key_id();
    for host in [ahead, behind, right] {
        host.encrypt(EncryptRequest::new(key, b"data"))?;
    }
    for host in [ahead, right, behind] {
        host.run_maintenance()?;
    }
    for host in &fleet.hosts {
        let last = host.get_key_last_usage(key)?.last_usage.ok_or("the key was used")?;
        assert_eq!(last.time.unix_millis(), START.unix_millis() + 3_600_000);
    }
    Ok(())
}

/// A clock that is off by days would delete keys. It is not trusted, whatever the others do.
#[test]
fn a_clock_that_is_off_by_days_destroys_nothing_beside_right_clocks() -> TestResult {
    let fleet = Fleet::new()?;
    let [right, ahead, _] = &fleet.hosts;
    let key = right.create_key(Default::default())?.key_id();
    right.schedule_key_deletion(key, DeletionWindow::MIN)?;
    fleet.clocks[1].advance_days(30);
    for _ in 0..6 {
        fleet.clocks.iter().for_each(|clock| clock.advance(12 * HOUR));
        let report = ahead.run_maintenance()?;
        assert!(report.deleted.is_empty() && report.destruction_postponed_until.is_some(), "{report:?}");
        assert!(right.run_maintenance()?.destruction_postponed_until.is_none());
    }
    right.cancel_key_deletion(key)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

#[test]
fn the_trails_of_several_hosts_are_verified_together() -> TestResult {
    let (store, places) = (Place::new()?, [tempfile::tempdir()?, tempfile::tempdir()?]);
    let hosts = [
        builder(&store)?.audit(FileTrail::new(places[0].path())).build()?,
        builder(&store)?.audit(FileTrail::new(places[1].path())).build()?,
    ];
    let key = hosts[0].create_key(Default::default())?.key_id();
    for number in 0..3 {
        hosts[number % 2].update_key_description(key, format!("{number}"))?;
    }
    let alone = hosts[0].verify_audit_trail(places[0].path())?;
    assert!(!alone.is_intact(), "the chain of the other host is missing here");
    let all = tempfile::tempdir()?;
    for place in &places {
        copy(place.path(), all.path())?;
    }
    let report = hosts[0].verify_audit_trail(all.path())?;
    assert!(report.is_intact() && report.chains.len() == 2, "{report}");
    assert!(report.chains.iter().all(|chain| chain.unfinished.is_empty()));
    Ok(())
}

/// The image of a virtual machine contains the directory of the trail.
#[test]
fn two_writers_of_one_chain_are_noticed() -> TestResult {
    let (store, original, cloned) = (Place::new()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let first = builder(&store)?.audit(FileTrail::new(original.path())).build()?;
    let key = first.create_key(Default::default())?.key_id();
    copy(original.path(), cloned.path())?;
    let second = builder(&store)?.audit(FileTrail::new(cloned.path())).build()?;
    let mut rejected = [false, false];
    for number in 0..6_usize {
        let place = number % 2;
        let kms = if place == 0 { &first } else { &second };
        match kms.update_key_description(key, format!("{number}")) {
            Ok(()) => assert!(!rejected[place], "a writer that was rejected stays rejected"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Audit, "{error}");
                assert!(error.to_string().contains("another process writes the audit chain"), "{error}");
                rejected[place] = true;
            }
        }
    }
    assert!(rejected[0] != rejected[1], "exactly one continues: {rejected:?}");
    let directory = if rejected[0] { cloned } else { original };
    let kms = if rejected[0] { &second } else { &first };
    assert!(kms.verify_audit_trail(directory.path())?.is_intact());
    Ok(())
}

#[test]
fn hosts_share_an_anchor_that_all_of_them_reach() -> TestResult {
    let open = |store: &Place, anchor: &Place| builder(store)?.anchor(StoreAnchor::new(anchor.open()?)).build();
    let (shared, anchor) = (Place::new()?, Place::new()?);
    let (one, two) = (open(&shared, &anchor)?, open(&shared, &anchor)?);
    let key = one.create_key(Default::default())?.key_id();
    for number in 0..100 {
        one.update_key_description(key, format!("{number}"))?;
    }
    two.disable_key(key)?;

    // With a file on each machine, the other falls behind, and the error says why.
    let (shared, files) = (Place::new()?, tempfile::tempdir()?);
    let open = |name: &str| builder(&shared)?.anchor(FileAnchor::new(files.path().join(name))).build();
    let (one, two) = (open("one")?, open("two")?);
    let key = one.create_key(Default::default())?.key_id();
    for number in 0..100 {
        one.update_key_description(key, format!("{number}"))?;
    }
    let refused = two.disable_key(key).expect_err("its anchor is too far behind");
    assert!(refused.kind() == ErrorKind::Integrity && refused.to_string().contains("on every machine"), "{refused}");
    assert!(shared.open()?.revision()?.0 > 100);
    Ok(())
}
