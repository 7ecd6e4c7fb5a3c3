//! The usage of a key, named by the key ID in its account.
//!
//! `u8 1 ‖ u64 requests ‖ since? (i64 time) ‖ last use? (i64 time, operation)`, times in
//! milliseconds since 1970, the operation by its wire name with a 16-bit length, optional fields
//! with a byte 0 or 1 before them.

use super::codec::{LAYOUT, check_layout, optional, put_optional, put_text, put_timestamp, text, timestamp};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, Operation};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// The stored usage of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct UsageRecord {
    pub(in crate::kms) requests: u64,
    /// The time of the last reset, or `None` if the usage was never reset.
    pub(in crate::kms) since: Option<Timestamp>,
    pub(in crate::kms) last: Option<(Timestamp, Operation)>,
}

impl UsageRecord {
    pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId) -> RecordId {
        RecordId { kind: RecordKind::Usage, account, name: key_id.as_bytes().to_vec() }
    }
}

impl StoredRecord for UsageRecord {
    const KIND: RecordKind = RecordKind::Usage;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let record = Self {
            requests: reader.u64("requests")?,
            since: optional(&mut reader, |reader| Ok(timestamp(reader)?))?,
            last: optional(&mut reader, |reader| {
                Ok((timestamp(reader)?, Operation::parse(text(reader, "operation")?)?))
            })?,
        };
        reader.finish()?;
        Ok(record)
    }
}

impl PlainRecord for UsageRecord {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(64);
        writer.u8(LAYOUT).u64(self.requests);
        put_optional(&mut writer, self.since, |writer, since| {
            put_timestamp(writer, since);
            Ok(())
        })?;
        put_optional(&mut writer, self.last, |writer, (time, operation)| {
            put_timestamp(writer, time);
            put_text(writer, operation.as_str(), "operation")
        })?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let time = Timestamp::from_unix_millis(7);
        let full = UsageRecord { requests: u64::MAX, since: Some(time), last: Some((time, Operation::Decrypt)) };
        for record in [full, UsageRecord::default()] {
            let id = UsageRecord::record_id(AccountId::default(), KeyId::from_bytes([1; 16]));
            let bytes = record.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(UsageRecord::decode(&id, bytes)?, record);
            assert!((0..bytes.len()).all(|length| UsageRecord::decode(&id, &bytes[..length]).is_err()));
            assert!(UsageRecord::decode(&id, &[bytes, &[0]].concat()).is_err());
        }
        Ok(())
    }
}
