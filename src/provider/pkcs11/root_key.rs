//! Root keys held in an HSM: a key of a cluster wraps the versions of a store's root key.

use std::fmt;

use super::cluster::Pkcs11Cluster;
use super::reference::{KEY_ID_LENGTH, TokenKeyHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::RootKeyHolder;
use crate::secret::SecretBytes;

/// Domain separation between wrapped root keys and other data encrypted under the same key.
const LABEL: &[u8] = b"strongroom hsm root v1";

/// The prefix of the CKA_LABEL of the key.
const KEY_LABEL: &str = "strongroom root key";

/// Holds the root key of a store. Its versions are encrypted and authenticated under an AES-256 key
/// that never leaves the HSMs of a connected [`Pkcs11Cluster`]. The store cannot be opened without
/// at least one of these HSMs.
///
/// Opening a store calls the cluster once for each version. Operations on software keys never call
/// it.
///
/// ```text
/// wrapped = 12 initialisation vector | ciphertext | 16 tag, AES-256-GCM with associated data
///           "strongroom hsm root v1" ‖ binding
/// ```
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
///
/// use strongroom::provider::pkcs11::{HsmRootKey, Module, Pkcs11Cluster, TokenConfig, TokenSelector};
/// use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster};
/// use strongroom::seal::RootKey;
/// use strongroom::{Kms, SecretBytes};
///
/// let token = |label: &str| TokenConfig::new(TokenSelector::Label(label.into()));
/// let cluster = Pkcs11Cluster::from_members(b"replication key")
///     .member("hsm-1", "zone-a", &Module::load("/opt/hsm/a.so")?, token("one"))
///     .member("hsm-2", "zone-b", &Module::load("/opt/hsm/b.so")?, token("two"));
/// let pin: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"1234")));
/// cluster.connect(&pin).map_err(|failure| failure.error)?;
///
/// let first_time = true;
/// let holder = match first_time {
///     true => HsmRootKey::generate(&cluster, "root-2026")?,
///     false => HsmRootKey::find(&cluster, "root-2026")?,
/// };
/// # #[cfg(feature = "sqlite")]
/// let kms = Kms::open("keys.db", RootKey::from_holder(holder))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HsmRootKey {
    cluster: Pkcs11Cluster,
    key: TokenKeyHandle,
    id: String,
    /// The reason not to wrap anything new.
    lone: Option<Error>,
}

impl HsmRootKey {
    /// Generates the key in the cluster, under a name of 1 to 32 bytes that is also its CKA_ID.
    ///
    /// If several processes generate the same name at the same time, at most one succeeds. During
    /// the generation, [`HsmRootKey::find`] does not return the key.
    ///
    /// A call that fails erases only its own objects, which have a random CKA_LABEL, and only
    /// before any process can have found the key. If it cannot erase them, they remain, and the
    /// name stays in use until an operator removes them. This happens if the process is killed, a
    /// member is lost, or a call to a member does not return. The error lists the objects that
    /// remain on each member, and says whether this process must end before they are removed.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the name does not have 1 to 32 bytes.
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if an object already has that CKA_ID: see
    ///   [`HsmRootKey::find`].
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the cluster is not connected, a member
    ///   does not respond, or fewer than two members can hold the key. If the message says that the
    ///   key was generated, it is complete: remove the objects that the message names, and find the
    ///   key.
    pub fn generate(cluster: &Pkcs11Cluster, name: &str) -> Result<Self> {
        check_name(name)?;
        if cluster.holds(name.as_bytes())? {
            let mut text = format!("the cluster already has a key '{name}'");
            if let Some((members, reservation)) = cluster.reservations(name.as_bytes())? {
                text.push_str(&format!(
                    ", which another process is generating; if no process is, an interrupted generation left an \
                     object behind: remove the object with the CKA_ID {reservation} from {members}, and then find \
                     the key"
                ));
            }
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        let key = cluster.generate_named(name.as_bytes(), KEY_LABEL)?;
        Ok(Self::new(cluster, key, name, None))
    }

    /// Finds the key that was generated under a name.
    ///
    /// Every member that responds must report that it protects the key. It must be an AES-256 key
    /// in the token, CKA_SENSITIVE and not CKA_EXTRACTABLE, which encrypts and decrypts but does
    /// not wrap other keys. In a vendor-managed cluster, it must also be CKA_LOCAL,
    /// CKA_ALWAYS_SENSITIVE, and CKA_NEVER_EXTRACTABLE.
    ///
    /// If only one member holds the key although all others respond, the key can unwrap the root
    /// key of an existing store. It wraps nothing new: no store is created under it, and no version
    /// is added.
    ///
    /// If another process is still generating the key, this call waits for up to about two seconds
    /// on each member.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the name does not have 1 to 32 bytes.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the cluster is not connected, no member
    ///   has the key, a member does not protect it (the message names the attribute), two members
    ///   have different keys, or another process is still generating it or was interrupted (the
    ///   message names the objects to remove).
    pub fn find(cluster: &Pkcs11Cluster, name: &str) -> Result<Self> {
        check_name(name)?;
        let found = cluster.find_named(name.as_bytes(), KEY_LABEL)?;
        Ok(Self::new(cluster, found.key, name, found.lone))
    }

    fn new(cluster: &Pkcs11Cluster, key: TokenKeyHandle, name: &str, lone: Option<Error>) -> Self {
        Self { cluster: cluster.clone(), key, id: format!("hsm {name}"), lone }
    }
}

fn check_name(name: &str) -> Result<()> {
    if (1..=KEY_ID_LENGTH).contains(&name.len()) {
        return Ok(());
    }
    let text = format!("the name of a root key in an HSM must have 1 to {KEY_ID_LENGTH} bytes, not {}", name.len());
    Err(Error::new(ErrorKind::Validation, text))
}

impl RootKeyHolder for HsmRootKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        if let Some(reason) = &self.lone {
            return Err(reason.clone());
        }
        let bound = [LABEL, binding].concat();
        self.cluster.anywhere(|token| token.encrypt(&self.key, &bound, key.expose_secret()))
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        let bound = [LABEL, binding].concat();
        self.cluster.anywhere(|token| token.decrypt(&self.key, &bound, wrapped))
    }
}

impl fmt::Debug for HsmRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HsmRootKey").field("id", &self.id).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
