//! What the store keeps of a key and of an alias, and its byte layout before sealing.
//!
//! Numbers are big-endian, times are milliseconds since 1970, texts carry a 16-bit length, optional fields a byte 0
//! or 1 before them. The first byte is the version of the layout.
//!
//! Key: `u8 1 ‖ spec ‖ usage ‖ origin ‖ manager ‖ state` (wire names) `‖ u64 created ‖ description ‖ deletion? (u64 date,
//! u32 days) ‖ rotation? (u32 days, u64 next) ‖ u32 on-demand rotations ‖ u16 count, tags (key, value) ‖ u16 count,
//! aliases ‖ u32 last version number ‖ u16 count, versions (u32 number, 32 material id, u64 created, u8 rotation type,
//! provider, u32 length ‖ public key?, u32 length ‖ sealed material, imported? (description, u64 valid to?, u8 pending
//! rotation, 32 token digest)) ‖ service? ‖ policy? (u32 length ‖ text) ‖ u32 number of grants ‖ custom key store? (its id)`.
//!
//! Alias: `u8 1 ‖ 16 key id ‖ u64 created ‖ u64 updated`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, ServiceName};
use crate::key::{
    AliasName, CustomKeyStoreId, DeletionWindow, Description, KeyArn, KeyId, KeyManager, KeyMaterialId, KeyMetadata,
    KeySpec, KeyState, KeyUsage, KeyVersion, Origin, RotationPeriod, RotationType, SpecClass, Tag, TagSet,
};
use crate::policy::PolicyDocument;
use crate::provider::ProviderId;

pub(in crate::kms) const LAYOUT: u8 = 1;

/// The most bytes of sealed material of one version: an RSA-4096 private key with its sealing is under 3 KiB.
pub(in crate::kms) const MAX_SEALED_MATERIAL: usize = 16_384;

/// The most bytes of a public key, as in the API of AWS KMS: that of an RSA-4096 key has 550.
pub(in crate::kms) const MAX_PUBLIC_KEY: usize = 8_192;

/// How far clocks that schedule rotations may differ: a jump that is longer is not believed.
const CLOCK_TOLERANCE_DAYS: u32 = 31;

/// A key as it is stored.
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
    /// The highest number that a version ever had; 0 if there was none.
    pub(in crate::kms) last_version: u32,
    /// Ascending by number. The last is the current one, but for one behind it that waits for a rotation.
    pub(in crate::kms) versions: Vec<VersionRecord>,
    /// The service that the key belongs to, unless the account manages it.
    pub(in crate::kms) service: Option<ServiceName>,
    /// The text of its policy, unless it has the default one.
    pub(in crate::kms) policy: Option<Arc<str>>,
    /// How many grants on it there are.
    pub(in crate::kms) grants: u32,
    /// The store whose cluster holds the material, for keys of origin `AWS_CLOUDHSM`.
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
}

/// A scheduled deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Deletion {
    pub(in crate::kms) date: Timestamp,
    pub(in crate::kms) window: DeletionWindow,
}

/// An automatic rotation that is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Rotation {
    pub(in crate::kms) period: RotationPeriod,
    pub(in crate::kms) next: Timestamp,
}

impl Rotation {
    /// The same rotation once it has happened.
    pub(in crate::kms) fn after(self, now: Timestamp) -> Self {
        let scheduled = self.next.plus_days(self.period.days());
        let in_time = scheduled > now && self.next <= now;
        Self { next: if in_time { scheduled } else { now.plus_days(self.period.days()) }, ..self }
    }

    /// Whether it was scheduled by a clock that was far ahead, and would not happen for longer than any period is.
    fn is_put_off(self, now: Timestamp) -> bool {
        self.next > now.plus_days(self.period.days()).plus_days(CLOCK_TOLERANCE_DAYS)
    }
}

/// One version of a key's material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct VersionRecord {
    pub(in crate::kms) number: KeyVersion,
    pub(in crate::kms) material_id: KeyMaterialId,
    pub(in crate::kms) created: Timestamp,
    /// How the version came to be; the first one was not made by a rotation.
    pub(in crate::kms) rotation: Option<RotationType>,
    pub(in crate::kms) provider: ProviderId,
    /// The public key of an asymmetric key, a SubjectPublicKeyInfo in DER.
    pub(in crate::kms) public_key: Option<Vec<u8>>,
    /// Empty while imported material is not there.
    pub(in crate::kms) sealed_material: Vec<u8>,
    /// For keys of origin `EXTERNAL`.
    pub(in crate::kms) imported: Option<Imported>,
}

