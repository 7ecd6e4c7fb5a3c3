//! The record of the audit trail's chain.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::registry::{Edit, Registry};
use crate::audit::{Attachment, AuditSink, ChainId};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::store::Revision;

/// Which record of the store holds the state of this process's chain. Nobody else writes that record, but
/// for a rotation of the root key.
#[derive(Debug)]
pub(super) struct ChainRecord {
    id: ChainId,
    revision: Mutex<Revision>,
}

impl ChainRecord {
    /// Attaches the sink and stores the state of the chain that it goes on with, if it has one.
    pub(super) fn attach(sink: &dyn AuditSink, registry: &Registry, backend: &CryptoBackend) -> Result<Option<Self>> {
        let (revisions, chains): (Vec<_>, Vec<_>) = registry.chains()?.into_iter().unzip();
        let Some(state) = sink.attach(&Attachment::new(backend, registry.locality(), &chains))? else {
            return Ok(None);
        };
        let known = chains.iter().position(|chain| chain.id() == state.id());
        let expected = known.and_then(|place| revisions.get(place)).copied();
        let revision = registry.commit(&[Edit::PutChain { id: state.id(), body: state.to_bytes()?, expected }])?;
        Ok(Some(Self { id: state.id(), revision: Mutex::new(revision) }))
    }

    pub(super) const fn id(&self) -> ChainId {
        self.id
    }

    /// The revision that the record has. Whoever holds the guard may write the record, and notes its new revision.
    pub(super) fn revision(&self) -> MutexGuard<'_, Revision> {
        // A single number is whole at any moment.
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
