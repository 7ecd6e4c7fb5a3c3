//! A cluster of software keys, for trying custom key stores without an HSM.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::{ClusterManagement, ClusterMember, ConnectionFailure, CryptoUserCredential, HsmCluster, MemberState};
use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::{AeadAlgorithm, CryptoBackend, NONCE_LENGTH, SignatureInput, TAG_LENGTH};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ConnectionErrorCode, KeySpec, KeyUsage, Origin, SpecClass};
use crate::lock::{Mutex, MutexGuard};
use crate::provider::{
    Capabilities, Cipher, CipherScheme, Decryption, GeneratedMaterial, InstanceMark, InstanceMarks,
    KeyMaterialProvider, MaterialBinding, MaterialGenerator, OpenedKey, ProviderId, Signing, software,
};
use crate::secret::SecretBytes;

/// A cluster whose members are maps in this process, for testing programs that use custom key
/// stores.
///
/// Members can be switched off and on, and can lose individual keys. It offers no protection: its
/// keys are held unencrypted in memory.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::key::ClusterId;
/// use strongroom::provider::{HsmCluster, MemberState, MemoryCluster};
/// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, EncryptRequest};
/// use strongroom::{Kms, SecretBytes};
///
/// let cluster = Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1"));
/// let kms = Kms::builder().cluster(ClusterId::parse("vault")?, Arc::clone(&cluster)).build()?;
/// let request = CreateCustomKeyStoreRequest::new("safe", ClusterId::parse("vault")?)
///     .key_store_password(SecretBytes::copy_from_slice(b"kmsPswd1"));
/// let store = kms.create_custom_key_store(request)?;
/// kms.connect_custom_key_store(store)?;
/// let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
///
/// cluster.set_active("hsm-1", false);
/// assert_eq!(cluster.members()[0].state, MemberState::Unreachable);
/// assert!(kms.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_ok());
/// assert_eq!(cluster.keys_on("hsm-1"), 1); // it still holds the key
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct MemoryCluster {
    shared: Arc<Shared>,
    id: ProviderId,
    capabilities: Capabilities,
    password: Mutex<SecretBytes>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    connected: bool,
    members: Vec<Member>,
}

struct Member {
    name: String,
    zone: String,
    active: bool,
    keys: BTreeMap<Handle, SecretBytes>,
    /// Each mark, with the store that it belongs to.
    marks: BTreeSet<([u8; 16], InstanceMark)>,
}

/// Identifies a key on every member: key id and version.
type Handle = ([u8; 16], u32);

/// The stored state of every key. The key itself is found by its handle.
const KEPT: &[u8] = b"memory cluster";

