//! The sources of key material: the providers, the cryptography, and wrapping keys for imports.

use std::sync::Arc;

use super::wrapping_keys::WrappingKeys;
use crate::clock::Timestamp;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin, RotationType};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::{Imported, MAX_PUBLIC_KEY, MAX_SEALED_MATERIAL, VersionRecord};
use crate::kms::storage::registry::Registry;
use crate::provider::{GeneratedMaterial, KeyMaterialProvider, OpenedKey, ProviderId, key_pair_kind};
use crate::seal::OVERHEAD;
use crate::secret::SecretBytes;
use crate::span::StepSpan;

/// Maximum length in bytes of a provider's stored state for one version of a key.
const MAX_KEPT: usize = 16_000;

const _: () = assert!(MAX_KEPT + 5 + OVERHEAD <= MAX_SEALED_MATERIAL, "the sealed state fits into a record");

/// The sources of key material.
pub(in crate::kms) struct Material {
    pub(in crate::kms) providers: Vec<Arc<dyn KeyMaterialProvider>>,
    pub(in crate::kms) backend: CryptoBackend,
    pub(in crate::kms) wrapping_keys: WrappingKeys,
}

impl Material {
    /// Returns the provider of keys of an origin.
    pub(in crate::kms) fn provider_of_origin(&self, origin: Origin) -> Option<&Arc<dyn KeyMaterialProvider>> {
        self.providers.iter().find(|provider| provider.origin() == origin)
    }

    /// Returns the provider of a version of a key.
    pub(in crate::kms) fn provider(&self, id: &ProviderId) -> Result<&Arc<dyn KeyMaterialProvider>> {
        self.providers.iter().find(|provider| provider.id() == id).ok_or_else(|| {
            let name = id.as_str();
            Error::new(ErrorKind::KeyUnavailable, format!("the provider {name} of this key is not configured"))
        })
    }

    /// Rejects a key whose provider does not support rotation.
    pub(in crate::kms) fn check_rotates(&self, record: &KeyRecord) -> Result<()> {
        let Some(version) = record.current_version() else { return Ok(()) };
        let provider = self.provider(&version.provider)?;
        if provider.capabilities().rotates { Ok(()) } else { Err(never_rotates(&**provider)) }
    }

    /// Returns the provider of the next version of a key: that of its current version.
    pub(in crate::kms) fn provider_of_next_version(&self, record: &KeyRecord) -> Result<&dyn KeyMaterialProvider> {
        let provider = match record.current_version() {
            Some(version) => self.provider(&version.provider)?,
            None => self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?,
        };
        Ok(&**provider)
    }

    /// Generates material with a provider, and appends it to the record as its current version.
    pub(in crate::kms) fn generate_version(
        &self,
        registry: &Registry,
        provider: &dyn KeyMaterialProvider,
        record: &mut KeyRecord,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let generator = provider.generator().ok_or_else(|| unsupported(record))?;
        let binding = registry.sealed().binding(record, record.next_version()?);
        let generated = generator.generate(&self.backend, &binding)?;
        if let Err(error) = check_generated(provider, record.spec, &generated) {
            // Nothing will ever refer to the material. If it remains, its provider knows its name.
            provider.destroy(&binding, &generated.stored).ok();
            return Err(error);
        }
        let mut version = registry.sealed().seal_version(provider.id(), &binding, &generated, now)?;
        version.rotation = rotation;
        record.push_version(version);
        Ok(())
    }

    /// Appends material chosen by the caller to the record as its current version.
    pub(in crate::kms) fn add_known_version(
        &self,
        registry: &Registry,
        record: &mut KeyRecord,
        material: &SecretBytes,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let importer = provider.importer().ok_or_else(|| unsupported(record))?;
        let checked = importer.import(&self.backend, record.spec, material)?;
        let binding = registry.sealed().binding(record, record.next_version()?);
        let version = registry.sealed().seal_version(provider.id(), &binding, &checked, now)?;
        record.push_version(VersionRecord { rotation, ..version });
        Ok(())
    }

