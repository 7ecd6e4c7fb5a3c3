//! The materials manager that calls a keyring for every message.

use std::sync::Arc;

use super::contract::Keyring;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials, IntoMaterialsManager, MaterialsManager};
use crate::error::Result;
use crate::message::EncryptedDataKey;

/// Calls a keyring for every message. [`Envelope::new`](crate::Envelope::new) and the managers of
/// this crate use it for their keyrings, and so can your own manager.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::envelope::{CachingMaterialsManager, DefaultMaterialsManager, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let every_time = DefaultMaterialsManager::new(keyring);
/// let cached = CachingMaterialsManager::builder(every_time, Duration::from_secs(60)).build()?;
/// let envelope = Envelope::new(cached);
/// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
/// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DefaultMaterialsManager {
    keyring: Arc<dyn Keyring>,
}

impl DefaultMaterialsManager {
    /// Creates a manager for a keyring.
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        Self { keyring: Arc::new(keyring) }
    }
}

impl<K: Keyring + 'static> IntoMaterialsManager<dyn Keyring> for K {
    type Manager = DefaultMaterialsManager;

    fn into_materials_manager(self) -> DefaultMaterialsManager {
        DefaultMaterialsManager::new(self)
    }
}

impl MaterialsManager for DefaultMaterialsManager {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.keyring.on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        self.keyring.on_decrypt(materials, data_keys)
    }
}
