//! The recorder as the crate uses it: optional, and without influence on operations.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::metric::{Label, Metric};
use super::recorder::Recorder;

/// An optional recorder. Without one, every method costs one branch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Option<Arc<dyn Recorder>>);

/// A cache whose lookups are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheName {
    Keys,
    Aliases,
    IdentityPolicies,
    CustomKeyStores,
    DataKeys,
}

/// The result of a cache lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Hit,
    Revalidated,
    Miss,
    Bypass,
}

impl Metrics {
    /// Forwards measurements to a recorder.
    pub(crate) fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self(Some(recorder))
    }

    /// Returns `true` if there is a recorder.
    #[inline]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the time if there is a recorder, as the start of a measurement.
    #[inline]
    pub(crate) fn start(&self) -> Option<Instant> {
        self.0.as_ref().map(|_| Instant::now())
    }

    /// Adds one to a counter.
    #[inline]
    pub(crate) fn count(&self, metric: Metric, labels: &[Label]) {
        if let Some(recorder) = &self.0 {
            without_panic(|| recorder.increment_counter(metric, labels, 1));
        }
    }

    /// Counts a step by its result.
    #[inline]
    pub(crate) fn count_result(&self, metric: Metric, result: &'static str) {
        self.count(metric, &[Label::new("result", result)]);
    }

    /// Counts a cache lookup.
    #[inline]
    pub(crate) fn count_lookup(&self, cache: CacheName, lookup: Lookup) {
        if self.is_enabled() {
            self.count(
                Metric::CacheLookups,
                &[Label::new("cache", cache.label()), Label::new("result", lookup.label())],
            );
        }
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, metric: Metric, labels: &[Label], value: u64) {
        if let Some(recorder) = &self.0 {
            without_panic(|| recorder.set_gauge(metric, labels, value));
        }
    }

    /// Records the time since the start of a measurement.
    #[inline]
    pub(crate) fn record_since(&self, metric: Metric, labels: &[Label], started: Option<Instant>) {
        if let (Some(recorder), Some(started)) = (&self.0, started) {
            without_panic(|| recorder.record_duration(metric, labels, started.elapsed()));
        }
    }
}

impl CacheName {
    const fn label(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Aliases => "aliases",
            Self::IdentityPolicies => "identity_policies",
            Self::CustomKeyStores => "custom_key_stores",
            Self::DataKeys => "data_keys",
        }
    }
}

impl Lookup {
    const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// Calls the recorder. Its panic must not interrupt an operation: a change that is interrupted
/// after its commit would have no outcome in the audit trail.
#[cold]
fn without_panic(measure: impl FnOnce()) {
    // The recorder is called by reference and this crate passes it nothing that it could leave
    // inconsistent.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(measure)) {
        // Dropping the payload runs code of the recorder, which could panic again.
        std::mem::forget(payload);
    }
}
