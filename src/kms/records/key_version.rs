//! One version of the material of a key, as it lies in the record of the key.
//!
//! `u32 number ‖ 32 material id ‖ i64 created ‖ u8 rotation type ‖ provider ‖ public key? (u32 length ‖ bytes) ‖ u32 length ‖
//! sealed material ‖ imported? (description ‖ i64 valid to? ‖ u8 pending rotation ‖ 32 token digest)`; texts carry a 16-bit
//! length, and optional fields a byte 0 or 1 before them. The rotation type is 0 for none, 1 for automatic, 2 for on demand.

use super::codec::{flag, optional, put_flag, put_optional, put_text, put_timestamp, text, timestamp};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::key::{ExpirationModel, ImportState, KeyMaterialId, KeyVersion, RotationType};
use crate::provider::ProviderId;

/// The most bytes of sealed material of one version: an RSA-4096 private key with its sealing is under 3 KiB.
pub(in crate::kms) const MAX_SEALED_MATERIAL: usize = 16_384;

/// The most bytes of a public key, as in the API of AWS KMS: that of an RSA-4096 key has 550.
pub(in crate::kms) const MAX_PUBLIC_KEY: usize = 8_192;

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

impl VersionRecord {
    /// Whether it waits for a rotation on demand.
    pub(in crate::kms) fn is_pending_rotation(&self) -> bool {
        self.imported.as_ref().is_some_and(|imported| imported.is_pending_rotation)
    }

    /// Whether the material is there; only imported material ever goes away alone.
    pub(in crate::kms) const fn is_present(&self) -> bool {
        !self.sealed_material.is_empty()
    }

    fn valid_to(&self) -> Option<Timestamp> {
        self.imported.as_ref().and_then(|imported| imported.valid_to)
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.is_present() && self.valid_to().is_some_and(|valid_to| valid_to <= now)
    }

    /// Whether the material is there and its time is not over, whether or not anybody took note of that.
    pub(in crate::kms) fn is_usable(&self, now: Timestamp) -> bool {
        self.is_present() && !self.is_expired(now)
    }

    /// What lists tell of imported material.
    pub(in crate::kms) fn import_state(&self, now: Timestamp) -> Option<ImportState> {
        self.imported.as_ref().map(|_| match self.is_usable(now) {
            true => ImportState::Imported,
            false => ImportState::PendingImport,
        })
    }

    /// When the material expires, if it is there.
    pub(in crate::kms) fn expiration(&self, now: Timestamp) -> Option<(ExpirationModel, Option<Timestamp>)> {
        self.imported.as_ref().filter(|_| self.is_usable(now)).map(|imported| match imported.valid_to {
            Some(_) => (ExpirationModel::Expires, imported.valid_to),
            None => (ExpirationModel::DoesNotExpire, None),
        })
    }

    pub(super) fn remove_material(&mut self) {
        self.sealed_material.clear();
        if let Some(imported) = &mut self.imported {
            imported.valid_to = None;
        }
    }

    pub(super) fn put(&self, writer: &mut Writer) -> Result<(), CodecError> {
        writer.u32(self.number.number()).bytes(self.material_id.as_bytes());
        put_timestamp(writer, self.created);
        writer.u8(rotation_code(self.rotation));
        put_text(writer, self.provider.as_str(), "provider")?;
        put_optional(writer, self.public_key.as_ref(), |writer, public_key| {
            writer.prefixed_u32(public_key, MAX_PUBLIC_KEY, "public key").map(drop)
        })?;
        writer.prefixed_u32(&self.sealed_material, MAX_SEALED_MATERIAL, "sealed material")?;
        put_optional(writer, self.imported.as_ref(), |writer, imported| imported.put(writer))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            number: KeyVersion::new(reader.u32("version")?).ok_or(CodecError::Invalid { field: "version" })?,
            material_id: KeyMaterialId::from_bytes(reader.array("material id")?),
            created: timestamp(reader)?,
            rotation: rotation_of_code(reader.u8("rotation type")?)?,
            provider: ProviderId::new(text(reader, "provider")?),
            public_key: optional(reader, |reader| Ok(reader.prefixed_u32(MAX_PUBLIC_KEY, "public key")?.to_vec()))?,
            sealed_material: reader.prefixed_u32(MAX_SEALED_MATERIAL, "sealed material")?.to_vec(),
            imported: optional(reader, Imported::read)?,
        })
    }
}

impl Imported {
    fn put(&self, writer: &mut Writer) -> Result<(), CodecError> {
        put_text(writer, &self.description, "material description")?;
        put_optional(writer, self.valid_to, |writer, valid_to| {
            put_timestamp(writer, valid_to);
            Ok(())
        })?;
        put_flag(writer, self.is_pending_rotation);
        writer.bytes(&self.token_digest);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            description: text(reader, "material description")?.to_owned(),
            valid_to: optional(reader, |reader| Ok(timestamp(reader)?))?,
            is_pending_rotation: flag(reader)?,
            token_digest: reader.array("token digest")?,
        })
    }
}

const fn rotation_code(rotation: Option<RotationType>) -> u8 {
    match rotation {
        None => 0,
        Some(RotationType::Automatic) => 1,
        Some(RotationType::OnDemand) => 2,
    }
}

const fn rotation_of_code(code: u8) -> Result<Option<RotationType>, CodecError> {
    match code {
        0 => Ok(None),
        1 => Ok(Some(RotationType::Automatic)),
        2 => Ok(Some(RotationType::OnDemand)),
        _ => Err(CodecError::Invalid { field: "rotation type" }),
    }
}
