//! The root key of the store: who holds it, and which version everything is sealed under.

use super::handle::Kms;
use crate::error::Result;

/// What is known of a store's root key.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom::store::MemoryStore;
///
/// let kms = Kms::builder().store(MemoryStore::new(&Default::default())?, RootKey::from_bytes(&[7; 32])).build()?;
/// let status = kms.root_key_status()?;
/// assert_eq!((status.version(), status.is_rotating()), (1, false));
/// assert!(status.holder().starts_with("secret "));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyStatus {
    version: u32,
    holder: String,
    is_rotating: bool,
}

impl RootKeyStatus {
    /// The version that everything is sealed under from now on.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The [`id`](crate::seal::RootKeyHolder::id) of the holder that keeps the root key.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Whether a rotation was begun and is not finished: an earlier version, or an earlier holder, still counts too.
    pub const fn is_rotating(&self) -> bool {
        self.is_rotating
    }
}

impl Kms {
    /// Tells which version of the root key is current, and who holds it. Needs the authority's handle.
    ///
    /// # Errors
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for a narrowed handle; [`Store`](crate::ErrorKind::Store) if the
    /// store cannot be read.
    pub fn root_key_status(&self) -> Result<RootKeyStatus> {
        self.check_authority("root_key_status")?;
        let root = self.core.registry.sealed().latest_root()?;
        let (version, holder) = (root.record.current, root.record.holder.clone());
        Ok(RootKeyStatus { version, holder, is_rotating: !root.record.is_settled() })
    }
}
