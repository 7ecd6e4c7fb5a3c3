//! Clusters of HSMs: what stands behind a custom key store.
//!
//! An [`HsmCluster`] is given to the builder of the `Kms` under a name. It holds keys on several members, answers as
//! long as one of them does, and says how each of them is. The `Kms` connects and disconnects it, and uses it through
//! the [`KeyMaterialProvider`] that it lends.

mod memory;

use std::fmt;
use std::sync::Arc;

pub use memory::MemoryCluster;

use super::{KeyMaterialProvider, MaterialBinding};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ConnectionErrorCode, KeySpec, KeyUsage};
use crate::secret::SecretBytes;

/// Gives the password of the crypto user, as whom the `Kms` logs in to a cluster, whenever a connection needs it. So
/// nothing else has to keep it.
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
    /// The password; for a token of PKCS#11 its PIN.
    ///
    /// # Errors
    /// Any error, if it cannot be had now.
    fn password(&self) -> Result<SecretBytes>;
}

/// A password that is kept in memory.
#[derive(Debug)]
pub struct FixedCredential(SecretBytes);

impl FixedCredential {
    /// Keeps a password.
    pub const fn new(password: SecretBytes) -> Self {
        Self(password)
    }
}

impl CryptoUserCredential for FixedCredential {
    fn password(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(self.0.expose_secret()))
    }
}

/// Who keeps the members of a cluster alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClusterManagement {
    /// The members are tokens of their own. The cluster brings each new key to all of them, and proves that they hold
    /// the same one.
    Members,
    /// The members stand behind one slot, whose vendor keeps them alike; which zones they lie in is declared.
    VendorManaged,
}

/// How a member of a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// It answers.
    Active,
    /// It did not answer the last time.
    Unreachable,
    /// It refuses the crypto user.
    CredentialRejected,
    /// A call to it does not come back.
    Unresponsive,
}

/// A member of a cluster, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterMember {
    /// Its name.
    pub name: String,
    /// The zone that it lies in: what fails together.
    pub zone: String,
    /// How it is.
    pub state: MemberState,
    /// Why it is not active, or what else is to be known of it.
    pub reason: Option<String>,
}

impl ClusterMember {
    /// A member that is active.
    pub fn active(name: impl Into<String>, zone: impl Into<String>) -> Self {
        Self { name: name.into(), zone: zone.into(), state: MemberState::Active, reason: None }
    }

    /// The same member in a state, for a reason.
    #[must_use]
    pub fn in_state(mut self, state: MemberState, reason: impl Into<String>) -> Self {
        self.state = state;
        self.reason = Some(reason.into());
        self
    }
}

/// Why a cluster could not be connected.
#[derive(Debug)]
pub struct ConnectionFailure {
    /// The code for programs.
    pub code: ConnectionErrorCode,
    /// The reason for people.
    pub error: Error,
}

impl ConnectionFailure {
    /// A failure with the text that people read.
    pub fn new(code: ConnectionErrorCode, text: impl Into<String>) -> Self {
        Self { code, error: Error::new(ErrorKind::KeyUnavailable, text.into()) }
    }
}

/// Several HSMs that hold the same keys.
///
/// All methods may be called from many threads at once. While the cluster is not connected its keys are unavailable, and
/// so are they while no member answers; neither ever means that they are gone.
pub trait HsmCluster: fmt::Debug + Send + Sync {
    /// Who keeps its members alike.
    fn management(&self) -> ClusterManagement;

    /// Its members, as they were last seen. Asking does not wait for any of them.
    fn members(&self) -> Vec<ClusterMember>;

    /// Looks for the members that did not answer; [`HsmCluster::members`] then tells of it. While the cluster is not connected,
    /// it logs in to none. A cluster that always knows has nothing to do, which is the default.
    fn probe(&self) {}

    /// Logs in to every member that answers and verifies it. One is enough. A cluster that is connected stays so.
    ///
    /// A wrong password is tried once on each member, and not again before the next call.
    ///
    /// # Errors
    /// [`ConnectionFailure`], if no member could be used; the cluster is not connected then.
    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure>;

    /// Logs out. Keys that were opened stay valid and work again when the cluster is connected again.
    fn disconnect(&self);

    /// The keys of the cluster: a provider of origin `AWS_CLOUDHSM`. What it keeps of a key holds for every member. It should
    /// keep [marks](KeyMaterialProvider::instance_marks) too: they protect the keys of a store from its copies.
    fn provider(&self) -> &dyn KeyMaterialProvider;

    /// What is missing for keys of a kind that the cluster does not make, for people: the name of a mechanism, say. `None`,
    /// which is the default, if there is nothing more to tell.
    fn unsupported_reason(&self, _spec: KeySpec, _usage: KeyUsage) -> Option<String> {
        None
    }

    /// Destroys on all members whatever was begun for a version of a key: used after a creation that was cut off, and for
    /// keys that were deleted. Doing it again does no harm.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member could not be asked, so that something may be left there.
    fn erase(&self, binding: &MaterialBinding) -> Result<()>;

    /// Draws random bytes in an HSM.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if no member answers.
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
