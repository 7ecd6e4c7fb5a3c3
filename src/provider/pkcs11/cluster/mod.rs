//! A cluster of tokens behind PKCS#11.

mod claim;
mod keys;
mod marks;
mod named;
mod opened;
mod route;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::key::{ConnectionErrorCode, KeySpec, KeyUsage};
use crate::provider::pkcs11::config::PinProvider;
use crate::provider::pkcs11::connection;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::token::Token;
use crate::provider::pkcs11::token::health::{HealthState, UNCLEAR_LOGINS};
use crate::provider::{
    Capabilities, ClusterManagement, ClusterMember, ConnectionFailure, CryptoUserCredential, HsmCluster,
    KeyMaterialProvider, MaterialBinding, MemberState, ProviderId,
};
use crate::secret::SecretBytes;

/// Several tokens that hold the same keys, or one slot that is a cluster by itself.
///
/// What may be done twice (to encrypt, decrypt, sign, draw random bytes) goes on with another member when one does not
/// answer; a member that comes back proves each key, by its canary, before it is used. New keys are brought to every
/// member: made extractable on one, wrapped under a *replication key* that all of them hold and none gives away,
/// unwrapped unextractable on the others, and then made unextractable where they were made, for ever.
///
/// Give its tokens [`CallMode::Deadline`](crate::provider::pkcs11::CallMode::Deadline): with direct calls, a member that hangs holds its
/// caller.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
///
/// use strongroom::provider::pkcs11::{CallMode, Module, Pkcs11Cluster, TokenConfig, TokenSelector};
/// use strongroom::{ClusterId, Kms};
///
/// let calls = CallMode::Deadline { deadline: Duration::from_secs(2), threads: 8 };
/// let member = |label: &str| TokenConfig::new(TokenSelector::Label(label.into())).call_mode(calls);
/// let cluster = Pkcs11Cluster::of_members(b"replication key")
///     .member("east", "zone-a", &Module::load("/opt/east/libpkcs11.so")?, member("east"))
///     .member("west", "zone-b", &Module::load("/opt/west/libpkcs11.so")?, member("west"));
/// let kms = Kms::builder().cluster(ClusterId::parse("vault")?, cluster).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pkcs11Cluster {
    members: Arc<Vec<Member>>,
    shared: Arc<Shared>,
}

struct Shared {
    management: ClusterManagement,
    /// The CKA_ID of the key under which new keys travel to the other members.
    replication_key: Option<Vec<u8>>,
    /// Zones of a cluster that its vendor manages.
    zones: Vec<(String, String)>,
    id: ProviderId,
    capabilities: OnceLock<Capabilities>,
    before: Capabilities,
    connected: AtomicBool,
    next: AtomicUsize,
}

struct Member {
    name: String,
    zone: String,
    token: Token,
    /// What the last look at the token showed while it was not connected.
    seen: Mutex<Option<TokenError>>,
    /// How often in a row a login was answered with what may or may not mean a wrong password.
    unclear_logins: AtomicU32,
}

impl Pkcs11Cluster {
    /// A cluster of tokens of their own, of which none is named yet. All of them hold the AES-256 key with this CKA_ID, with
    /// CKA_WRAP, CKA_UNWRAP and not CKA_EXTRACTABLE: the replication key. It is put there when the tokens are set up.
    pub fn of_members(replication_key: &[u8]) -> Self {
        Self::new(ClusterManagement::Members, Some(replication_key.to_vec()), Vec::new(), Vec::new())
    }

