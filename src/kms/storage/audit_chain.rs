//! The record of the audit log's chain.

use std::fmt;

use super::edit::Edit;
use super::registry::Registry;
use super::retry::{commit_with_retry, retriable};
use crate::audit::{Attachment, AuditSink, ChainId, ChainState, ChainStore};
use crate::crypto::CryptoBackend;
use crate::error::{Error, Result};
use crate::kms::records::audit_chain::chain_record_id;
use crate::lock::{Mutex, MutexGuard};
use crate::store::{CommitError, Revision};

/// The record with the state of this process's chain. Other processes write it only when they
/// rotate the root key, and delete it only when they forget the chain without noticing that it is
/// in use.
#[derive(Debug)]
pub(in crate::kms) struct ChainRecord {
    id: ChainId,
    revision: Mutex<Option<Revision>>,
}

impl ChainRecord {
    /// Attaches the sink and stores the state of the chain that it continues, if it has one.
    pub(in crate::kms) fn attach(
        sink: &dyn AuditSink,
        registry: &Registry,
        backend: &CryptoBackend,
    ) -> Result<Option<Self>> {
        let chains = Chains(registry);
        let Some(state) = sink.attach(&Attachment::new(backend, registry.locality(), &chains))? else {
            return Ok(None);
        };
        let (id, body) = (state.id(), state.to_bytes()?);
        // Another process may rotate the root key or forget the chain.
        let contended = || Err(CommitError::Conflict(chain_record_id(id)).into());
        commit_with_retry(contended, || {
            let known = registry.sealed().get(&chain_record_id(id))?;
            let expected = match known {
                // The sink has just added it.
                Some((revision, known)) if known == body => return Ok(Some(Self::at(id, revision))),
                Some((revision, _)) => Some(revision),
                None => None,
            };
            let committed = retriable(registry.commit(&[Edit::put(chain_record_id(id), &state, expected)?]))?;
            Ok(committed.map(|revision| Self::at(id, revision)))
        })
        .map(Some)
    }

    const fn at(id: ChainId, revision: Revision) -> Self {
        Self { id, revision: Mutex::new(Some(revision)) }
    }

    pub(in crate::kms) const fn id(&self) -> ChainId {
        self.id
    }

    /// Locks the record and returns its revision, or `None` if it was deleted. The guard must be
    /// held from the snapshot of the chain until the commit is recorded in the chain and the new
    /// revision in the guard.
    pub(in crate::kms) fn revision(&self) -> MutexGuard<'_, Option<Revision>> {
        // A single number is always consistent.
        self.revision.lock()
    }
}

/// The audit chains of a registry.
struct Chains<'a>(&'a Registry);

impl fmt::Debug for Chains<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chains").field(&self.0.store_id()).finish()
    }
}

impl ChainStore for Chains<'_> {
    fn chains(&self) -> Result<Vec<ChainState>> {
        Ok(self.0.read_all()?.into_iter().map(|(_, chain)| chain).collect())
    }

    fn add(&self, chain: &ChainState) -> Result<()> {
        let edit = Edit::put(chain_record_id(chain.id()), chain, None)?;
        self.0.commit(&[edit]).map(drop).map_err(Error::from)
    }
}
