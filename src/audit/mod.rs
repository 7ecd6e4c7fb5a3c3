//! What happened: an event for every call, allowed or refused, and for everything that the library does by itself.
//!
//! An event is written before the result of its operation is released. A change writes two: its intent before the
//! commit and its outcome after it, so that a process that dies in between leaves a trace. If the trail cannot be
//! written, the operation fails.

mod chain;
mod checkpoint;
mod event;
mod file;
mod json;
mod line;
mod memory;
mod tee;
#[cfg(feature = "tracing")]
mod tracing;
mod verify;

use std::fmt;
use std::sync::{Mutex, PoisonError};

pub use chain::{ChainId, ChainState, ChangeId, PendingChange};
pub use checkpoint::{CheckpointSigner, CheckpointVerifier};
pub use event::{Action, AuditEvent, KeyResource, Outcome, ParameterValue};
pub use file::{DEFAULT_TRAIL_FILE_BYTES, Durability, FileTrail};
pub use json::to_json;
pub use memory::{DEFAULT_TRAIL_CAPACITY, MemoryTrail};
pub use tee::Tee;
#[cfg(feature = "tracing")]
pub use tracing::TracingTrail;
pub use verify::{ChainReport, Finding, Problem, TrailReport, verify};

use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Locality;

/// Receives the audit trail.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::{Action, MemoryTrail};
/// use strongroom::key::Operation;
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
    /// goes on with or starts, which the `Kms` keeps sealed in its store. A sink must [add](ChainStore::add) a new chain itself.
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
    pub chains: &'a dyn ChainStore,
}

impl<'a> Attachment<'a> {
    /// Tells of a `Kms` whose store knows these chains.
    pub const fn new(backend: &'a CryptoBackend, locality: &'a Locality, chains: &'a dyn ChainStore) -> Self {
        Self { backend, locality, chains }
    }
}

/// Stores the states of audit chains. The `Kms` passes its own store, in which they are sealed.
///
/// # Examples
/// ```
/// use std::sync::Mutex;
///
/// use strongroom::audit::{ChainState, ChainStore};
/// use strongroom::crypto::CryptoBackend;
///
/// let chains = Mutex::new(Vec::new()); // in memory, for tests of a sink
/// let fresh = ChainState::generate(&CryptoBackend::default())?;
/// chains.add(&fresh)?;
/// assert_eq!(chains.chains()?[0].id(), fresh.id());
/// assert!(chains.add(&fresh).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait ChainStore: fmt::Debug {
    /// Returns the current states of all chains. A chain that has a writer changes at any time, so a sink that takes over a
    /// chain must first exclude other writers and then read its state.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) if the store cannot be read.
    fn chains(&self) -> Result<Vec<ChainState>>;

    /// Adds a chain. A sink must do this before it writes a file of the chain: verification reports files of unknown chains
    /// as forged.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the store knows the chain; [`Store`](crate::ErrorKind::Store) if the
    /// store cannot be written.
    fn add(&self, chain: &ChainState) -> Result<()>;
}

/// Keeps chains in memory: for tests.
impl ChainStore for Mutex<Vec<ChainState>> {
    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ChainState::copy).collect())
    }

    fn add(&self, chain: &ChainState) -> Result<()> {
        let mut chains = self.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.iter().any(|known| known.id() == chain.id()) {
            return Err(Error::new(ErrorKind::Conflict, "the chain is known already"));
        }
        chains.push(chain.copy());
        Ok(())
    }
}

/// The tamper-evident chain of a sink. The `Kms` commits its state together with every change.
pub trait AuditChain: Send + Sync {
    /// The state as of now, with `committing` marked as committed: it becomes true together with that change. The `Kms` holds
    /// a lock from this call until the state is committed and [`committed`](Self::committed) was called.
    ///
    /// # Errors
    /// [`Audit`](crate::ErrorKind::Audit) if the sink is not attached.
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState>;

    /// Notes that a change was committed. The `Kms` calls this before it asks for the next state.
    fn committed(&self, change: ChangeId);

    /// Returns `true` if a chain is known to have a writer: this sink, or another one in this or another process.
    ///
    /// # Errors
    /// Returns [`Audit`](crate::ErrorKind::Audit) if the lock of the chain cannot be examined.
    ///
    /// The default is `false`, for sinks that cannot detect other writers.
    fn is_in_use(&self, _chain: ChainId) -> Result<bool> {
        Ok(false)
    }
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