    /// One slot that is a cluster, as that of AWS CloudHSM: its vendor keeps the HSMs alike, and their names and zones are
    /// declared.
    pub fn vendor_managed<'a>(
        module: &crate::provider::pkcs11::Module,
        config: crate::provider::pkcs11::TokenConfig,
        hsms: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let zones = hsms.into_iter().map(|(name, zone)| (name.to_owned(), zone.to_owned())).collect();
        let member = Member::new("cluster", "", module, config);
        Self::new(ClusterManagement::VendorManaged, None, zones, vec![member])
    }

    fn new(
        management: ClusterManagement,
        replication_key: Option<Vec<u8>>,
        zones: Vec<(String, String)>,
        members: Vec<Member>,
    ) -> Self {
        let symmetric = Capabilities::new(vec![(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)], false);
        let shared = Shared {
            management,
            replication_key,
            zones,
            id: ProviderId::new("pkcs11 cluster"),
            capabilities: OnceLock::new(),
            before: symmetric,
            connected: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        };
        Self { members: Arc::new(members), shared: Arc::new(shared) }
    }

    /// Adds a token: with a name for people, and the zone that it lies in, which is what fails together. Tokens of one
    /// module fail together too, when that has to be initialised again: give each its own copy of the file.
    #[must_use]
    pub fn member(
        self,
        name: &str,
        zone: &str,
        module: &crate::provider::pkcs11::Module,
        config: crate::provider::pkcs11::TokenConfig,
    ) -> Self {
        let mut members = Arc::into_inner(self.members).unwrap_or_default();
        members.push(Member::new(name, zone, module, config));
        Self { members: Arc::new(members), shared: self.shared }
    }

    /// The token of a member.
    pub fn token(&self, member: &str) -> Option<&Token> {
        self.members.iter().find(|other| other.name == member).map(|member| &member.token)
    }
}

impl Member {
    fn new(
        name: &str,
        zone: &str,
        module: &crate::provider::pkcs11::Module,
        config: crate::provider::pkcs11::TokenConfig,
    ) -> Self {
        let (name, zone, token) = (name.to_owned(), zone.to_owned(), Token::new(module, config, NoPin));
        Self { name, zone, token, seen: Mutex::default(), unclear_logins: AtomicU32::new(0) }
    }

    fn see(&self, result: Result<(), TokenError>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
    }

    /// How it is, and why.
    fn state(&self) -> (MemberState, Option<String>) {
        let health = self.token.health();
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = |error: Option<TokenError>| error.map(|error| error.to_string());
        if health.module_wedged {
            return (MemberState::Hanging, Some("a call to its module does not come back".to_owned()));
        }
        match health.state {
            HealthState::Connected if health.stuck_calls > 0 => {
                (MemberState::Active, Some(format!("{} calls do not come back", health.stuck_calls)))
            }
            HealthState::Connected => (MemberState::Active, None),
            HealthState::Refused => (MemberState::Refused, reason(health.last_error)),
            HealthState::Failing | HealthState::Paused => (MemberState::Unreachable, reason(health.last_error)),
            HealthState::Disconnected => match seen() {
                Some(error) => (MemberState::Unreachable, Some(error.to_string())),
                None => (MemberState::Active, None),
            },
        }
    }

    fn describe(&self, name: &str, zone: &str) -> ClusterMember {
        let mut described = ClusterMember::active(name, zone);
        (described.state, described.reason) = self.state();
        described
    }
}

impl HsmCluster for Pkcs11Cluster {
    fn management(&self) -> ClusterManagement {
        self.shared.management
    }

    fn members(&self) -> Vec<ClusterMember> {
        match (self.shared.management, self.members.first()) {
            (ClusterManagement::VendorManaged, Some(slot)) => {
                self.shared.zones.iter().map(|(name, zone)| slot.describe(name, zone)).collect()
            }
            _ => self.members.iter().map(|member| member.describe(&member.name, &member.zone)).collect(),
        }
    }

