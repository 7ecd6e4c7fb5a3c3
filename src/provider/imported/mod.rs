//! Material that the owner of a key brings along (BYOK): how it is unwrapped, and what it must be.
//!
//! The way in has four steps. A key is made without material; a wrapping key is made for it, whose public half goes
//! out and whose private half goes out as well, sealed in the import token; the owner wraps the material outside; and
//! wrapped material and token come back together. So the library keeps no state between the steps.

mod material;
mod token;
mod wrapping;

pub(crate) use token::{ImportToken, TokenBinding};
pub(crate) use wrapping::{MAX_WRAPPED_MATERIAL, check_fit, public_key_kind, unwrap};

use super::{
    Capabilities, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MaterialImporter,
    OpenedKey, ProviderId, software,
};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::key::{KeySpec, Origin};
use crate::secret::SecretBytes;

/// Uses imported keys in software, of every spec and usage: the provider of origin `EXTERNAL`. It makes no material.
#[derive(Debug)]
pub struct ImportedProvider {
    id: ProviderId,
    capabilities: Capabilities,
}

impl Default for ImportedProvider {
    fn default() -> Self {
        let kinds = KeySpec::ALL.iter().flat_map(|spec| spec.usages().iter().map(|usage| (*spec, *usage)));
        let capabilities = Capabilities { imports: kinds.collect(), ..Capabilities::new(Vec::new(), false) };
        Self { id: ProviderId::new("imported"), capabilities }
    }
}

impl KeyMaterialProvider for ImportedProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::External
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, kept: &SecretBytes) -> Result<OpenedKey> {
        software::open(backend, binding.spec, binding.usage, kept)
    }

    /// Nothing lies outside of what is kept.
    fn destroy(&self, _: &MaterialBinding, _: &SecretBytes) -> Result<()> {
        Ok(())
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        None
    }

    fn importer(&self) -> Option<&dyn MaterialImporter> {
        Some(self)
    }
}

impl MaterialImporter for ImportedProvider {
    fn import(&self, backend: &CryptoBackend, spec: KeySpec, material: &SecretBytes) -> Result<GeneratedMaterial> {
        material::check(backend, spec, material)
    }
}
