//! Traits for decoding and encoding records.

use crate::error::Result;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// A record that can be decoded.
pub(in crate::kms) trait StoredRecord: Sized {
    const KIND: RecordKind;

    /// Returns `true` if records of this kind and name have this layout. Most kinds have only one.
    fn is_named(_id: &RecordId) -> bool {
        true
    }

    /// Decodes a record. Some kinds store part of their content in the name.
    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self>;
}

/// A record whose encoding is sealed as is. [`KeyRecord`](super::key::KeyRecord) does not implement
/// this trait because its material is sealed separately. [`GrantRecord`](super::grant::GrantRecord)
/// does not implement it because the cache also tracks grants.
pub(in crate::kms) trait PlainRecord: StoredRecord {
    /// Returns the bytes to seal.
    fn encode(&self) -> Result<SecretBytes>;
}