    fn probe(&self) {
        let is_connected = self.check_connected().is_ok();
        for member in self.members.iter() {
            let health = member.token.health();
            match health.state {
                HealthState::Disconnected => {
                    member.see(connection::look(member.token.module(), member.token.config().selector()));
                }
                HealthState::Failing | HealthState::Paused if is_connected && !health.module_wedged => {
                    member.see(member.token.connect().map(drop));
                }
                _ => {}
            }
        }
    }

    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure> {
        let mut failures = Vec::new();
        for member in self.members.iter() {
            member.token.set_pin(Pin(Arc::clone(credential)));
            let connected = member.token.connect();
            member.see(connected.as_ref().map(drop).map_err(Clone::clone));
            match connected {
                Ok(_) => member.unclear_logins.store(0, Ordering::Relaxed),
                Err(error) => {
                    member.unclear_logins.fetch_add(u32::from(error.is_of_unclear_login()), Ordering::Relaxed);
                    failures.push(error);
                }
            }
        }
        if failures.len() < self.members.len() {
            self.learn_capabilities();
            self.shared.connected.store(true, Ordering::Release);
            return Ok(());
        }
        self.log_out();
        let mut failure = failure(failures);
        if self.members.iter().any(|member| member.unclear_logins.load(Ordering::Relaxed) > UNCLEAR_LOGINS) {
            // Nobody tries it again by himself.
            failure.code = ConnectionErrorCode::InvalidCredentials;
        }
        Err(failure)
    }

    fn disconnect(&self) {
        self.shared.connected.store(false, Ordering::Release);
        self.log_out();
    }

    fn provider(&self) -> &dyn KeyMaterialProvider {
        self
    }

    fn lacks(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        self.missing(spec, usage)
    }

    fn erase(&self, binding: &MaterialBinding) -> Result<()> {
        self.erase_objects(binding)
    }

    fn random(&self, length: usize) -> Result<SecretBytes> {
        self.anywhere(|token| token.random(length))
    }
}

impl Pkcs11Cluster {
    fn log_out(&self) {
        for member in self.members.iter() {
            member.token.disconnect();
            // The password is not kept longer than the connection.
            member.token.set_pin(NoPin);
        }
    }
}

impl fmt::Debug for Pkcs11Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Cluster").field("members", &self.members()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("zone", &self.zone).finish_non_exhaustive()
    }
}

/// The PIN of the crypto user, asked for when it is needed.
#[derive(Debug)]
struct Pin(Arc<dyn CryptoUserCredential>);

impl PinProvider for Pin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        self.0.password().map(Some)
    }
}

/// There is no PIN while nobody is connected.
#[derive(Debug)]
struct NoPin;

impl PinProvider for NoPin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        Err(Error::new(ErrorKind::KeyUnavailable, "the cluster is not connected"))
    }
}

