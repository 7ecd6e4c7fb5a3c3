//! Metrics: every metric is recorded exactly as often as its event happens, and a recorder cannot
//! disturb an operation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::audit::{AuditEvent, MemoryTrail, Outcome};
use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, KmsKeyring};
use strongroom::identity::Principal;
use strongroom::key::{DeletionWindow, RotationPeriod};
use strongroom::metrics::{Label, Metric, MetricKind, Recorder};
use strongroom::provider::MemoryCluster;
use strongroom::request::{DecryptRequest, EncryptRequest, ReEncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::RecordKind;
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store::{self, Place};
use crate::support::custom_key_stores::vault;
use crate::support::hooked_store::HookedStore;
use crate::support::kms::kind;
use crate::support::rejecting_sink::RejectingSink;

/// Sums counters and counts durations. A series is written as `name{value,value}`.
#[derive(Debug, Default)]
struct Totals {
    counters: Mutex<BTreeMap<String, u64>>,
    gauges: Mutex<BTreeMap<String, u64>>,
    durations: Mutex<BTreeMap<String, u64>>,
    seen: Mutex<BTreeSet<Metric>>,
}

impl Totals {
    /// Checks that a call fits the description of the metric, and returns the name of the series.
    fn series(&self, metric: Metric, kind: MetricKind, labels: &[Label]) -> String {
        assert_eq!(metric.kind(), kind, "{metric:?}");
        let names: Vec<&str> = labels.iter().map(Label::name).collect();
        assert_eq!(names, metric.labels(), "{metric:?}");
        self.seen.lock().expect("no thread panicked").insert(metric);
        let values: Vec<&str> = labels.iter().map(Label::value).collect();
        let name = metric.name().trim_start_matches("strongroom_");
        if values.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", values.join(",")) }
    }

    /// Returns the counters and the numbers of durations that changed while `run` ran.
    fn during<T>(&self, run: impl FnOnce() -> T) -> (T, Vec<(String, u64)>) {
        let snapshot = || {
            let mut all = self.counters.lock().expect("no thread panicked").clone();
            all.extend(self.durations.lock().expect("no thread panicked").clone());
            all
        };
        let before = snapshot();
        let value = run();
        let changed = snapshot().into_iter().filter_map(|(series, after)| {
            let by = after - before.get(&series).copied().unwrap_or_default();
            (by > 0).then_some((series, by))
        });
        (value, changed.collect())
    }

    fn gauge(&self, series: &str) -> Option<u64> {
        self.gauges.lock().expect("no thread panicked").get(series).copied()
    }
}

impl Recorder for Totals {
    fn increment_counter(&self, metric: Metric, labels: &[Label], by: u64) {
        let series = self.series(metric, MetricKind::Counter, labels);
        *self.counters.lock().expect("no thread panicked").entry(series).or_default() += by;
    }

    fn set_gauge(&self, metric: Metric, labels: &[Label], value: u64) {
        let series = self.series(metric, MetricKind::Gauge, labels);
        self.gauges.lock().expect("no thread panicked").insert(series, value);
    }

    fn record_duration(&self, metric: Metric, labels: &[Label], duration: Duration) {
        assert!(duration < Duration::from_secs(600), "{duration:?}");
        let series = self.series(metric, MetricKind::Histogram, labels);
        *self.durations.lock().expect("no thread panicked").entry(series).or_default() += 1;
    }
}

struct Setup {
    kms: Kms,
    /// Another process that uses the same store, without metrics.
    other: Kms,
    totals: Arc<Totals>,
    clock: Arc<ManualClock>,
    store: Arc<HookedStore>,
    sink: Arc<RejectingSink>,
    cluster: Arc<MemoryCluster>,
}

fn setup() -> Result<Setup> {
    let place = Place::new()?;
    let store = HookedStore::new(place.open()?);
    let (totals, sink) = (Arc::new(Totals::default()), Arc::new(RejectingSink::default()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let root = || RootKey::from_bytes(&[7; 32]);
    let cluster = Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1"));
    let kms = Kms::builder()
        .store(Arc::clone(&store), root())
        .clock(Arc::clone(&clock))
        .audit(Arc::clone(&sink))
        .metrics(Arc::clone(&totals))
        .cluster(vault(), Arc::clone(&cluster))
        .build()?;
    let other = Kms::builder().store(place.open()?, root()).clock(Arc::clone(&clock)).build()?;
    Ok(Setup { kms, other, totals, clock, store, sink, cluster })
}

fn expected(series: &[(&str, u64)]) -> Vec<(String, u64)> {
    let mut expected: Vec<_> = series.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    expected.sort();
    expected
}

/// Compares everything that was recorded while a call ran.
#[track_caller]
fn assert_recorded(recorded: Vec<(String, u64)>, series: &[(&str, u64)]) {
    assert_eq!(recorded, expected(series));
}

#[test]
fn operations_are_counted_by_name_and_result() -> Result<()> {
    let Setup { kms, totals, .. } = setup()?;
    let key = kms.create_key(Default::default())?.key_id();
    let encrypt = || kms.encrypt(EncryptRequest::new(key, b"text"));
    let audit = [("audit_writes_total{success}", 1), ("audit_write_duration_seconds", 1)];

    let (first, recorded) = totals.during(encrypt);
    let blob = first?.ciphertext_blob;
    let operation = |name, result| {
        [(format!("operations_total{{{name},{result}}}"), 1), (format!("operation_duration_seconds{{{name}}}"), 1)]
    };
    let with = |name, result, more: &[(&str, u64)]| {
        let mut all = expected(more);
        all.extend(operation(name, result));
        all.extend(expected(&audit));
        all.sort();
        all
    };
    assert_eq!(recorded, with("Encrypt", "success", &[("cache_lookups_total{keys,miss}", 1)]));
    let (_, recorded) = totals.during(encrypt);
    assert_eq!(recorded, with("Encrypt", "success", &[("cache_lookups_total{keys,hit}", 1)]));
    let (_, recorded) = totals.during(|| kms.decrypt(DecryptRequest::new(&blob)));
    assert_eq!(recorded, with("Decrypt", "success", &[("cache_lookups_total{keys,hit}", 1)]));
    let (_, recorded) = totals.during(|| kms.re_encrypt(ReEncryptRequest::new(&blob, key)));
    assert_eq!(recorded, with("ReEncrypt", "success", &[("cache_lookups_total{keys,hit}", 2)]));
    let dry = || kms.encrypt(EncryptRequest::new(key, b"text").dry_run());
    let (_, recorded) = totals.during(dry);
    assert_eq!(recorded, with("Encrypt", "DryRunOperationException", &[("cache_lookups_total{keys,hit}", 1)]));
    let (_, recorded) = totals.during(|| kms.describe_key("alias/none"));
    assert_eq!(recorded, with("DescribeKey", "NotFoundException", &[("cache_lookups_total{aliases,miss}", 1)]));

    kms.disable_key(key)?;
    let (refused, recorded) = totals.during(encrypt);
    assert_eq!(kind(refused), ErrorKind::Disabled);
    assert_eq!(recorded, with("Encrypt", "DisabledException", &[("cache_lookups_total{keys,hit}", 1)]));
    Ok(())
}

#[test]
fn denials_are_counted_even_if_the_caller_sees_a_missing_key() -> Result<()> {
    let Setup { kms, totals, .. } = setup()?;
    let arn = kms.create_key(Default::default())?.arn().clone();
    let alice = kms.as_principal(Principal::user(kms.principal().account(), "alice")?)?;
    let stranger = kms.as_principal(Principal::root("111122223333".parse()?))?;
    let denied = |recorded: Vec<(String, u64)>, result: &str| {
        let denials = recorded.iter().filter(|(series, _)| series.starts_with("authorization"));
        assert_eq!(denials.cloned().collect::<Vec<_>>(), expected(&[("authorization_denials_total{DescribeKey}", 1)]));
        assert!(recorded.contains(&(format!("operations_total{{DescribeKey,{result}}}"), 1)), "{recorded:?}");
    };
    let (refused, recorded) = totals.during(|| alice.describe_key(&arn));
    assert_eq!(kind(refused), ErrorKind::AccessDenied);
    assert!(recorded.contains(&("cache_lookups_total{identity_policies,miss}".to_owned(), 1)), "{recorded:?}");
    denied(recorded, "AccessDeniedException");
    let (refused, recorded) = totals.during(|| stranger.describe_key(&arn));
    assert_eq!(kind(refused), ErrorKind::NotFound);
    denied(recorded, "NotFoundException");

    let (refused, recorded) = totals.during(|| alice.run_maintenance());
    assert_eq!(kind(refused), ErrorKind::AccessDenied);
    assert_recorded(
        recorded,
        &[
            ("operations_total{run_maintenance,AccessDeniedException}", 1),
            ("operation_duration_seconds{run_maintenance}", 1),
            ("audit_writes_total{success}", 1),
            ("audit_write_duration_seconds", 1),
        ],
    );
    Ok(())
}

#[test]
fn commits_conflicts_and_retries_are_counted() -> Result<()> {
    let Setup { kms, other, totals, store, sink, .. } = setup()?;
    let key = kms.create_key(Default::default())?.key_id();
    let change = || kms.update_key_description(key, "new");
    let competing = other.clone();
    store.before_commit(RecordKind::Key, move || competing.update_key_description(key, "other").map(drop));
    let (done, recorded) = totals.during(change);
    done?;
    assert_recorded(
        recorded,
        &[
            ("operations_total{UpdateKeyDescription,success}", 1),
            ("operation_duration_seconds{UpdateKeyDescription}", 1),
            ("store_commits_total{conflict}", 1),
            ("store_commits_total{success}", 1),
            ("store_commit_duration_seconds", 2),
            ("change_retries_total", 1),
            ("cache_lookups_total{keys,miss}", 3),
            ("audit_writes_total{success}", 2),
            ("audit_write_duration_seconds", 2),
        ],
    );
    store.before_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    let (failed, recorded) = totals.during(|| kms.update_key_description(key, "later"));
    assert_eq!(kind(failed), ErrorKind::Store);
    let of = |name: &str| recorded.iter().filter(|(series, _)| series.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("store_commits"), expected(&[("store_commits_total{failure}", 1)]));
    assert_eq!(of("operations"), expected(&[("operations_total{UpdateKeyDescription,Store}", 1)]));

    // Another change elsewhere in the store: the index shows that the key is unchanged.
    kms.describe_key(key)?;
    other.create_key(Default::default())?;
    let (_, recorded) = totals.during(|| kms.describe_key(key));
    assert!(recorded.contains(&("cache_lookups_total{keys,revalidated}".to_owned(), 1)), "{recorded:?}");

    sink.0.store(true, Ordering::SeqCst);
    let (failed, recorded) = totals.during(|| kms.describe_key(key));
    assert_eq!(kind(failed), ErrorKind::Audit);
    assert_recorded(
        recorded,
        &[
            ("operations_total{DescribeKey,Audit}", 1),
            ("operation_duration_seconds{DescribeKey}", 1),
            ("audit_writes_total{failure}", 1),
            ("audit_write_duration_seconds", 1),
            ("cache_lookups_total{keys,hit}", 1),
        ],
    );
    Ok(())
}

#[test]
fn maintenance_reports_keys_rotations_and_members() -> Result<()> {
    let Setup { kms, totals, clock, store, cluster, .. } = setup()?;
    let [rotating, deleted, disabled] = [(); 3].map(|()| kms.create_key(Default::default()).map(|key| key.key_id()));
    let (rotating, deleted, disabled) = (rotating?, deleted?, disabled?);
    kms.enable_key_rotation(rotating, RotationPeriod::from_days(90)?)?;
    kms.schedule_key_deletion(deleted, DeletionWindow::default())?;
    kms.disable_key(disabled)?;
    cluster.set_active("hsm-2", false);

    let run = || totals.during(|| kms.run_maintenance());
    let counted = |recorded: &[(String, u64)], name: &str| {
        recorded.iter().filter(|(series, _)| series.starts_with(name)).cloned().collect::<Vec<_>>()
    };
    let (report, recorded) = run();
    assert!(report?.is_complete());
    assert_eq!(counted(&recorded, "maintenance"), expected(&[("maintenance_runs_total{complete}", 1)]));
    assert_eq!(counted(&recorded, "operations"), expected(&[("operations_total{run_maintenance,success}", 1)]));
    let keys = |state: &str| totals.gauge(&format!("keys{{{state}}}"));
    let states = || ["Enabled", "PendingDeletion", "Disabled", "Unavailable"].map(&keys);
    assert_eq!(states(), [Some(1), Some(1), Some(1), Some(0)]);
    assert_eq!(totals.gauge("keys_rotation_overdue"), Some(0));
    assert_eq!(totals.gauge("maintenance_last_success_timestamp_seconds"), Some(1_700_000_000));
    assert_eq!(totals.gauge("hsm_members{active}"), Some(1));
    assert_eq!(totals.gauge("hsm_members{unreachable}"), Some(1));
    assert_eq!(totals.gauge("hsm_members{unresponsive}"), Some(0));

    // The clock jumps: nothing is destroyed. The rotation fails, too.
    clock.advance_days(90);
    store.before_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    let (report, recorded) = run();
    assert_eq!(report?.failed.len(), 1);
    assert_eq!(counted(&recorded, "maintenance"), expected(&[("maintenance_runs_total{incomplete}", 1)]));
    assert_eq!(counted(&recorded, "automatic"), expected(&[("automatic_rotations_total{failure}", 1)]));
    let alerts =
        || ["keys_rotation_overdue", "maintenance_problems", "destruction_postponed"].map(|name| totals.gauge(name));
    assert_eq!(alerts(), [Some(1), Some(1), Some(1)]);
    assert_eq!(totals.gauge("maintenance_last_success_timestamp_seconds"), Some(1_700_000_000));

    clock.advance_days(1);
    let (report, recorded) = run();
    assert_eq!(report?.deleted.len(), 1);
    assert_eq!(counted(&recorded, "maintenance"), expected(&[("maintenance_runs_total{complete}", 1)]));
    assert_eq!(counted(&recorded, "automatic"), expected(&[("automatic_rotations_total{success}", 1)]));
    assert_eq!(alerts(), [Some(0), Some(0), Some(0)]);
    assert_eq!(states(), [Some(1), Some(0), Some(1), Some(0)]);
    let now = totals.gauge("maintenance_last_success_timestamp_seconds");
    assert_eq!(now, Some(1_700_000_000 + 91 * 86_400));
    Ok(())
}

#[test]
fn lookups_of_cached_data_keys_are_counted() -> Result<()> {
    let totals = Arc::new(Totals::default());
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?.key_id();
    let keyring = DefaultMaterialsManager::new(KmsKeyring::new(&kms, key)?);
    let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(600))
        .max_bytes(100)
        .metrics(Arc::clone(&totals))
        .build()?;
    let envelope = Envelope::new(manager);
    let context = EncryptionContext::new();
    let (messages, recorded) = totals.during(|| [b"1", b"2", b"3"].map(|text| envelope.encrypt(text, &context)));
    assert_recorded(recorded, &[("cache_lookups_total{data_keys,miss}", 1), ("cache_lookups_total{data_keys,hit}", 2)]);
    let (_, recorded) = totals.during(|| envelope.encrypt(&[0; 101], &context));
    assert_recorded(recorded, &[("cache_lookups_total{data_keys,bypass}", 1)]);
    let (_, recorded) =
        totals.during(|| messages.into_iter().try_for_each(|message| envelope.decrypt(&message?, &context).map(drop)));
    assert_recorded(recorded, &[("cache_lookups_total{data_keys,miss}", 1), ("cache_lookups_total{data_keys,hit}", 2)]);
    Ok(())
}

#[test]
fn every_metric_is_recorded() -> Result<()> {
    let Setup { kms, other, totals, clock, store, .. } = setup()?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    store.before_commit(RecordKind::Key, move || other.update_key_description(key, "other").map(drop));
    kms.update_key_description(key, "new")?;
    let alice = kms.as_principal(Principal::user(kms.principal().account(), "alice")?)?;
    assert_eq!(kind(alice.create_key(Default::default())), ErrorKind::AccessDenied);
    clock.advance_days(90);
    kms.encrypt(EncryptRequest::new(key, b"text"))?; // rotates the key
    kms.run_maintenance()?;
    clock.advance_days(1);
    kms.run_maintenance()?;
    let seen: Vec<Metric> = totals.seen.lock().expect("no thread panicked").iter().copied().collect();
    assert_eq!(seen, Metric::ALL);
    Ok(())
}

/// Panics whenever it is called.
#[derive(Debug)]
struct Panicking;

impl Recorder for Panicking {
    fn increment_counter(&self, _: Metric, _: &[Label], _: u64) {
        std::panic::panic_any(PanicsWhenDropped);
    }

    fn set_gauge(&self, _: Metric, _: &[Label], _: u64) {
        std::panic::panic_any(PanicsWhenDropped);
    }

    fn record_duration(&self, _: Metric, _: &[Label], _: Duration) {
        std::panic::panic_any(PanicsWhenDropped);
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Takes a moment for every call.
#[derive(Debug)]
struct Slow;

impl Recorder for Slow {
    fn increment_counter(&self, _: Metric, _: &[Label], _: u64) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn set_gauge(&self, _: Metric, _: &[Label], _: u64) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn record_duration(&self, _: Metric, _: &[Label], _: Duration) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_panicking_or_slow_recorder_changes_no_result() -> Result<()> {
    let recorders: [Arc<dyn Recorder>; 2] = [Arc::new(Panicking), Arc::new(Slow)];
    for recorder in recorders {
        let (trail, store) = (Arc::new(MemoryTrail::default()), any_store::new()?);
        let root = || RootKey::from_bytes(&[7; 32]);
        let kms =
            Kms::builder().store(Arc::clone(&store), root()).audit(Arc::clone(&trail)).metrics(recorder).build()?;
        let key = kms.create_key(Default::default())?.key_id();
        let work = |text: &[u8]| -> Result<()> {
            let blob = kms.encrypt(EncryptRequest::new(key, text))?.ciphertext_blob;
            assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), text);
            kms.update_key_description(key, "changed").map(drop)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = [b"one", b"two"].map(|text| scope.spawn(|| work(text))).into_iter().collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("the recorder's panic was caught"))
        })?;
        assert!(kms.run_maintenance()?.is_complete());
        assert!(kms.verify_store(|_| {})?.is_intact());
        let events = trail.events();
        let intents = events.iter().filter(|event| event.outcome == Outcome::Intent);
        for intent in intents {
            let outcome = |event: &&AuditEvent| event.change == intent.change && event.outcome == Outcome::Success;
            assert_eq!(events.iter().filter(outcome).count(), 1, "{intent:?}");
        }
        drop(kms);
        assert_eq!(Kms::builder().store(store, root()).build()?.describe_key(key)?.description().as_str(), "changed");
    }
    Ok(())
}
