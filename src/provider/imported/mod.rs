//! Key material supplied by the owner of a key (BYOK): unwrapping and validation.
//!
//! An import has four steps. The caller creates a key without material. It then requests a wrapping
//! key, and receives the public key together with the private key sealed in the import token. The
//! owner wraps the material outside of strongroom. Finally, the caller submits the wrapped material
//! with the token. The library therefore stores no state between the steps.

mod material;
mod token;
mod wrapping;

pub(super) use material::check as check_material;
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

/// Uses imported keys of every spec and usage in software: the provider of origin `EXTERNAL`. It
/// generates no material.
///
/// # Examples
/// ```
/// use strongroom::key::Origin;
/// use strongroom::provider::{ImportedProvider, KeyMaterialProvider};
///
/// let provider = ImportedProvider::default();
/// assert_eq!(provider.origin(), Origin::External);
/// assert!(provider.generator().is_none() && provider.importer().is_some());
/// ```
#[derive(Debug)]
pub struct ImportedProvider {
    id: ProviderId,
    capabilities: Capabilities,
}

impl Default for ImportedProvider {
    fn default() -> Self {
        Self { id: ProviderId::new("imported"), capabilities: Capabilities::new(Vec::new(), false) }
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

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        software::open(backend, binding.spec, binding.usage, stored)
    }

    /// All material is in `stored`, so there is nothing to destroy.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
    use crate::crypto::{CryptoError, FASTEST, KeyPairKind, KeyWrapMode, PrivateKey, RUST_CRYPTO, RsaOaep};
    use crate::error::ErrorKind;
    use crate::provider::key_pair_kind;

    fn material_of(spec: KeySpec) -> Result<SecretBytes> {
        match key_pair_kind(spec) {
            Some(kind) => Ok(FASTEST.key_pairs().generate(kind, FASTEST.random())?.to_pkcs8()?),
            None => {
                Ok(SecretBytes::copy_from_slice(&vec![7; spec.mac_key_lengths().map_or(32, |lengths| *lengths.end())]))
            }
        }
    }

    /// Wraps material as the owner of a key would.
    fn wrap(
        key: &dyn PrivateKey,
        algorithm: WrappingAlgorithm,
        material: &SecretBytes,
    ) -> Result<Vec<u8>, CryptoError> {
        let public = FASTEST.key_pairs().public_key(key.kind(), &key.public_key_der())?;
        let (oaep, material) = match algorithm {
            WrappingAlgorithm::RsaesOaepSha1 | WrappingAlgorithm::RsaAesKeyWrapSha1 => {
                (RsaOaep::Sha1, material.expose_secret())
            }
            WrappingAlgorithm::RsaesOaepSha256 | WrappingAlgorithm::RsaAesKeyWrapSha256 => {
                (RsaOaep::Sha256, material.expose_secret())
            }
        };
        if matches!(algorithm, WrappingAlgorithm::RsaesOaepSha1 | WrappingAlgorithm::RsaesOaepSha256) {
            return public.encrypt(oaep, material, FASTEST.random());
        }
        let wrapped = FASTEST.key_wrap().wrap(KeyWrapMode::Padded, &[5; 32], material)?;
        Ok([public.encrypt(oaep, &[5; 32], FASTEST.random())?, wrapped].concat())
    }

    /// The all-zero AES key, which must not silently replace the result of a failed first step.
    const ZERO: [u8; 32] = [0; 32];