/// What the failures of all members come to.
fn failure(failures: Vec<TokenError>) -> ConnectionFailure {
    let Some(worst) = failures.iter().find(|error| error.class() == ErrorClass::Denied).or(failures.first()) else {
        return ConnectionFailure::new(ConnectionErrorCode::InsufficientHsms, "the cluster has no members");
    };
    let code = match (worst.class(), worst.code().or(worst.rejected_for())) {
        (_, Some("CKR_PIN_LOCKED" | "CKF_USER_PIN_LOCKED" | "CKF_USER_PIN_FINAL_TRY")) => {
            ConnectionErrorCode::UserLockedOut
        }
        (_, Some("CKR_USER_PIN_NOT_INITIALIZED")) => ConnectionErrorCode::UserNotFound,
        (_, Some("CKR_USER_ANOTHER_ALREADY_LOGGED_IN" | "CKR_USER_TOO_MANY_TYPES")) => {
            ConnectionErrorCode::UserLoggedIn
        }
        (ErrorClass::Denied, _) => ConnectionErrorCode::InvalidCredentials,
        (ErrorClass::TokenLost, None) => ConnectionErrorCode::InsufficientHsms,
        (ErrorClass::TokenLost | ErrorClass::Busy | ErrorClass::SessionLost, _) => ConnectionErrorCode::NetworkErrors,
        _ => ConnectionErrorCode::InternalError,
    };
    let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
    ConnectionFailure::new(code, reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::{Nss, PIN, SoftHsm};

    use super::*;
    use crate::crypto::FASTEST;
    use crate::identity::AccountId;
    use crate::key::{KeyId, KeyVersion};
    use crate::provider::pkcs11::{Module, Offer, TokenConfig, TokenSelector};
    use crate::provider::{FixedCredential, conformance};

    /// Says that a test does not run, or fails it if every test is asked for.
    fn missing(what: &str) {
        assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "{what} is not installed");
        eprintln!("not run: a cluster over {what}, which is not installed");
    }

    fn config(label: &str) -> TokenConfig {
        TokenConfig::new(TokenSelector::Label(label.into()))
    }

    fn connect(cluster: &Pkcs11Cluster) -> Result<()> {
        let pin = SecretBytes::copy_of(PIN.as_bytes());
        let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin));
        cluster.connect(&credential).map_err(|failure| failure.error)
    }

    /// RSA keys of these lengths take seconds to make, and follow the same path as shorter ones.
    fn is_quick(spec: KeySpec, _: KeyUsage) -> bool {
        !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096)
    }

    #[test]
    fn members_keep_the_contract() -> Result<()> {
        let (Some(east), Some(west)) = (SoftHsm::new(&["east"]), SoftHsm::new(&["west"])) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let cluster = Pkcs11Cluster::of_members(b"replication key")
            .member("east", "zone-a", &Module::load(east.shim().path())?, config("east"))
            .member("west", "zone-b", &Module::load(west.shim().path())?, config("west"));
        connect(&cluster)?;
        cluster.install_replication_key(&SecretBytes::copy_of(&[0x5A; 32]))?;
        assert_eq!(cluster.capabilities().generates, [(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)]);
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_slot_of_a_vendor_keeps_the_contract() -> Result<()> {
        let Some(hsm) = SoftHsm::new(&["vendor"]) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let (module, config) = (Module::load(hsm.shim().path())?, config("vendor").offer(Offer::Everything));
        let cluster = Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "zone-a"), ("hsm-2", "zone-b")]);
        connect(&cluster)?;
        let made = &cluster.capabilities().generates;
        assert!(made.contains(&(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)));
        assert!(made.contains(&(KeySpec::Rsa2048, KeyUsage::SignVerify)));
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_slot_of_nss_keeps_the_contract_as_far_as_it_goes() -> Result<()> {
        let Some(nss) = Nss::new() else {
            missing("NSS softokn");
            return Ok(());
        };
        let (module, config) = (Module::load(nss.shim().path())?, config(Nss::LABEL).offer(Offer::Everything));
        let cluster = Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "zone-a"), ("hsm-2", "zone-b")]);
        connect(&cluster)?;
        assert!(cluster.capabilities().generates.contains(&(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)));
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_reference_to_another_key_of_the_cluster_is_not_opened() -> Result<()> {
        let Some(hsm) = SoftHsm::new(&["vendor"]) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let module = Module::load(hsm.shim().path())?;
        let cluster = Pkcs11Cluster::vendor_managed(&module, config("vendor"), [("hsm-1", "zone-a")]);
        connect(&cluster)?;
        let binding = |key: u8| MaterialBinding {
            store: [1; 16],
            account: AccountId::default(),
            key_id: KeyId::from_random_bytes([key; 16]),
            version: KeyVersion::FIRST,
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: cluster.origin(),
        };
        let generator = cluster.generator().ok_or_else(|| Error::new(ErrorKind::Internal, "it makes keys"))?;
        let made = generator.generate(&FASTEST, &binding(2))?;
        cluster.open(&FASTEST, &binding(2), &made.kept)?;
        let refused = cluster.open(&FASTEST, &binding(3), &made.kept).map(drop).expect_err("it is of another key");
        assert_eq!(refused.kind(), ErrorKind::Internal, "{refused}");
        Ok(())
    }
}
