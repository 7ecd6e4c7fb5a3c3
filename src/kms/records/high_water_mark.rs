//! The high-water mark of trusted time: the record `time` of kind `Store`.
//!
//! `u8 1 ‖ i64 trusted ‖ unconfirmed? (i64)`, in milliseconds since 1970, with a byte 0 or 1 before
//! an optional field.

use super::codec::{LAYOUT, check_layout, optional, put_optional, put_timestamp, timestamp};
use super::store::store_record_id;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// The latest trusted time, and the first time observed after an implausible jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct HighWaterMark {
    pub(in crate::kms) trusted: Timestamp,
    pub(in crate::kms) unconfirmed: Option<Timestamp>,
}

impl HighWaterMark {
    pub(in crate::kms) const fn new(now: Timestamp) -> Self {
        Self { trusted: now, unconfirmed: None }
    }

    pub(in crate::kms) fn record_id() -> RecordId {
        store_record_id(b"time")
    }
}

impl StoredRecord for HighWaterMark {
    const KIND: RecordKind = RecordKind::Store;

    fn is_named(id: &RecordId) -> bool {
        *id == Self::record_id()
    }

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let trusted = timestamp(&mut reader)?;
        let unconfirmed = optional(&mut reader, |reader| Ok(timestamp(reader)?))?;
        reader.finish()?;
        Ok(Self { trusted, unconfirmed })
    }
}

impl PlainRecord for HighWaterMark {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(18);
        writer.u8(LAYOUT);
        put_timestamp(&mut writer, self.trusted);
        put_optional(&mut writer, self.unconfirmed, |writer, unconfirmed| {
            put_timestamp(writer, unconfirmed);
            Ok(())
        })?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let time = Timestamp::from_unix_millis;
        let decode = |bytes: &[u8]| HighWaterMark::decode(&HighWaterMark::record_id(), bytes);
        for mark in
            [HighWaterMark::new(time(-1)), HighWaterMark { trusted: time(1), unconfirmed: Some(time(i64::MAX)) }]
        {
            let bytes = mark.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(decode(bytes)?, mark);
            assert!((0..bytes.len()).all(|end| decode(&bytes[..end]).is_err()));
            assert!(decode(&[bytes, &[0]].concat()).is_err());
        }
        assert!(decode(&[2; 10]).is_err() && decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 2]).is_err());
        Ok(())
    }
}
