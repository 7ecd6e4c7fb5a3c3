//! The keyring trait.

use std::fmt;
use std::sync::Arc;

use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::Result;
use crate::message::EncryptedDataKey;

/// Wraps and unwraps data keys. This trait connects any kind of key to the message format.
///
/// # Contract
/// - [`on_encrypt`](Keyring::on_encrypt) generates a data key only if the materials do not contain
///   one, and appends at least one wrapped form of it. A keyring that can wrap only data keys that
///   it generated rejects all others ([`Validation`](crate::ErrorKind::Validation)). It can be the
///   generator of a [`MultiKeyring`](crate::envelope::MultiKeyring), but not a child. If
///   `on_encrypt` fails, the message is not written.
/// - [`on_decrypt`](Keyring::on_decrypt) fails if the materials already contain a data key. It
///   tries every wrapped data key that could be its own, in order, and uses the first one that
///   unwraps. If none does, it reports the reason for each
///   ([`UnwrapFailures`](crate::envelope::UnwrapFailures)). The content of wrapped data keys is not
///   authenticated, so an attacker may have written them.
/// - Both bind the data key to the encryption context of the materials, if the kind of key supports
///   it.
///
/// With the feature `conformance`, the suites of `envelope::conformance` test your own keyring
/// against this contract.
///
/// # Examples
/// A keyring that uses another one during office hours only. `examples/own_keyring.rs` wraps data keys
/// itself.
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, Keyring, RawAesKeyring};
/// use strongroom::message::EncryptedDataKey;
/// use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Result, SecretBytes};
///
/// #[derive(Debug)]
/// struct OfficeHours<K> {
///     inner: K,
///     open: Arc<AtomicBool>,
/// }
///
/// impl<K> OfficeHours<K> {
///     fn check(&self) -> Result<()> {
///         match self.open.load(Ordering::Relaxed) {
///             true => Ok(()),
///             false => Err(Error::new(ErrorKind::KeyUnavailable, "the office is closed: try again tomorrow")),
///         }
///     }
/// }
///
/// impl<K: Keyring> Keyring for OfficeHours<K> {
///     fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
///         self.check()?;
///         self.inner.on_encrypt(materials)
///     }
///
///     fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
///         self.check()?;
///         self.inner.on_decrypt(materials, data_keys)
///     }
/// }
///
/// let open = Arc::new(AtomicBool::new(true));
/// let inner = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let envelope = Envelope::new(OfficeHours { inner, open: Arc::clone(&open) });
/// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
/// open.store(false, Ordering::Relaxed);
/// let refused = envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::KeyUnavailable);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Adds wrapped forms of the data key, and generates the data key if there is none.
    ///
    /// # Errors
    /// - Any error of the key source.
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()>;

    /// Unwraps the data key.
    ///
    /// # Errors
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if no wrapped data
    ///   key can be unwrapped.
    /// - The kind of an outage, for example [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable), if the key source
    ///   failed. [`UnwrapFailures::into_error`](crate::envelope::UnwrapFailures::into_error) returns both.
    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()>;
}

impl<K: Keyring + ?Sized> Keyring for Arc<K> {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        (**self).on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        (**self).on_decrypt(materials, data_keys)
    }
}

impl<K: Keyring + ?Sized> Keyring for Box<K> {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        (**self).on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        (**self).on_decrypt(materials, data_keys)
    }
}
