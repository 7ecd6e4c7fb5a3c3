//! The sealed payload of an export: the keys in plaintext.

use std::collections::BTreeSet;

use super::error::ExportError;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{AliasName, KeyId};
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::codec::{ACCOUNT_LENGTH, account, put_timestamp, timestamp};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::{MAX_SEALED_MATERIAL, VersionRecord};
use crate::kms::records::stored_record::StoredRecord;
use crate::secret::SecretBytes;

const LAYOUT: u8 = 1;

/// The maximum size of a key record. Even a record with the most tags, aliases, and RSA-4096
/// versions is smaller.
const MAX_RECORD: usize = 4 << 20;

/// A key outside any store: its record, whose versions contain no sealed material; its material in
/// plaintext; and the timestamps of its aliases.
#[derive(Debug)]
pub(super) struct PortableKey {
    pub(super) record: KeyRecord,
    /// One entry for each version of the record. `None` while imported material is missing.
    pub(super) materials: Vec<Option<SecretBytes>>,
    /// The aliases that the record names, in the same order.
    pub(super) aliases: Vec<(AliasName, AliasRecord)>,
}

/// Serializes keys, which must be in ascending order.
///
/// ```text
/// payload = u8 layout = 1 ‖ u32 count, keys: 12 account ‖ 16 key id ‖ u32 length ‖ record ‖ for each of its versions:
///           u32 length ‖ material, empty if it is not there ‖ for each of its aliases: i64 created ‖ i64 updated
/// ```
///
/// Material has the form that the provider of a key stores: raw bytes for secret keys, and PKCS#8
/// in DER for private keys.
pub(super) fn encode(keys: &[PortableKey]) -> Result<SecretBytes> {
    let records = keys.iter().map(|key| key.record.encode()).collect::<Result<Vec<_>>>()?;
    // Allocated at its final size, because a vector that grows would leave copies of material
    // behind.
    let fixed = ACCOUNT_LENGTH + 16 + 4;
    let sizes = keys.iter().zip(&records).map(|(key, record)| {
        let materials: usize =
            key.materials.iter().map(|material| 4 + material.as_ref().map_or(0, SecretBytes::len)).sum();
        fixed + record.len() + materials + 16 * key.aliases.len()
    });
    let mut writer = Writer::with_capacity(5 + sizes.sum::<usize>());
    let count = u32::try_from(keys.len()).map_err(|_| Error::new(ErrorKind::LimitExceeded, "too many keys"))?;
    writer.u8(LAYOUT).u32(count);
    for (key, record) in keys.iter().zip(&records) {
        writer.bytes(key.record.account.as_bytes()).bytes(key.record.key_id.as_bytes());
        writer.prefixed_u32(record, MAX_RECORD, "record")?;
        for material in &key.materials {
            let bytes = material.as_ref().map_or(&[][..], SecretBytes::expose_secret);
            writer.prefixed_u32(bytes, MAX_SEALED_MATERIAL, "material")?;
        }
        for (_, alias) in &key.aliases {
            put_timestamp(&mut writer, alias.created);
            put_timestamp(&mut writer, alias.updated);
        }
    }
    Ok(SecretBytes::from_vec(writer.into_bytes()))
}

/// Parses keys. For any input, the result is either an error or keys that [`encode`] serializes to
/// the same bytes.
pub(super) fn decode(payload: &[u8]) -> Result<Vec<PortableKey>, ExportError> {
    decode_keys(payload).map_err(|error| ExportError::Malformed { reason: innermost(&error) })
}

fn decode_keys(payload: &[u8]) -> Result<Vec<PortableKey>> {
    let mut reader = Reader::new(payload);
    if reader.u8("layout")? != LAYOUT {
        return Err(CodecError::Invalid { field: "layout" }.into());
    }
    let mut keys: Vec<PortableKey> = Vec::new();
    for _ in 0..reader.u32("count")? {
        let key = decode_key(&mut reader)?;
        let place = |key: &PortableKey| (key.record.account, key.record.key_id);
        if keys.last().is_some_and(|last| place(last) >= place(&key)) {
            return Err(CodecError::Invalid { field: "order of keys" }.into());
        }
        keys.push(key);
    }
    reader.finish()?;
    let mut names = BTreeSet::new();
    let mut all = keys.iter().flat_map(|key| key.aliases.iter().map(|(name, _)| (key.record.account, name)));
    if !all.all(|name| names.insert(name)) {
        return Err(CodecError::Invalid { field: "list of aliases" }.into());
    }
    Ok(keys)
}

