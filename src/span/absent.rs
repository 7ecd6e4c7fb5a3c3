//! Empty spans.

use std::fmt;

/// An empty span of an operation.
#[must_use]
pub(crate) struct OperationSpan;

impl OperationSpan {
    #[inline]
    pub(crate) const fn enter(_operation: &'static str) -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn is_enabled(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) const fn record_keys(&self, _keys: &dyn fmt::Display) {}

    #[inline]
    pub(crate) const fn record_success(&self) {}

    #[inline]
    pub(crate) const fn record_failure(&self, _error: &'static str) {}
}

/// An empty span of a step.
#[must_use]
pub(crate) struct StepSpan;

impl StepSpan {
    #[inline]
    pub(crate) const fn store_read() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn store_commit() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn audit_write() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn open_key() -> Self {
        Self
    }

    #[allow(dead_code, reason = "only PKCS#11 tokens use it")]
    #[inline]
    pub(crate) const fn hsm_call() -> Self {
        Self
    }
}
