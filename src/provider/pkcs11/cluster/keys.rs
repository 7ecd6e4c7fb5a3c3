//! Keys of a cluster: made on one member, brought to the others, found again, and destroyed on all.

use super::opened::ClusterKey;
use super::route::{refusal, refusal_to_make, unavailable};
use super::{Member, Pkcs11Cluster};
use crate::crypto::{CryptoBackend, RsaOaep};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin, SpecClass};
use crate::provider::pkcs11::TokenCapabilities;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::keys::NewKey;
use crate::provider::pkcs11::reference::{KeyReference, TokenKeyKind};
use crate::provider::{
    Capabilities, ClusterManagement, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator,
    MemberState, OpenedKey, ProviderId, key_pair_kind,
};
use crate::secret::SecretBytes;

/// How many members must hold a new key.
const HOLDERS: usize = 2;

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

    fn open(&self, _backend: &CryptoBackend, binding: &MaterialBinding, kept: &SecretBytes) -> Result<OpenedKey> {
        let key = KeyReference::from_bytes(kept.expose_secret())
            .filter(|key| Some(key.kind()) == kind(binding.spec, binding.usage) && key.id() == key_id(binding))
            .ok_or_else(|| Error::new(ErrorKind::Internal, "what was kept is no reference to such a key in a token"))?;
        // A key that no member has is found missing here, and not when it is first used.
        self.anywhere(|token| token.verify_key(&key))?;
        let key = ClusterKey::new(self.clone(), key);
        Ok(match (binding.usage, binding.spec.class()) {
            (KeyUsage::SignVerify, _) => OpenedKey::Signing(Box::new(key)),
            (_, SpecClass::Symmetric) => OpenedKey::Cipher(Box::new(key)),
            _ => OpenedKey::Decryption(Box::new(key)),
        })
    }

    fn destroy(&self, binding: &MaterialBinding, _kept: &SecretBytes) -> Result<()> {
        self.erase_objects(binding)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }
}

impl MaterialGenerator for Pkcs11Cluster {
    fn generate(&self, _backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        let kind = kind(binding.spec, binding.usage)
            .filter(|_| self.capabilities().generates.contains(&(binding.spec, binding.usage)))
            .ok_or_else(|| unsupported(binding))?;
        self.check_connected()?;
        let key =
            self.generate_everywhere(NewKey::new(&key_id(binding), format!("strongroom {}", binding.key_id), kind))?;
        let kept = SecretBytes::from_vec(key.to_bytes()?);
        Ok(match key.public_key() {
            Some(public_key) => GeneratedMaterial::key_pair(kept, public_key.to_vec()),
            None => GeneratedMaterial::secret(kept),
        })
    }
}

impl Pkcs11Cluster {
    /// What the tokens that answer make, once it is known.
    pub(super) fn learn_capabilities(&self) {
        let makes = |able: &TokenCapabilities| {
            let all = KeySpec::ALL.iter().flat_map(|spec| spec.usages().iter().map(|usage| (*spec, *usage)));
            all.filter(|(spec, usage)| kind(*spec, *usage).is_some_and(|kind| check_all(able, kind).is_ok())).collect()
        };
        let first = self.members.iter().find_map(|member| member.token.capabilities());
        if let (ClusterManagement::VendorManaged, Some(able)) = (self.shared.management, first) {
            // Said once: what the slot of a vendor can do does not change while the process lives.
            let _ = self.shared.capabilities.set(Capabilities::new(makes(&able), false));
        }
    }

    /// What is missing for keys of a kind that are not made here.
    pub(super) fn missing(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        let Some(kind) = kind(spec, usage) else { return Some("tokens are not asked for such keys".to_owned()) };
        if self.shared.management == ClusterManagement::Members && kind != TokenKeyKind::Aes256 {
            return Some("only AES keys are brought from member to member".to_owned());
        }
        let able = self.members.iter().find_map(|member| member.token.capabilities())?;
        check_all(&able, kind).err().map(|error| error.to_string())
    }

