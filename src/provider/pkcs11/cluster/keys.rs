//! Keys of a cluster: made on one member, brought to the others, found again, and destroyed on all.

use super::claim::Claim;
use super::opened::ClusterKey;
use super::route::{refusal, refusal_to_make, unavailable};
use super::{Member, Pkcs11Cluster};
use crate::crypto::{CryptoBackend, RsaOaep};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin, SpecClass};
use crate::provider::pkcs11::TokenCapabilities;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::object::NewKey;
use crate::provider::pkcs11::reference::{KeyReference, TokenKeyKind};
use crate::provider::{
    Capabilities, ClusterManagement, GeneratedMaterial, InstanceMarks, KeyMaterialProvider, MaterialBinding,
    MaterialGenerator, MemberState, OpenedKey, ProviderId, key_pair_kind,
};
use crate::secret::SecretBytes;

/// How many members must hold a new key.
const HOLDERS: usize = 2;

/// The beginning of the CKA_LABEL of a replication key that is installed from here.
const REPLICATION_LABEL: &str = "replication key";

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

    /// Puts the replication key into every member that has none yet, from outside: 32 uniformly random bytes, the same for all.
    /// Done when the tokens are set up, while the cluster is connected; better yet, the HSMs are given it in a ceremony of
    /// their vendor, so that no process ever sees it.
    ///
    /// A member that has it already must have this value: calling it again with the same one changes nothing. Of several
    /// processes that do this at the same time with different values, at most one succeeds.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if a member has another replication key; what this call installed is
    ///   removed.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member does not answer, refuses, or has a key under the id that it
    ///   does not protect; the members before it keep the key.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for a cluster that its vendor manages.
    pub fn install_replication_key(&self, value: &SecretBytes) -> Result<()> {
        let Some(id) = self.shared.replication_key.as_deref() else {
            let text = "the vendor of the cluster replicates keys, without a replication key";
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        };
        self.check_connected()?;
        let mut lacking = Vec::new();
        for member in self.members.iter() {
            if member.token.count_objects(id).map_err(|error| refusal(&error).with_member(member))? == 0 {
                lacking.push(member);
            } else {
                self.check_replication_key(member, value)?;
            }
        }
        let claim = self.claim(id, REPLICATION_LABEL)?;
        let installed = lacking.iter().try_for_each(|member| self.install_on(member, &claim, value));
        if installed.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
            claim.undo(lacking);
        }
        installed
    }

    fn install_on(&self, member: &Member, claim: &Claim, value: &SecretBytes) -> Result<()> {
        let keeps = match member.token.import_wrapping_key(claim.id(), claim.label(), value) {
            Ok(_) => claim.keeps(member).inspect_err(|_| claim.undo([member])),
            // It was taken since it was looked at.
            Err(error) if error.class() == ErrorClass::Denied && claim.is_taken(member) => Ok(false),
            Err(error) => Err(error),
        };
        let failed = |error: TokenError| refusal_to_make(&error).with_member(member);
        if keeps.map_err(failed)? {
            return Ok(());
        }
        // Another process was first: all is well if it installed the same value.
        claim.undo([member]);
        claim.wait_for_one(member).map_err(failed)?;
        self.check_replication_key(member, value)
    }

    /// Rejects the replication key of a member if it is not protected, or has another value.
    fn check_replication_key(&self, member: &Member, value: &SecretBytes) -> Result<()> {
        let key = self.replication_key(member).map_err(|error| refusal(&error).with_member(member))?;
        let is_same = member.token.is_wrapping_key(&key, value).map_err(|error| refusal(&error).with_member(member))?;
        if is_same {
            return Ok(());
        }
        let text = format!("{} has another replication key under this id already", member.name);
        Err(Error::new(ErrorKind::AlreadyExists, text))
    }

    pub(super) fn claim(&self, id: &[u8], label: &str) -> Result<Claim> {
        let first = self.members.first().ok_or_else(|| unavailable(&[]))?;
        Ok(Claim::new(id, label, &first.token.config().backend)?)
    }

    /// Generates a key; under a reservation, if its id is a name.
    pub(super) fn generate_everywhere(&self, new: NewKey, reservation: Option<&Claim>) -> Result<KeyReference> {
        match self.shared.management {
            ClusterManagement::VendorManaged => self.generate_at_vendor(&new, reservation),
            ClusterManagement::Members => self.generate_and_replicate(new, reservation),
        }
    }

    fn generate_at_vendor(&self, new: &NewKey, reservation: Option<&Claim>) -> Result<KeyReference> {
        let slot = self.members.first().ok_or_else(|| unavailable(&[]))?;
        let key = slot.token.generate_key(new).map_err(|error| refusal_to_make(&error))?;
        check_alone(reservation, slot, key.id())?;
        slot.token.verify_key(&key).map_err(|error| refusal(&error))?;
        Ok(key)
    }

    /// Makes a key on one member and brings it to all others that answer, of which there must be one. When this fails
    /// half-way, the caller erases the objects that remain.
    fn generate_and_replicate(&self, new: NewKey, reservation: Option<&Claim>) -> Result<KeyReference> {
        let (active, mut reasons) = self.active_with_replication_keys()?;
        let Some(((source, wrapping), others)) = active.split_first() else { return Err(unavailable(&reasons)) };
        let source = *source;
        let failed = |member: &Member, error: &TokenError| refusal_to_make(error).with_member(member);
        let new = new.extractable_for_replication();
        let key = source.token.generate_key(&new).map_err(|error| failed(source, &error))?;
        check_alone(reservation, source, key.id())?;
        let wrapped = source.token.wrap_key(wrapping, &key).map_err(|error| failed(source, &error))?;
        let mut holders = vec![source];
        for (member, wrapping) in others {
            let unwrapped = member.token.unwrap_key(wrapping, &wrapped, &key);
            match unwrapped.and_then(|()| member.token.verify_key(&key)) {
                Ok(()) => holders.push(member),
                Err(error) => {
                    let is_taken = || member.token.count_objects(key.id()).is_ok_and(|count| count > 0);
                    if reservation.is_some() && error.class() == ErrorClass::Denied && is_taken() {
                        return Err(taken(member));
                    }
                    reasons.push((*member, error));
                }
            }
        }
        for member in &holders[1..] {
            check_alone(reservation, member, key.id())?;
        }
        if holders.len() < HOLDERS {
            return Err(unavailable(&reasons));
        }
        // From here on the key leaves no token any more. What was wrapped opens with the replication key alone.
        source.token.forbid_extraction(&key).map_err(|error| failed(source, &error))?;
        for member in holders {
            let protection = member.token.key_protection(&key).map_err(|error| failed(member, &error))?;
            if protection.extractable || !protection.sensitive {
                let text = format!("{} does not protect the new key: {protection:?}", member.name);
                return Err(Error::new(ErrorKind::Internal, text));
            }
        }
        Ok(key)
    }

    /// Returns the members that answer, each with its replication key, and the errors of the others. A member that does not
    /// protect its replication key is an error, so that no key is created that would be wrapped under it.
    #[expect(clippy::type_complexity, reason = "two lists of pairs, taken apart at once")]
    pub(super) fn active_with_replication_keys(
        &self,
    ) -> Result<(Vec<(&Member, KeyReference)>, Vec<(&Member, TokenError)>)> {
        let (mut active, mut reasons) = (Vec::new(), Vec::new());
        for member in self.members.iter().filter(|member| member.state().0 == MemberState::Active) {
            match self.replication_key(member) {
                Ok(wrapping) => active.push((member, wrapping)),
                Err(error) if error.rejected_for().is_some() => return Err(refusal_to_make(&error).with_member(member)),
                Err(error) => reasons.push((member, error)),
            }
        }
        Ok((active, reasons))
    }

    /// The key under which keys travel, as a member has it. That it is the same everywhere shows when what was wrapped
    /// under it is unwrapped and opens the canary.
    fn replication_key(&self, member: &Member) -> Result<KeyReference, TokenError> {
        let id = self.shared.replication_key.as_deref().unwrap_or_default();
        member.token.adopt_key(id, REPLICATION_LABEL, TokenKeyKind::WrappingAes256)
    }

    /// Destroys all objects of a key on all members, and makes sure that none is left. The id is that of one key alone, as it
    /// holds the random key id.
    pub(super) fn erase_objects(&self, binding: &MaterialBinding) -> Result<()> {
        self.check_connected()?;
        let id = key_id(binding);
        let mut reasons = Vec::new();
        for member in self.members.iter() {
            let erased = member.token.destroy_objects(&id).and_then(|_| member.token.count_objects(&id));
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

/// Refuses a name under which a member has another key: one that it did not show before.
fn check_alone(reservation: Option<&Claim>, member: &Member, id: &[u8]) -> Result<()> {
    let Some(reservation) = reservation else { return Ok(()) };
    if reservation.is_alone(member, id).map_err(|error| refusal_to_make(&error).with_member(member))? {
        return Ok(());
    }
    Err(taken(member))
}

fn taken(member: &Member) -> Error {
    let text = format!("{} has another key of this name already", member.name);
    Error::new(ErrorKind::AlreadyExists, text)
}

pub(super) trait WithMember {
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
