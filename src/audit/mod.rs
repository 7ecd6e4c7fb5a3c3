//! Audit events: one for every call, allowed or denied, and for every action that the library
//! performs automatically.
//!
//! An event is written before the result of its operation is released. A change writes two events:
//! its intent before the commit and its outcome after it, so that a process that ends in between
//! leaves a trace. If the trail cannot be written, the operation fails.

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

/// A receiver of audit events.
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
    /// Stores an event, as durably as the sink promises, before returning.
    ///
    /// # Errors
    /// - any error, if the event could not be stored; the result of the operation is then withheld
    fn record(&self, event: AuditEvent) -> Result<()>;

    /// Prepares the sink once, before the first event.
    ///
    /// A sink with a chain returns the state of the chain that it resumes or starts, which the
    /// `Kms` stores, sealed, in its store. A sink must [add](ChainStore::add) a new chain itself.
    ///
    /// # Errors
    /// - any error, if the sink cannot be used; the `Kms` is then not built
    fn attach(&self, _attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        Ok(None)
    }

    /// Returns the sink's chain, if it has one.
    fn chain(&self) -> Option<&dyn AuditChain> {
        None
    }
}

/// The environment that is passed to a sink when it is attached to a `Kms`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attachment<'a> {
    /// The cryptographic backend of the `Kms`.
    pub backend: &'a CryptoBackend,
    /// The partition and region of the `Kms`.
    pub locality: &'a Locality,
    /// The chains that the store of the `Kms` knows.
    pub chains: &'a dyn ChainStore,
}

impl<'a> Attachment<'a> {
    /// Creates an attachment for a `Kms` whose store knows these chains.
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
    /// Returns the current states of all chains. The state of a chain that has a writer can change
    /// at any time, so a sink that takes over a chain must first exclude other writers and then
    /// read the state.
    ///
    /// # Errors
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be read
    fn chains(&self) -> Result<Vec<ChainState>>;

    /// Adds a chain. A sink must do this before it writes a file of the chain: verification reports
    /// files of unknown chains as forged.
    ///
    /// # Errors
    /// - [`Conflict`](crate::ErrorKind::Conflict) if the store already knows the chain
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be written
    fn add(&self, chain: &ChainState) -> Result<()>;
}

/// Stores chains in memory, for tests.
impl ChainStore for Mutex<Vec<ChainState>> {
    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ChainState::copy).collect())
    }

    fn add(&self, chain: &ChainState) -> Result<()> {
        let mut chains = self.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.iter().any(|known| known.id() == chain.id()) {
            return Err(Error::new(ErrorKind::Conflict, "the chain is already known"));
        }
        chains.push(chain.copy());
        Ok(())
    }
}

/// The tamper-evident chain of a sink. The `Kms` commits the chain's state together with every
/// change.
pub trait AuditChain: Send + Sync {
    /// Returns the current state with `committing` marked as committed, which becomes true together
    /// with that change. The `Kms` holds a lock from this call until the state is committed and
    /// [`committed`](Self::committed) has been called.
    ///
    /// # Errors
    /// - [`Audit`](crate::ErrorKind::Audit) if the sink is not attached
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState>;

    /// Records that a change was committed. The `Kms` calls this before it requests the next state.
    fn committed(&self, change: ChangeId);

    /// Returns `true` if a chain is known to have a writer: this sink, or another one in this or
    /// another process.
    ///
    /// The default implementation returns `false`, for sinks that cannot detect other writers.
    ///
    /// # Errors
    /// - [`Audit`](crate::ErrorKind::Audit) if the lock of the chain cannot be examined
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