    /// Puts the replication key into every member that answers and has none yet, from outside: 32 uniformly random bytes,
    /// the same for all. Done when the tokens are set up, while the cluster is connected; better yet, the HSMs are given
    /// it in a ceremony of their vendor, so that no process ever sees it.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member does not answer, or refuses;
    /// [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for a cluster that its vendor manages.
    pub fn install_replication_key(&self, value: &SecretBytes) -> Result<()> {
        let Some(id) = self.shared.replication_key.as_deref() else {
            let text = "the vendor of the cluster replicates keys, without a replication key";
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        };
        self.check_connected()?;
        for member in self.members.iter() {
            let failed = |error: TokenError| refusal(&error).with_member(member);
            if member.token.count_objects(id).map_err(failed)? == 0 {
                member.token.import_wrapping_key(id, "replication key", value).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether any member has an object with a CKA_ID.
    pub(in crate::provider::pkcs11) fn holds(&self, id: &[u8]) -> Result<bool> {
        self.check_connected()?;
        for member in self.members.iter() {
            let count = member.token.count_objects(id).map_err(|error| refusal(&error).with_member(member))?;
            if count > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes an AES-256 key with a CKA_ID on every member; if that fails half-way, on none.
    pub(in crate::provider::pkcs11) fn generate_named(&self, id: &[u8], label: &str) -> Result<KeyReference> {
        self.check_connected()?;
        let made = self.generate_everywhere(NewKey::new(id, label, TokenKeyKind::Aes256));
        if made.is_err() {
            // What is left of it has the id, and shows when the name is used again.
            let _ = self.erase_id(id);
        }
        made
    }

    /// The AES-256 key with a CKA_ID.
    pub(in crate::provider::pkcs11) fn find_named(&self, id: &[u8], label: &str) -> Result<KeyReference> {
        self.anywhere(|token| token.adopt_key(id, label, TokenKeyKind::Aes256))
    }

    fn generate_everywhere(&self, new: NewKey) -> Result<KeyReference> {
        match self.shared.management {
            ClusterManagement::VendorManaged => self.generate_at_vendor(&new),
            ClusterManagement::Members => self.generate_and_replicate(new),
        }
    }

    fn generate_at_vendor(&self, new: &NewKey) -> Result<KeyReference> {
        let slot = self.members.first().ok_or_else(|| unavailable(&[]))?;
        let key = slot.token.generate_key(new).map_err(|error| refusal_to_make(&error))?;
        slot.token.verify_key(&key).map_err(|error| refusal(&error))?;
        Ok(key)
    }

    /// Makes a key on one member and brings it to all others that answer, of which there must be one. When this fails
    /// half-way, what is left is erased by its CKA_ID.
    fn generate_and_replicate(&self, new: NewKey) -> Result<KeyReference> {
        let active: Vec<&Member> =
            self.members.iter().filter(|member| member.state().0 == MemberState::Active).collect();
        let Some((source, others)) = active.split_first() else { return Err(unavailable(&[])) };
        let failed = |member: &Member, error: &TokenError| refusal_to_make(error).with_member(member);
        let wrapping = self.replication_key(source).map_err(|error| failed(source, &error))?;
        let new = new.extractable_for_replication();
        let key = source.token.generate_key(&new).map_err(|error| failed(source, &error))?;
        let wrapped = source.token.wrap_key(&wrapping, &key).map_err(|error| failed(source, &error))?;
        let mut holders = vec![*source];
        let mut reasons = Vec::new();
        for member in others {
            let brought = self
                .replication_key(member)
                .and_then(|wrapping| member.token.unwrap_key(&wrapping, &wrapped, &key))
                .and_then(|()| member.token.verify_key(&key));
            match brought {
                Ok(()) => holders.push(member),
                Err(error) => reasons.push((*member, error)),
            }
        }
        // From here on the key leaves no token any more. What was wrapped opens with the replication key alone.
        source.token.forbid_extraction(&key).map_err(|error| failed(source, &error))?;
        if holders.len() < HOLDERS {
            return Err(unavailable(&reasons));
        }
        for member in holders {
            let protection = member.token.key_protection(&key).map_err(|error| failed(member, &error))?;
            if protection.extractable || !protection.sensitive {
                let text = format!("{} does not protect the new key: {protection:?}", member.name);
                return Err(Error::new(ErrorKind::Internal, text));
            }
        }
        Ok(key)
    }

    /// The key under which keys travel, as a member has it. That it is the same everywhere shows when what was wrapped
    /// under it is unwrapped and opens the canary.
    fn replication_key(&self, member: &Member) -> Result<KeyReference, TokenError> {
        let id = self.shared.replication_key.as_deref().unwrap_or_default();
        member.token.adopt_key(id, "replication key", TokenKeyKind::WrappingAes256)
    }

    /// Destroys all objects of a key on all members, and makes sure that none is left.
    pub(super) fn erase_objects(&self, binding: &MaterialBinding) -> Result<()> {
        self.erase_id(&key_id(binding))
    }

    fn erase_id(&self, id: &[u8]) -> Result<()> {
        self.check_connected()?;
        let mut reasons = Vec::new();
        for member in self.members.iter() {
            let erased = member.token.destroy_objects(id).and_then(|_| member.token.count_objects(id));
            match erased {
                Ok(0) => {}
                Ok(left) => {
                    let text = format!("{} still holds {left} objects of the key", member.name);
                    return Err(Error::new(ErrorKind::KeyUnavailable, text));
                }
                Err(error) => reasons.push((member, error)),
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(unavailable(&reasons)) }
    }
}

trait WithMember {
    fn with_member(self, member: &Member) -> Self;
}

impl WithMember for Error {
    /// Says on which member it happened.
    fn with_member(self, member: &Member) -> Self {
        Self::new(self.kind(), format!("{}: {self}", member.name)).with_source(self)
    }
}

/// The CKA_ID of a version of a key: its key id, which is random, and the number of the version. So it is known before
/// the key is made, and the key is found if nobody heard that it was.
fn key_id(binding: &MaterialBinding) -> Vec<u8> {
    [&binding.key_id.as_bytes()[..], &binding.version.number().to_be_bytes()].concat()
}

/// What a key is in a token; `None` for kinds that tokens are not asked for.
fn kind(spec: KeySpec, usage: KeyUsage) -> Option<TokenKeyKind> {
    match (spec.class(), usage) {
        (SpecClass::Symmetric, KeyUsage::EncryptDecrypt) => Some(TokenKeyKind::Aes256),
        (SpecClass::Asymmetric, KeyUsage::SignVerify) => key_pair_kind(spec).map(TokenKeyKind::Signing),
        (SpecClass::Asymmetric, KeyUsage::EncryptDecrypt) => key_pair_kind(spec).map(TokenKeyKind::Decryption),
        _ => None,
    }
}

/// Refuses a kind of key of which a token does not have every algorithm that the API offers.
fn check_all(able: &TokenCapabilities, kind: TokenKeyKind) -> Result<(), TokenError> {
    able.check_kind(kind)?;
    if matches!(kind, TokenKeyKind::Decryption(_)) {
        let all = [RsaOaep::Sha1, RsaOaep::Sha256];
        if let Some(missing) = all.into_iter().find(|hash| !able.oaep.contains(hash)) {
            let text = format!("token '{}' has no CKM_RSA_PKCS_OAEP with {missing:?}", able.label);
            return Err(TokenError::lacks("CKM_RSA_PKCS_OAEP", text));
        }
    }
    Ok(())
}

fn unsupported(binding: &MaterialBinding) -> Error {
    let MaterialBinding { spec, usage, .. } = binding;
    Error::new(ErrorKind::UnsupportedOperation, format!("the cluster makes no {spec} keys for {usage}"))
}
