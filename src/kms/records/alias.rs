//! An alias, under its name in its account.
//!
//! `u8 1 ‖ 16 key id ‖ i64 created ‖ i64 updated`, in milliseconds since 1970.

use super::codec::{LAYOUT, check_layout, put_timestamp, timestamp};
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::key::KeyId;

/// An alias as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct AliasRecord {
    pub(in crate::kms) target: KeyId,
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) updated: Timestamp,
}

impl AliasRecord {
    pub(in crate::kms) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(33);
        writer.u8(LAYOUT).bytes(self.target.as_bytes());
        put_timestamp(&mut writer, self.created);
        put_timestamp(&mut writer, self.updated);
        writer.into_bytes()
    }

    pub(in crate::kms) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let target = KeyId::from_bytes(reader.array("key id")?);
        let record = Self { target, created: timestamp(&mut reader)?, updated: timestamp(&mut reader)? };
        reader.finish()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_as_it_was_written() -> Result<()> {
        let time = Timestamp::from_unix_millis;
        let record =
            AliasRecord { target: KeyId::from_random_bytes([1; 16]), created: time(1), updated: time(i64::MIN) };
        let bytes = record.encode();
        assert_eq!(AliasRecord::decode(&bytes)?, record);
        assert!((0..bytes.len()).all(|length| AliasRecord::decode(&bytes[..length]).is_err()));
        Ok(())
    }
}
