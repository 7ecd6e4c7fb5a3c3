//! Metrics of the KMS and of the server, as a page for Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use strongroom::metrics::{Label, Metric, MetricKind, Recorder};

/// The media type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, &'static str)>;

/// Upper bounds of durations: 17 buckets from 50 microseconds to 3.3 seconds.
#[derive(Clone, Debug)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_05, 2.0, 17))
    }
}

enum Instrument {
    Counter(Family<Labels, Counter>),
    Gauge(Family<Labels, Gauge<u64, AtomicU64>>),
    Histogram(Family<Labels, Histogram, Durations>),
}

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    instruments: BTreeMap<Metric, Instrument>,
    requests: Family<Labels, Counter>,
    connections: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let mut instruments = BTreeMap::new();
        for metric in Metric::ALL {
            // The encoder appends the suffix of counters.
            let name = metric.name().strip_suffix("_total").unwrap_or(metric.name());
            let instrument = match metric.kind() {
                MetricKind::Gauge => {
                    let family = Family::default();
                    registry.register(name, metric.description(), family.clone());
                    Instrument::Gauge(family)
                }
                MetricKind::Histogram => {
                    let family = Family::new_with_constructor(Durations);
                    registry.register(name, metric.description(), family.clone());
                    Instrument::Histogram(family)
                }
                _ => {
                    let family = Family::default();
                    registry.register(name, metric.description(), family.clone());
                    Instrument::Counter(family)
                }
            };
            instruments.insert(*metric, instrument);
        }
        let requests = Family::default();
        registry.register("strongroom_server_requests", "requests over HTTP, by the result", requests.clone());
        let connections = Gauge::default();
        registry.register("strongroom_server_connections", "open connections", connections.clone());
        Self { registry, instruments, requests, connections }
    }
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestResult {
    Success,
    Refused,
    Unauthenticated,
    Throttled,
    Failed,
}

impl RequestResult {
    const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Unauthenticated => "unauthenticated",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Returns the page in the OpenMetrics text format.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }

    pub(crate) fn count_request(&self, result: RequestResult) {
        self.requests.get_or_create(&vec![("result", result.label())]).inc();
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.dec();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn labels(labels: &[Label]) -> Labels {
    labels.iter().map(|label| (label.name(), label.value())).collect()
}

impl Recorder for Metrics {
    fn increment_counter(&self, metric: Metric, found: &[Label], by: u64) {
        if let Some(Instrument::Counter(family)) = self.instruments.get(&metric) {
            family.get_or_create(&labels(found)).inc_by(by);
        }
    }

    fn set_gauge(&self, metric: Metric, found: &[Label], value: u64) {
        if let Some(Instrument::Gauge(family)) = self.instruments.get(&metric) {
            family.get_or_create(&labels(found)).set(value);
        }
    }

    fn record_duration(&self, metric: Metric, found: &[Label], duration: Duration) {
        if let Some(Instrument::Histogram(family)) = self.instruments.get(&metric) {
            family.get_or_create(&labels(found)).observe(duration.as_secs_f64());
        }
    }
}
