//! Key material inside records: bound to its key and version, and sealed under the root key.

use std::borrow::Cow;

use super::sealed::Sealed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{KeyId, KeyMaterialId, KeyVersion};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::VersionRecord;
use crate::provider::{GeneratedMaterial, MaterialBinding, ProviderId};
use crate::seal::RootKeyVersions;
use crate::secret::SecretBytes;
use crate::store::StoreId;

impl Sealed {
    /// Returns the binding of the material of a version of a key.
    pub(in crate::kms) fn binding(&self, record: &KeyRecord, version: KeyVersion) -> MaterialBinding {
        record.binding(self.id(), version)
    }

    /// Returns the ID by which this store recognizes material of a key when it is imported again.
    pub(in crate::kms) fn material_id(&self, key_id: KeyId, stored: &SecretBytes) -> KeyMaterialId {
        let parts = [b"key material id", key_id.as_bytes().as_slice(), stored.expose_secret()];
        KeyMaterialId::from_bytes(self.identity().identify(&parts))
    }

    /// Seals the material of a version.
    pub(in crate::kms) fn seal_version(
        &self,
        provider: &ProviderId,
        binding: &MaterialBinding,
        material: &GeneratedMaterial,
        now: Timestamp,
    ) -> Result<VersionRecord> {
        let stored = &material.stored;
        Ok(VersionRecord {
            number: binding.version,
            material_id: self.material_id(binding.key_id, stored),
            created: now,
            rotation: None,
            provider: provider.clone(),
            public_key: material.public_key.clone(),
            sealed_material: self.root().versions.seal(&binding.to_bytes(provider)?, stored.expose_secret())?,
            imported: None,
        })
    }

    /// Replaces the material of the version at `index`, which was imported again.
    pub(in crate::kms) fn replace_material(
        &self,
        record: &mut KeyRecord,
        index: usize,
        material: &GeneratedMaterial,
    ) -> Result<()> {
        let version = &record.versions[index];
        let binding = self.binding(record, version.number);
        let sealed = self.seal_version(&version.provider, &binding, material, version.created)?;
        record.versions[index].sealed_material = sealed.sealed_material;
        Ok(())
    }

    /// Opens the material of a version.
    pub(in crate::kms) fn open_material(&self, record: &KeyRecord, version: &VersionRecord) -> Result<SecretBytes> {
        let binding = self.binding(record, version.number);
        self.open_part(&binding.to_bytes(&version.provider)?, &version.sealed_material)
    }

    /// Checks that all present material of a key opens.
    pub(in crate::kms) fn open_all_material(&self, record: &KeyRecord) -> Result<()> {
        let mut present = record.versions.iter().filter(|version| version.is_present());
        present.try_for_each(|version| self.open_material(record, version).map(drop))
    }

    /// Removes the material of all versions from a record and returns it in plaintext, with `None`
    /// where it is missing.
    pub(in crate::kms) fn take_materials(&self, record: &mut KeyRecord) -> Result<Vec<Option<SecretBytes>>> {
        let mut materials = Vec::new();
        for index in 0..record.versions.len() {
            let version = &record.versions[index];
            let is_present = version.is_present();
            let stored = || self.open_material(record, version);
            materials.push(is_present.then(stored).transpose()?);
            record.versions[index].sealed_material.clear();
        }
        Ok(materials)
    }
}

impl KeyRecord {
    /// Returns the record with all its material sealed under the current version of the root key.
    pub(in crate::kms) fn sealed_under(&self, store: StoreId, root: &RootKeyVersions) -> Result<Cow<'_, Self>> {
        let is_earlier = |version: &VersionRecord| version.is_present() && !root.is_current(&version.sealed_material);
        if !self.versions.iter().any(is_earlier) {
            return Ok(Cow::Borrowed(self));
        }
        let mut record = self.clone();
        for version in record.versions.iter_mut().filter(|version| is_earlier(version)) {
            let binding = self.binding(store, version.number).to_bytes(&version.provider)?;
            let material = root.open(&binding, &version.sealed_material)?;
            version.sealed_material = root.seal(&binding, material.expose_secret())?;
        }
        Ok(Cow::Owned(record))
    }
}
