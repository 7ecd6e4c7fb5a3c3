//! What the store keeps of the use of a key, and its byte layout before sealing.
//!
//! `u8 1 ‖ u64 requests ‖ since? (u64 time) ‖ last use? (u64 time, operation)`, the operation by its wire name with a 16-bit
//! length, optional fields with a byte 0 or 1 before them.

use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, Operation};
use crate::store::{RecordId, RecordKind};

const LAYOUT: u8 = 1;

/// How often a key was used, as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct UsageRecord {
    pub(in crate::kms) requests: u64,
    /// The last reset; `None` if there was none.
    pub(in crate::kms) since: Option<Timestamp>,
    pub(in crate::kms) last: Option<(Timestamp, Operation)>,
}

pub(in crate::kms) fn usage_record_id(account: AccountId, key_id: KeyId) -> RecordId {
    RecordId { kind: RecordKind::Usage, account, name: key_id.as_bytes().to_vec() }
}

impl UsageRecord {
    pub(in crate::kms) fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(64);
        writer.u8(LAYOUT).u64(self.requests).u8(self.since.is_some().into());
        if let Some(since) = self.since {
            writer.bytes(&since.unix_millis().to_be_bytes());
        }
        writer.u8(self.last.is_some().into());
        if let Some((time, operation)) = self.last {
            writer.bytes(&time.unix_millis().to_be_bytes());
            writer.prefixed_u16(operation.as_str().as_bytes(), "operation")?;
        }
        Ok(writer.into_bytes())
    }

    pub(in crate::kms) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8("record layout")? != LAYOUT {
            return Err(CodecError::Invalid { field: "record layout" }.into());
        }
        let requests = reader.u64("requests")?;
        let since = if present(&mut reader)? { Some(time(&mut reader)?) } else { None };
        let last = match present(&mut reader)? {
            true => Some((time(&mut reader)?, operation(&mut reader)?)),
            false => None,
        };
        reader.finish()?;
        Ok(Self { requests, since, last })
    }
}

fn present(reader: &mut Reader<'_>) -> Result<bool, CodecError> {
    match reader.u8("presence")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Invalid { field: "presence" }),
    }
}

fn time(reader: &mut Reader<'_>) -> Result<Timestamp, CodecError> {
    Ok(Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("time")?)))
}

fn operation(reader: &mut Reader<'_>) -> Result<Operation> {
    let name = reader.prefixed_u16("operation")?;
    Operation::parse(std::str::from_utf8(name).map_err(|_| CodecError::Invalid { field: "operation" })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let time = Timestamp::from_unix_millis(7);
        let full = UsageRecord { requests: u64::MAX, since: Some(time), last: Some((time, Operation::Decrypt)) };
        for record in [full, UsageRecord::default()] {
            let bytes = record.encode()?;
            assert_eq!(UsageRecord::decode(&bytes)?, record);
            assert!((0..bytes.len()).all(|length| UsageRecord::decode(&bytes[..length]).is_err()));
            assert!(UsageRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        Ok(())
    }
}
