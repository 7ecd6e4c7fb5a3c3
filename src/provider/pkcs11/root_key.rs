//! A root key held in an HSM: a key of a cluster wraps the versions of a store's root key.

use std::fmt;

use super::cluster::Pkcs11Cluster;
use super::reference::KeyReference;
use crate::error::{Error, ErrorKind, Result};
use crate::seal::RootKeyHolder;
use crate::secret::SecretBytes;

/// Separates wrapped root keys from everything else that is encrypted under the same key.
const LABEL: &[u8] = b"strongroom hsm root v1";

/// Holds the root key of a store: its versions are encrypted and authenticated under an AES-256 key that never leaves the
/// HSMs of a connected [`Pkcs11Cluster`]. Without one of them the store does not open.
///
/// The cluster is asked once for each version when a store is opened, and never for an operation on a software key.
///
/// ```text
/// wrapped = 12 initialisation vector | ciphertext | 16 tag, AES-256-GCM with associated data
///           "strongroom hsm root v1" ‖ binding
/// ```
#[derive(Clone)]
pub struct HsmRootKey {
    cluster: Pkcs11Cluster,
    key: KeyReference,
    id: String,
}

impl HsmRootKey {
    /// Makes the key in the cluster, under a name that is its CKA_ID too: 1 to 32 bytes.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if something has that CKA_ID: see [`HsmRootKey::find`];
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the cluster is not connected, or fewer than two of its members
    /// answer.
    pub fn generate(cluster: &Pkcs11Cluster, name: &str) -> Result<Self> {
        if cluster.holds(name.as_bytes())? {
            let text = format!("there is a key '{name}' in the cluster already");
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        let key = cluster.generate_named(name.as_bytes(), "strongroom root key")?;
        Ok(Self::new(cluster, key, name))
    }

    /// Finds the key that was made under a name.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the cluster is not connected or no member has it.
    pub fn find(cluster: &Pkcs11Cluster, name: &str) -> Result<Self> {
        let key = cluster.find_named(name.as_bytes(), "strongroom root key")?;
        Ok(Self::new(cluster, key, name))
    }

    fn new(cluster: &Pkcs11Cluster, key: KeyReference, name: &str) -> Self {
        Self { cluster: cluster.clone(), key, id: format!("hsm {name}") }
    }
}

impl RootKeyHolder for HsmRootKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
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