/// What is known of a version whose material was imported. The material itself may be gone, and come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct Imported {
    pub(in crate::kms) description: String,
    /// The end of its time; `None` if it has none, or the material is not there.
    pub(in crate::kms) valid_to: Option<Timestamp>,
    /// Whether it waits for a rotation on demand to make it current. Until then it belongs to nothing.
    pub(in crate::kms) is_pending_rotation: bool,
    /// SHA-256 of the import token that it last came with, by which a repeated request is known.
    pub(in crate::kms) token_digest: [u8; 32],
}

/// An alias as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct AliasRecord {
    pub(in crate::kms) target: KeyId,
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) updated: Timestamp,
}

impl KeyRecord {
    /// A key that is being made, of the account's own, without any material yet.
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

    /// The version that new ciphertexts are made under.
    pub(in crate::kms) fn current_version(&self) -> Option<&VersionRecord> {
        self.current_index().map(|index| &self.versions[index])
    }

    /// Its place among the versions.
    pub(in crate::kms) fn current_index(&self) -> Option<usize> {
        self.versions.iter().rposition(|version| !version.is_pending_rotation())
    }

    /// The number of the next version, which no version had before.
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

    /// Returns `true` if the waiting period has ended.
    pub(in crate::kms) fn is_past_deletion(&self, now: Timestamp) -> bool {
        self.state == KeyState::PendingDeletion && self.deletion.is_some_and(|deletion| deletion.date <= now)
    }

    /// Whether the automatic rotation should have happened by now. Only enabled keys rotate.
    pub(in crate::kms) fn is_rotation_due(&self, now: Timestamp) -> bool {
        self.state == KeyState::Enabled
            && self.rotation.is_some_and(|rotation| rotation.next <= now || rotation.is_put_off(now))
    }

    /// What DescribeKey returns.
    pub(in crate::kms) fn metadata(&self, arn: &KeyArn, now: Timestamp) -> KeyMetadata {
        let expiration = self.earliest_expiration(now);
        KeyMetadata {
            arn: arn.clone(),
            created: self.created,
            state: self.state_at(now),
            description: self.description.clone(),
            manager: self.manager,
            spec: self.spec,
            usage: self.usage,
            origin: self.origin,
            deletion_date: self.deletion.map(|deletion| deletion.date),
            pending_window: self.deletion.map(|deletion| deletion.window),
            valid_to: expiration.and_then(|(_, valid_to)| valid_to),
            expiration_model: expiration.map(|(model, _)| model),
            current_key_material_id: self
                .current_version()
                .filter(|_| self.spec.class() == SpecClass::Symmetric && self.origin != Origin::Hsm)
                .map(|version| version.material_id),
            custom_key_store_id: self.custom_key_store,
            cluster_id: None,
        }
    }