impl MemoryCluster {
    /// Creates a cluster from the name and zone of each member and the crypto user's password.
    pub fn new<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>, password: &[u8]) -> Self {
        let member = |(name, zone): (&str, &str)| Member {
            name: name.to_owned(),
            zone: zone.to_owned(),
            active: true,
            keys: BTreeMap::new(),
            marks: BTreeSet::new(),
        };
        let state = State { connected: false, members: members.into_iter().map(member).collect() };
        let kinds = KeySpec::ALL.iter().filter(|spec| spec.class() != SpecClass::Hmac).flat_map(|spec| {
            let unsupported = [KeyUsage::KeyAgreement, KeyUsage::EncapsulateDecapsulate];
            let usages = spec.usages().iter().filter(move |usage| !unsupported.contains(usage));
            usages.map(|usage| (*spec, *usage))
        });
        Self {
            shared: Arc::new(Shared { state: Mutex::new(state) }),
            id: ProviderId::new("memory cluster"),
            capabilities: Capabilities::new(kinds.collect(), false),
            password: Mutex::new(SecretBytes::copy_from_slice(password)),
        }
    }

    /// Switches a member on or off. The member retains its keys and marks.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, EncryptRequest};
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// let vault = ClusterId::parse("vault")?;
    /// let cluster = Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1"));
    /// let kms = Kms::builder().cluster(vault.clone(), Arc::clone(&cluster)).build()?;
    /// let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// let store = kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password))?;
    /// kms.connect_custom_key_store(store)?;
    /// let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    /// assert_eq!((cluster.keys_on("hsm-1"), cluster.keys_on("hsm-2")), (1, 1));
    ///
    /// cluster.set_active("hsm-1", false);
    /// kms.encrypt(EncryptRequest::new(key, b"data"))?; // the other member still responds
    /// cluster.set_active("hsm-2", false);
    /// let refused = kms.encrypt(EncryptRequest::new(key, b"data")).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidState); // the key is unavailable, as in AWS KMS
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn set_active(&self, member: &str, active: bool) {
        let mut state = self.shared.lock();
        state.members.iter_mut().filter(|other| other.name == member).for_each(|member| member.active = active);
    }

    /// Changes the password of the crypto user.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::SecretBytes;
    /// use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster, MemoryCluster};
    ///
    /// let cluster = MemoryCluster::new([("hsm-1", "zone-a")], b"kmsPswd1");
    /// let old: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1")));
    /// cluster.set_password(b"kmsPswd2");
    /// assert!(cluster.connect(&old).is_err());
    /// ```
    pub fn set_password(&self, password: &[u8]) {
        *self.password.lock() = SecretBytes::copy_from_slice(password);
    }

    /// Returns the number of keys that a member holds.
    pub fn keys_on(&self, member: &str) -> usize {
        self.shared.lock().members.iter().filter(|other| other.name == member).map(|member| member.keys.len()).sum()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every state change is a single assignment.
        self.state.lock()
    }

    /// Returns the material of a key, from the first responding member that holds it.
    fn material(&self, handle: Handle) -> Result<SecretBytes> {
        let state = self.lock();
        let holders = state.active()?.filter_map(|member| member.keys.get(&handle));
        let found = holders.map(|material| SecretBytes::copy_from_slice(material.expose_secret())).next();
        found.ok_or_else(|| unavailable("no responding member holds the key"))
    }
}

impl State {
    fn check(&self) -> Result<()> {
        if !self.connected {
            return Err(unavailable("the cluster is not connected"));
        }
        if !self.members.iter().any(|member| member.active) {
            return Err(unavailable("no member of the cluster responds"));
        }
        Ok(())
    }

    fn active(&self) -> Result<impl Iterator<Item = &Member>> {
        self.check()?;
        Ok(self.members.iter().filter(|member| member.active))
    }
}

impl HsmCluster for MemoryCluster {
    fn management(&self) -> ClusterManagement {
        ClusterManagement::Members
    }

    fn members(&self) -> Vec<ClusterMember> {
        let describe = |member: &Member| {
            let described = ClusterMember::active(&member.name, &member.zone);
            match member.active {
                true => described,
                false => described.in_state(MemberState::Unreachable, "switched off"),
            }
        };
        self.shared.lock().members.iter().map(describe).collect()
    }

    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure> {
        let given = credential
            .password()
            .map_err(|error| ConnectionFailure { code: ConnectionErrorCode::InvalidCredentials, error })?;
        let mut state = self.shared.lock();
        if !state.members.iter().any(|member| member.active) {
            return Err(ConnectionFailure::new(ConnectionErrorCode::InsufficientHsms, "no member responds"));
        }
        if given != *self.password.lock() {
            return Err(ConnectionFailure::new(ConnectionErrorCode::InvalidCredentials, "the password is wrong"));
        }
        state.connected = true;
        Ok(())
    }

    fn disconnect(&self) {
        self.shared.lock().connected = false;
    }

    fn provider(&self) -> &dyn KeyMaterialProvider {
        self
    }

