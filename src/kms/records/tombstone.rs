//! The deletion of a key, named by the key ID in its account. It prevents a backup or an export
//! from restoring the key unnoticed.
//!
//! `u8 1 ‖ i64 deleted`, in milliseconds since 1970.

use super::codec::{LAYOUT, check_layout, put_timestamp, timestamp};
use super::key::KeyRecord;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// The record of a deleted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Tombstone {
    pub(in crate::kms) deleted: Timestamp,
}

impl Tombstone {
    pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId) -> RecordId {
        RecordId { kind: RecordKind::Tombstone, account, name: key_id.as_bytes().to_vec() }
    }

    /// Returns `true` if the key was deleted after the waiting period in this record had ended.
    pub(in crate::kms) fn ends(self, record: &KeyRecord) -> bool {
        record.is_past_deletion(self.deleted)
    }
}

impl StoredRecord for Tombstone {
    const KIND: RecordKind = RecordKind::Tombstone;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let tombstone = Self { deleted: timestamp(&mut reader)? };
        reader.finish()?;
        Ok(tombstone)
    }
}

impl PlainRecord for Tombstone {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(9);
        writer.u8(LAYOUT);
        put_timestamp(&mut writer, self.deleted);
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_read_as_it_was_written() -> Result<()> {
        let tombstone = Tombstone { deleted: Timestamp::from_unix_millis(-3) };
        let id = Tombstone::record_id(AccountId::default(), KeyId::from_bytes([1; 16]));
        let bytes = tombstone.encode()?;
        let bytes = bytes.expose_secret();
        assert_eq!(Tombstone::decode(&id, bytes)?, tombstone);
        assert!((0..bytes.len()).all(|length| Tombstone::decode(&id, &bytes[..length]).is_err()));
        Ok(())
    }
}
