//! The key provider of a cluster: creating, opening, and destroying keys on all members.

use super::failure::unavailable;
use super::members::Pkcs11Cluster;
use super::opened::ClusterKey;
use crate::crypto::{CryptoBackend, RsaOaep};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin, SpecClass};
use crate::provider::pkcs11::TokenCapabilities;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::object::NewKey;
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind};
use crate::provider::{
    Capabilities, ClusterManagement, GeneratedMaterial, InstanceMarks, KeyMaterialProvider, MaterialBinding,
    MaterialGenerator, OpenedKey, ProviderId, key_pair_kind,
};
use crate::secret::SecretBytes;

impl KeyMaterialProvider for Pkcs11Cluster {
    fn id(&self) -> &ProviderId {
        &self.shared.id
    }

    fn origin(&self) -> Origin {
        Origin::Hsm
    }

    fn capabilities(&self) -> &Capabilities {
        self.shared.capabilities.get().unwrap_or(&self.shared.before)
    }

    fn open(&self, _backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        let key = TokenKeyHandle::from_bytes(stored.expose_secret())
            .filter(|key| Some(key.kind()) == kind(binding.spec, binding.usage) && key.id() == key_id(binding))
            .ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the stored material is not a reference to a token key of this kind")
            })?;
        // A key that no member has is reported here, not at its first use.
        self.anywhere(|token| token.verify_key(&key))?;
        let key = ClusterKey::new(self.clone(), key);
        Ok(match (binding.usage, binding.spec.class()) {
            (KeyUsage::SignVerify, _) => OpenedKey::Signing(Box::new(key)),
            (_, SpecClass::Symmetric) => OpenedKey::Cipher(Box::new(key)),
            _ => OpenedKey::Decryption(Box::new(key)),
        })
    }

    fn destroy(&self, binding: &MaterialBinding, _stored: &SecretBytes) -> Result<()> {
        self.erase_objects(binding)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        Some(self)
    }
}

impl MaterialGenerator for Pkcs11Cluster {
    fn generate(&self, _backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        let kind = kind(binding.spec, binding.usage)
            .filter(|_| self.capabilities().generates.contains(&(binding.spec, binding.usage)))
            .ok_or_else(|| unsupported(binding))?;
        self.check_connected()?;
        let key = self
            .generate_everywhere(NewKey::new(&key_id(binding), format!("strongroom {}", binding.key_id), kind), None)?;
        let stored = SecretBytes::from_vec(key.to_bytes()?);
        Ok(match key.public_key() {
            Some(public_key) => GeneratedMaterial::key_pair(stored, public_key.to_vec()),
            None => GeneratedMaterial::secret(stored),
        })
    }
}

impl Pkcs11Cluster {
    /// Records the kinds of keys that the responding tokens can create, once they are known.
    pub(super) fn learn_capabilities(&self) {
        let makes = |able: &TokenCapabilities| {
            let all = KeySpec::ALL.iter().flat_map(|spec| spec.usages().iter().map(|usage| (*spec, *usage)));
            all.filter(|(spec, usage)| kind(*spec, *usage).is_some_and(|kind| check_all(able, kind).is_ok())).collect()
        };
        let first = self.members.iter().find_map(|member| member.token.capabilities());
        if let (ClusterManagement::VendorManaged, Some(able)) = (self.shared.management, first) {
            // Set once, because the capabilities of a vendor's slot do not change during the
            // lifetime of the process.
            let _ = self.shared.capabilities.set(Capabilities::new(makes(&able), false));
        }
    }

    /// Returns the reason why the cluster cannot create keys of a kind, or `None` if it can.
    pub(super) fn missing(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        let Some(kind) = kind(spec, usage) else {
            return Some("keys of this kind are never created in tokens".to_owned());
        };
        if self.shared.management == ClusterManagement::Members && kind != TokenKeyKind::Aes256 {
            return Some("only AES keys can be replicated between members".to_owned());
        }
        let able = self.members.iter().find_map(|member| member.token.capabilities())?;
        check_all(&able, kind).err().map(|error| error.to_string())
    }