    #[test]
    fn material_under_an_aes_key_that_was_not_unwrapped_is_refused() -> Result<()> {
        let key = FASTEST.key_pairs().generate(KeyPairKind::Rsa2048, FASTEST.random())?;
        let public = FASTEST.key_pairs().public_key(key.kind(), &key.public_key_der())?;
        let kwp = |aes_key: &[u8]| FASTEST.key_wrap().wrap(KeyWrapMode::Padded, aes_key, &[7; 32]);
        let oaep = |aes_key: &[u8]| public.encrypt(RsaOaep::Sha256, aes_key, FASTEST.random());
        let same = RUST_CRYPTO.key_pairs().private_key(key.kind(), key.to_pkcs8()?.expose_secret())?;
        for (backend, key) in [(FASTEST, &*key), (RUST_CRYPTO, &*same)] {
            let open = |wrapped: [Vec<u8>; 2]| {
                unwrap(&backend, WrappingAlgorithm::RsaAesKeyWrapSha256, key, &wrapped.concat())
            };
            // The all-zero key opens the material only if that key was actually wrapped.
            assert_eq!(open([oaep(&ZERO)?, kwp(&ZERO)?])?, SecretBytes::copy_from_slice(&[7; 32]));
            let refused = [
                open([vec![0x11; 256], kwp(&ZERO)?]),
                open([oaep(&[5; 32])?, kwp(&ZERO)?]),
                open([oaep(&[])?, kwp(&ZERO)?]),
                // The algorithm requires AES-256. AES-128 and AES-192 keys are rejected, whichever
                // key wraps the material.
                open([oaep(&[5; 16])?, kwp(&ZERO)?]),
                open([oaep(&[5; 16])?, kwp(&[5; 16])?]),
                open([oaep(&[5; 33])?, kwp(&[5; 32])?]),
                open([public.encrypt(RsaOaep::Sha1, &[5; 32], FASTEST.random())?, kwp(&[5; 32])?]),
            ];
            for (case, refused) in refused.into_iter().enumerate() {
                assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidCiphertext, "case {case}");
            }
        }
        Ok(())
    }

    #[test]
    fn every_material_fits_into_every_wrapping_as_the_table_says_in_both_backends() -> Result<()> {
        if crate::crypto::default_lacks(
            "every_material_fits_into_every_wrapping_as_the_table_says_in_both_backends",
            &["secp256k1"],
        ) {
            return Ok(());
        }
        let mut wrapping_keys = Vec::new();
        for &size in WrappingKeySpec::ALL {
            let key = FASTEST.key_pairs().generate(public_key_kind(size), FASTEST.random())?;
            let same = RUST_CRYPTO.key_pairs().private_key(key.kind(), key.to_pkcs8()?.expose_secret())?;
            wrapping_keys.push((size, [(FASTEST, key), (RUST_CRYPTO, same)]));
        }
        let (mut fits, mut too_long) = (0, 0);
        for &spec in KeySpec::ALL {
            let material = material_of(spec)?;
            for (size, keys) in &wrapping_keys {
                for &algorithm in WrappingAlgorithm::ALL {
                    let case = format!("{spec} with {algorithm} under {size}");
                    let wrapped = wrap(&*keys[0].1, algorithm, &material);
                    if let Err(refused) = check_fit(spec, *size, algorithm) {
                        assert_eq!(refused.kind(), ErrorKind::Validation, "{case}");
                        assert!(wrapped.is_err() || spec == KeySpec::Rsa2048, "{case}: it would fit");
                        too_long += 1;
                        continue;
                    }
                    let wrapped = wrapped.unwrap_or_else(|error| panic!("{case}: {error}"));
                    assert!(wrapped.len() <= MAX_WRAPPED_MATERIAL, "{case}: {}", wrapped.len());
                    for (backend, key) in keys {
                        let unwrapped = unwrap(backend, algorithm, &**key, &wrapped)?;
                        assert_eq!(unwrapped, material, "{case}");
                        let stored = ImportedProvider::default().import(backend, spec, &unwrapped)?;
                        assert_eq!(stored.public_key.is_some(), key_pair_kind(spec).is_some(), "{case}");
                    }
                    fits += 1;
                }
            }
        }
        println!("import: {fits} combinations of spec, size and algorithm are allowed, {too_long} are too long");
        assert_eq!((fits, too_long), (19 * 12 - 20, 20));
        Ok(())
    }
}
