//! The trait that receives measurements.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::metric::{Label, Metric};

/// Receives the metrics of a [`Kms`](crate::Kms), for example to forward them to the `metrics`
/// crate, OpenTelemetry or a Prometheus registry.
///
/// The number after a name is its unit in UCUM, as OpenTelemetry expects it: `1` for a count and `s`
/// for seconds.
///
/// | metric | kind | unit | labels | meaning |
/// |---|---|---|---|---|
/// | `strongroom_operations_total` | counter | `1` | `operation`, `result` | calls of operations, including refused and failed ones |
/// | `strongroom_operation_duration_seconds` | histogram | `s` | `operation` | time from the call of an operation to its result |
/// | `strongroom_authorization_denials_total` | counter | `1` | `operation` | requests that a policy denied, including those that the caller sees as a missing key |
/// | `strongroom_cache_lookups_total` | counter | `1` | `cache`, `result` | lookups in the caches |
/// | `strongroom_store_commits_total` | counter | `1` | `result` | attempts to commit changes to the store |
/// | `strongroom_store_commit_duration_seconds` | histogram | `s` | | time of an attempt to commit |
/// | `strongroom_change_retries_total` | counter | `1` | | repeated attempts of changes that conflicted with other changes |
/// | `strongroom_audit_writes_total` | counter | `1` | `result` | events passed to the audit sink |
/// | `strongroom_audit_write_duration_seconds` | histogram | `s` | | time that the audit sink takes for an event |
/// | `strongroom_automatic_rotations_total` | counter | `1` | `result` | automatic rotations of keys, performed or attempted |
/// | `strongroom_maintenance_runs_total` | counter | `1` | `result` | runs of maintenance |
/// | `strongroom_maintenance_last_success_timestamp_seconds` | gauge | `s` | | Unix time of the last complete run of maintenance |
/// | `strongroom_maintenance_problems` | gauge | `1` | | failed keys and unfinished steps of the last run of maintenance |
/// | `strongroom_destruction_postponed` | gauge | `1` | | 1 if the last run of maintenance destroyed nothing because it does not trust the clock, otherwise 0 |
/// | `strongroom_keys` | gauge | `1` | `state` | keys in the store when maintenance last counted them, at most an hour before its last run |
/// | `strongroom_keys_rotation_overdue` | gauge | `1` | | keys whose due rotation failed in the last run of maintenance |
/// | `strongroom_hsm_members` | gauge | `1` | `state` | members of all HSM clusters at the last run of maintenance |
///
/// Every value of a label is a constant:
///
/// | label | values |
/// |---|---|
/// | `operation` | the name of an operation of the AWS KMS API or of an event in the audit trail, such as `Decrypt` and `PutIdentityPolicy`, or the name of a method that only the authority may call, such as `run_maintenance` |
/// | `result` of operations | `success`, or the `errorCode` of the audit trail: the name of an AWS exception, such as `AccessDeniedException`, `KMSInvalidStateException` and `LimitExceededException`, or of another [`ErrorKind`](crate::ErrorKind), such as `Store`. A dry run that passes every check is a `DryRunOperationException`. |
/// | `result` of commits | `success`, `conflict` (another change came first), `failure` |
/// | `result` of audit writes and rotations | `success`, `failure` |
/// | `result` of maintenance | `complete` ([`is_complete`](crate::maintenance::MaintenanceReport::is_complete)), `incomplete`, `failure` (the run returned an error) |
/// | `result` of cache lookups | `hit`, `revalidated` (something was committed since, and the index or the record shows that the cached value is still valid), `miss` (the value was read from the store, created by the key source, or does not exist), `bypass` (only data keys) |
/// | `cache` | `keys`, `aliases`, `identity_policies`, `custom_key_stores`, and `data_keys` for a [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager) |
/// | `state` of keys | the wire names of [`KeyState`](crate::key::KeyState), such as `PendingDeletion` |
/// | `state` of HSM members | `active`, `unreachable`, `credential_rejected`, `unresponsive`: see [`MemberState`](crate::provider::MemberState) |
///
/// Maintenance sets the gauges. They describe the store, so if several processes share it, each of
/// them reports the same keys: take the maximum, not the sum. `strongroom_keys` includes keys that a
/// service owns. Without a cluster, there is no `strongroom_hsm_members`. For the state of each HSM
/// by name, query your cluster ([`HsmCluster::members`](crate::provider::HsmCluster::members)).
///
/// Counters of one process never decrease and start at zero. Metrics need not be recorded exactly
/// once: if a thread panics, its operation is not counted. Use the [audit trail](crate::audit) for
/// anything that must be complete.
///
/// # Implementing
/// Methods are called on the thread of the operation, partly while it holds internal locks.
///
/// - They must return quickly. A slow recorder slows down operations and, because of the locks, may
///   slow down other threads. It cannot change a result or leave anything inconsistent.
/// - They must not call a [`Kms`](crate::Kms) or a
///   [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager), which could wait forever
///   for such a lock.
/// - They may panic: the panic is caught, the measurement is lost, and the operation continues. With
///   `panic = "abort"`, the process ends.
///
/// For metrics libraries in which metrics are created before use, iterate over [`Metric::ALL`].
///
/// | library | counter | gauge | histogram |
/// |---|---|---|---|
/// | `metrics` | `counter!(metric.name(), labels).increment(by)` | `gauge!(metric.name(), labels).set(..)` | `histogram!(metric.name(), labels).record(duration)` |
/// | `opentelemetry` | `u64_counter(metric.name())`, `add` | `u64_gauge(metric.name())`, `record` | `f64_histogram(metric.name()).with_unit(metric.unit())`, `record(duration.as_secs_f64())` |
/// | `prometheus` | `IntCounterVec` with [`Metric::labels`], `with_label_values` | `IntGaugeVec` | `HistogramVec`, `observe(duration.as_secs_f64())` |
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use strongroom::Kms;
/// use strongroom::metrics::{Label, Metric, Recorder};
///
/// /// Counts refused requests.
/// #[derive(Debug, Default)]
/// struct Denials(AtomicU64);
///
/// impl Recorder for Denials {
///     fn increment_counter(&self, metric: Metric, _: &[Label], by: u64) {
///         if metric == Metric::AuthorizationDenials {
///             self.0.fetch_add(by, Ordering::Relaxed);
///         }
///     }
///
///     fn set_gauge(&self, _: Metric, _: &[Label], _: u64) {}
///
///     fn record_duration(&self, _: Metric, _: &[Label], _: Duration) {}
/// }
///
/// let denials = Arc::new(Denials::default());
/// let kms = Kms::builder().metrics(Arc::clone(&denials)).build()?;
/// let account = kms.principal().account();
/// let alice = kms.as_principal(strongroom::identity::Principal::user(account, "alice")?)?;
/// assert!(alice.create_key(Default::default()).is_err());
/// assert_eq!(denials.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Recorder: fmt::Debug + Send + Sync {
    /// Adds to a counter. The labels are those of [`Metric::labels`], in the same order.
    fn increment_counter(&self, metric: Metric, labels: &[Label], by: u64);

    /// Sets a gauge.
    fn set_gauge(&self, metric: Metric, labels: &[Label], value: u64);

    /// Records a duration in a histogram.
    fn record_duration(&self, metric: Metric, labels: &[Label], duration: Duration);
}

impl<R: Recorder + ?Sized> Recorder for Arc<R> {
    fn increment_counter(&self, metric: Metric, labels: &[Label], by: u64) {
        (**self).increment_counter(metric, labels, by);
    }

    fn set_gauge(&self, metric: Metric, labels: &[Label], value: u64) {
        (**self).set_gauge(metric, labels, value);
    }

    fn record_duration(&self, metric: Metric, labels: &[Label], duration: Duration) {
        (**self).record_duration(metric, labels, duration);
    }
}
