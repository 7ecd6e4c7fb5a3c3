//! Metrics: counters, gauges and durations that a [`Recorder`] receives.
//!
//! Implement [`Recorder`] for your metrics library and pass it to
//! [`KmsBuilder::metrics`](crate::KmsBuilder::metrics). To measure the cache of data keys, too, pass
//! it to
//! [`CachingMaterialsManagerBuilder::metrics`](crate::envelope::CachingMaterialsManagerBuilder::metrics).
//! By default, nothing is measured.
//!
//! The table in the documentation of [`Recorder`] lists all metrics. Names and labels are constants
//! of this crate, and valid in Prometheus and OpenTelemetry. No label contains an identifier of a
//! key, an account or a principal, so the number of time series is bounded.
//!
//! # Examples
//! An adapter that adds up counters in memory:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use strongroom::Kms;
//! use strongroom::metrics::{Label, Metric, Recorder};
//!
//! #[derive(Debug, Default)]
//! struct Counters(Mutex<BTreeMap<String, u64>>);
//!
//! impl Recorder for Counters {
//!     fn increment_counter(&self, metric: Metric, labels: &[Label], by: u64) {
//!         let labels: Vec<&str> = labels.iter().map(Label::value).collect();
//!         let series = format!("{}{labels:?}", metric.name());
//!         *self.0.lock().unwrap().entry(series).or_default() += by;
//!     }
//!
//!     fn set_gauge(&self, _: Metric, _: &[Label], _: u64) {}
//!
//!     fn record_duration(&self, _: Metric, _: &[Label], _: Duration) {}
//! }
//!
//! let counters = Arc::new(Counters::default());
//! let kms = Kms::builder().metrics(Arc::clone(&counters)).build()?;
//! kms.create_key(Default::default())?;
//! assert!(kms.describe_key("alias/missing").is_err());
//!
//! let counters = counters.0.lock().unwrap();
//! assert_eq!(counters["strongroom_operations_total[\"CreateKey\", \"success\"]"], 1);
//! assert_eq!(counters["strongroom_operations_total[\"DescribeKey\", \"NotFoundException\"]"], 1);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod handle;
mod metric;
mod recorder;
mod result_label;

pub(crate) use handle::{CacheName, Lookup, Metrics};
pub use metric::{Label, Metric, MetricKind};
pub use recorder::Recorder;
pub(crate) use result_label::{FAILURE, SUCCESS, result_label};