    pub(in crate::kms) fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(256 + 160 * self.versions.len());
        writer.u8(LAYOUT);
        for name in [self.spec.as_str(), self.usage.as_str(), self.origin.as_str(), self.manager.as_str()] {
            writer.prefixed_u16(name.as_bytes(), "key kind")?;
        }
        writer.prefixed_u16(self.state.as_str().as_bytes(), "state")?;
        time(&mut writer, self.created);
        writer.prefixed_u16(self.description.as_str().as_bytes(), "description")?;
        if present(&mut writer, self.deletion.is_some()) {
            self.deletion.iter().for_each(|deletion| {
                time(&mut writer, deletion.date);
                writer.u32(deletion.window.days());
            });
        }
        if present(&mut writer, self.rotation.is_some()) {
            self.rotation.iter().for_each(|rotation| {
                writer.u32(rotation.period.days());
                time(&mut writer, rotation.next);
            });
        }
        writer.u32(self.on_demand_rotations);
        self.encode_names(&mut writer)?;
        self.encode_versions(&mut writer)?;
        if present(&mut writer, self.service.is_some()) {
            let name = self.service.as_ref().map_or("", ServiceName::as_str);
            writer.prefixed_u16(name.as_bytes(), "service")?;
        }
        if present(&mut writer, self.policy.is_some()) {
            let text = self.policy.as_deref().unwrap_or_default();
            writer.prefixed_u32(text.as_bytes(), PolicyDocument::MAX_LENGTH, "policy")?;
        }
        writer.u32(self.grants);
        present(&mut writer, self.custom_key_store.is_some());
        if let Some(store) = &self.custom_key_store {
            writer.prefixed_u16(store.as_str().as_bytes(), "custom key store")?;
        }
        Ok(writer.into_bytes())
    }

    fn encode_names(&self, writer: &mut Writer) -> Result<(), CodecError> {
        writer.u16(count(self.tags.len(), "tags")?);
        for (key, value) in self.tags.iter() {
            writer.prefixed_u16(key.as_bytes(), "tag key")?;
            writer.prefixed_u16(value.as_bytes(), "tag value")?;
        }
        writer.u16(count(self.aliases.len(), "aliases")?);
        for alias in &self.aliases {
            writer.prefixed_u16(alias.as_str().as_bytes(), "alias")?;
        }
        Ok(())
    }

    fn encode_versions(&self, writer: &mut Writer) -> Result<(), CodecError> {
        writer.u32(self.last_version);
        writer.u16(count(self.versions.len(), "versions")?);
        for version in &self.versions {
            writer.u32(version.number.number()).bytes(version.material_id.as_bytes());
            time(writer, version.created);
            writer.u8(rotation_code(version.rotation));
            writer.prefixed_u16(version.provider.as_str().as_bytes(), "provider")?;
            present(writer, version.public_key.is_some());
            if let Some(public_key) = &version.public_key {
                writer.prefixed_u32(public_key, MAX_PUBLIC_KEY, "public key")?;
            }
            writer.prefixed_u32(&version.sealed_material, MAX_SEALED_MATERIAL, "sealed material")?;
            present(writer, version.imported.is_some());
            if let Some(imported) = &version.imported {
                encode_imported(writer, imported)?;
            }
        }
        Ok(())
    }

    pub(in crate::kms) fn decode(account: AccountId, key_id: KeyId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let record = Self {
            account,
            key_id,
            spec: KeySpec::parse(text(&mut reader, "spec")?)?,
            usage: KeyUsage::parse(text(&mut reader, "usage")?)?,
            origin: Origin::parse(text(&mut reader, "origin")?)?,
            manager: KeyManager::parse(text(&mut reader, "manager")?)?,
            state: KeyState::parse(text(&mut reader, "state")?)?,
            created: read_time(&mut reader)?,
            description: Description::parse(text(&mut reader, "description")?)?,
            deletion: optional(&mut reader, |reader| {
                Ok(Deletion { date: read_time(reader)?, window: DeletionWindow::from_days(reader.u32("days")?)? })
            })?,
            rotation: optional(&mut reader, |reader| {
                Ok(Rotation { period: RotationPeriod::from_days(reader.u32("days")?)?, next: read_time(reader)? })
            })?,
            on_demand_rotations: reader.u32("on-demand rotations")?,
            tags: decode_tags(&mut reader)?,
            aliases: decode_aliases(&mut reader)?,
            last_version: reader.u32("last version")?,
            versions: decode_versions(&mut reader)?,
            service: optional(&mut reader, |reader| ServiceName::parse(text(reader, "service")?))?,
            policy: optional(&mut reader, |reader| {
                let bytes = reader.prefixed_u32(PolicyDocument::MAX_LENGTH, "policy")?;
                Ok(std::str::from_utf8(bytes).map_err(|_| CodecError::Invalid { field: "policy" })?.into())
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

impl AliasRecord {
    pub(in crate::kms) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(33);
        writer.u8(LAYOUT).bytes(self.target.as_bytes());
        time(&mut writer, self.created);
        time(&mut writer, self.updated);
        writer.into_bytes()
    }

    pub(in crate::kms) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let target = KeyId::from_bytes(reader.array("key id")?);
        let record = Self { target, created: read_time(&mut reader)?, updated: read_time(&mut reader)? };
        reader.finish()?;
        Ok(record)
    }
}

fn decode_tags(reader: &mut Reader<'_>) -> Result<TagSet> {
    let mut tags: Vec<Tag> = Vec::new();
    for _ in 0..reader.u16("tags")? {
        let tag = Tag::new(text(reader, "tag key")?, text(reader, "tag value")?)?;
        check_order(tags.last().map(Tag::key), Some(tag.key()), "tag order")?;
        tags.push(tag);
    }
    TagSet::from_tags(tags)
}

fn decode_aliases(reader: &mut Reader<'_>) -> Result<BTreeSet<AliasName>> {
    let mut aliases = BTreeSet::new();
    for _ in 0..reader.u16("aliases")? {
        let alias = AliasName::parse(text(reader, "alias")?)?;
        check_order(aliases.last(), Some(&alias), "alias order")?;
        aliases.insert(alias);
    }
    Ok(aliases)
}

/// Lists are written in ascending order, so that one record has one encoding.
fn check_order<T: PartialOrd>(last: Option<T>, next: Option<T>, field: &'static str) -> Result<(), CodecError> {
    if last < next { Ok(()) } else { Err(CodecError::Invalid { field }) }
}

fn decode_versions(reader: &mut Reader<'_>) -> Result<Vec<VersionRecord>> {
    let mut versions: Vec<VersionRecord> = Vec::new();
    for _ in 0..reader.u16("versions")? {
        let version = VersionRecord {
            number: KeyVersion::new(reader.u32("version")?).ok_or(CodecError::Invalid { field: "version" })?,
            material_id: KeyMaterialId::from_bytes(reader.array("material id")?),
            created: read_time(reader)?,
            rotation: decode_rotation(reader.u8("rotation type")?)?,
            provider: ProviderId::new(text(reader, "provider")?),
            public_key: optional(reader, |reader| Ok(reader.prefixed_u32(MAX_PUBLIC_KEY, "public key")?.to_vec()))?,
            sealed_material: reader.prefixed_u32(MAX_SEALED_MATERIAL, "sealed material")?.to_vec(),
            imported: optional(reader, decode_imported)?,
        };
        check_order(versions.last().map(|last| last.number), Some(version.number), "version order")?;
        versions.push(version);
    }
    Ok(versions)
}

fn encode_imported(writer: &mut Writer, imported: &Imported) -> Result<(), CodecError> {
    writer.prefixed_u16(imported.description.as_bytes(), "material description")?;
    if present(writer, imported.valid_to.is_some()) {
        imported.valid_to.iter().for_each(|valid_to| time(writer, *valid_to));
    }
    present(writer, imported.is_pending_rotation);
    writer.bytes(&imported.token_digest);
    Ok(())
}

fn decode_imported(reader: &mut Reader<'_>) -> Result<Imported> {
    Ok(Imported {
        description: text(reader, "material description")?.to_owned(),
        valid_to: optional(reader, |reader| Ok(read_time(reader)?))?,
        is_pending_rotation: optional(reader, |_| Ok(()))?.is_some(),
        token_digest: reader.array("token digest")?,
    })
}

pub(in crate::kms) fn check_layout(reader: &mut Reader<'_>) -> Result<(), CodecError> {
    match reader.u8("record layout")? {
        LAYOUT => Ok(()),
        _ => Err(CodecError::Invalid { field: "record layout" }),
    }
}

/// The name of a record about one version of a key: `16 key id ‖ u32 version`.
pub(in crate::kms) fn version_name(key_id: KeyId, version: KeyVersion) -> Vec<u8> {
    [&key_id.as_bytes()[..], &version.number().to_be_bytes()].concat()
}

pub(in crate::kms) fn read_version_name(name: &[u8]) -> Result<(KeyId, KeyVersion), CodecError> {
    let mut reader = Reader::new(name);
    let key_id = KeyId::from_bytes(reader.array("key id")?);
    let version = KeyVersion::new(reader.u32("version")?).ok_or(CodecError::Invalid { field: "version" })?;
    reader.finish()?;
    Ok((key_id, version))
}

pub(in crate::kms) fn present(writer: &mut Writer, present: bool) -> bool {
    writer.u8(u8::from(present));
    present
}

pub(in crate::kms) fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
) -> Result<Option<T>> {
    match reader.u8("presence")? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(CodecError::Invalid { field: "presence" }.into()),
    }
}

const fn rotation_code(rotation: Option<RotationType>) -> u8 {
    match rotation {
        None => 0,
        Some(RotationType::Automatic) => 1,
        Some(RotationType::OnDemand) => 2,
    }
}

const fn decode_rotation(code: u8) -> Result<Option<RotationType>, CodecError> {
    match code {
        0 => Ok(None),
        1 => Ok(Some(RotationType::Automatic)),
        2 => Ok(Some(RotationType::OnDemand)),
        _ => Err(CodecError::Invalid { field: "rotation type" }),
    }
}

fn count(length: usize, field: &'static str) -> Result<u16, CodecError> {
    u16::try_from(length).map_err(|_| CodecError::TooLong { field, length, limit: usize::from(u16::MAX) })
}

pub(in crate::kms) fn time(writer: &mut Writer, time: Timestamp) {
    writer.bytes(&time.unix_millis().to_be_bytes());
}

pub(in crate::kms) fn read_time(reader: &mut Reader<'_>) -> Result<Timestamp, CodecError> {
    Ok(Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("time")?)))
}

pub(in crate::kms) fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, CodecError> {
    std::str::from_utf8(reader.prefixed_u16(field)?).map_err(|_| CodecError::Invalid { field })
}

#[cfg(test)]
mod tests;
