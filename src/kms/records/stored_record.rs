//! The two traits by which a record is read and written.

use crate::error::Result;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// A record that can be read.
pub(in crate::kms) trait StoredRecord: Sized {
    const KIND: RecordKind;

    /// Returns `true` if records of this kind and name have this layout. Most kinds have only one.
    fn is_named(_id: &RecordId) -> bool {
        true
    }

    /// Reads a record, of which some say a part in their name.
    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self>;
}

/// A record that is written as it is. The record of a key is none, as the material in it is sealed by itself; nor is a grant,
/// which is also known to the cache.
pub(in crate::kms) trait PlainRecord: StoredRecord {
    /// The bytes to be sealed.
    fn encode(&self) -> Result<SecretBytes>;
}
