//! A materials manager that omits a part of the context from the message.

use std::collections::BTreeSet;

use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use super::manager::{IntoMaterialsManager, MaterialsManager};
use crate::context::RESERVED_CONTEXT_PREFIX;
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;

/// Requires certain names in the encryption context. The sender must supply these pairs, the header
/// omits them, and the recipient must supply them again
/// ([`Envelope::decrypt_with_reproduced_context`]).
///
/// The message is bound to these pairs like to all others. An attacker with the message cannot read
/// them, and cannot decrypt it by repeating the pairs in its header.
///
/// [`Envelope::decrypt_with_reproduced_context`]: crate::Envelope::decrypt_with_reproduced_context
///
/// # Examples
/// ```
/// use strongroom::envelope::{RawAesKeyring, RequiredContextManager};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes, message};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let manager = RequiredContextManager::new(keyring, ["patient"])?;
/// let envelope = Envelope::new(manager);
///
/// let context = EncryptionContext::from([("ward", "7"), ("patient", "Doe")]);
/// let letter = envelope.encrypt(b"all is well", &context)?;
/// assert_eq!(message::inspect(&letter)?.context(), &EncryptionContext::from([("ward", "7")]));
///
/// let known = EncryptionContext::from([("patient", "Doe")]);
/// assert_eq!(envelope.decrypt_with_reproduced_context(&letter, &known)?, b"all is well");
/// assert!(envelope.decrypt(&letter, &EncryptionContext::new()).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct RequiredContextManager {
    inner: Box<dyn MaterialsManager>,
    names: BTreeSet<String>,
}

impl RequiredContextManager {
    /// Creates a manager that requires `names` and delegates the rest to `inner`, a keyring or
    /// another manager.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there are no names, or if a name begins with
    ///   [`RESERVED_CONTEXT_PREFIX`], because callers cannot supply it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(keyring, ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let missing = envelope.encrypt(b"all is well", &EncryptionContext::from([("ward", "7")])).unwrap_err();
    /// assert_eq!(missing.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new<Kind: ?Sized, N: Into<String>>(
        inner: impl IntoMaterialsManager<Kind>,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(Error::new(
                ErrorKind::Validation,
                "the required encryption context must have at least one name",
            ));
        }
        if let Some(name) = names.iter().find(|name| name.starts_with(RESERVED_CONTEXT_PREFIX)) {
            let text = format!(
                "the encryption context name {name:?} cannot be required: the prefix {RESERVED_CONTEXT_PREFIX} is \
                 reserved"
            );
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { inner: Box::new(inner.into_materials_manager()), names })
    }
}

impl MaterialsManager for RequiredContextManager {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.names.iter().try_for_each(|name| materials.require_context(name))?;
        self.inner.on_encrypt(materials)?;
        // The inner manager could have replaced these materials with others.
        let required: BTreeSet<&str> = materials.required_names().collect();
        if self.names.iter().all(|name| required.contains(name.as_str())) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Internal, "the materials manager dropped a required encryption context name"))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        let reproduced: BTreeSet<&str> = materials.reproduced_names().collect();
        if let Some(name) = self.names.iter().find(|name| !reproduced.contains(name.as_str())) {
            let text = format!("the encryption context must be reproduced with {name:?} to decrypt this message");
            return Err(Error::new(ErrorKind::ContextMismatch, text));
        }
        self.inner.on_decrypt(materials, data_keys)
    }
}

#[cfg(test)]
mod tests;
