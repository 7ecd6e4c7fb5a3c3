//! The members of a cluster and their state.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage};
use crate::lock::Mutex;
use crate::provider::pkcs11::config::{PinProvider, TokenConfig};
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::module::Module;
use crate::provider::pkcs11::token::Token;
use crate::provider::pkcs11::token::health::HealthState;
use crate::provider::{Capabilities, ClusterManagement, ClusterMember, MemberState, ProviderId};
use crate::secret::SecretBytes;

/// Several tokens that hold the same keys, or one slot that is itself a cluster.
///
/// Operations that can safely be repeated (encryption, decryption, signing, random bytes) fail over
/// to another member when one does not respond. A member that comes back must prove by its canary
/// that it holds a key before that key is used.
///
/// New keys are replicated to every member. A key is generated as extractable on one member and
/// wrapped under a *replication key*, which all members hold and no member reveals. The other
/// members unwrap it as unextractable. Finally, extraction is permanently disabled on the member
/// that generated the key.
///
/// Configure the tokens with [`CallMode::Deadline`](crate::provider::pkcs11::CallMode::Deadline).
/// With direct calls, a member that hangs blocks its caller.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
///
/// use strongroom::Kms;
/// use strongroom::key::ClusterId;
/// use strongroom::provider::pkcs11::{CallMode, Module, Pkcs11Cluster, TokenConfig, TokenSelector};
///
/// let calls = CallMode::Deadline { deadline: Duration::from_secs(2), threads: 8 };
/// let member = |label: &str| TokenConfig::new(TokenSelector::Label(label.into())).call_mode(calls);
/// let cluster = Pkcs11Cluster::from_members(b"replication key")
///     .member("east", "zone-a", &Module::load("/opt/east/libpkcs11.so")?, member("east"))
///     .member("west", "zone-b", &Module::load("/opt/west/libpkcs11.so")?, member("west"));
/// let kms = Kms::builder().cluster(ClusterId::parse("vault")?, cluster).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pkcs11Cluster {
    pub(super) members: Arc<Vec<Member>>,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) management: ClusterManagement,
    /// The CKA_ID of the key that wraps new keys for the other members.
    pub(super) replication_key: Option<Vec<u8>>,
    /// The names and zones of the HSMs in a vendor-managed cluster.
    pub(super) zones: Vec<(String, String)>,
    pub(super) id: ProviderId,
    pub(super) capabilities: OnceLock<Capabilities>,
    pub(super) before: Capabilities,
    pub(super) connected: AtomicBool,
    pub(super) next: AtomicUsize,
}

pub(super) struct Member {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) token: Token,
    /// The error of the last check of the token while it was not connected.
    pub(super) seen: Mutex<Option<TokenError>>,
    /// The number of consecutive login errors that may or may not indicate a wrong password.
    pub(super) unclear_logins: AtomicU32,
}

impl Pkcs11Cluster {
    /// Creates a cluster of separate tokens, without any members yet. All members must hold the
    /// replication key: the AES-256 key with this CKA_ID, with CKA_WRAP and CKA_UNWRAP but not
    /// CKA_EXTRACTABLE. It is installed when the tokens are set up.
    pub fn from_members(replication_key: &[u8]) -> Self {
        Self::new(ClusterManagement::Members, Some(replication_key.to_vec()), Vec::new(), Vec::new())
    }

    /// Creates a cluster from one slot that is itself a cluster, such as that of AWS CloudHSM. The
    /// vendor keeps the HSMs synchronized. `hsms` declares their names and zones.
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::Kms;
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::pkcs11::{Module, Pkcs11Cluster, TokenConfig, TokenSelector};
    ///
    /// let module = Module::load("/opt/cloudhsm/lib/libcloudhsm_pkcs11.so")?;
    /// let config = TokenConfig::new(TokenSelector::Label("hsm1".into()));
    /// let cluster = Pkcs11Cluster::vendor_managed(&module, config, [("hsm-a", "eu-1a"), ("hsm-b", "eu-1b")]);
    /// assert!(cluster.token("cluster").is_some());
    /// let kms = Kms::builder().cluster(ClusterId::parse("cloudhsm")?, cluster).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn vendor_managed<'a>(
        module: &Module,
        config: TokenConfig,
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

    /// Adds a token with a human-readable name and its zone. A zone is a failure domain: its
    /// members can fail together. Tokens of one module also fail together when the module must be
    /// reinitialized, so give each token its own copy of the module file.
    #[must_use]
    pub fn member(self, name: &str, zone: &str, module: &Module, config: TokenConfig) -> Self {
        let mut members = Arc::into_inner(self.members).unwrap_or_default();
        members.push(Member::new(name, zone, module, config));
        Self { members: Arc::new(members), shared: self.shared }
    }

    /// Returns the token of a member.
    pub fn token(&self, member: &str) -> Option<&Token> {
        self.members.iter().find(|other| other.name == member).map(|member| &member.token)
    }
}

impl Member {
    fn new(name: &str, zone: &str, module: &Module, config: TokenConfig) -> Self {
        let (name, zone, token) = (name.to_owned(), zone.to_owned(), Token::new(module, config, NoPin));
        Self { name, zone, token, seen: Mutex::default(), unclear_logins: AtomicU32::new(0) }
    }

    pub(super) fn see(&self, result: Result<(), TokenError>) {
        *self.seen.lock() = result.err();
    }

    /// Returns the state of the member and the reason for it.
    pub(super) fn state(&self) -> (MemberState, Option<String>) {
        let health = self.token.health();
        let seen = || self.seen.lock().clone();
        let reason = |error: Option<TokenError>| error.map(|error| error.to_string());
        if health.module_wedged {
            return (MemberState::Unresponsive, Some("a call to its module does not return".to_owned()));
        }
        match health.state {
            HealthState::Connected => (MemberState::Active, None),
            HealthState::PinRejected => (MemberState::CredentialRejected, reason(health.last_error)),
            HealthState::Failing | HealthState::CircuitOpen => (MemberState::Unreachable, reason(health.last_error)),
            HealthState::Disconnected => match seen() {
                Some(error) => (MemberState::Unreachable, Some(error.to_string())),
                None => (MemberState::Active, None),
            },
        }
    }

    pub(super) fn describe(&self, name: &str, zone: &str) -> ClusterMember {
        let mut described = ClusterMember::active(name, zone);
        (described.state, described.reason) = self.state();
        described
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("zone", &self.zone).finish_non_exhaustive()
    }
}

/// The PIN provider while the cluster is disconnected. It never returns a PIN.
#[derive(Debug)]
pub(super) struct NoPin;

impl PinProvider for NoPin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        Err(Error::new(ErrorKind::KeyUnavailable, "the cluster is not connected"))
    }
}
