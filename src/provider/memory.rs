//! Software keys: generated and used in this process, and sealed in the store.

use super::{
    Capabilities, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MaterialImporter,
    OpenedKey, ProviderId, imported, software,
};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::key::{KeySpec, Origin};
use crate::secret::SecretBytes;

/// Generates and uses keys of every spec and usage in software: the provider of origin `AWS_KMS`.
///
/// # Examples
/// ```
/// use strongroom::key::Origin;
/// use strongroom::provider::{KeyMaterialProvider, MemoryProvider};
///
/// let provider = MemoryProvider::default();
/// assert_eq!((provider.id().as_str(), provider.origin()), ("memory", Origin::Kms));
/// assert!(provider.capabilities().rotates);
/// ```
#[derive(Debug)]
pub struct MemoryProvider {
    id: ProviderId,
    capabilities: Capabilities,
}

impl Default for MemoryProvider {
    fn default() -> Self {
        let kinds = KeySpec::ALL.iter().flat_map(|spec| spec.usages().iter().map(|usage| (*spec, *usage)));
        Self { id: ProviderId::new("memory"), capabilities: Capabilities::new(kinds.collect(), true) }
    }
}

impl KeyMaterialProvider for MemoryProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Kms
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        software::open(backend, binding.spec, binding.usage, stored)
    }

    fn destroy(&self, _binding: &MaterialBinding, _stored: &SecretBytes) -> Result<()> {
        // All material was in `stored`, which its owner wipes.
        Ok(())
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn importer(&self) -> Option<&dyn MaterialImporter> {
        Some(self)
    }
}

/// Validates material from another store as if it were imported.
impl MaterialImporter for MemoryProvider {
    fn import(&self, backend: &CryptoBackend, spec: KeySpec, material: &SecretBytes) -> Result<GeneratedMaterial> {
        imported::check_material(backend, spec, material)
    }
}

impl MaterialGenerator for MemoryProvider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        software::generate(backend, binding.spec, binding.usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{FASTEST, RUST_CRYPTO};
    use crate::provider::conformance;

    #[test]
    fn keeps_the_contract() -> Result<()> {
        if crate::crypto::default_lacks("keeps_the_contract", &["signatures of hash values"]) {
            return Ok(());
        }
        conformance::run(&MemoryProvider::default(), &FASTEST, |_, _| true)
    }

    #[test]
    fn keeps_the_contract_in_pure_rust() -> Result<()> {
        // Larger RSA keys take many seconds to generate and exercise the same code.
        let slow = [KeySpec::Rsa3072, KeySpec::Rsa4096];
        conformance::run(&MemoryProvider::default(), &RUST_CRYPTO, |spec, _| !slow.contains(&spec))
    }

    #[test]
    fn an_arc_of_it_passes_everything_on() -> Result<()> {
        let shared = std::sync::Arc::new(MemoryProvider::default());
        let provider: &dyn KeyMaterialProvider = &shared;
        assert!(provider.importer().is_some(), "a method with a default implementation is forwarded too");
        for (spec, usage) in &provider.capabilities().generates {
            assert_eq!(provider.unsupported_reason(*spec, *usage), None, "nothing is missing for {spec} keys");
        }
        conformance::run(provider, &FASTEST, |spec, _| spec == KeySpec::SymmetricDefault)
    }
}
