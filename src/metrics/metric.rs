//! The names of the metrics.

/// The instrument that a metric needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A count that only increases.
    Counter,
    /// A value that replaces the previous one.
    Gauge,
    /// A distribution of durations.
    Histogram,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident => $kind:ident $name:literal $labels:expr, $description:literal;)*) => {
        /// A metric. The documentation of [`Recorder`](super::Recorder) describes each of them.
        ///
        /// # Examples
        /// ```
        /// use strongroom::metrics::{Metric, MetricKind};
        ///
        /// for metric in Metric::ALL {
        ///     println!("{} {:?} {:?}: {}", metric.name(), metric.kind(), metric.labels(), metric.description());
        /// }
        /// assert_eq!(Metric::Operations.name(), "strongroom_operations_total");
        /// assert_eq!(Metric::OperationDuration.kind(), MetricKind::Histogram);
        /// assert_eq!(Metric::OperationDuration.unit(), "s");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Metric { $(#[doc = concat!("`", $name, "`")] $metric,)* }

        impl Metric {
            /// All metrics, for libraries in which metrics are created before use.
            pub const ALL: &[Self] = &[$(Self::$metric,)*];

            /// Returns the name. It consists of lowercase letters and underscores, and ends as
            /// Prometheus recommends: `_total` for a counter, `_seconds` for a duration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$metric => $name,)* }
            }

            /// Returns the instrument that the metric needs.
            pub const fn kind(self) -> MetricKind {
                match self { $(Self::$metric => MetricKind::$kind,)* }
            }

            /// Returns the names of the labels that every value has, in this order.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$metric => &$labels,)* }
            }

            /// Returns a description, for example for the help text of a metrics page.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$metric => $description,)* }
            }
        }
    };
}

metrics! {
    Operations => Counter "strongroom_operations_total" ["operation", "result"],
        "calls of operations, including refused and failed ones";
    OperationDuration => Histogram "strongroom_operation_duration_seconds" ["operation"],
        "time from the call of an operation to its result";
    AuthorizationDenials => Counter "strongroom_authorization_denials_total" ["operation"],
        "requests that a policy denied, including those that the caller sees as a missing key";
    CacheLookups => Counter "strongroom_cache_lookups_total" ["cache", "result"],
        "lookups in the caches";
    StoreCommits => Counter "strongroom_store_commits_total" ["result"],
        "attempts to commit changes to the store";
    StoreCommitDuration => Histogram "strongroom_store_commit_duration_seconds" [],
        "time of an attempt to commit";
    ChangeRetries => Counter "strongroom_change_retries_total" [],
        "repeated attempts of changes that conflicted with other changes";
    AuditWrites => Counter "strongroom_audit_writes_total" ["result"],
        "events passed to the audit sink";
    AuditWriteDuration => Histogram "strongroom_audit_write_duration_seconds" [],
        "time that the audit sink takes for an event";
    AutomaticRotations => Counter "strongroom_automatic_rotations_total" ["result"],
        "automatic rotations of keys, performed or attempted";
    MaintenanceRuns => Counter "strongroom_maintenance_runs_total" ["result"],
        "runs of maintenance";
    MaintenanceLastSuccess => Gauge "strongroom_maintenance_last_success_timestamp_seconds" [],
        "Unix time of the last complete run of maintenance";
    MaintenanceProblems => Gauge "strongroom_maintenance_problems" [],
        "failed keys and unfinished steps of the last run of maintenance";
    DestructionPostponed => Gauge "strongroom_destruction_postponed" [],
        "1 if the last run of maintenance destroyed nothing because it does not trust the clock, otherwise 0";
    Keys => Gauge "strongroom_keys" ["state"],
        "keys in the store when maintenance last counted them, at most an hour before its last run";
    KeysRotationOverdue => Gauge "strongroom_keys_rotation_overdue" [],
        "keys whose due rotation failed in the last run of maintenance";
    HsmMembers => Gauge "strongroom_hsm_members" ["state"],
        "members of all HSM clusters at the last run of maintenance";
}

impl Metric {
    /// Returns the unit in UCUM, as OpenTelemetry expects it: `s` for seconds, `1` for a count.
    ///
    /// # Examples
    /// ```
    /// use strongroom::metrics::Metric;
    ///
    /// assert_eq!(Metric::HsmMembers.unit(), "1");
    /// assert_eq!(Metric::MaintenanceLastSuccess.unit(), "s");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn unit(self) -> &'static str {
        match (self, self.kind()) {
            (Self::MaintenanceLastSuccess, _) | (_, MetricKind::Histogram) => "s",
            (_, MetricKind::Counter | MetricKind::Gauge) => "1",
        }
    }
}

/// The name and value of a label. Both are constants of this crate, so a recorder can store them
/// without copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    name: &'static str,
    value: &'static str,
}

impl Label {
    /// Creates a label, for tests of a recorder.
    pub const fn new(name: &'static str, value: &'static str) -> Self {
        Self { name, value }
    }

    /// Returns the name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the value.
    pub const fn value(&self) -> &'static str {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a row of the table in the documentation of `Recorder`.
    fn row(metric: Metric) -> String {
        let kind = match metric.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{} ", labels.join(", ")) };
        format!("/// | `{}` | {kind} | `{}` | {labels}| {} |", metric.name(), metric.unit(), metric.description())
    }

    #[test]
    fn the_documentation_has_one_row_for_each_metric() {
        let documented: Vec<&str> =
            include_str!("recorder.rs").lines().filter(|line| line.starts_with("/// | `strongroom_")).collect();
        let expected: Vec<String> = Metric::ALL.iter().map(|metric| row(*metric)).collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn names_are_valid_and_end_as_prometheus_recommends() {
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == MetricKind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit() == "s", "{name}");
            assert!(metric.labels().len() <= 2, "{name}");
        }
    }
}
