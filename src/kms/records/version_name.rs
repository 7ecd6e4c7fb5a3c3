//! The name of a record about one version of a key.

use crate::codec::{CodecError, Reader};
use crate::key::{KeyId, KeyVersion};

/// The name of a record about one version of a key: `16 key id ‖ u32 version`.
pub(in crate::kms) fn version_name(key_id: KeyId, version: KeyVersion) -> Vec<u8> {
    [&key_id.as_bytes()[..], &version.number().to_be_bytes()].concat()
}

pub(super) fn read_version_name(name: &[u8]) -> Result<(KeyId, KeyVersion), CodecError> {
    let mut reader = Reader::new(name);
    let key_id = KeyId::from_bytes(reader.array("key id")?);
    let version = KeyVersion::new(reader.u32("version")?).ok_or(CodecError::Invalid { field: "version" })?;
    reader.finish()?;
    Ok((key_id, version))
}
