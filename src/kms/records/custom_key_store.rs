//! The custom key stores of an account. A single record holds all of them, so that one commit
//! checks and changes their names and number.
//!
//! `u8 1 ‖ u8 count, stores (id ‖ name ‖ cluster id ‖ mode ‖ i64 created ‖ u8 connected ‖ u64 keys
//! ‖ password?)`; texts carry a 16-bit length, the optional password a byte 0 or 1 and then a
//! 16-bit length.
//!
//! A cluster serves at most one custom key store across all accounts. A separate record claims it,
//! named `cluster/` followed by its ID: `u8 1 ‖ account ‖ id of the custom key store`.

use std::sync::Arc;

use super::codec::{
    LAYOUT, account, check_layout, check_order, flag, optional, put_flag, put_optional, put_text, put_timestamp, text,
    timestamp, utf8,
};
use super::names::misnamed;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{ClusterId, CustomKeyStoreId, CustomKeyStoreMode, CustomKeyStoreName};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Maximum number of custom key stores per account, as in AWS KMS.
pub(in crate::kms) const MAX_CUSTOM_KEY_STORES: usize = 10;

/// Maximum length of a crypto user's password in bytes. AWS CloudHSM allows 32 characters; PINs of
/// other tokens are longer.
pub(in crate::kms) const MAX_PASSWORD: usize = 255;

/// Prefix of a claim's name, followed by the cluster ID.
const CLAIM_PREFIX: &[u8] = b"cluster/";

/// A stored custom key store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct CustomKeyStoreRecord {
    pub(in crate::kms) id: CustomKeyStoreId,
    pub(in crate::kms) name: CustomKeyStoreName,
    pub(in crate::kms) cluster: ClusterId,
    pub(in crate::kms) mode: CustomKeyStoreMode,
    pub(in crate::kms) created: Timestamp,
    /// `true` if the owner wants the store connected. Each process connects when it first needs one
    /// of the store's keys.
    pub(in crate::kms) connected: bool,
    /// The number of keys in the store, including keys being created and keys pending deletion.
    pub(in crate::kms) keys: u64,
    /// The password of the crypto user, unless a provider supplies it.
    pub(in crate::kms) password: Option<Arc<SecretBytes>>,
}

/// The custom key stores of an account, in ascending order of ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct CustomKeyStores(pub(in crate::kms) Vec<CustomKeyStoreRecord>);

impl CustomKeyStores {
    pub(in crate::kms) fn record_id(account: AccountId) -> RecordId {
        RecordId { kind: RecordKind::CustomKeyStore, account, name: b"stores".to_vec() }
    }

    /// Returns the store with the given ID.
    pub(in crate::kms) fn get(&self, id: CustomKeyStoreId) -> Result<&CustomKeyStoreRecord> {
        self.0.iter().find(|store| store.id == id).ok_or_else(|| unknown(id))
    }

    /// Returns a copy in which one store is changed.
    pub(in crate::kms) fn with(
        &self,
        id: CustomKeyStoreId,
        change: impl FnOnce(&mut CustomKeyStoreRecord),
    ) -> Result<Self> {
        let mut changed = self.clone();
        change(changed.0.iter_mut().find(|store| store.id == id).ok_or_else(|| unknown(id))?);
        Ok(changed)
    }
}

impl StoredRecord for CustomKeyStores {
    const KIND: RecordKind = RecordKind::CustomKeyStore;

    fn is_named(id: &RecordId) -> bool {
        !ClusterClaim::is_named(id)
    }

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let mut stores: Vec<CustomKeyStoreRecord> = Vec::new();
        for _ in 0..reader.u8("custom key stores")? {
            let store = CustomKeyStoreRecord {
                id: CustomKeyStoreId::parse(text(&mut reader, "custom key store")?)?,
                name: CustomKeyStoreName::parse(text(&mut reader, "custom key store")?)?,
                cluster: ClusterId::parse(text(&mut reader, "custom key store")?)?,
                mode: CustomKeyStoreMode::parse(text(&mut reader, "custom key store")?)?,
                created: timestamp(&mut reader)?,
                connected: flag(&mut reader)?,
                keys: reader.u64("keys")?,
                password: optional(&mut reader, |reader| {
                    Ok(Arc::new(SecretBytes::copy_from_slice(reader.prefixed_u16("password")?)))
                })?,
            };
            check_order(stores.last().map(|last| last.id), store.id, "order of custom key stores")?;
            stores.push(store);
        }
        reader.finish()?;
        Ok(Self(stores))
    }
}

