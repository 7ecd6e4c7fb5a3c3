//! Versions of key material: made by a provider, sealed under the root key, opened for use.

use super::handle::Core;
use super::record::{KeyRecord, VersionRecord};
use super::registry::LoadedKey;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyMaterialId, KeyVersion, RotationType};
use crate::provider::{GeneratedMaterial, KeyMaterialProvider, MaterialBinding, OpenedKey};
use crate::secret::SecretBytes;

impl Core {
    /// Makes new material and appends it to the record as its current version.
    pub(super) fn add_version(
        &self,
        record: &mut KeyRecord,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let can = provider.capabilities();
        if !can.generates.contains(&(record.spec, record.usage)) || (rotation.is_some() && !can.rotates) {
            return Err(unsupported(record));
        }
        let generator = provider.generator().ok_or_else(|| unsupported(record))?;
        let number = match record.current_version() {
            Some(version) => version
                .number
                .next()
                .ok_or_else(|| Error::new(ErrorKind::LimitExceeded, "a key has at most 2^32 - 1 versions"))?,
            None => KeyVersion::FIRST,
        };
        let binding = self.binding(record, number);
        let generated = generator.generate(&self.backend, &binding)?;
        let version = self.seal_version(&**provider, &binding, generated, now, rotation)?;
        record.versions.push(version);
        Ok(())
    }

    fn seal_version(
        &self,
        provider: &dyn KeyMaterialProvider,
        binding: &MaterialBinding,
        generated: GeneratedMaterial,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<VersionRecord> {
        let GeneratedMaterial { kept, public_key, .. } = generated;
        let root = self.registry.root();
        let identity =
            self.registry.identity().identify(&[b"key material id", binding.key_id.as_bytes(), kept.expose_secret()]);
        Ok(VersionRecord {
            number: binding.version,
            material_id: KeyMaterialId::from_bytes(identity),
            created: now,
            rotation,
            provider: provider.id().clone(),
            public_key,
            sealed_material: root.seal(&binding.to_bytes(provider.id())?, kept.expose_secret())?,
        })
    }

    /// The version at `index` of a key, ready for use; opened the first time and kept with the key.
    pub(super) fn opened<'a>(&self, key: &'a LoadedKey, index: usize) -> Result<&'a OpenedKey> {
        key.opened(index, || {
            let version = key
                .record
                .versions
                .get(index)
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the key has no such version"))?;
            let binding = self.binding(&key.record, version.number);
            let kept = self.kept_material(&binding, version)?;
            self.provider(&version.provider)?.open(&self.backend, &binding, &kept)
        })
    }

    /// Lets the providers destroy what they hold of a key whose record is gone.
    pub(super) fn destroy_versions(&self, record: &KeyRecord) -> Result<()> {
        for version in &record.versions {
            let binding = self.binding(record, version.number);
            let kept = self.kept_material(&binding, version)?;
            self.provider(&version.provider)?.destroy(&binding, &kept)?;
        }
        Ok(())
    }

    fn kept_material(&self, binding: &MaterialBinding, version: &VersionRecord) -> Result<SecretBytes> {
        self.registry.root().open(&binding.to_bytes(&version.provider)?, &version.sealed_material)
    }

    fn binding(&self, record: &KeyRecord, version: KeyVersion) -> MaterialBinding {
        MaterialBinding {
            store: self.registry.store_id().0,
            account: record.account,
            key_id: record.key_id,
            version,
            spec: record.spec,
            usage: record.usage,
            origin: record.origin,
        }
    }
}

fn unsupported(record: &KeyRecord) -> Error {
    let KeyRecord { spec, usage, origin, .. } = record;
    let text = format!("no provider of this KMS makes {spec} keys for {usage} of origin {origin}");
    Error::new(ErrorKind::UnsupportedOperation, text)
}