    /// Destroys all objects of a key on all members, and checks that none is left. The CKA_ID
    /// belongs to this key alone, because it contains the random key ID.
    pub(super) fn erase_objects(&self, binding: &MaterialBinding) -> Result<()> {
        self.check_connected()?;
        let id = key_id(binding);
        let mut reasons = Vec::new();
        for member in self.members.iter() {
            let erased = member.token.destroy_objects(&id).and_then(|_| member.token.count_objects(&id));
            match erased {
                Ok(0) => {}
                Ok(left) => {
                    let text = format!("{} still contains {left} objects of the key", member.name);
                    return Err(Error::new(ErrorKind::KeyUnavailable, text));
                }
                Err(error) => reasons.push((member, error)),
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(unavailable(&reasons)) }
    }
}

/// Returns the CKA_ID of a key version: the random key ID followed by the version number. It is
/// known before the key is created, so the key can be found even if the result of its creation was
/// lost.
fn key_id(binding: &MaterialBinding) -> Vec<u8> {
    [&binding.key_id.as_bytes()[..], &binding.version.number().to_be_bytes()].concat()
}

/// Returns the kind of key object in a token, or `None` for kinds that are never created in tokens.
fn kind(spec: KeySpec, usage: KeyUsage) -> Option<TokenKeyKind> {
    match (spec.class(), usage) {
        (SpecClass::Symmetric, KeyUsage::EncryptDecrypt) => Some(TokenKeyKind::Aes256),
        (SpecClass::Asymmetric, KeyUsage::SignVerify) => key_pair_kind(spec).map(TokenKeyKind::Signing),
        (SpecClass::Asymmetric, KeyUsage::EncryptDecrypt) => key_pair_kind(spec).map(TokenKeyKind::Decryption),
        _ => None,
    }
}

/// Rejects a kind of key if the token lacks any of the algorithms that the API offers for it.
fn check_all(able: &TokenCapabilities, kind: TokenKeyKind) -> Result<(), TokenError> {
    able.check_kind(kind)?;
    if matches!(kind, TokenKeyKind::Decryption(_)) {
        let all = [RsaOaep::Sha1, RsaOaep::Sha256];
        if let Some(missing) = all.into_iter().find(|hash| !able.oaep.contains(hash)) {
            let text = format!("token '{}' does not support CKM_RSA_PKCS_OAEP with {missing:?}", able.label);
            return Err(TokenError::lacks("CKM_RSA_PKCS_OAEP", text));
        }
    }
    Ok(())
}

fn unsupported(binding: &MaterialBinding) -> Error {
    let MaterialBinding { spec, usage, .. } = binding;
    Error::new(ErrorKind::UnsupportedOperation, format!("the cluster does not support {spec} keys for {usage}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::pkcs11::token::capabilities::tests::everything;

    #[test]
    fn a_key_pair_decrypts_only_if_the_token_has_every_hash_function_of_the_service() {
        let mut able = everything();
        let rsa = TokenKeyKind::Decryption(crate::crypto::KeyPairKind::Rsa2048);
        assert_eq!(check_all(&able, rsa), Ok(()));
        for oaep in [vec![RsaOaep::Sha1], vec![RsaOaep::Sha256], Vec::new()] {
            able.oaep = oaep;
            let missing = check_all(&able, rsa).expect_err("one is missing").missing_mechanism();
            assert_eq!(missing, Some("CKM_RSA_PKCS_OAEP"), "{:?}", able.oaep);
            assert_eq!(check_all(&able, TokenKeyKind::Aes256), Ok(()));
        }
        able.mechanisms.clear();
        assert!(check_all(&able, TokenKeyKind::Aes256).is_err());
    }

    #[test]
    fn members_are_given_only_keys_that_can_be_replicated() {
        let cluster = Pkcs11Cluster::from_members(b"replication key");
        for &spec in KeySpec::ALL {
            for &usage in spec.usages() {
                let reason = cluster.missing(spec, usage);
                let expected = match kind(spec, usage) {
                    Some(TokenKeyKind::Aes256) => None,
                    Some(_) => Some("only AES keys can be replicated between members"),
                    None => Some("keys of this kind are never created in tokens"),
                };
                assert_eq!(reason.as_deref(), expected, "{spec} {usage}");
            }
        }
    }

    #[test]
    fn a_token_is_asked_for_keys_that_encrypt_or_sign_and_for_no_others() {
        for &spec in KeySpec::ALL {
            for &usage in spec.usages() {
                let found = kind(spec, usage);
                let expected = match (spec, usage, key_pair_kind(spec)) {
                    (KeySpec::SymmetricDefault, ..) => Some(TokenKeyKind::Aes256),
                    (_, KeyUsage::SignVerify, Some(pair)) => Some(TokenKeyKind::Signing(pair)),
                    (_, KeyUsage::EncryptDecrypt, Some(pair)) => Some(TokenKeyKind::Decryption(pair)),
                    _ => None,
                };
                assert_eq!(found, expected, "{spec} {usage}");
            }
        }
        assert_eq!(kind(KeySpec::SymmetricDefault, KeyUsage::GenerateVerifyMac), None);
    }
}