    fn erase(&self, binding: &MaterialBinding) -> Result<()> {
        let handle = handle(binding);
        let mut state = self.shared.lock();
        state.check()?;
        for member in state.members.iter_mut().filter(|member| member.active) {
            member.keys.remove(&handle);
        }
        match state.members.iter().find(|member| !member.active) {
            None => Ok(()),
            Some(away) => Err(unavailable(format!("{} does not respond and may hold the key", away.name))),
        }
    }

    fn random(&self, length: usize) -> Result<SecretBytes> {
        self.shared.lock().check()?;
        let mut random = SecretBytes::zeroed(length);
        CryptoBackend::default().random().fill(random.expose_secret_mut())?;
        Ok(random)
    }
}

impl KeyMaterialProvider for MemoryCluster {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Hsm
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        if stored.expose_secret() != KEPT {
            return Err(Error::new(ErrorKind::Internal, "the stored material does not belong to this cluster"));
        }
        self.shared.material(handle(binding))?;
        let key = MemberKey { shared: Arc::clone(&self.shared), binding: *binding, backend: *backend };
        match binding.usage {
            KeyUsage::SignVerify => Ok(OpenedKey::Signing(Box::new(key))),
            KeyUsage::EncryptDecrypt if binding.spec.class() == SpecClass::Symmetric => {
                Ok(OpenedKey::Cipher(Box::new(key)))
            }
            KeyUsage::EncryptDecrypt => Ok(OpenedKey::Decryption(Box::new(key))),
            KeyUsage::GenerateVerifyMac | KeyUsage::KeyAgreement | KeyUsage::EncapsulateDecapsulate => {
                Err(unsupported(binding))
            }
        }
    }

    fn destroy(&self, binding: &MaterialBinding, _stored: &SecretBytes) -> Result<()> {
        self.erase(binding)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        Some(self)
    }
}

impl InstanceMarks for MemoryCluster {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        let state = self.shared.lock();
        let all = state.active()?.flat_map(|member| &member.marks);
        Ok(all.filter(|(owner, _)| *owner == store).map(|(_, mark)| *mark).collect())
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        let mut state = self.shared.lock();
        state.check()?;
        for member in state.members.iter_mut().filter(|member| member.active) {
            member.marks.insert((store, mark));
            member.marks.retain(|(owner, other)| *owner != store || other.generation >= mark.generation);
        }
        Ok(())
    }
}

impl MaterialGenerator for MemoryCluster {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        if !self.capabilities.generates.contains(&(binding.spec, binding.usage)) {
            return Err(unsupported(binding));
        }
        let made = software::generate(backend, binding.spec, binding.usage)?;
        let mut state = self.shared.lock();
        state.check()?;
        for member in state.members.iter_mut().filter(|member| member.active) {
            member.keys.insert(handle(binding), SecretBytes::copy_from_slice(made.stored.expose_secret()));
        }
        Ok(GeneratedMaterial { stored: SecretBytes::copy_from_slice(KEPT), public_key: made.public_key })
    }
}

impl fmt::Debug for MemoryCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCluster").field("members", &self.members()).finish_non_exhaustive()
    }
}

/// A key of the cluster. It is fetched from a member for every use, so the failure of a member is
/// noticed.
struct MemberKey {
    shared: Arc<Shared>,
    binding: MaterialBinding,
    backend: CryptoBackend,
}

impl MemberKey {
    fn opened(&self) -> Result<OpenedKey> {
        let material = self.shared.material(handle(&self.binding))?;
        software::open(&self.backend, self.binding.spec, self.binding.usage, &material)
    }
}

