//! A materials manager that keeps a part of the context out of the message.

use std::collections::BTreeSet;

use super::decryption::DecryptionMaterials;
use super::encryption::EncryptionMaterials;
use super::manager::MaterialsManager;
use crate::context::RESERVED_CONTEXT_PREFIX;
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;

/// Requires some names of the encryption context: who encrypts must give them, the header does not show them, and who
/// decrypts must bring them again ([`Envelope::decrypt_with_reproduced_context`]).
///
/// The message is bound to these pairs as to all others. Nobody who merely finds it learns them, and nobody opens it by
/// repeating what its header says.
///
/// [`Envelope::decrypt_with_reproduced_context`]: crate::Envelope::decrypt_with_reproduced_context
///
/// # Examples
/// ```
/// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes, message};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
/// let envelope = Envelope::with_materials_manager(manager);
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
    /// A manager that requires `names` and asks `inner` for the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if there are no names, or if one begins with
    /// [`RESERVED_CONTEXT_PREFIX`], as no caller may give it.
    pub fn new<N: Into<String>>(
        inner: impl MaterialsManager + 'static,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "a required context has at least one name"));
        }
        if let Some(name) = names.iter().find(|name| name.starts_with(RESERVED_CONTEXT_PREFIX)) {
            let text = format!("{name:?} cannot be required: {RESERVED_CONTEXT_PREFIX} is reserved");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { inner: Box::new(inner), names })
    }
}

impl MaterialsManager for RequiredContextManager {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.names.iter().try_for_each(|name| materials.require_context(name))?;
        self.inner.on_encrypt(materials)?;
        // A manager behind this one could have put other materials in the place of these.
        let required: BTreeSet<&str> = materials.required_names().collect();
        if self.names.iter().all(|name| required.contains(name.as_str())) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Internal, "the materials manager dropped a required name of the context"))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        let reproduced: BTreeSet<&str> = materials.reproduced_names().collect();
        if let Some(name) = self.names.iter().find(|name| !reproduced.contains(name.as_str())) {
            let text = format!("the context must be reproduced with {name:?} to decrypt this message");
            return Err(Error::new(ErrorKind::ContextMismatch, text));
        }
        self.inner.on_decrypt(materials, data_keys)
    }
}

#[cfg(test)]
mod tests;
