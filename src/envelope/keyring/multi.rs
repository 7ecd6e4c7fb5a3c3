//! Several keyrings as one.

use std::sync::Arc;

use super::{Keyring, UnwrapFailures};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;

/// Wraps data keys with several keyrings of any kind, each of which can then open the message alone.
///
/// The *generator* makes the data key and wraps it; each *child*, in order, wraps it too. If one of them fails, the
/// message is not written: a message that lacks the key of the escrow would be noticed only when it is needed.
///
/// To decrypt, the generator is asked first and then the children in order, and the first that opens a wrapped data key
/// ends the search, even if an earlier keyring had an outage. If none does, the error contains the reason for each keyring and each
/// wrapped data key ([`UnwrapFailures`]), with keyrings counted from 1 in the order in which they are asked. The error has the kind
/// of an outage if there was one, because the message might have opened without it.
///
/// # Examples
/// ```
/// use strongroom::envelope::{KmsKeyring, MultiKeyring, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, Kms, SecretBytes};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let safe = || RawAesKeyring::new("safe", "paper copy", SecretBytes::zeroed(32)); // take a random one
/// let envelope = Envelope::new(MultiKeyring::new(KmsKeyring::new(&kms, key)?).with_child(safe()?));
/// let message = envelope.encrypt(b"will", &EncryptionContext::new())?;
///
/// kms.disable_key(key)?;
/// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"will");
/// assert_eq!(Envelope::new(safe()?).decrypt(&message, &EncryptionContext::new())?, b"will");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiKeyring {
    generator: Option<Arc<dyn Keyring>>,
    children: Vec<Arc<dyn Keyring>>,
}

impl MultiKeyring {
    /// Lets `generator` make the data keys.
    pub fn new(generator: impl Keyring + 'static) -> Self {
        Self { generator: Some(Arc::new(generator)), children: Vec::new() }
    }

    /// Wraps data keys that something else made, which is what a child of another multi-keyring does. By itself it opens
    /// messages and cannot make any.
    pub fn without_generator(child: impl Keyring + 'static) -> Self {
        Self { generator: None, children: vec![Arc::new(child)] }
    }

    /// Adds a keyring that wraps the data key too.
    #[must_use]
    pub fn with_child(mut self, child: impl Keyring + 'static) -> Self {
        self.children.push(Arc::new(child));
        self
    }
}

impl Keyring for MultiKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        match (&self.generator, materials.data_key()) {
            (Some(_), Some(_)) => {
                let text = "a multi-keyring with a generator cannot wrap a data key that was made before";
                return Err(Error::new(ErrorKind::Validation, text));
            }
            (None, None) => {
                let text = "a multi-keyring without a generator cannot make a data key";
                return Err(Error::new(ErrorKind::Validation, text));
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        for (index, keyring) in self.generator.iter().chain(&self.children).enumerate() {
            let before = materials.encrypted_data_keys().len();
            keyring.on_encrypt(materials)?;
            if materials.data_key().is_none() || materials.encrypted_data_keys().len() <= before {
                let text = format!("keyring {} reported no failure and made or wrapped no data key", index + 1);
                return Err(Error::new(ErrorKind::Internal, text));
            }
        }
        Ok(())
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        for (index, keyring) in self.generator.iter().chain(&self.children).enumerate() {
            let name = format!("keyring {}", index + 1);
            match keyring.on_decrypt(materials, data_keys) {
                Ok(()) if materials.data_key().is_some() => return Ok(()),
                Ok(()) => failures.push_error(&name, &no_data_key()),
                Err(error) => failures.push_error(&name, &error),
            }
        }
        Err(failures.into_error())
    }
}

fn no_data_key() -> Error {
    Error::new(ErrorKind::Internal, "it reported no failure and gave no data key")
}

#[cfg(test)]
mod tests;
