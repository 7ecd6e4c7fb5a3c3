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
pub trait MaterialsManager: fmt::Debug + Send + Sync {
    /// Completes the materials of a new message.
    ///
    /// # Errors
    /// Returns any error of the manager or of its keyring.
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()>;

    /// Unwraps the data key of a message. The wrapped data keys may have been written by an
    /// attacker.
    ///
    /// # Errors
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if no wrapped data
    ///   key can be unwrapped.
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
