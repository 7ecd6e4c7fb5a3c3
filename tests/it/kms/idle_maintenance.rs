//! Maintenance of a store in which little has changed: it reads little, and overlooks nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::key::{DeletionWindow, KeyArn, KeyId, RotationPeriod};
use strongroom::maintenance::MaintenanceReport;
use strongroom::metrics::{Label, Metric, Recorder};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordId, RecordKind};
use strongroom::{ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;
use crate::support::counting_store::CountingStore;
use crate::support::tampering_store::TamperingStore;

const START: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const KEYS: u64 = 300;

struct World {
    store: Arc<dyn KeyStore>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(store: Arc<dyn KeyStore>) -> Self {
        Self { store, clock: ManualClock::new(START).into() }
    }

    /// A process over the store; several have the same clock.
    fn open(&self) -> Result<Kms> {
        let root = RootKey::from_bytes(&[7; 32]);
        Kms::builder().store(Arc::clone(&self.store), root).clock(Arc::clone(&self.clock)).build()
    }

    /// Advances the clock to a number of hours after the start.
    fn hour(&self, hours: u32) {
        self.clock.set(START.plus(HOUR * hours));
    }
}

fn rotated(report: &MaintenanceReport) -> Vec<KeyId> {
    assert!(report.failed.is_empty() && report.deleted.is_empty(), "{report:?}");
    report.rotated.iter().map(KeyArn::key_id).collect()
}

#[test]
fn an_idle_run_reads_nothing_but_what_has_changed() -> Result<()> {
    let counted = CountingStore::new(any_store::new()?);
    let store: Arc<dyn KeyStore> = counted.clone();
    let world = World::new(store);
    let (kms, other) = (world.open()?, world.open()?);
    let keys = (0..KEYS).map(|_| Ok(other.create_key(Default::default())?.key_id())).collect::<Result<Vec<_>>>()?;
    let reads = || -> Result<u64> {
        counted.take_reads();
        assert!(kms.run_maintenance()?.is_complete());
        Ok(counted.take_reads().records)
    };
    assert!(reads()? >= KEYS, "the first run reads every key");
    let idle = reads()?;
    assert!(idle < 20, "{idle} records");
    for key in &keys[..10] {
        other.disable_key(*key)?;
    }
    let after_change = reads()?;
    // Each changed key, and the parts of the index that show it to be current.
    assert!((10..100).contains(&after_change), "{after_change} records");
    assert!(reads()? <= idle);
    world.hour(23);
    assert!(reads()? <= idle);
    world.hour(24);
    assert!(reads()? >= KEYS, "every key is read once a day");
    assert!(reads()? <= idle);
    Ok(())
}

#[test]
fn work_that_falls_due_between_two_readings_of_all_keys_is_done() -> Result<()> {
    let world = World::new(any_store::new()?);
    let (kms, other) = (world.open()?, world.open()?);
    let key = || -> Result<KeyId> { Ok(other.create_key(Default::default())?.key_id()) };
    let (turning, resting, doomed, spared) = (key()?, key()?, key()?, key()?);
    // Seven days for the deletions end together with the period of the rotations.
    for key in [turning, resting] {
        other.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    }
    for day in 1..=82 {
        world.hour(24 * day);
        assert_eq!(rotated(&kms.run_maintenance()?), []);
    }
    world.hour(83 * 24);
    for key in [doomed, spared] {
        other.schedule_key_deletion(key, DeletionWindow::MIN)?;
    }
    for day in 83..=89 {
        world.hour(24 * day + 12);
        assert_eq!(rotated(&kms.run_maintenance()?), []);
    }
    // All four have work in half a day, before every key is read again.
    other.disable_key(resting)?;
    other.cancel_key_deletion(spared)?;
    world.hour(24 * 90 - 1);
    assert_eq!(rotated(&kms.run_maintenance()?), []);
    world.hour(24 * 90);
    let report = kms.run_maintenance()?;
    assert_eq!(report.rotated.iter().map(KeyArn::key_id).collect::<Vec<_>>(), [turning]);
    assert_eq!(report.deleted.iter().map(KeyArn::key_id).collect::<Vec<_>>(), [doomed]);
    assert!(report.is_complete());
    // Work that another process has caused is found, too.
    other.enable_key(resting)?;
    assert_eq!(rotated(&kms.run_maintenance()?), [resting]);
    assert_eq!(rotated(&kms.run_maintenance()?), []);
    assert!(!other.describe_key(spared)?.is_enabled());
    Ok(())
}

#[test]
fn a_key_that_cannot_be_read_is_reported_by_every_run_until_it_can() -> Result<()> {
    let tampered = TamperingStore::new();
    let store: Arc<dyn KeyStore> = tampered.clone();
    let world = World::new(store);
    let kms = world.open()?;
    kms.create_key(Default::default())?;
    let key = kms.create_key(Default::default())?;
    let id = RecordId { kind: RecordKind::Key, account: key.arn().account(), name: key.key_id().as_bytes().to_vec() };
    let flip = || {
        tampered.change(|state| {
            let record = state.records.get_mut(&id).expect("the record of the key");
            let mut body = record.body.to_vec();
            body[20] ^= 1;
            record.body = body.into();
        });
    };
    flip();
    for _ in 0..3 {
        let report = failures(&kms)?;
        assert_eq!(report, [(key.key_id(), ErrorKind::Integrity)]);
    }
    flip();
    for _ in 0..2 {
        assert_eq!(failures(&kms)?, []);
    }
    Ok(())
}

fn failures(kms: &Kms) -> Result<Vec<(KeyId, ErrorKind)>> {
    Ok(kms.run_maintenance()?.failed.iter().map(|(arn, error)| (arn.key_id(), error.kind())).collect())
}

/// Keeps the number of enabled keys, as last reported.
#[derive(Debug, Default)]
struct Gauge(Mutex<Option<u64>>);

impl Recorder for Gauge {
    fn increment_counter(&self, _: Metric, _: &[Label], _: u64) {}

    fn set_gauge(&self, metric: Metric, labels: &[Label], value: u64) {
        if metric == Metric::Keys && labels.iter().any(|label| label.value() == "Enabled") {
            *self.0.lock().expect("no thread panicked") = Some(value);
        }
    }

    fn record_duration(&self, _: Metric, _: &[Label], _: Duration) {}
}

#[test]
fn keys_are_counted_once_an_hour() -> Result<()> {
    let world = World::new(any_store::new()?);
    let gauge = Arc::new(Gauge::default());
    let root = RootKey::from_bytes(&[7; 32]);
    let builder = Kms::builder().store(Arc::clone(&world.store), root).clock(Arc::clone(&world.clock));
    let kms = builder.metrics(Arc::clone(&gauge)).build()?;
    let counted = || *gauge.0.lock().expect("no thread panicked");
    kms.create_key(Default::default())?;
    kms.run_maintenance()?;
    assert_eq!(counted(), Some(1));
    kms.create_key(Default::default())?;
    kms.run_maintenance()?;
    assert_eq!(counted(), Some(1));
    world.hour(1);
    kms.run_maintenance()?;
    assert_eq!(counted(), Some(2));
    Ok(())
}
