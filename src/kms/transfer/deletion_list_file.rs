//! The byte layout of a list of deleted keys.

use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::records::codec::{account, put_timestamp, timestamp};
use crate::kms::records::tombstone::Tombstone;
use crate::store::Revision;

/// The first bytes of a list of deletions, which precede its format version.
const MAGIC: &[u8; 8] = b"StRmGone";
const FORMAT: u8 = 2;

/// The format without the revision of the store.
const FORMAT_WITHOUT_REVISION: u8 = 1;

/// The length in bytes of the MAC at the end of a list.
const CODE_LENGTH: usize = 32;

/// The deleted keys of a store, to be kept alongside its backups.
///
/// ```text
/// list = "StRmGone" ‖ u8 format = 2 ‖ 16 id of the store ‖ u64 revision of the store ‖
///        u32 count, keys in ascending order: 12 account ‖ 16 key id ‖ i64 deleted ‖
///        32 HMAC-SHA-256 of all before, under the secret of material ids of the store
/// ```
///
/// Format 1, which is also supported, has no revision.
///
/// The secret of material IDs does not change when the root key is rotated, so lists from before a
/// rotation remain valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeletionList {
    pub(super) store: [u8; 16],
    /// The revision of the store when the list was created, or `None` in a list of format 1.
    pub(super) revision: Option<Revision>,
    pub(super) keys: Vec<(AccountId, KeyId, Tombstone)>,
}

impl DeletionList {
    /// Serializes the list. `code` computes the MAC of the preceding bytes.
    pub(super) fn encode(&self, code: impl FnOnce(&[u8]) -> [u8; CODE_LENGTH]) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(64 + 36 * self.keys.len());
        let limit = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let too_many = CodecError::TooLong { field: "deletions", length: self.keys.len(), limit };
        writer
            .bytes(MAGIC)
            .u8(if self.revision.is_some() { FORMAT } else { FORMAT_WITHOUT_REVISION })
            .bytes(&self.store);
        self.revision.iter().for_each(|revision| _ = writer.u64(revision.0));
        writer.u32(u32::try_from(self.keys.len()).map_err(|_| too_many)?);
        for (account, key_id, tombstone) in &self.keys {
            writer.bytes(account.as_bytes()).bytes(key_id.as_bytes());
            put_timestamp(&mut writer, tombstone.deleted);
        }
        let code = code(writer.as_bytes());
        writer.bytes(&code);
        Ok(writer.into_bytes())
    }

    /// Parses a list. Returns the authenticated bytes and the MAC at the end, which the caller
    /// verifies.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, &[u8], [u8; CODE_LENGTH])> {
        let (content, code) =
            bytes.split_last_chunk::<CODE_LENGTH>().ok_or(CodecError::Invalid { field: "list of deletions" })?;
        let mut reader = Reader::new(content);
        if reader.take(MAGIC.len(), "start")? != MAGIC {
            return Err(CodecError::Invalid { field: "list of deletions" }.into());
        }
        let has_revision = match reader.u8("format")? {
            FORMAT => true,
            FORMAT_WITHOUT_REVISION => false,
            _ => return Err(CodecError::Invalid { field: "format" }.into()),
        };
        let store = reader.array("store")?;
        let revision = if has_revision { Some(Revision(reader.u64("revision")?)) } else { None };
        let mut keys: Vec<(AccountId, KeyId, Tombstone)> = Vec::new();
        for _ in 0..reader.u32("count")? {
            let account = account(&mut reader)?;
            let key_id = KeyId::from_bytes(reader.array("key id")?);
            if keys.last().is_some_and(|(last, last_id, _)| (*last, *last_id) >= (account, key_id)) {
                return Err(CodecError::Invalid { field: "order of deletions" }.into());
            }
            keys.push((account, key_id, Tombstone { deleted: timestamp(&mut reader)? }));
        }
        reader.finish()?;
        Ok((Self { store, revision, keys }, content, *code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn list() -> DeletionList {
        let key = |number| {
            let tombstone = Tombstone { deleted: Timestamp::from_unix_millis(i64::from(number)) };
            (AccountId::default(), KeyId::from_bytes([number; 16]), tombstone)
        };
        DeletionList { store: [7; 16], revision: Some(Revision(3)), keys: vec![key(1), key(2), key(9)] }
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        for list in [list(), DeletionList { revision: None, ..list() }] {
            let bytes = list.encode(|content| [u8::try_from(content.len() % 256).expect("small"); 32])?;
            let (read, content, code) = DeletionList::decode(&bytes)?;
            assert_eq!((read, code), (list, [u8::try_from(content.len() % 256).expect("small"); 32]));
            assert!((0..bytes.len()).all(|length| DeletionList::decode(&bytes[..length]).is_err()));
        }
        let twice = DeletionList { keys: [list().keys, list().keys].concat(), ..list() };
        assert!(DeletionList::decode(&twice.encode(|_| [0; 32])?).is_err());
        Ok(())
    }
}
