//! Spans that a subscriber can see.

use std::fmt;

use tracing::field::{Empty, display};
use tracing::span::EnteredSpan;
use tracing::{debug_span, info_span};

/// The target of the spans.
const TARGET: &str = "strongroom";

/// The span of an operation. It ends when the value is dropped.
#[must_use]
pub(crate) struct OperationSpan(EnteredSpan);

impl OperationSpan {
    /// Enters the span of an operation.
    #[inline]
    pub(crate) fn enter(operation: &'static str) -> Self {
        let span = info_span!(
            target: TARGET,
            "kms",
            "kms.operation" = operation,
            "kms.key_id" = Empty,
            "kms.result" = Empty,
            "error.type" = Empty,
        );
        Self(span.entered())
    }

    /// Returns `true` if a subscriber sees the span.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        !self.0.is_disabled()
    }

    /// Records the keys that the operation accessed.
    pub(crate) fn record_keys(&self, keys: &dyn fmt::Display) {
        self.0.record("kms.key_id", display(keys));
    }

    /// Records the success of the operation.
    pub(crate) fn record_success(&self) {
        self.0.record("kms.result", "success");
    }

    /// Records the failure of the operation, with the kind of its error.
    pub(crate) fn record_failure(&self, error: &'static str) {
        self.0.record("kms.result", "failure");
        self.0.record("error.type", error);
    }
}

/// The span of a slow step of an operation. It ends when the value is dropped.
#[must_use]
pub(crate) struct StepSpan(#[expect(dead_code, reason = "it is dropped, which ends the span")] EnteredSpan);

impl StepSpan {
    /// Enters the span of a read of records that are not cached.
    #[inline]
    pub(crate) fn store_read() -> Self {
        Self(debug_span!(target: TARGET, "store.read").entered())
    }

    /// Enters the span of a commit to the store.
    #[inline]
    pub(crate) fn store_commit() -> Self {
        Self(debug_span!(target: TARGET, "store.commit").entered())
    }

    /// Enters the span of a call of the audit sink.
    #[inline]
    pub(crate) fn audit_write() -> Self {
        Self(debug_span!(target: TARGET, "audit.write").entered())
    }

    /// Enters the span in which a provider opens key material, from the store or in an HSM.
    #[inline]
    pub(crate) fn open_key() -> Self {
        Self(debug_span!(target: TARGET, "key.open").entered())
    }

    /// Enters the span of a call to a PKCS#11 token, with its retries.
    #[allow(dead_code, reason = "only PKCS#11 tokens use it")]
    #[inline]
    pub(crate) fn hsm_call() -> Self {
        Self(debug_span!(target: TARGET, "hsm.call").entered())
    }
}
