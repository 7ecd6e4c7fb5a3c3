//! An envelope: a source of data keys, and the settings of its messages.

use std::fmt;

use crate::envelope::materials::IntoMaterialsManager;
use crate::envelope::start::Starter;

/// Encrypts and decrypts messages with the data keys of one keyring or materials manager. Cheap to
/// clone, and can be shared by many threads.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]);
/// let message = envelope.encrypt(b"attack at dawn", &context)?;
///
/// let expected = EncryptionContext::from([("tenant", "42")]);
/// assert_eq!(envelope.decrypt(&message, &expected)?, b"attack at dawn");
/// assert!(envelope.decrypt(&message, &EncryptionContext::from([("tenant", "7")])).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct Envelope {
    pub(super) starter: Starter,
}

impl Envelope {
    /// Creates an envelope with the default settings. It obtains data keys from a keyring, or
    /// through a materials manager such as
    /// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager).
    pub fn new<Kind: ?Sized>(source: impl IntoMaterialsManager<Kind>) -> Self {
        Self { starter: Starter::new(source.into_materials_manager()) }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Starter { manager, config } = &self.starter;
        f.debug_struct("Envelope").field("manager", manager).field("config", config).finish()
    }
}
