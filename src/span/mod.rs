//! Spans of the `tracing` crate around operations and their slow steps. Without the feature
//! `tracing`, every item here is empty and compiles to nothing.

#[cfg(not(feature = "tracing"))]
mod absent;
#[cfg(feature = "tracing")]
mod present;

#[cfg(not(feature = "tracing"))]
pub(crate) use absent::{OperationSpan, StepSpan};
#[cfg(feature = "tracing")]
pub(crate) use present::{OperationSpan, StepSpan};
