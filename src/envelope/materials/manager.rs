//! Materials managers, which an envelope uses to obtain data keys from keyrings.

use std::fmt;
use std::sync::Arc;

use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use crate::error::Result;
use crate::message::EncryptedDataKey;

/// Obtains the materials of each message: from a keyring every time, from a cache, or under custom
/// rules. Managers can be stacked: one that adds a rule calls the next.
///
/// # Contract
/// - The envelope supplies materials without a data key, and a manager completes them: the data
///   key, and for a new message at least one wrapped form of it. Managers cannot change the suite
///   and the context.
/// - If a manager fails, the message is not written, or not read.
/// - The envelope verifies the result: the commitment and the header of a message authenticate its
///   data key.
///
/// # Examples
/// A manager that counts the messages of each direction:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use strongroom::envelope::{
///     DecryptionMaterials, DefaultMaterialsManager, EncryptionMaterials, MaterialsManager, RawAesKeyring,
/// };
/// use strongroom::message::EncryptedDataKey;
/// use strongroom::{EncryptionContext, Envelope, Result, SecretBytes};
///
/// #[derive(Debug)]
/// struct Counting {
///     inner: DefaultMaterialsManager,
///     written: AtomicU64,
/// }
///
/// impl MaterialsManager for Counting {
///     fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
///         self.written.fetch_add(1, Ordering::Relaxed);
///         self.inner.on_encrypt(materials)
///     }
///
///     fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
///         self.inner.on_decrypt(materials, data_keys)
///     }
/// }
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let counting = Arc::new(Counting { inner: DefaultMaterialsManager::new(keyring), written: AtomicU64::new(0) });
/// let envelope = Envelope::new(Arc::clone(&counting));
/// envelope.encrypt(b"one", &EncryptionContext::new())?;
/// assert_eq!(counting.written.load(Ordering::Relaxed), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait MaterialsManager: fmt::Debug + Send + Sync {
    /// Completes the materials of a new message.
    ///
    /// # Errors
    /// - Any error of the manager or of its keyring.
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()>;

    /// Unwraps the data key of a message. The wrapped data keys may have been written by an
    /// attacker.
    ///
    /// # Errors
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if no wrapped data
    ///   key can be unwrapped.
    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()>;
}

/// Conversion into a materials manager. It is implemented for every [`MaterialsManager`], and for
/// every [`Keyring`](crate::envelope::Keyring), which becomes a
/// [`DefaultMaterialsManager`](crate::envelope::DefaultMaterialsManager). So everything that obtains
/// data keys accepts either of the two.
///
/// `Kind` is `dyn MaterialsManager` or `dyn Keyring`, and is inferred. Specify it only for a type
/// that implements both traits.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{CachingMaterialsManager, RawAesKeyring, RequiredContextManager};
/// use strongroom::{Envelope, SecretBytes};
///
/// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
/// let plain = Envelope::new(keyring()?);
/// let cached = CachingMaterialsManager::builder(keyring()?, Duration::from_secs(60)).build()?;
/// let stacked = Envelope::builder(RequiredContextManager::new(cached, ["tenant"])?).frame_length(1024).build()?;
/// # assert!(!format!("{plain:?}").contains("tenant") && format!("{stacked:?}").contains("tenant"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a keyring nor a materials manager",
    note = "implement `Keyring` or `MaterialsManager` for it"
)]
pub trait IntoMaterialsManager<Kind: ?Sized> {
    /// The type of the materials manager.
    type Manager: MaterialsManager + 'static;

    /// Returns the materials manager.
    fn into_materials_manager(self) -> Self::Manager;
}

impl<M: MaterialsManager + 'static> IntoMaterialsManager<dyn MaterialsManager> for M {
    type Manager = M;

    fn into_materials_manager(self) -> M {
        self
    }
}

impl<M: MaterialsManager + ?Sized> MaterialsManager for Arc<M> {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        (**self).on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        (**self).on_decrypt(materials, data_keys)
    }
}

impl<M: MaterialsManager + ?Sized> MaterialsManager for Box<M> {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        (**self).on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        (**self).on_decrypt(materials, data_keys)
    }
}
