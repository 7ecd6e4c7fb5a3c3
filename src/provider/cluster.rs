//! Clusters of HSMs, which back custom key stores.
//!
//! An [`HsmCluster`] is registered with the builder of the `Kms` under a name. It holds each key on
//! several members, works as long as one of them responds, and reports the state of each. The `Kms`
//! connects and disconnects the cluster, and uses its keys through its [`KeyMaterialProvider`].

mod memory;

use std::fmt;
use std::sync::Arc;

pub use memory::MemoryCluster;

use super::{KeyMaterialProvider, MaterialBinding};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ConnectionErrorCode, KeySpec, KeyUsage};
use crate::secret::SecretBytes;

/// Supplies the password of the crypto user, the user as which the `Kms` logs in to a cluster. It
/// is called whenever a connection needs the password, so the `Kms` does not have to store it.
///
/// # Examples
/// ```
/// use strongroom::provider::{CryptoUserCredential, FixedCredential};
/// use strongroom::SecretBytes;
///
/// let credential = FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1"));
/// assert_eq!(credential.password()?.expose_secret(), b"kmsPswd1");
/// assert!(!format!("{credential:?}").contains("kmsPswd1"));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait CryptoUserCredential: fmt::Debug + Send + Sync {
    /// Returns the password. For a PKCS#11 token this is the PIN.
    ///
    /// # Errors
    /// - Any error if the password is currently unavailable.
    fn password(&self) -> Result<SecretBytes>;
}

/// A password held in memory.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::key::ClusterId;
/// use strongroom::provider::{FixedCredential, MemoryCluster};
/// use strongroom::request::CreateCustomKeyStoreRequest;
///
/// let vault = ClusterId::parse("vault")?;
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
/// let credential = FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1"));
/// let kms = strongroom::Kms::builder().cluster(vault.clone(), cluster).cluster_credential(vault.clone(), credential).build()?;
///
/// // The request needs no password then.
/// let store = kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault))?;
/// kms.connect_custom_key_store(store)?;
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct FixedCredential(SecretBytes);

impl FixedCredential {
    /// Creates a credential from a password.
    pub const fn new(password: SecretBytes) -> Self {
        Self(password)
    }
}

impl CryptoUserCredential for FixedCredential {
    fn password(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(self.0.expose_secret()))
    }
}

/// The party that keeps the members of a cluster in sync.
///
/// # Examples
/// ```
/// use strongroom::provider::{ClusterManagement, HsmCluster, MemoryCluster};
///
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a")], b"kmsPswd1");
/// assert_eq!(cluster.management(), ClusterManagement::Members);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClusterManagement {
    /// The members are independent tokens. The cluster replicates each new key to all of them and
    /// verifies that every member holds the same key.
    Members,
    /// The members share one slot, and the vendor keeps them in sync. Their zones are declared in
    /// the configuration.
    VendorManaged,
}

/// State of a cluster member.
///
/// # Examples
/// ```
/// use strongroom::provider::{HsmCluster, MemberState, MemoryCluster};
///
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
/// cluster.set_active("hsm-2", false);
/// let states: Vec<_> = cluster.members().into_iter().map(|member| member.state).collect();
/// assert_eq!(states, [MemberState::Active, MemberState::Unreachable]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// The member responds.
    Active,
    /// The member did not respond to the last request.
    Unreachable,
    /// The member rejects the crypto user's credential.
    CredentialRejected,
    /// A call to the member has not returned.
    Unresponsive,
}

/// A cluster member, as last observed.
///
/// # Examples
/// ```
/// use strongroom::provider::{ClusterMember, MemberState};
///
/// let member = ClusterMember::active("hsm-1", "zone-a");
/// assert_eq!((member.state, member.reason.as_deref()), (MemberState::Active, None));
/// let member = member.in_state(MemberState::Unreachable, "connection refused");
/// assert_eq!((member.state, member.reason.as_deref()), (MemberState::Unreachable, Some("connection refused")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterMember {
    /// Name of the member.
    pub name: String,
    /// Zone of the member. Members of one zone can fail together.
    pub zone: String,
    /// State of the member.
    pub state: MemberState,
    /// The reason why the member is not active, or other diagnostic information.
    pub reason: Option<String>,
}

impl ClusterMember {
    /// Creates an active member.
    pub fn active(name: impl Into<String>, zone: impl Into<String>) -> Self {
        Self { name: name.into(), zone: zone.into(), state: MemberState::Active, reason: None }
    }

    /// Returns the member with its state and reason replaced.
    #[must_use]
    pub fn in_state(mut self, state: MemberState, reason: impl Into<String>) -> Self {
        self.state = state;
        self.reason = Some(reason.into());
        self
    }
}

