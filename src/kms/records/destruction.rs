//! Material that a provider must destroy, recorded when its key is deleted.
//!
//! `u8 1 ‖ provider ‖ spec ‖ usage ‖ origin ‖ u32 length ‖ what the provider had kept`, under the
//! name `16 key id ‖ u32 version`; texts carry a 16-bit length. Material that is stored entirely in
//! the key's record needs no such record, because it is deleted with the key. If the provider is
//! not configured, the process cannot know that and writes the record anyway. A process with that
//! provider deletes it later.

use super::codec::{LAYOUT, check_layout, put_text, text};
use super::key_version::MAX_SEALED_MATERIAL;
use super::names::{read_version_name, version_name};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeySpec, KeyUsage, KeyVersion, Origin};
use crate::provider::{MaterialBinding, ProviderId};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind, StoreId};

/// A stored destruction.
#[derive(Debug)]
pub(in crate::kms) struct Destruction {
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) version: KeyVersion,
    pub(in crate::kms) provider: ProviderId,
    pub(in crate::kms) spec: KeySpec,
    pub(in crate::kms) usage: KeyUsage,
    pub(in crate::kms) origin: Origin,
    /// The provider's stored state of the material.
    pub(in crate::kms) stored: SecretBytes,
}

impl Destruction {
    pub(in crate::kms) fn record_id(&self) -> RecordId {
        let name = version_name(self.key_id, self.version);
        RecordId { kind: RecordKind::Destruction, account: self.account, name }
    }

    /// Returns the binding of the material.
    pub(in crate::kms) const fn binding(&self, store: StoreId) -> MaterialBinding {
        let Self { account, key_id, version, spec, usage, origin, .. } = *self;
        MaterialBinding { store: store.0, account, key_id, version, spec, usage, origin }
    }
}

impl StoredRecord for Destruction {
    const KIND: RecordKind = RecordKind::Destruction;

    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let (key_id, version) = read_version_name(&id.name)?;
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let destruction = Self {
            account: id.account,
            key_id,
            version,
            provider: ProviderId::new(text(&mut reader, "destruction")?),
            spec: KeySpec::parse(text(&mut reader, "destruction")?)?,
            usage: KeyUsage::parse(text(&mut reader, "destruction")?)?,
            origin: Origin::parse(text(&mut reader, "destruction")?)?,
            stored: SecretBytes::copy_from_slice(reader.prefixed_u32(MAX_SEALED_MATERIAL, "stored material")?),
        };
        reader.finish()?;
        Ok(destruction)
    }
}

impl PlainRecord for Destruction {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(96 + self.stored.len());
        writer.u8(LAYOUT);
        for part in [self.provider.as_str(), self.spec.as_str(), self.usage.as_str(), self.origin.as_str()] {
            put_text(&mut writer, part, "destruction")?;
        }
        writer.prefixed_u32(self.stored.expose_secret(), MAX_SEALED_MATERIAL, "stored material")?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destruction_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let destruction = Destruction {
            account: AccountId::default(),
            key_id: KeyId::from_random_bytes([1; 16]),
            version: KeyVersion::FIRST,
            provider: ProviderId::new("a token"),
            spec: KeySpec::EccNistP256,
            usage: KeyUsage::SignVerify,
            origin: Origin::Hsm,
            stored: SecretBytes::copy_from_slice(b"a reference"),
        };
        let (id, bytes) = (destruction.record_id(), destruction.encode()?);
        let (bytes, store) = (bytes.expose_secret(), StoreId([7; 16]));
        let read = Destruction::decode(&id, bytes)?;
        assert_eq!((read.record_id(), read.binding(store)), (id.clone(), destruction.binding(store)));
        assert_eq!((read.provider, read.stored.expose_secret()), (destruction.provider, &b"a reference"[..]));
        assert!((0..bytes.len()).all(|length| Destruction::decode(&id, &bytes[..length]).is_err()));
        assert!(Destruction::decode(&id, &[bytes, &[0]].concat()).is_err());
        let renamed = RecordId { name: id.name[1..].to_vec(), ..id };
        assert!(Destruction::decode(&renamed, bytes).is_err());
        Ok(())
    }
}