impl Cipher for MemberKey {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let material = self.shared.material(handle(&self.binding))?;
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, material.expose_secret())?;
        let mut nonce = [0; NONCE_LENGTH];
        self.backend.random().fill(&mut nonce)?;
        let mut ciphertext = vec![0; plaintext.len()];
        let tag = key.seal(&nonce, &[header, context].concat(), plaintext, &mut ciphertext)?;
        output.extend([&nonce[..], &ciphertext, &tag].concat());
        Ok(())
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        let material = self.shared.material(handle(&self.binding))?;
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, material.expose_secret())?;
        let (nonce, rest) = body.split_first_chunk::<NONCE_LENGTH>().ok_or_else(does_not_open)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or_else(does_not_open)?;
        let mut plaintext = SecretBytes::zeroed(ciphertext.len());
        key.open(nonce, &[header, context].concat(), ciphertext, tag, plaintext.expose_secret_mut())
            .map_err(|_| does_not_open())?;
        Ok(plaintext)
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let mut data_key = SecretBytes::zeroed(length);
        self.backend.random().fill(data_key.expose_secret_mut())?;
        self.seal(header, context, data_key.expose_secret(), output)?;
        Ok(data_key)
    }
}

impl Signing for MemberKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        match self.opened()? {
            OpenedKey::Signing(key) => key.sign(algorithm, input),
            _ => Err(unsupported(&self.binding)),
        }
    }
}

impl Decryption for MemberKey {
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes> {
        match self.opened()? {
            OpenedKey::Decryption(key) => key.decrypt(algorithm, ciphertext),
            _ => Err(unsupported(&self.binding)),
        }
    }
}

fn handle(binding: &MaterialBinding) -> Handle {
    (*binding.key_id.as_bytes(), binding.version.number())
}

fn unavailable(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::KeyUnavailable, text.into())
}

fn unsupported(binding: &MaterialBinding) -> Error {
    let MaterialBinding { spec, usage, .. } = binding;
    Error::new(ErrorKind::UnsupportedOperation, format!("a cluster in memory does not support {spec} keys for {usage}"))
}

fn does_not_open() -> Error {
    Error::new(ErrorKind::InvalidCiphertext, "the ciphertext cannot be decrypted")
}

#[cfg(test)]
mod tests {
    use super::super::FixedCredential;
    use super::*;
    use crate::crypto::FASTEST;
    use crate::provider::conformance;

    #[test]
    fn keeps_the_contract() -> Result<()> {
        if crate::crypto::default_lacks("keeps_the_contract", &["signatures of hash values"]) {
            return Ok(());
        }
        let cluster = MemoryCluster::new([("a", "1"), ("b", "2")], b"pin");
        let credential: Arc<dyn CryptoUserCredential> =
            Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"pin")));
        cluster.connect(&credential).map_err(|failure| failure.error)?;
        conformance::run(&cluster, &FASTEST, |spec, _| !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096))
    }

    #[test]
    fn an_arc_of_it_passes_everything_on() -> Result<()> {
        let shared = Arc::new(MemoryCluster::new([("a", "1"), ("b", "2")], b"pin"));
        let cluster: &dyn HsmCluster = &shared;
        let credential: Arc<dyn CryptoUserCredential> =
            Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"pin")));
        cluster.connect(&credential).map_err(|failure| failure.error)?;
        let provider: &dyn KeyMaterialProvider = &shared;
        conformance::run(provider, &FASTEST, |spec, _| spec == KeySpec::SymmetricDefault)?;
        assert_eq!((shared.keys_on("a"), shared.keys_on("b")), (0, 0), "destroyed material cannot be opened");
        assert_eq!(cluster.unsupported_reason(KeySpec::Hmac256, KeyUsage::GenerateVerifyMac), None);

        let (store, mark) = ([7; 16], InstanceMark { generation: 1, nonce: [8; 16] });
        let marks: &dyn InstanceMarks = &shared;
        marks.add_mark(store, mark)?;
        assert_eq!(marks.marks(store)?, [mark, mark]);
        assert_eq!(provider.instance_marks().expect("the cluster supports marks").marks(store)?, [mark, mark]);
        cluster.disconnect();
        assert_eq!(cluster.random(1).expect_err("the cluster is logged out").kind(), ErrorKind::KeyUnavailable);
        Ok(())
    }
}
