//! The progress of an audit chain, named by the chain's 8-byte ID.
//!
//! The encoding is [`ChainState::to_bytes`].

use super::stored_record::{PlainRecord, StoredRecord};
use crate::audit::{ChainId, ChainState};
use crate::error::Result;
use crate::identity::AccountId;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Returns the record ID of a chain.
pub(in crate::kms) fn chain_record_id(id: ChainId) -> RecordId {
    RecordId { kind: RecordKind::Audit, account: AccountId::default(), name: id.0.to_vec() }
}

impl StoredRecord for ChainState {
    const KIND: RecordKind = RecordKind::Audit;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        Self::from_bytes(bytes)
    }
}

impl PlainRecord for ChainState {
    fn encode(&self) -> Result<SecretBytes> {
        Ok(self.to_bytes()?)
    }
}
