//! Versions of key material: made by a provider, sealed under the root key, opened for use.

use std::borrow::Cow;

use super::core::Core;
use super::instance::Home;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyId, KeyMaterialId, KeySpec, KeyUsage, KeyVersion, Origin, RotationType};
use crate::kms::records::key::{Imported, KeyRecord, MAX_PUBLIC_KEY, MAX_SEALED_MATERIAL, VersionRecord};
use crate::kms::storage::registry::LoadedKey;
use crate::provider::{GeneratedMaterial, KeyMaterialProvider, MaterialBinding, OpenedKey, ProviderId, key_pair_kind};
use crate::seal::{OVERHEAD, RootKeyVersions};
use crate::secret::SecretBytes;
use crate::store::StoreId;

/// The most bytes that a provider may have kept of one version of a key.
const MAX_KEPT: usize = 16_000;

const _: () = assert!(MAX_KEPT + 5 + OVERHEAD <= MAX_SEALED_MATERIAL, "it has room in a record, sealed");

impl Core {
    /// Makes new material and appends it to the record as its current version: by the provider that made the one before.
    pub(in crate::kms) fn add_version(
        &self,
        record: &mut KeyRecord,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let provider = match record.current_version() {
            Some(version) => self.provider(&version.provider)?,
            None => self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?,
        };
        self.add_version_of(&**provider, record, now, rotation)
    }

    /// Refuses a key whose provider makes no further versions of it.
    pub(in crate::kms) fn check_rotates(&self, record: &KeyRecord) -> Result<()> {
        let Some(version) = record.current_version() else { return Ok(()) };
        let provider = self.provider(&version.provider)?;
        if provider.capabilities().rotates { Ok(()) } else { Err(never_rotates(&**provider)) }
    }

    /// Makes the first material of a key by the provider of a name.
    pub(in crate::kms) fn add_first_version(
        &self,
        record: &mut KeyRecord,
        name: &ProviderId,
        now: Timestamp,
    ) -> Result<()> {
        let provider = self.provider(name).map_err(|_| {
            let text = format!("no provider is named '{}': give it to the builder", name.as_str());
            Error::new(ErrorKind::Validation, text)
        })?;
        self.add_version_of(&**provider, record, now, None)
    }

    fn add_version_of(
        &self,
        provider: &dyn KeyMaterialProvider,
        record: &mut KeyRecord,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let can = provider.capabilities();
        if rotation.is_some() && !can.rotates {
            return Err(never_rotates(provider));
        }
        if !can.generates.contains(&(record.spec, record.usage)) {
            return Err(not_made(provider, record));
        }
        if record.origin == Origin::Hsm && record.usage == KeyUsage::KeyAgreement {
            let text =
                format!("keys of origin {} agree on no secrets, so there is no use for such a key", record.origin);
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        }
        let generator = provider.generator().ok_or_else(|| unsupported(record))?;
        if provider.transfer().is_none() {
            // So that every copy from now on is known as one.
            self.confirm_instance(&Home::of_provider(provider))?;
        }
        let number = record.next_version()?;
        let binding = self.binding(record, number);
        let generated = generator.generate(&self.backend, &binding)?;
        if let Err(error) = check_generated(provider, record.spec, &generated) {
            // Nothing will ever refer to it. If it stays, its provider knows by what name.
            provider.destroy(&binding, &generated.kept).ok();
            return Err(error);
        }
        let mut version = self.seal_version(provider.id(), &binding, &generated, now)?;
        version.rotation = rotation;
        record.push_version(version);
        Ok(())
    }

