//! Audit events: one for every call, allowed or denied, and for every action that the library
//! performs automatically.
//!
//! An event is written before the result of its operation is released. A change writes two events:
//! its intent before the commit and its outcome after it, so that a process that ends in between
//! leaves a trace. If the trail cannot be written, the operation fails.
//!
//! An [`AuditEvent`] states the [`Action`], the principal, the keys, selected parameters, and the
//! [`Outcome`]. [`KmsBuilder::audit`](crate::KmsBuilder::audit) accepts any [`AuditSink`]:
//!
//! | sink | events go |
//! |---|---|
//! | [`MemoryTrail`] | to memory, the latest 16,384 per shard (the default) |
//! | [`FileTrail`] | to files, one JSON object per line, in an HMAC chain |
//! | `TracingTrail` (feature `tracing`) | to subscribers of the `tracing` crate |
//! | [`Tee`] | to two sinks, which must both store them |
//! | a custom [`AuditSink`] | to your log collector, for example as the text of [`to_json`] |
//!
//! The chain of a [`FileTrail`] reveals records that were changed, removed, or reordered.
//! [`Kms::verify_audit_trail`](crate::Kms::verify_audit_trail) verifies it with the secrets in the
//! store and returns a [`TrailReport`]. [`verify()`] does the same on another machine. A
//! [`CheckpointSigner`] signs positions of the chain, so that not even the process itself can alter
//! earlier records. The [manual](crate::manual::audit) describes what verification proves.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//!
//! use strongroom::audit::{Action, FileTrail, MemoryTrail, Outcome, Tee};
//! use strongroom::key::Operation;
//! use strongroom::request::EncryptRequest;
//! use strongroom::{ErrorKind, Kms};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let recent = Arc::new(MemoryTrail::default());
//! let kms = Kms::builder().audit(Tee(FileTrail::new(directory), Arc::clone(&recent))).build()?;
//! let key = kms.create_key(Default::default())?.key_id();
//! kms.disable_key(key)?;
//! assert!(kms.encrypt(EncryptRequest::new(key, b"data")).is_err());
//!
//! let events = recent.events();
//! let refused = events.last().unwrap();
//! assert_eq!(refused.action, Action::Call(Operation::Encrypt));
//! assert_eq!(refused.outcome, Outcome::Failure(ErrorKind::Disabled));
//! assert!(kms.verify_audit_trail(directory)?.is_intact());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chain;
mod checkpoint;
mod event;
mod file;
mod json;
mod line;
mod memory;
mod refused_requests;
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
pub use refused_requests::RefusedRequests;
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
/// use std::sync::mpsc::{self, Sender};
///
/// use strongroom::audit::{Action, Attachment, AuditEvent, AuditSink, ChainState};
/// use strongroom::key::Operation;
/// use strongroom::{Error, ErrorKind, Kms, Result};
///
/// /// Sends every event to another thread.
/// #[derive(Debug)]
/// struct Channel(Sender<AuditEvent>);
///
/// impl AuditSink for Channel {
///     fn record(&self, event: AuditEvent) -> Result<()> {
///         let gone = |_| Error::new(ErrorKind::Audit, "the receiver of the audit events is gone");
///         self.0.send(event).map_err(gone)
///     }
///
///     fn attach(&self, _: &Attachment<'_>) -> Result<Option<ChainState>> {
///         Ok(None) // no chain to store
///     }
/// }
///
/// let (sender, events) = mpsc::channel();
/// let kms = Kms::builder().audit(Channel(sender)).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(events.recv().map(|event| event.action), Ok(Action::Call(Operation::ListKeys)));
///
/// drop(events);
/// let refused = kms.list_keys(Default::default()).unwrap_err(); // no result without an event
/// assert_eq!(refused.kind(), ErrorKind::Audit);
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
    ///
    /// # Examples
    /// ```
    /// use strongroom::audit::{AuditSink, FileTrail, MemoryTrail};
    ///
    /// assert!(FileTrail::new("audit").chain().is_some());
    /// assert!(MemoryTrail::default().chain().is_none());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn chain(&self) -> Option<&dyn AuditChain> {
        None
    }

    /// Ends the use of the sink: puts all stored events on disk and releases files and locks.
    /// [`Kms::close`](crate::Kms::close) calls this after the last event, and again if it failed.
    /// The sink must return an error if it is closed while another component is using it. The
    /// sink may then be attached to another `Kms`.
    ///
    /// The default does nothing, which suits a sink that has nothing to complete. A sink that wraps
    /// another must forward the call.
    ///
    /// # Errors
    /// - any error, if events may not be on disk
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::audit::{AuditSink, MemoryTrail};
    ///
    /// let trail = Arc::new(MemoryTrail::default());
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// kms.close()?; // closes the sink, too
    /// assert!(trail.close().is_ok()); // has nothing left to do
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// The environment that is passed to a sink when it is attached to a `Kms`.
///
/// # Examples
/// ```
/// use std::sync::Mutex;
///
/// use strongroom::audit::{Attachment, AuditSink, ChainStore, FileTrail};
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::identity::Locality;
///
/// # let directory = tempfile::tempdir()?;
/// // A test of a sink, without a KMS:
/// let (backend, locality, chains) = (CryptoBackend::default(), Locality::default(), Mutex::new(Vec::new()));
/// let trail = FileTrail::new(directory.path());
/// trail.attach(&Attachment::new(&backend, &locality, &chains))?;
/// assert_eq!(chains.chains()?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Returns the state of a chain once no commit of an earlier writer can change it anymore. A
    /// sink that takes over a chain must use this state to decide whether a pending change was
    /// committed: a server may still be processing the last commit of a process that was killed.
    /// Returns `None` if the chain is unknown.
    ///
    /// The default returns the current state, which suits a store whose commits end with their
    /// process.
    ///
    /// # Errors
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be read or written
    ///
    /// # Examples
    /// ```
    /// use std::sync::Mutex;
    ///
    /// use strongroom::audit::{ChainState, ChainStore};
    /// use strongroom::crypto::CryptoBackend;
    ///
    /// let chains = Mutex::new(Vec::new());
    /// let fresh = ChainState::generate(&CryptoBackend::default())?;
    /// assert!(chains.settled(fresh.id())?.is_none());
    /// chains.add(&fresh)?;
    /// assert_eq!(chains.settled(fresh.id())?.map(|state| state.id()), Some(fresh.id()));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn settled(&self, id: ChainId) -> Result<Option<ChainState>> {
        Ok(self.chains()?.into_iter().find(|chain| chain.id() == id))
    }
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
///
/// # Examples
/// ```
/// use std::sync::Mutex;
///
/// use strongroom::audit::{Attachment, AuditChain, AuditSink, FileTrail};
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::identity::Locality;
///
/// # let directory = tempfile::tempdir()?;
/// let (backend, locality, chains) = (CryptoBackend::default(), Locality::default(), Mutex::new(Vec::new()));
/// let trail = FileTrail::new(directory.path());
/// let attached = trail.attach(&Attachment::new(&backend, &locality, &chains))?;
/// let (chain, id) = (trail.chain().unwrap(), attached.unwrap().id());
/// assert_eq!(chain.state(None)?.id(), id);
/// assert!(chain.is_in_use(id)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AuditChain: Send + Sync {
    /// Returns the current state with `committing` marked as committed, which becomes true together
    /// with that change. The `Kms` holds a lock from this call until the state is committed and
    /// [`committed`](Self::committed) has been called.
    ///
    /// # Errors
    /// - [`Audit`](crate::ErrorKind::Audit) if the sink is not attached
    fn state(&self, committing: Option<ChangeId>) -> Result<ChainState>;

    /// Records that a change was committed. The `Kms` calls this before it requests the next state.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Mutex;
    ///
    /// use strongroom::audit::{Action, Attachment, AuditChain, AuditEvent, AuditSink, ChangeId, FileTrail, Outcome};
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::identity::{AccountId, Locality, Principal};
    /// use strongroom::Timestamp;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let (backend, locality, chains) = (CryptoBackend::default(), Locality::default(), Mutex::new(Vec::new()));
    /// # let trail = FileTrail::new(directory.path());
    /// # trail.attach(&Attachment::new(&backend, &locality, &chains))?;
    /// let change = ChangeId::generate(&backend)?;
    /// let root = Principal::root(AccountId::default());
    /// let mut intent = AuditEvent::new(Timestamp::from_unix_millis(0), Action::DeleteKey, root);
    /// (intent.outcome, intent.change) = (Outcome::Intent, Some(change));
    /// trail.record(intent)?;
    ///
    /// let chain = trail.chain().unwrap();
    /// assert!(!chain.state(None)?.pending()[0].committed);
    /// chain.committed(change);
    /// assert!(chain.state(None)?.pending()[0].committed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn committed(&self, change: ChangeId);

    /// Records the result of a change whose outcome was [`Outcome::Ambiguous`], now that the store
    /// shows it. The `Kms` calls this once for each such change, and again if it failed.
    ///
    /// The default does nothing, which suits a chain whose records do not state results.
    ///
    /// # Errors
    /// - [`Audit`](crate::ErrorKind::Audit) if the sink cannot be written
    ///
    /// # Examples
    /// ```
    /// use std::sync::Mutex;
    ///
    /// use strongroom::audit::{Action, Attachment, AuditChain, AuditEvent, AuditSink, ChangeId, FileTrail, Outcome};
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::identity::{AccountId, Locality, Principal};
    /// use strongroom::{ErrorKind, Timestamp};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let (backend, locality, chains) = (CryptoBackend::default(), Locality::default(), Mutex::new(Vec::new()));
    /// # let trail = FileTrail::new(directory.path());
    /// # trail.attach(&Attachment::new(&backend, &locality, &chains))?;
    /// let change = ChangeId::generate(&backend)?;
    /// let root = Principal::root(AccountId::default());
    /// for outcome in [Outcome::Intent, Outcome::Ambiguous(ErrorKind::Store)] {
    ///     let mut event = AuditEvent::new(Timestamp::from_unix_millis(0), Action::DeleteKey, root.clone());
    ///     (event.outcome, event.change) = (outcome, Some(change));
    ///     trail.record(event)?;
    /// }
    /// let chain = trail.chain().unwrap();
    /// assert_eq!(chain.state(None)?.pending()[0].id, change);
    /// chain.reconcile(change, true)?;
    /// assert!(chain.state(None)?.pending().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn reconcile(&self, change: ChangeId, committed: bool) -> Result<()> {
        let _ = (change, committed);
        Ok(())
    }

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

    fn close(&self) -> Result<()> {
        (**self).close()
    }
}