impl PlainRecord for CustomKeyStores {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(16 + 640 * self.0.len());
        let count = u8::try_from(self.0.len()).map_err(|_| CodecError::Invalid { field: "custom key stores" })?;
        writer.u8(LAYOUT).u8(count);
        for store in &self.0 {
            for part in [store.id.as_str(), store.name.as_str(), store.cluster.as_str(), store.mode.as_str()] {
                put_text(&mut writer, part, "custom key store")?;
            }
            put_timestamp(&mut writer, store.created);
            put_flag(&mut writer, store.connected);
            writer.u64(store.keys);
            put_optional(&mut writer, store.password.as_ref(), |writer, password| {
                writer.prefixed_u16(password.expose_secret(), "password").map(drop)
            })?;
        }
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

fn unknown(id: CustomKeyStoreId) -> Error {
    Error::new(ErrorKind::CustomKeyStoreNotFound, format!("there is no custom key store '{id}'"))
}

/// The claim of a custom key store on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct ClusterClaim {
    pub(in crate::kms) cluster: ClusterId,
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) custom_key_store: CustomKeyStoreId,
}

impl ClusterClaim {
    pub(in crate::kms) fn record_id(cluster: &ClusterId) -> RecordId {
        let name = [CLAIM_PREFIX, cluster.as_str().as_bytes()].concat();
        RecordId { kind: RecordKind::CustomKeyStore, account: AccountId::default(), name }
    }
}

impl StoredRecord for ClusterClaim {
    const KIND: RecordKind = RecordKind::CustomKeyStore;

    fn is_named(id: &RecordId) -> bool {
        id.name.starts_with(CLAIM_PREFIX)
    }

    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let field = "claim of a cluster";
        let cluster = id.name.strip_prefix(CLAIM_PREFIX).ok_or_else(misnamed)?;
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        Ok(Self {
            cluster: ClusterId::parse(utf8(cluster, field)?)?,
            account: account(&mut reader)?,
            custom_key_store: CustomKeyStoreId::parse(utf8(reader.take(reader.remaining(), field)?, field)?)?,
        })
    }
}

impl PlainRecord for ClusterClaim {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(40);
        writer.u8(LAYOUT).bytes(self.account.as_bytes()).bytes(self.custom_key_store.as_str().as_bytes());
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<CustomKeyStores> {
        CustomKeyStores::decode(&CustomKeyStores::record_id(AccountId::default()), bytes)
    }

    fn stores() -> Result<CustomKeyStores> {
        let store = |byte: u8, password: Option<&[u8]>| {
            Ok::<_, Error>(CustomKeyStoreRecord {
                id: CustomKeyStoreId::from_random_bytes([byte; 9]),
                name: CustomKeyStoreName::parse("größer")?,
                cluster: ClusterId::parse("cluster-1a23b4cdefg")?,
                mode: CustomKeyStoreMode::Extended,
                created: Timestamp::from_unix_millis(-5),
                connected: password.is_some(),
                keys: u64::from(byte),
                password: password.map(|password| Arc::new(SecretBytes::copy_from_slice(password))),
            })
        };
        Ok(CustomKeyStores(vec![store(1, None)?, store(2, Some(b"kmsPswd1"))?]))
    }

    #[test]
    fn stores_are_read_as_they_were_written_and_no_part_of_them_is() -> Result<()> {
        for stores in [stores()?, CustomKeyStores::default()] {
            let bytes = stores.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(decode(bytes)?, stores);
            assert!((0..bytes.len()).all(|length| decode(&bytes[..length]).is_err()));
            assert!(decode(&[bytes, &[0]].concat()).is_err());
        }
        Ok(())
    }

    #[test]
    fn stores_out_of_order_are_refused() -> Result<()> {
        let mut twice = stores()?;
        twice.0.reverse();
        assert!(decode(twice.encode()?.expose_secret()).is_err());
        Ok(())
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() -> Result<()> {
        let (cluster, account) = (ClusterId::parse("cluster-1a23b4cdefg")?, AccountId::parse("999999999999")?);
        let id = ClusterClaim::record_id(&cluster);
        let claim = ClusterClaim { cluster, account, custom_key_store: CustomKeyStoreId::from_random_bytes([3; 9]) };
        let bytes = claim.encode()?;
        let bytes = bytes.expose_secret();
        assert_eq!(ClusterClaim::decode(&id, bytes)?, claim);
        assert!(ClusterClaim::is_named(&id) && !ClusterClaim::is_named(&CustomKeyStores::record_id(account)));
        assert!((0..bytes.len()).all(|length| ClusterClaim::decode(&id, &bytes[..length]).is_err()));
        Ok(())
    }

    #[test]
    fn the_password_is_not_printed() -> Result<()> {
        assert!(!format!("{:?}", stores()?).contains("kmsPswd1"));
        Ok(())
    }

    proptest! {
        #[test]
        fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..200_usize, value: u8) {
            decode(&bytes).ok();
            let whole = stores()?.encode()?;
            let mut altered = whole.expose_secret().to_vec();
            let at = at % altered.len();
            altered[at] = value;
            if let Ok(read) = decode(&altered) {
                let again = read.encode()?;
                prop_assert_eq!(again.expose_secret(), &altered[..], "accepted bytes are canonical");
            }
        }
    }
}
