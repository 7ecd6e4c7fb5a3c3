//! Measurement of operations.

use std::time::Instant;

use crate::audit::Action;
use crate::error::Result;
use crate::kms::engine::core::Core;
use crate::metrics::{Label, Metric, Metrics, result_label};

/// An operation in progress that is being measured.
#[must_use]
pub(in crate::kms) struct Observation<'a> {
    metrics: &'a Metrics,
    operation: &'static str,
    started: Option<Instant>,
}

impl Core {
    /// Starts to measure an operation.
    pub(in crate::kms) fn observe(&self, action: Action) -> Observation<'_> {
        let metrics = self.registry.metrics();
        Observation { metrics, operation: action.name(), started: metrics.start() }
    }
}

impl Observation<'_> {
    /// Records the result of the operation, which is now released to the caller.
    pub(in crate::kms) fn finish<T>(self, result: Result<T>) -> Result<T> {
        if self.started.is_some() {
            let operation = Label::new("operation", self.operation);
            self.metrics.record_since(Metric::OperationDuration, &[operation], self.started);
            self.metrics.count(Metric::Operations, &[operation, Label::new("result", result_label(&result))]);
        }
        result
    }
}