/// The reason why a cluster could not be connected.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::ConnectionErrorCode;
/// use strongroom::provider::ConnectionFailure;
///
/// let failure = ConnectionFailure::new(ConnectionErrorCode::InvalidCredentials, "the password was rejected");
/// assert_eq!(failure.error.kind(), ErrorKind::KeyUnavailable);
/// assert_eq!(failure.error.to_string(), "the password was rejected");
/// ```
#[derive(Debug)]
pub struct ConnectionFailure {
    /// Machine-readable code.
    pub code: ConnectionErrorCode,
    /// Human-readable error.
    pub error: Error,
}

impl ConnectionFailure {
    /// Creates a failure with a human-readable message.
    pub fn new(code: ConnectionErrorCode, text: impl Into<String>) -> Self {
        Self { code, error: Error::new(ErrorKind::KeyUnavailable, text.into()) }
    }
}

/// A group of HSMs that hold the same keys.
///
/// All methods may be called concurrently from many threads. While the cluster is disconnected, or
/// no member responds, its keys are unavailable. Neither ever means that the keys were deleted.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::SecretBytes;
/// use strongroom::key::{KeySpec, KeyUsage, Origin};
/// use strongroom::provider::{
///     ClusterManagement, CryptoUserCredential, FixedCredential, HsmCluster, KeyMaterialProvider, MemoryCluster,
/// };
///
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
/// let wrong: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"guess")));
/// assert!(cluster.connect(&wrong).is_err());
/// let right: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1")));
/// assert!(cluster.connect(&right).is_ok());
/// assert_eq!(cluster.provider().origin(), Origin::Hsm);
/// assert_eq!(cluster.random(16)?.len(), 16);
/// assert_eq!((cluster.management(), cluster.members().len()), (ClusterManagement::Members, 2));
/// cluster.probe();
/// let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
/// assert!(HsmCluster::unsupported_reason(&cluster, spec, usage).is_none());
/// cluster.disconnect();
/// assert!(cluster.random(16).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait HsmCluster: fmt::Debug + Send + Sync {
    /// Returns how the members are kept in sync.
    fn management(&self) -> ClusterManagement;

    /// Returns the members, as last observed. Never waits for a member.
    fn members(&self) -> Vec<ClusterMember>;

    /// Checks again the members that did not respond, and updates what [`HsmCluster::members`]
    /// returns. While the cluster is disconnected, it logs in to no member. The default does
    /// nothing, for clusters whose information is always current.
    fn probe(&self) {}

    /// Logs in to every member that responds, and verifies it. One usable member is enough. A
    /// cluster that is already connected stays connected.
    ///
    /// A wrong password is tried once on each member, and not again before the next call.
    ///
    /// # Errors
    /// - A [`ConnectionFailure`] if no member could be used. The cluster is then not connected.
    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure>;

    /// Logs out. Opened keys stay valid and work again once the cluster is reconnected.
    fn disconnect(&self);

    /// Returns the cluster's keys as a provider of origin `AWS_CLOUDHSM`. The state that it stores
    /// for a key must be valid for every member. It should support
    /// [instance marks](KeyMaterialProvider::instance_marks) too, which protect the keys of a store
    /// from copies of that store.
    fn provider(&self) -> &dyn KeyMaterialProvider;

    /// Returns a human-readable reason why the cluster does not generate keys of a kind, such as
    /// the name of a missing mechanism. Returns `None`, the default, if it has nothing to add.
    fn unsupported_reason(&self, _spec: KeySpec, _usage: KeyUsage) -> Option<String> {
        None
    }

    /// Destroys on all members every object that was created for a version of a key. It is used
    /// after an interrupted creation and for deleted keys. Calling it again is harmless.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member could not be reached, so objects
    ///   may remain there.
    fn erase(&self, binding: &MaterialBinding) -> Result<()>;

    /// Generates random bytes in an HSM.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if no member responds.
    fn random(&self, length: usize) -> Result<SecretBytes>;
}

impl<C: HsmCluster + ?Sized> HsmCluster for Arc<C> {
    fn management(&self) -> ClusterManagement {
        (**self).management()
    }

    fn members(&self) -> Vec<ClusterMember> {
        (**self).members()
    }

    fn probe(&self) {
        (**self).probe();
    }

    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure> {
        (**self).connect(credential)
    }

    fn disconnect(&self) {
        (**self).disconnect();
    }

    fn provider(&self) -> &dyn KeyMaterialProvider {
        (**self).provider()
    }

    fn unsupported_reason(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        (**self).unsupported_reason(spec, usage)
    }

    fn erase(&self, binding: &MaterialBinding) -> Result<()> {
        (**self).erase(binding)
    }

    fn random(&self, length: usize) -> Result<SecretBytes> {
        (**self).random(length)
    }
}
