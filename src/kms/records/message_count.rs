//! The number of messages encrypted under one version of an HSM key, named `16 key id ‖ u32
//! version` in the key's account.
//!
//! `u8 2 ‖ u64 messages that may have been made ‖ 16 tag`. Earlier builds wrote `u8 1 ‖ u64`,
//! without a tag.

use super::names::version_name;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeyVersion};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Layout versions without and with a tag.
const UNTAGGED: u8 = 1;
const TAGGED: u8 = 2;

/// A stored count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct MessageCount {
    /// The number of messages that were encrypted, or may be encrypted without another record.
    pub(in crate::kms) taken: u64,
    /// Distinguishes the store instance that counted the messages from its copies.
    pub(in crate::kms) tag: Option<[u8; 16]>,
}

impl MessageCount {
    pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId, version: KeyVersion) -> RecordId {
        RecordId { kind: RecordKind::MessageCount, account, name: version_name(key_id, version) }
    }
}

impl StoredRecord for MessageCount {
    const KIND: RecordKind = RecordKind::MessageCount;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let layout = reader.u8("record layout")?;
        let taken = reader.u64("messages")?;
        let tag = match layout {
            UNTAGGED => None,
            TAGGED => Some(reader.array("tag")?),
            _ => return Err(CodecError::Invalid { field: "record layout" }.into()),
        };
        reader.finish()?;
        Ok(Self { taken, tag })
    }
}

impl PlainRecord for MessageCount {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(25);
        writer.u8(if self.tag.is_some() { TAGGED } else { UNTAGGED }).u64(self.taken);
        self.tag.iter().for_each(|tag| _ = writer.bytes(tag));
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_by_this_build_and_by_earlier_ones_and_no_part_of_it_is() -> Result<()> {
        let id = MessageCount::record_id(AccountId::default(), KeyId::from_bytes([1; 16]), KeyVersion::FIRST);
        let new = MessageCount { taken: 7, tag: Some([3; 16]) }.encode()?;
        let old = [[1].as_slice(), &7_u64.to_be_bytes()].concat();
        for (bytes, tag) in [(new.expose_secret(), Some([3; 16])), (&old[..], None)] {
            let read = MessageCount::decode(&id, bytes)?;
            assert_eq!(read, MessageCount { taken: 7, tag });
            assert_eq!(read.encode()?.expose_secret(), bytes);
            assert!((0..bytes.len()).all(|length| MessageCount::decode(&id, &bytes[..length]).is_err()));
            assert!(MessageCount::decode(&id, &[bytes, &[0]].concat()).is_err());
        }
        Ok(())
    }
}
