//! One version of a key's material, as encoded within the key's record.
//!
//! `u32 number ‖ 32 material id ‖ i64 created ‖ u8 rotation type ‖ provider ‖ public key? (u32
//! length ‖ bytes) ‖ u32 length ‖ sealed material ‖ imported? (description ‖ i64 valid to? ‖ u8
//! pending rotation ‖ 32 token digest)`. Texts carry a 16-bit length, and optional fields are
//! preceded by a byte 0 or 1. The rotation type is 0 for none, 1 for automatic, 2 for on demand.

use super::codec::{flag, optional, put_flag, put_optional, put_text, put_timestamp, text, timestamp};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::key::{ExpirationModel, ImportState, KeyMaterialId, KeyVersion, RotationType};
use crate::provider::ProviderId;

/// Maximum length of one version's sealed material in bytes. A sealed RSA-4096 private key is under
/// 3 KiB.
pub(in crate::kms) const MAX_SEALED_MATERIAL: usize = 16_384;

/// Maximum length of a public key in bytes, as in the API of AWS KMS. An RSA-4096 public key has
/// 550 bytes.
pub(in crate::kms) const MAX_PUBLIC_KEY: usize = 8_192;

/// One version of a key's material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct VersionRecord {
    pub(in crate::kms) number: KeyVersion,
    pub(in crate::kms) material_id: KeyMaterialId,
    pub(in crate::kms) created: Timestamp,
    /// The type of the rotation that created the version, or `None` for the first version.
    pub(in crate::kms) rotation: Option<RotationType>,
    pub(in crate::kms) provider: ProviderId,
    /// The public key of an asymmetric key, a SubjectPublicKeyInfo in DER.
    pub(in crate::kms) public_key: Option<Vec<u8>>,
    /// Empty while imported material is missing.
    pub(in crate::kms) sealed_material: Vec<u8>,
    /// Present for keys of origin `EXTERNAL`.
    pub(in crate::kms) imported: Option<Imported>,
}

/// The import details of a version. The material itself may be deleted and imported again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct Imported {
    pub(in crate::kms) description: String,
    /// The expiration time, or `None` if the material does not expire or is missing.
    pub(in crate::kms) valid_to: Option<Timestamp>,
    /// `true` if the version is pending an on-demand rotation, after which it is current. Until
    /// then it does not belong to the key.
    pub(in crate::kms) is_pending_rotation: bool,
    /// SHA-256 of the token of the most recent import, used to recognize a repeated request.
    pub(in crate::kms) token_digest: [u8; 32],
}

impl VersionRecord {
    /// Returns `true` if the version is pending an on-demand rotation.
    pub(in crate::kms) fn is_pending_rotation(&self) -> bool {
        self.imported.as_ref().is_some_and(|imported| imported.is_pending_rotation)
    }

    /// Returns `true` if the material is present. Only imported material can be removed without its
    /// version.
    pub(in crate::kms) const fn is_present(&self) -> bool {
        !self.sealed_material.is_empty()
    }

    pub(super) fn valid_to(&self) -> Option<Timestamp> {
        self.imported.as_ref().and_then(|imported| imported.valid_to)
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.is_present() && self.valid_to().is_some_and(|valid_to| valid_to <= now)
    }

    /// Returns `true` if the material is present and has not expired, even if the expiration is not
    /// recorded yet.
    pub(in crate::kms) fn is_usable(&self, now: Timestamp) -> bool {
        self.is_present() && !self.is_expired(now)
    }

    /// Returns the import state that list responses contain.
    pub(in crate::kms) fn import_state(&self, now: Timestamp) -> Option<ImportState> {
        self.imported.as_ref().map(|_| match self.is_usable(now) {
            true => ImportState::Imported,
            false => ImportState::PendingImport,
        })
    }

    /// Returns the expiration of the material, if it is present.
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
