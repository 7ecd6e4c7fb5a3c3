//! Direct access for the fuzz targets to parsers that otherwise run only on unsealed data.

use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::kms::transfer;
use crate::seal;

/// Parses the record of a key and serializes it again. Returns `None` if parsing fails.
///
/// # Panics
/// Panics if the parsed record cannot be serialized.
pub fn rewritten_key_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record =
        KeyRecord::decode(&KeyRecord::record_id(AccountId::default(), KeyId::from_bytes([0; 16])), bytes).ok()?;
    Some(record.encode().expect("parsed values fit their length fields"))
}

/// Parses the record with the wrapped versions of a root key, up to its checksum, and serializes it
/// again. Returns `None` if parsing fails.
///
/// # Panics
/// The same as [`rewritten_key_record`].
pub fn rewritten_root_record(content: &[u8]) -> Option<Vec<u8>> {
    seal::rewritten_root_record(content)
}

/// Parses the sealed part of an export and serializes it again. Returns `None` if parsing fails.
///
/// # Panics
/// The same as [`rewritten_key_record`].
pub fn rewritten_export_payload(bytes: &[u8]) -> Option<Vec<u8>> {
    transfer::rewritten_payload(bytes)
}
