//! The record of an alias, named by the alias in its account.
//!
//! `u8 1 ‖ 16 key id ‖ i64 created ‖ i64 updated`, in milliseconds since 1970.

use super::codec::{LAYOUT, check_layout, put_timestamp, timestamp};
use super::names::misnamed;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{AliasName, KeyId};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// A stored alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct AliasRecord {
    pub(in crate::kms) target: KeyId,
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) updated: Timestamp,
}

impl AliasRecord {
    pub(in crate::kms) fn record_id(account: AccountId, name: &AliasName) -> RecordId {
        RecordId { kind: RecordKind::Alias, account, name: name.as_str().as_bytes().to_vec() }
    }

    /// Returns the alias that the record ID names.
    pub(in crate::kms) fn name_in(id: &RecordId) -> Result<AliasName> {
        AliasName::parse(std::str::from_utf8(&id.name).map_err(|_| misnamed())?)
    }
}

impl StoredRecord for AliasRecord {
    const KIND: RecordKind = RecordKind::Alias;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let target = KeyId::from_bytes(reader.array("key id")?);
        let record = Self { target, created: timestamp(&mut reader)?, updated: timestamp(&mut reader)? };
        reader.finish()?;
        Ok(record)
    }
}

impl PlainRecord for AliasRecord {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(33);
        writer.u8(LAYOUT).bytes(self.target.as_bytes());
        put_timestamp(&mut writer, self.created);
        put_timestamp(&mut writer, self.updated);
        Ok(SecretBytes::from_vec(writer.into_bytes()))
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
        let id = AliasRecord::record_id(AccountId::default(), &AliasName::parse("alias/x")?);
        let bytes = record.encode()?;
        let bytes = bytes.expose_secret();
        assert_eq!(AliasRecord::decode(&id, bytes)?, record);
        assert!((0..bytes.len()).all(|length| AliasRecord::decode(&id, &bytes[..length]).is_err()));
        Ok(())
    }
}
