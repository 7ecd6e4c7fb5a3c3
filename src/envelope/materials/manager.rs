//! Materials managers: what stands between an envelope and its keyring.

use std::fmt;
use std::sync::Arc;

use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use crate::error::Result;
use crate::message::EncryptedDataKey;

/// Decides how the materials of each message come about: with a keyring each time, or from a cache, or under rules of
/// its own. Managers are stacked: one that adds a rule asks the next.
///
/// # Contract
/// - The envelope brings materials without a data key, and a manager fills them in: the data key, and for a new message
///   at least one wrapped form of it. Suite and context are the envelope's, and no manager can change them.
/// - If a manager fails, the message is not written, or not read.
/// - The envelope verifies what comes back: commitment and header of a message authenticate its data key.
pub trait MaterialsManager: fmt::Debug + Send + Sync {
    /// Fills in the materials of a new message.
    ///
    /// # Errors
    /// Whatever kept the manager, or the keyring behind it, from doing so.
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()>;

    /// Finds the data key of a message from its wrapped forms, which anyone may have written.
    ///
    /// # Errors
    /// [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if no wrapped data key opens.
    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()>;
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
