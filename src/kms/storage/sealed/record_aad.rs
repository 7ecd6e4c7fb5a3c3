//! The associated data of a sealed record: its store, kind, account, name and revision.

use zeroize::Zeroizing;

use crate::codec::Writer;
use crate::error::Result;
use crate::kms::records::store_record_id;
use crate::seal::RootKeyVersions;
use crate::secret::SecretBytes;
use crate::store::{Change, Record, RecordId, Revision, StoreId};

/// The new state of one record: its body before sealing, or `None` to delete the record.
pub(in crate::kms) type PlainChange = (RecordId, Option<Zeroizing<Vec<u8>>>);

/// Returns the associated data that a record is bound to. A record that was moved, renamed, or
/// given another revision fails to open.
pub(super) fn record_aad(store: StoreId, id: &RecordId, revision: Revision) -> Result<Vec<u8>> {
    let mut writer = Writer::with_capacity(96);
    writer.bytes(b"strongroom record v1").bytes(&store.0);
    writer.u8(id.kind.code());
    writer.prefixed_u16(id.account.as_str().as_bytes(), "account")?;
    writer.prefixed_u16(&id.name, "record name")?;
    writer.u64(revision.0);
    Ok(writer.into_bytes())
}

/// Seals the new state of a record.
pub(super) fn seal(
    store: StoreId,
    versions: &RootKeyVersions,
    revision: Revision,
    (id, body): PlainChange,
) -> Result<Change> {
    let aad = record_aad(store, &id, revision)?;
    let body = body.map(|body| versions.seal(&aad, &body)).transpose()?;
    Ok(Change { id, body })
}

/// Opens a record under the given versions.
pub(super) fn open_under(
    store: StoreId,
    versions: &RootKeyVersions,
    id: &RecordId,
    record: &Record,
) -> Result<SecretBytes> {
    versions.open(&record_aad(store, id, record.revision)?, &record.body)
}

/// Returns the ID of the record with the wrapped versions of the root key, the only record that is
/// not sealed.
pub(super) fn root_record_id() -> RecordId {
    store_record_id(b"root")
}

/// Returns the ID of the record with the secret for material IDs and the index.
pub(super) fn identity_record_id() -> RecordId {
    store_record_id(b"identity")
}
