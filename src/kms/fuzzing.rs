//! What the fuzz targets reach directly: parsers that otherwise stand behind a seal.

use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::kms::transfer;
use crate::seal;

/// Reads the record of a key and writes it again; `None` if it is refused.
///
/// # Panics
/// If what was read cannot be written.
pub fn rewritten_key_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record =
        KeyRecord::decode(&KeyRecord::record_id(AccountId::default(), KeyId::from_bytes([0; 16])), bytes).ok()?;
    Some(record.encode().expect("what was read fits its length fields"))
}

/// Reads the record with the wrapped versions of a root key, up to its checksum, and writes it again; `None` if it is refused.
///
/// # Panics
/// As [`rewritten_key_record`].
pub fn rewritten_root_record(content: &[u8]) -> Option<Vec<u8>> {
    seal::rewritten_root_record(content)
}

/// Reads the sealed part of an export and writes it again; `None` if it is refused.
///
/// # Panics
/// As [`rewritten_key_record`].
pub fn rewritten_export_payload(bytes: &[u8]) -> Option<Vec<u8>> {
    transfer::rewritten_payload(bytes)
}