fn decode_key(reader: &mut Reader<'_>) -> Result<PortableKey> {
    let account = account(reader)?;
    let key_id = KeyId::from_bytes(reader.array("key id")?);
    let record = KeyRecord::decode(&KeyRecord::record_id(account, key_id), reader.prefixed_u32(MAX_RECORD, "record")?)?;
    if record.versions.iter().any(VersionRecord::is_present) {
        return Err(CodecError::Invalid { field: "sealed material" }.into());
    }
    let mut materials = Vec::new();
    for _ in &record.versions {
        let bytes = reader.prefixed_u32(MAX_SEALED_MATERIAL, "material")?;
        materials.push(Some(bytes).filter(|bytes| !bytes.is_empty()).map(SecretBytes::copy_from_slice));
    }
    let mut aliases = Vec::new();
    for name in &record.aliases {
        let alias = AliasRecord { target: key_id, created: timestamp(reader)?, updated: timestamp(reader)? };
        aliases.push((name.clone(), alias));
    }
    Ok(PortableKey { record, materials, aliases })
}

/// Returns the most precise message of an error.
fn innermost(error: &Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::AccountId;
    use crate::key::{KeyMaterialId, KeySpec, KeyUsage, KeyVersion, Origin};
    use crate::provider::ProviderId;

    fn key(number: u8) -> PortableKey {
        let time = Timestamp::from_unix_millis;
        let key_id = KeyId::from_random_bytes([number; 16]);
        let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
        let mut record = KeyRecord::new(AccountId::default(), key_id, spec, usage, Origin::External, time(5));
        for version in 1..=2 {
            record.push_version(VersionRecord {
                number: KeyVersion::new(version).expect("not zero"),
                material_id: KeyMaterialId::from_bytes([7; 32]),
                created: time(6),
                rotation: None,
                provider: ProviderId::new("imported"),
                public_key: None,
                sealed_material: Vec::new(),
                imported: Some(Default::default()),
            });
        }
        let name = AliasName::parse(&format!("alias/{number}")).expect("a name");
        record.aliases.insert(name.clone());
        let alias = AliasRecord { target: key_id, created: time(8), updated: time(9) };
        let materials = vec![Some(SecretBytes::copy_from_slice(&[number; 32])), None];
        PortableKey { record, materials, aliases: vec![(name, alias)] }
    }

    #[test]
    fn keys_are_read_as_they_were_written_and_no_part_of_them_is() -> Result<()> {
        let bytes = encode(&[key(1), key(2)])?;
        let bytes = bytes.expose_secret();
        let read = decode(bytes)?;
        assert_eq!(read.len(), 2);
        assert_eq!((&read[1].record, &read[1].materials), (&key(2).record, &key(2).materials));
        assert_eq!(read[1].aliases, key(2).aliases);
        assert!((0..bytes.len()).all(|length| decode(&bytes[..length]).is_err()));
        assert!(decode(&[bytes, &[0]].concat()).is_err());
        Ok(())
    }

    #[test]
    fn keys_out_of_order_an_alias_of_two_keys_and_sealed_material_are_refused() -> Result<()> {
        assert!(decode(encode(&[key(2), key(1)])?.expose_secret()).is_err());
        assert!(decode(encode(&[key(1), key(1)])?.expose_secret()).is_err());
        let mut other = key(2);
        (other.record.aliases, other.aliases) = (key(1).record.aliases, key(1).aliases);
        assert!(decode(encode(&[key(1), other])?.expose_secret()).is_err());
        let mut sealed = key(1);
        sealed.record.versions[0].sealed_material = vec![1];
        assert!(decode(encode(&[sealed])?.expose_secret()).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..2_000_usize, value: u8) {
            decode(&bytes).ok();
            let mut altered = encode(&[key(1), key(2)])?.expose_secret().to_vec();
            let at = at % altered.len();
            altered[at] = value;
            if let Ok(read) = decode(&altered) {
                let again = encode(&read)?;
                prop_assert_eq!(again.expose_secret(), &altered[..], "accepted bytes are canonical");
            }
        }
    }
}
