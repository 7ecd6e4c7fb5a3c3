//! Measurement of operations: metrics, and spans of `tracing`.

use std::fmt;
use std::time::Instant;

use crate::audit::{Action, KeyResource};
use crate::error::Result;
use crate::kms::engine::core::Core;
use crate::metrics::{Label, Metric, Metrics, result_label};
use crate::span::OperationSpan;

/// An operation in progress that is being measured.
#[must_use]
pub(in crate::kms) struct Observation<'a> {
    metrics: &'a Metrics,
    operation: &'static str,
    started: Option<Instant>,
    span: OperationSpan,
}

impl Core {
    /// Starts to measure an operation.
    #[inline]
    pub(in crate::kms) fn observe(&self, action: Action) -> Observation<'_> {
        let (metrics, operation) = (self.registry.metrics(), action.name());
        let span = OperationSpan::enter(operation);
        Observation { metrics, operation, started: metrics.start(), span }
    }
}

impl Observation<'_> {
    /// Records the keys that the audit event of the operation lists.
    #[inline]
    pub(in crate::kms) fn record_keys(&self, keys: &[Option<KeyResource>; 2]) {
        if self.span.is_enabled() && keys[0].is_some() {
            self.span.record_keys(&KeyIds(keys));
        }
    }

    /// Records the result of the operation, which is now released to the caller.
    #[inline]
    pub(in crate::kms) fn finish<T>(self, result: Result<T>) -> Result<T> {
        if self.started.is_some() || self.span.is_enabled() {
            self.report(result.is_ok(), result_label(&result));
        }
        result
    }

    #[cold]
    fn report(self, is_success: bool, label: &'static str) {
        let operation = Label::new("operation", self.operation);
        self.metrics.record_since(Metric::OperationDuration, &[operation], self.started);
        self.metrics.count(Metric::Operations, &[operation, Label::new("result", label)]);
        match is_success {
            true => self.span.record_success(),
            false => self.span.record_failure(label),
        }
    }
}

/// Key IDs, separated by a space.
struct KeyIds<'a>(&'a [Option<KeyResource>; 2]);

impl fmt::Display for KeyIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().flatten().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{}", key.key_id)?;
        }
        Ok(())
    }
}
