//! A key with its versions, named by its key ID in its account.
//!
//! `u8 1 ‖ spec ‖ usage ‖ origin ‖ manager ‖ state` (wire names) `‖ i64 created ‖ description ‖
//! deletion? (i64 date, u32 days) ‖ rotation? (u32 days, i64 next) ‖ u32 on-demand rotations ‖ u16
//! count, tags (key, value) ‖ u16 count, aliases ‖ u32 last version number ‖ u16 count, versions ‖
//! service? ‖ policy? (u32 length ‖ text) ‖ u32 number of grants ‖ custom key store? (its id)`.
//! Times are milliseconds since 1970, texts carry a 16-bit length, and optional fields are preceded
//! by a byte 0 or 1. The file `key_version` documents the layout of a version.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::codec::{
    LAYOUT, check_layout, check_order, optional, put_count, put_optional, put_text, put_timestamp, text, timestamp,
    utf8,
};
use super::key_version::VersionRecord;
use super::names::key_id_of;
use super::stored_record::StoredRecord;
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, ServiceName};
use crate::key::{
    AliasName, CustomKeyStoreId, DeletionWindow, Description, KeyId, KeyManager, KeySpec, KeyState, KeyUsage,
    KeyVersion, Origin, RotationPeriod, Tag, TagSet,
};
use crate::policy::PolicyDocument;
use crate::provider::MaterialBinding;
use crate::store::{RecordId, RecordKind, StoreId};

/// Maximum difference between clocks that schedule rotations. A longer jump is not trusted.
const CLOCK_TOLERANCE_DAYS: u32 = 31;

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct KeyRecord {
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) spec: KeySpec,
    pub(in crate::kms) usage: KeyUsage,
    pub(in crate::kms) origin: Origin,
    pub(in crate::kms) manager: KeyManager,
    pub(in crate::kms) state: KeyState,
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) description: Description,
    pub(in crate::kms) deletion: Option<Deletion>,
    pub(in crate::kms) rotation: Option<Rotation>,
    pub(in crate::kms) on_demand_rotations: u32,
    pub(in crate::kms) tags: TagSet,
    pub(in crate::kms) aliases: BTreeSet<AliasName>,
    /// The highest number that any version has had, or 0 if the key never had a version.
    pub(in crate::kms) last_version: u32,
    /// In ascending order of number. The last version that is not pending rotation is current.
    pub(in crate::kms) versions: Vec<VersionRecord>,
    /// The service that owns the key, unless the account manages it.
    pub(in crate::kms) service: Option<ServiceName>,
    /// The text of the key policy, unless the key has the default policy.
    pub(in crate::kms) policy: Option<Arc<str>>,
    /// The number of grants on the key.
    pub(in crate::kms) grants: u32,
    /// The custom key store whose cluster holds the material, for keys of origin `AWS_CLOUDHSM`.
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
}

/// A scheduled deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Deletion {
    pub(in crate::kms) date: Timestamp,
    pub(in crate::kms) window: DeletionWindow,
}

/// An enabled automatic rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Rotation {
    pub(in crate::kms) period: RotationPeriod,
    pub(in crate::kms) next: Timestamp,
}

impl Rotation {
    /// Returns the schedule that follows a completed rotation.
    pub(in crate::kms) fn after(self, now: Timestamp) -> Self {
        let scheduled = self.next.plus_days(self.period.days());
        let in_time = scheduled > now && self.next <= now;
        Self { next: if in_time { scheduled } else { now.plus_days(self.period.days()) }, ..self }
    }

    /// Returns `true` if a clock that was far ahead scheduled the rotation, so that it would be
    /// delayed by more than its period and the clock tolerance.
    pub(super) fn is_put_off(self, now: Timestamp) -> bool {
        self.next > now.plus_days(self.period.days()).plus_days(CLOCK_TOLERANCE_DAYS)
    }
}

impl KeyRecord {
    /// Creates the record of a new customer managed key that has no material yet.
    pub(in crate::kms) fn new(
        account: AccountId,
        key_id: KeyId,
        spec: KeySpec,
        usage: KeyUsage,
        origin: Origin,
        created: Timestamp,
    ) -> Self {
        Self {
            account,
            key_id,
            spec,
            usage,
            origin,
            manager: KeyManager::Customer,
            state: KeyState::Creating,
            created,
            description: Description::default(),
            deletion: None,
            rotation: None,
            on_demand_rotations: 0,
            tags: TagSet::default(),
            aliases: BTreeSet::new(),
            last_version: 0,
            versions: Vec::new(),
            service: None,
            policy: None,
            grants: 0,
            custom_key_store: None,
        }
    }

    pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId) -> RecordId {
        RecordId { kind: RecordKind::Key, account, name: key_id.as_bytes().to_vec() }
    }

    /// Returns the binding of a version's material.
    pub(in crate::kms) fn binding(&self, store: StoreId, version: KeyVersion) -> MaterialBinding {
        let Self { account, key_id, spec, usage, origin, .. } = *self;
        MaterialBinding { store: store.0, account, key_id, version, spec, usage, origin }
    }

    /// Returns the version that new ciphertexts are encrypted under.
    pub(in crate::kms) fn current_version(&self) -> Option<&VersionRecord> {
        self.current_index().map(|index| &self.versions[index])
    }

    /// Returns the index of the current version.
    pub(in crate::kms) fn current_index(&self) -> Option<usize> {
        self.versions.iter().rposition(|version| !version.is_pending_rotation())
    }

    /// Returns the number of the next version. Numbers are never reused.
    pub(in crate::kms) fn next_version(&self) -> Result<KeyVersion> {
        self.last_version
            .checked_add(1)
            .and_then(KeyVersion::new)
            .ok_or_else(|| Error::new(ErrorKind::LimitExceeded, "a key has at most 2^32 - 1 versions"))
    }

    /// Appends a version.
    pub(in crate::kms) fn push_version(&mut self, version: VersionRecord) {
        self.last_version = version.number.number();
        self.versions.push(version);
    }

    pub(in crate::kms) fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(256 + 160 * self.versions.len());
        writer.u8(LAYOUT);
        for name in [self.spec.as_str(), self.usage.as_str(), self.origin.as_str(), self.manager.as_str()] {
            put_text(&mut writer, name, "key kind")?;
        }
        put_text(&mut writer, self.state.as_str(), "state")?;
        put_timestamp(&mut writer, self.created);
        put_text(&mut writer, self.description.as_str(), "description")?;
        put_optional(&mut writer, self.deletion, |writer, deletion| {
            put_timestamp(writer, deletion.date);
            writer.u32(deletion.window.days());
            Ok(())
        })?;
        put_optional(&mut writer, self.rotation, |writer, rotation| {
            writer.u32(rotation.period.days());
            put_timestamp(writer, rotation.next);
            Ok(())
        })?;
        writer.u32(self.on_demand_rotations);
        self.put_names(&mut writer)?;
        writer.u32(self.last_version);
        put_count(&mut writer, self.versions.len(), "versions")?;
        self.versions.iter().try_for_each(|version| version.put(&mut writer))?;
        put_optional(&mut writer, self.service.as_ref(), |writer, name| put_text(writer, name.as_str(), "service"))?;
        put_optional(&mut writer, self.policy.as_ref(), |writer, text| {
            writer.prefixed_u32(text.as_bytes(), PolicyDocument::MAX_LENGTH, "policy").map(drop)
        })?;
        writer.u32(self.grants);
        put_optional(&mut writer, self.custom_key_store, |writer, store| {
            put_text(writer, store.as_str(), "custom key store")
        })?;
        Ok(writer.into_bytes())
    }

    fn put_names(&self, writer: &mut Writer) -> Result<(), CodecError> {
        put_count(writer, self.tags.len(), "tags")?;
        for (key, value) in self.tags.iter() {
            put_text(writer, key, "tag key")?;
            put_text(writer, value, "tag value")?;
        }
        put_count(writer, self.aliases.len(), "aliases")?;
        self.aliases.iter().try_for_each(|alias| put_text(writer, alias.as_str(), "alias"))
    }
}

impl StoredRecord for KeyRecord {
    const KIND: RecordKind = RecordKind::Key;

    fn decode(id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let record = Self {
            account: id.account,
            key_id: key_id_of(id)?,
            spec: KeySpec::parse(text(&mut reader, "spec")?)?,
            usage: KeyUsage::parse(text(&mut reader, "usage")?)?,
            origin: Origin::parse(text(&mut reader, "origin")?)?,
            manager: KeyManager::parse(text(&mut reader, "manager")?)?,
            state: KeyState::parse(text(&mut reader, "state")?)?,
            created: timestamp(&mut reader)?,
            description: Description::parse(text(&mut reader, "description")?)?,
            deletion: optional(&mut reader, |reader| {
                Ok(Deletion { date: timestamp(reader)?, window: DeletionWindow::from_days(reader.u32("days")?)? })
            })?,
            rotation: optional(&mut reader, |reader| {
                Ok(Rotation { period: RotationPeriod::from_days(reader.u32("days")?)?, next: timestamp(reader)? })
            })?,
            on_demand_rotations: reader.u32("on-demand rotations")?,
            tags: decode_tags(&mut reader)?,
            aliases: decode_aliases(&mut reader)?,
            last_version: reader.u32("last version")?,
            versions: decode_versions(&mut reader)?,
            service: optional(&mut reader, |reader| ServiceName::parse(text(reader, "service")?))?,
            policy: optional(&mut reader, |reader| {
                Ok(utf8(reader.prefixed_u32(PolicyDocument::MAX_LENGTH, "policy")?, "policy")?.into())
            })?,
            grants: reader.u32("grants")?,
            custom_key_store: optional(&mut reader, |reader| {
                CustomKeyStoreId::parse(text(reader, "custom key store")?)
            })?,
        };
        reader.finish()?;
        let highest = record.versions.last().map_or(0, |version| version.number.number());
        if record.last_version < highest {
            return Err(CodecError::Invalid { field: "last version" }.into());
        }
        Ok(record)
    }
}

fn decode_tags(reader: &mut Reader<'_>) -> Result<TagSet> {
    let mut tags: Vec<Tag> = Vec::new();
    for _ in 0..reader.u16("tags")? {
        let tag = Tag::new(text(reader, "tag key")?, text(reader, "tag value")?)?;
        check_order(tags.last().map(Tag::key), tag.key(), "tag order")?;
        tags.push(tag);
    }
    TagSet::from_tags(tags)
}

fn decode_aliases(reader: &mut Reader<'_>) -> Result<BTreeSet<AliasName>> {
    let mut aliases = BTreeSet::new();
    for _ in 0..reader.u16("aliases")? {
        let alias = AliasName::parse(text(reader, "alias")?)?;
        check_order(aliases.last(), &alias, "alias order")?;
        aliases.insert(alias);
    }
    Ok(aliases)
}

fn decode_versions(reader: &mut Reader<'_>) -> Result<Vec<VersionRecord>> {
    let mut versions: Vec<VersionRecord> = Vec::new();
    for _ in 0..reader.u16("versions")? {
        let version = VersionRecord::read(reader)?;
        check_order(versions.last().map(|last| last.number), version.number, "version order")?;
        versions.push(version);
    }
    Ok(versions)
}

#[cfg(test)]
mod tests;
