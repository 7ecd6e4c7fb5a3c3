//! That a key was deleted, under its key id in its account, so that no backup and no export brings it back unnoticed.
//!
//! `u8 1 ‖ i64 deleted`, in milliseconds since 1970.

use super::codec::{LAYOUT, check_layout, put_timestamp, timestamp};
use super::key::KeyRecord;
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// The record of a deleted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Tombstone {
    pub(in crate::kms) deleted: Timestamp,
}

impl Tombstone {
    /// Returns `true` if the key was deleted after the end of the waiting period that it has here.
    pub(in crate::kms) fn ends(self, record: &KeyRecord) -> bool {
        record.is_past_deletion(self.deleted)
    }

    pub(in crate::kms) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(9);
        writer.u8(LAYOUT);
        put_timestamp(&mut writer, self.deleted);
        writer.into_bytes()
    }

    pub(in crate::kms) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let tombstone = Self { deleted: timestamp(&mut reader)? };
        reader.finish()?;
        Ok(tombstone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_read_as_it_was_written() -> Result<()> {
        let tombstone = Tombstone { deleted: Timestamp::from_unix_millis(-3) };
        let bytes = tombstone.encode();
        assert_eq!(Tombstone::decode(&bytes)?, tombstone);
        assert!((0..bytes.len()).all(|length| Tombstone::decode(&bytes[..length]).is_err()));
        Ok(())
    }
}
