//! Record names that begin with a key ID.

use crate::codec::{CodecError, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyId, KeyVersion};
use crate::store::RecordId;

/// Returns the name of a record about one version of a key: `16 key id ‖ u32 version`.
pub(super) fn version_name(key_id: KeyId, version: KeyVersion) -> Vec<u8> {
    [&key_id.as_bytes()[..], &version.number().to_be_bytes()].concat()
}

pub(super) fn read_version_name(name: &[u8]) -> Result<(KeyId, KeyVersion), CodecError> {
    let mut reader = Reader::new(name);
    let key_id = KeyId::from_bytes(reader.array("key id")?);
    let version = KeyVersion::new(reader.u32("version")?).ok_or(CodecError::Invalid { field: "version" })?;
    reader.finish()?;
    Ok((key_id, version))
}

/// Returns the key of a record whose name is a key ID.
pub(in crate::kms) fn key_id_of(id: &RecordId) -> Result<KeyId> {
    Ok(KeyId::from_bytes(id.name.as_slice().try_into().map_err(|_| misnamed())?))
}

/// Returns the key ID at the start of a record's name, for error reports.
pub(in crate::kms) fn key_named_in(id: &RecordId) -> KeyId {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(&id.name).for_each(|(byte, named)| *byte = *named);
    KeyId::from_bytes(bytes)
}

/// Returns the error for a record whose name is invalid for its kind.
pub(super) fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a record with an invalid name")
}