    /// Checks external material for use with the key of a record.
    pub(in crate::kms) fn check_import(&self, record: &KeyRecord, material: &SecretBytes) -> Result<GeneratedMaterial> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let importer = provider.importer().ok_or_else(|| unsupported(record))?;
        importer.import(&self.backend, record.spec, material)
    }

    /// Appends imported material to the record as a new version.
    pub(in crate::kms) fn add_imported_version(
        &self,
        registry: &Registry,
        record: &mut KeyRecord,
        material: &GeneratedMaterial,
        imported: Imported,
        now: Timestamp,
    ) -> Result<()> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let binding = registry.sealed().binding(record, record.next_version()?);
        let version = registry.sealed().seal_version(provider.id(), &binding, material, now)?;
        record.push_version(VersionRecord { imported: Some(imported), ..version });
        Ok(())
    }

    /// Checks the exported material of all versions from another store, and adds it to the record
    /// with IDs of this store.
    pub(in crate::kms) fn put_materials(
        &self,
        registry: &Registry,
        record: &mut KeyRecord,
        materials: &[Option<SecretBytes>],
    ) -> Result<()> {
        for (index, material) in materials.iter().enumerate() {
            let Some(material) = material else { continue };
            let version = &record.versions[index];
            let importer = self.provider(&version.provider)?.importer().ok_or_else(|| unsupported(record))?;
            let checked = importer.import(&self.backend, record.spec, material)?;
            if checked.public_key != version.public_key {
                let text = format!("the public key of version {} does not match its material", version.number);
                return Err(Error::new(ErrorKind::IncorrectKeyMaterial, text));
            }
            record.versions[index].material_id = registry.sealed().material_id(record.key_id, &checked.stored);
            registry.sealed().replace_material(record, index, &checked)?;
        }
        Ok(())
    }

    /// Opens a version of a key with a provider.
    pub(in crate::kms) fn open_version(
        &self,
        registry: &Registry,
        record: &KeyRecord,
        version: &VersionRecord,
        provider: &dyn KeyMaterialProvider,
    ) -> Result<OpenedKey> {
        let _span = StepSpan::open_key();
        let stored = registry.sealed().open_material(record, version)?;
        provider.open(&self.backend, &registry.sealed().binding(record, version.number), &stored)
    }

    /// Checks that a provider holds all material of a key.
    pub(in crate::kms) fn check_versions(
        &self,
        registry: &Registry,
        record: &KeyRecord,
        provider: &dyn KeyMaterialProvider,
    ) -> Result<()> {
        record.versions.iter().try_for_each(|version| self.open_version(registry, record, version, provider).map(drop))
    }
}

/// Rejects a version of a key that a provider cannot generate.
pub(in crate::kms) fn check_generates(
    provider: &dyn KeyMaterialProvider,
    record: &KeyRecord,
    rotation: Option<RotationType>,
) -> Result<()> {
    let can = provider.capabilities();
    if rotation.is_some() && !can.rotates {
        return Err(never_rotates(provider));
    }
    if !can.generates.contains(&(record.spec, record.usage)) {
        return Err(not_made(provider, record));
    }
    if record.origin == Origin::Hsm && matches!(record.usage, KeyUsage::KeyAgreement | KeyUsage::EncapsulateDecapsulate)
    {
        let text = format!("keys of origin {} do not support key agreement or encapsulation", record.origin);
        return Err(Error::new(ErrorKind::UnsupportedOperation, text));
    }
    if provider.generator().is_none() { Err(unsupported(record)) } else { Ok(()) }
}

/// Rejects material that is too long for a record, an unexpected public key, or a missing public
/// key.
fn check_generated(provider: &dyn KeyMaterialProvider, spec: KeySpec, generated: &GeneratedMaterial) -> Result<()> {
    let (stored, public) = (generated.stored.len(), generated.public_key.as_ref().map(Vec::len));
    let text = match (public, key_pair_kind(spec)) {
        _ if stored > MAX_KEPT => {
            format!("returned {stored} bytes to store for a key, but at most {MAX_KEPT} are allowed")
        }
        (Some(public), Some(_)) if public > MAX_PUBLIC_KEY => {
            format!("returned a public key of {public} bytes, but at most {MAX_PUBLIC_KEY} are allowed")
        }
        (Some(_), Some(_)) | (None, None) => return Ok(()),
        (None, Some(_)) => format!("returned no public key for a {spec} key"),
        (Some(_), None) => format!("returned a public key for a {spec} key"),
    };
    Err(Error::new(ErrorKind::Internal, format!("the provider {} {text}", provider.id().as_str())))
}

fn never_rotates(provider: &dyn KeyMaterialProvider) -> Error {
    let text = format!("the provider {} does not support key rotation", provider.id().as_str());
    Error::new(ErrorKind::UnsupportedOperation, text)
}

fn not_made(provider: &dyn KeyMaterialProvider, record: &KeyRecord) -> Error {
    let KeyRecord { spec, usage, origin, .. } = record;
    let mut text =
        format!("the provider {} does not support {spec} keys for {usage} of origin {origin}", provider.id().as_str());
    if let Some(missing) = provider.unsupported_reason(*spec, *usage) {
        text = format!("{text}: {missing}");
    }
    Error::new(ErrorKind::UnsupportedOperation, text)
}

fn unsupported(record: &KeyRecord) -> Error {
    let KeyRecord { spec, usage, origin, .. } = record;
    let text = format!("no provider of this KMS supports {spec} keys for {usage} of origin {origin}");
    Error::new(ErrorKind::UnsupportedOperation, text)
}
