//! What happened: an event for every call, allowed or refused, and for everything that the library does by itself.
//!
//! An event is written before the result of its operation is released. A change writes two: its intent before the
//! commit and its outcome after it, so that a process that dies in between leaves a trace. If the trail cannot be
//! written, the operation fails.

mod both;
mod chain;
mod checkpoint;
mod event;
mod file;
mod json;
mod line;
mod memory;
#[cfg(feature = "tracing")]
mod tracing;
mod verify;

use std::fmt;

pub use both::Both;
pub use chain::{ChainId, ChainState, ChangeId, PendingChange};
pub use checkpoint::{CheckpointSigner, CheckpointVerifier};
pub use event::{Action, AuditEvent, KeyResource, Outcome, ParameterValue};
pub use file::{DEFAULT_TRAIL_FILE_BYTES, Durability, FileTrail};
pub use json::to_json;
pub use memory::{DEFAULT_TRAIL_CAPACITY, MemoryTrail};
#[cfg(feature = "tracing")]
pub use tracing::TracingTrail;
pub use verify::{ChainReport, Finding, Problem, TrailReport, verify};

use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::identity::Locality;

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

    /// Makes the sink ready, once, before the first event. A sink with a chain returns the state of the chain that it
    /// goes on with or starts, which the `Kms` keeps sealed in its store.
    ///
    /// # Errors
    /// Any error, if the sink cannot be used; the `Kms` is not built then.
    fn attach(&self, _attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        Ok(None)
    }

    /// The sink's chain, if it has one.
    fn chain(&self) -> Option<&dyn AuditChain> {
        None
    }
}

/// What a sink is told when it is attached to a `Kms`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attachment<'a> {
    /// The cryptography of the `Kms`.
    pub backend: &'a CryptoBackend,
    /// Its partition and region.
    pub locality: &'a Locality,
    /// The chains that its store knows.
    pub chains: &'a [ChainState],
}

impl<'a> Attachment<'a> {
    /// Tells of a `Kms` whose store knows these chains.
    pub const fn new(backend: &'a CryptoBackend, locality: &'a Locality, chains: &'a [ChainState]) -> Self {
        Self { backend, locality, chains }
    }
}

/// The tamper-evident chain of a sink. The `Kms` commits its state together with every change.
pub trait AuditChain: Send + Sync {
    /// The state as of now, with `committing` marked as committed: it becomes true together with that change.
    ///
    /// # Errors
    /// [`Audit`](crate::ErrorKind::Audit) if the sink is not attached.
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState>;

    /// Notes that a change was committed.
    fn committed(&self, change: ChangeId);
}

impl<S: AuditSink + ?Sized> AuditSink for std::sync::Arc<S> {
    fn record(&self, event: AuditEvent) -> Result<()> {
        (**self).record(event)
    }

    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        (**self).attach(attachment)
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        (**self).chain()
    }
}