    /// Appends material that the caller knows to the record as its current version.
    pub(in crate::kms) fn add_known_version(
        &self,
        record: &mut KeyRecord,
        material: &SecretBytes,
        now: Timestamp,
        rotation: Option<RotationType>,
    ) -> Result<()> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let transfer = provider.transfer().ok_or_else(|| unsupported(record))?;
        let checked = transfer.import(&self.backend, record.spec, material)?;
        let binding = self.binding(record, record.next_version()?);
        let version = self.seal_version(provider.id(), &binding, &checked, now)?;
        record.push_version(VersionRecord { rotation, ..version });
        Ok(())
    }

    /// Checks material from outside for the key that a record is of.
    pub(in crate::kms) fn check_import(&self, record: &KeyRecord, material: &SecretBytes) -> Result<GeneratedMaterial> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let importer = provider.transfer().ok_or_else(|| unsupported(record))?;
        importer.import(&self.backend, record.spec, material)
    }

    /// Appends imported material to the record as a new version.
    pub(in crate::kms) fn add_imported_version(
        &self,
        record: &mut KeyRecord,
        material: &GeneratedMaterial,
        imported: Imported,
        now: Timestamp,
    ) -> Result<()> {
        let provider = self.provider_of_origin(record.origin).ok_or_else(|| unsupported(record))?;
        let binding = self.binding(record, record.next_version()?);
        let version = self.seal_version(provider.id(), &binding, material, now)?;
        record.push_version(VersionRecord { imported: Some(imported), ..version });
        Ok(())
    }

    /// Puts the material of the version at `index`, which was imported again, into its place.
    pub(in crate::kms) fn put_material(
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

    /// The id by which material of a key is known again.
    pub(in crate::kms) fn material_id(&self, key_id: KeyId, kept: &SecretBytes) -> KeyMaterialId {
        let parts = [b"key material id", key_id.as_bytes().as_slice(), kept.expose_secret()];
        KeyMaterialId::from_bytes(self.registry.sealed().identity().identify(&parts))
    }

    /// Takes the material of all versions out of a record, in clear; `None` for what is not there.
    pub(in crate::kms) fn take_materials(&self, record: &mut KeyRecord) -> Result<Vec<Option<SecretBytes>>> {
        let mut materials = Vec::new();
        for index in 0..record.versions.len() {
            let version = &record.versions[index];
            let is_present = version.is_present();
            let kept = || self.kept_material(&self.binding(record, version.number), version);
            materials.push(is_present.then(kept).transpose()?);
            record.versions[index].sealed_material.clear();
        }
        Ok(materials)
    }

    /// Checks the material of all versions, as another store had it, and puts it into their places, with ids of this store.
    pub(in crate::kms) fn put_materials(
        &self,
        record: &mut KeyRecord,
        materials: &[Option<SecretBytes>],
    ) -> Result<()> {
        for (index, material) in materials.iter().enumerate() {
            let Some(material) = material else { continue };
            let version = &record.versions[index];
            let transfer = self.provider(&version.provider)?.transfer().ok_or_else(|| unsupported(record))?;
            let checked = transfer.import(&self.backend, record.spec, material)?;
            if checked.public_key != version.public_key {
                let text = format!("the public key of version {} is not that of its material", version.number);
                return Err(Error::new(ErrorKind::IncorrectKeyMaterial, text));
            }
            record.versions[index].material_id = self.material_id(record.key_id, &checked.kept);
            self.put_material(record, index, &checked)?;
        }
        Ok(())
    }

    pub(in crate::kms) fn seal_version(
        &self,
        provider: &ProviderId,
        binding: &MaterialBinding,
        material: &GeneratedMaterial,
        now: Timestamp,
    ) -> Result<VersionRecord> {
        let kept = &material.kept;
        Ok(VersionRecord {
            number: binding.version,
            material_id: self.material_id(binding.key_id, kept),
            created: now,
            rotation: None,
            provider: provider.clone(),
            public_key: material.public_key.clone(),
            sealed_material: self
                .registry
                .sealed()
                .root()
                .versions
                .seal(&binding.to_bytes(provider)?, kept.expose_secret())?,
            imported: None,
        })
    }

    /// The version at `index` of a key, ready for use; opened the first time and kept with the key.
    pub(in crate::kms) fn opened<'a>(&self, key: &'a LoadedKey, index: usize) -> Result<&'a OpenedKey> {
        // The connection of a custom key store is looked at every time: what was opened works only while there is one.
        let hsm = match key.record.custom_key_store {
            Some(id) => Some(self.connection(key.record.account, id)?.cluster.provider()),
            None => None,
        };
        key.opened(index, || {
            let version = key
                .record
                .versions
                .get(index)
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the key has no such version"))?;
            let provider = match hsm {
                Some(provider) => provider,
                None => &**self.provider(&version.provider)?,
            };
            self.open_version(&key.record, version, provider)
        })
    }

    fn open_version(
        &self,
        record: &KeyRecord,
        version: &VersionRecord,
        provider: &dyn KeyMaterialProvider,
    ) -> Result<OpenedKey> {
        let binding = self.binding(record, version.number);
        let kept = self.kept_material(&binding, version)?;
        provider.open(&self.backend, &binding, &kept)
    }

    /// Proves that a provider holds all material of a key.
    pub(in crate::kms) fn check_material(&self, record: &KeyRecord, provider: &dyn KeyMaterialProvider) -> Result<()> {
        record.versions.iter().try_for_each(|version| self.open_version(record, version, provider).map(drop))
    }

    /// Makes sure that all material of a key that is there opens.
    pub(in crate::kms) fn open_all_material(&self, record: &KeyRecord) -> Result<()> {
        let mut present = record.versions.iter().filter(|version| version.is_present());
        present.try_for_each(|version| self.kept_material(&self.binding(record, version.number), version).map(drop))
    }

    pub(in crate::kms) fn kept_material(
        &self,
        binding: &MaterialBinding,
        version: &VersionRecord,
    ) -> Result<SecretBytes> {
        self.registry.sealed().open_part(&binding.to_bytes(&version.provider)?, &version.sealed_material)
    }

    pub(in crate::kms) fn binding(&self, record: &KeyRecord, version: KeyVersion) -> MaterialBinding {
        record.binding(self.registry.store_id(), version)
    }
}

