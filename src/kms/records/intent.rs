//! Pending work in an HSM, named `16 key id ‖ u32 version`. The record is written before the work
//! starts. If the process dies midway, maintenance uses the record to find the object. Afterwards,
//! either no object exists, or exactly one exists and a key refers to it.
//!
//! `u8 1 ‖ u8 purpose ‖ custom key store ‖ spec ‖ usage ‖ i64 begun`, in milliseconds since 1970;
//! texts carry a 16-bit length.

use std::time::Duration;

use super::codec::{LAYOUT, check_layout, put_text, put_timestamp, text, timestamp};
use super::names::{read_version_name, version_name};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{CustomKeyStoreId, KeyId, KeySpec, KeyUsage, KeyVersion, Origin};
use crate::provider::MaterialBinding;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind, StoreId};

/// Maximum duration of a creation. Maintenance treats an older one as interrupted and undoes it.
pub(in crate::kms) const CREATION_GRACE: Duration = Duration::from_secs(15 * 60);

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Purpose {
    /// The material is being created, and a key that refers to it will follow.
    Create,
    /// The creation was abandoned: any material it left must be destroyed.
    Abandon,
    /// The key was deleted: its material must be destroyed.
    Destroy,
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Abandon => 2,
            Self::Destroy => 3,
        }
    }

    const fn from_code(code: u8) -> Result<Self, CodecError> {
        match code {
            1 => Ok(Self::Create),
            2 => Ok(Self::Abandon),
            3 => Ok(Self::Destroy),
            _ => Err(CodecError::Invalid { field: "purpose" }),
        }
    }
}

/// A stored intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Intent {
    pub(in crate::kms) purpose: Purpose,
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) version: KeyVersion,
    pub(in crate::kms) custom_key_store: CustomKeyStoreId,
    pub(in crate::kms) spec: KeySpec,
    pub(in crate::kms) usage: KeyUsage,
    pub(in crate::kms) begun: Timestamp,
}

impl Intent {
    pub(in crate::kms) fn record_id(&self) -> RecordId {
        let name = version_name(self.key_id, self.version);
        RecordId { kind: RecordKind::Intent, account: self.account, name }
    }

    /// Returns the binding of the material.
    pub(in crate::kms) const fn binding(&self, store: StoreId) -> MaterialBinding {
        MaterialBinding {
            store: store.0,
            account: self.account,
            key_id: self.key_id,
            version: self.version,
            spec: self.spec,
            usage: self.usage,
            origin: Origin::Hsm,
        }
    }
}

impl StoredRecord for Intent {
    const KIND: RecordKind = RecordKind::Intent;

    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let (key_id, version) = read_version_name(&id.name)?;
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let intent = Self {
            purpose: Purpose::from_code(reader.u8("purpose")?)?,
            account: id.account,
            key_id,
            version,
            custom_key_store: CustomKeyStoreId::parse(text(&mut reader, "intent")?)?,
            spec: KeySpec::parse(text(&mut reader, "intent")?)?,
            usage: KeyUsage::parse(text(&mut reader, "intent")?)?,
            begun: timestamp(&mut reader)?,
        };
        reader.finish()?;
        Ok(intent)
    }
}

impl PlainRecord for Intent {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(96);
        writer.u8(LAYOUT).u8(self.purpose.code());
        for part in [self.custom_key_store.as_str(), self.spec.as_str(), self.usage.as_str()] {
            put_text(&mut writer, part, "intent")?;
        }
        put_timestamp(&mut writer, self.begun);
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        for purpose in [Purpose::Create, Purpose::Abandon, Purpose::Destroy] {
            let intent = Intent {
                purpose,
                account: AccountId::default(),
                key_id: KeyId::from_random_bytes([1; 16]),
                version: KeyVersion::FIRST,
                custom_key_store: CustomKeyStoreId::from_random_bytes([2; 9]),
                spec: KeySpec::EccNistP256,
                usage: KeyUsage::SignVerify,
                begun: Timestamp::from_unix_millis(-7),
            };
            let (id, bytes) = (intent.record_id(), intent.encode()?);
            let bytes = bytes.expose_secret();
            assert_eq!(Intent::decode(&id, bytes)?, intent);
            assert!((0..bytes.len()).all(|length| Intent::decode(&id, &bytes[..length]).is_err()));
            assert!(Intent::decode(&id, &[bytes, &[0]].concat()).is_err());
            let renamed = RecordId { name: id.name[1..].to_vec(), ..id };
            assert!(Intent::decode(&renamed, bytes).is_err());
        }
        Ok(())
    }
}
