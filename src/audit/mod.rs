//! What happened: an event for every call, allowed or refused, and for everything that the library does by itself.
//!
//! An event is written before the result of its operation is released. A change writes two: its intent before the
//! commit and its outcome after it, so that a process that dies in between leaves a trace. If the trail cannot be
//! written, the operation fails.

mod event;
mod memory;

use std::fmt;

pub use event::{Action, AuditEvent, KeyResource, Outcome, ParameterValue};
pub use memory::{DEFAULT_TRAIL_CAPACITY, MemoryTrail};

use crate::error::Result;

/// Receives the audit trail.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Action, MemoryTrail};
/// use strongroom::{Kms, Operation};
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(trail.events()[0].action, Action::Call(Operation::ListKeys));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Keeps an event, as durably as the sink promises, before it returns.
    ///
    /// # Errors
    /// Any error, if it could not be kept; the result of the operation is withheld then.
    fn record(&self, event: AuditEvent) -> Result<()>;
}

impl<S: AuditSink + ?Sized> AuditSink for std::sync::Arc<S> {
    fn record(&self, event: AuditEvent) -> Result<()> {
        (**self).record(event)
    }
}