impl KeyRecord {
    /// What the material of a version is bound to.
    fn binding(&self, store: StoreId, version: KeyVersion) -> MaterialBinding {
        let Self { account, key_id, spec, usage, origin, .. } = *self;
        MaterialBinding { store: store.0, account, key_id, version, spec, usage, origin }
    }

    /// The record with all its material sealed under the current version of the root key.
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

/// Refuses material that has no room in a record, or a public key where there is none or none where there is one.
fn check_generated(provider: &dyn KeyMaterialProvider, spec: KeySpec, generated: &GeneratedMaterial) -> Result<()> {
    let (kept, public) = (generated.kept.len(), generated.public_key.as_ref().map(Vec::len));
    let text = match (public, key_pair_kind(spec)) {
        _ if kept > MAX_KEPT => format!("wants {kept} bytes kept of a key, and {MAX_KEPT} are the most"),
        (Some(public), Some(_)) if public > MAX_PUBLIC_KEY => {
            format!("made a public key of {public} bytes, and {MAX_PUBLIC_KEY} are the most")
        }
        (Some(_), Some(_)) | (None, None) => return Ok(()),
        (None, Some(_)) => format!("made a {spec} key and no public key"),
        (Some(_), None) => format!("made a public key with a {spec} key"),
    };
    Err(Error::new(ErrorKind::Internal, format!("the provider {} {text}", provider.id().as_str())))
}

fn never_rotates(provider: &dyn KeyMaterialProvider) -> Error {
    let text = format!("the provider {} makes one version of a key and no more", provider.id().as_str());
    Error::new(ErrorKind::UnsupportedOperation, text)
}

fn not_made(provider: &dyn KeyMaterialProvider, record: &KeyRecord) -> Error {
    let KeyRecord { spec, usage, origin, .. } = record;
    let mut text =
        format!("the provider {} makes no {spec} keys for {usage} of origin {origin}", provider.id().as_str());
    if let Some(missing) = provider.lacks(*spec, *usage) {
        text = format!("{text}: {missing}");
    }
    Error::new(ErrorKind::UnsupportedOperation, text)
}

fn unsupported(record: &KeyRecord) -> Error {
    let KeyRecord { spec, usage, origin, .. } = record;
    let text = format!("no provider of this KMS makes {spec} keys for {usage} of origin {origin}");
    Error::new(ErrorKind::UnsupportedOperation, text)
}
