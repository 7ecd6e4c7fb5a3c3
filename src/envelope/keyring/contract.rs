//! The contract of keyrings.

use std::fmt;
use std::sync::Arc;

use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::Result;
use crate::message::EncryptedDataKey;

/// Wraps and unwraps data keys. This is the joint at which every kind of key meets the message format.
///
/// # Contract
/// - [`on_encrypt`](Keyring::on_encrypt) makes a data key only if the materials have none yet, and appends at least one
///   wrapped form of it. One that can wrap only what it made itself refuses the others
///   ([`Validation`](crate::ErrorKind::Validation)), and can be the generator of a [`MultiKeyring`](crate::envelope::MultiKeyring) but no child. If it fails, the
///   message is not written.
/// - [`on_decrypt`](Keyring::on_decrypt) fails if the materials have a data key already. It tries every wrapped data key
///   that could be its own, in their order, takes the first that opens, and if none does it reports why each did not
///   ([`UnwrapFailures`](crate::envelope::UnwrapFailures)). What the wrapped data keys say is not authenticated: anyone may have written them.
/// - Both bind the data key to the encryption context of the materials, if the kind of key allows it.
///
/// With the feature `conformance`, the suites of `envelope::conformance` hold a keyring of your own against this.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Adds wrapped forms of the data key, and the data key itself if there is none.
    ///
    /// # Errors
    /// Whatever kept the key source from doing so.
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()>;

    /// Finds the data key.
    ///
    /// # Errors
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if no wrapped data key opens.
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
