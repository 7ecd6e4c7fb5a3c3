//! The place of an object, to which its message is bound, and the padding of its header.

use std::sync::Arc;

use crate::context::EncryptionContext;
use crate::envelope::{DecryptionMaterials, EncryptionMaterials, MaterialsManager};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{EncryptedDataKey, Header};

/// The names of the pairs in the encryption context of an object.
pub(super) const BUCKET: &str = "bucket";
pub(super) const PATH: &str = "path";

/// The provider ID of the header entry of an object. No keyring has this name, so every reader of the
/// format ignores the entry.
const PROVIDER_ID: &str = "strongroom-object";

/// The version of the entry.
const ENTRY_VERSION: u8 = 1;

/// Length of a header of suite 0x0478 in bytes, without context and encrypted data keys.
const FIXED_HEADER_LENGTH: usize = 92;

/// Length of an encrypted data key in bytes, without its three fields.
const ENTRY_OVERHEAD: usize = 6;

/// Determines how an object is bound to its path, so that objects that were exchanged are rejected.
///
/// The bucket is always a part of the encryption context. Objects of all variants can be read by a
/// store with the variants `Context` and `Header`, except that those of `Movable` are rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathBinding {
    /// The path is in the encryption context, where key policies and the audit trail see it. Every
    /// object has a separate data key.
    #[default]
    Context,
    /// The path is in the authenticated header of the object, and not in the encryption context. Many
    /// objects can therefore share a data key, through a
    /// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager), as with the bucket keys
    /// of S3.
    Header,
    /// Objects may be moved, copied and renamed by other programs within the bucket. **An attacker
    /// with write access to the store can then exchange objects unnoticed.** The store below copies
    /// and renames objects, without encrypting them again.
    Movable,
}

impl PathBinding {
    const fn code(self) -> u8 {
        match self {
            Self::Context => 1,
            Self::Header => 2,
            Self::Movable => 3,
        }
    }
}

/// Adds the entry of an object to the header of its message, and removes it before keys are unwrapped.
///
/// The entry consists of the provider ID `strongroom-object`, the version 1, the code of the binding,
/// the path if the binding is [`PathBinding::Header`], and as many zero bytes as give the header its
/// constant length. Like the rest of the header, it is authenticated by the content key.
#[derive(Debug)]
pub(super) struct BoundManager {
    pub(super) inner: Arc<dyn MaterialsManager>,
    pub(super) binding: PathBinding,
    pub(super) path: String,
    pub(super) header_length: usize,
}

impl MaterialsManager for BoundManager {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.inner.on_encrypt(materials)?;
        if materials.required_names().next().is_some() {
            let text = "objects cannot omit pairs of the encryption context from their header";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let info = entry_info(self.binding, &self.path);
        let data_keys = materials.encrypted_data_keys().iter();
        let data_keys: usize = data_keys.map(encoded_length).sum();
        let used = FIXED_HEADER_LENGTH
            + materials.canonical_context().len()
            + data_keys
            + ENTRY_OVERHEAD
            + PROVIDER_ID.len()
            + info.len();
        let Some(padding) = self.header_length.checked_sub(used).filter(|padding| *padding > 0) else {
            let text = format!(
                "the header of the object needs more than the {} bytes of this store: it has at least {} bytes",
                self.header_length,
                used + 1
            );
            return Err(Error::new(ErrorKind::Validation, text));
        };
        materials.push(EncryptedDataKey::new(PROVIDER_ID, info, vec![0; padding]))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        // Without the entry, which differs between objects that share a cached data key.
        let data_keys: Vec<_> = data_keys.iter().filter(|key| key.provider_id() != PROVIDER_ID).cloned().collect();
        self.inner.on_decrypt(materials, &data_keys)
    }
}

/// Returns the provider information of the entry, which describes the place of an object.
fn entry_info(binding: PathBinding, path: &str) -> Vec<u8> {
    let mut info = vec![ENTRY_VERSION, binding.code()];
    if binding == PathBinding::Header {
        info.extend_from_slice(path.as_bytes());
    }
    info
}

/// Returns `true` if a header has the entry that a store with this binding writes for a path.
pub(super) fn is_written_with(header: &Header, binding: PathBinding, path: &str) -> bool {
    let mut entries = header.data_keys().iter().filter(|key| key.provider_id() == PROVIDER_ID);
    let (Some(entry), None) = (entries.next(), entries.next()) else { return false };
    entry.provider_info() == entry_info(binding, path)
}

fn encoded_length(key: &EncryptedDataKey) -> usize {
    ENTRY_OVERHEAD + key.provider_id().len() + key.provider_info().len() + key.ciphertext().len()
}

/// Returns the entries that wrap the data key of an object.
pub(super) fn wrapping_entries(header: &Header) -> impl Iterator<Item = &EncryptedDataKey> {
    header.data_keys().iter().filter(|key| key.provider_id() != PROVIDER_ID)
}

/// Checks the binding in a header, and adds the pairs to `expected` that its context must contain.
///
/// # Errors
/// - [`ErrorKind::InvalidMessage`] if the message is not an object
/// - [`ErrorKind::ContextMismatch`] if the object belongs to another path, or to none
pub(super) fn check(
    header: &Header,
    accepted: PathBinding,
    path: &str,
    expected: &mut EncryptionContext,
) -> Result<()> {
    let mut entries = header.data_keys().iter().filter(|key| key.provider_id() == PROVIDER_ID);
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        let text = "the message is not an object of an encrypted store, because its header does not contain its place";
        return Err(Error::new(ErrorKind::InvalidMessage, text));
    };
    let (written, bound) = match *entry.provider_info() {
        [ENTRY_VERSION, 1] => (PathBinding::Context, None),
        [ENTRY_VERSION, 2, ref path @ ..] => (PathBinding::Header, Some(path)),
        [ENTRY_VERSION, 3] => (PathBinding::Movable, None),
        _ => {
            let text = "the header of the object describes its place in an unknown form";
            return Err(Error::new(ErrorKind::InvalidMessage, text));
        }
    };
    match (accepted, written) {
        (PathBinding::Movable, _) => {}
        (_, PathBinding::Context) => expected.extend([(PATH, path)]),
        (_, PathBinding::Header) if bound == Some(path.as_bytes()) => {}
        (_, PathBinding::Header) => {
            let text = "the object was written for another path: it was moved or exchanged";
            return Err(Error::new(ErrorKind::ContextMismatch, text));
        }
        (_, PathBinding::Movable) => {
            let text = "the object is not bound to its path, and this store accepts only bound objects";
            return Err(Error::new(ErrorKind::ContextMismatch, text));
        }
    }
    Ok(())
}
