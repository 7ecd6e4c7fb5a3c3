//! Wrapping and unwrapping of root keys.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::committing::{CommittingKey, OVERHEAD};
use super::error::SealError;
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::error::Result;
use crate::secret::SecretBytes;

/// Separates wrapped root keys from other data that is encrypted under a secret.
const WRAP_LABEL: &[u8] = b"strongroom root wrap v1";

/// Separates the name of a secret from other values that are derived from it.
const NAME_LABEL: &[u8] = b"strongroom root name v1";

/// Wraps the versions of a store's root key, and unwraps them when the store is opened. A holder
/// can be backed by a secret in memory, a passphrase, an HSM, or another KMS.
///
/// The store persists what `wrap` returns. `wrap` is called when a store is created and when its
/// root key is rotated. `unwrap` is called when the store is opened or rotated, and when a process
/// discovers that another process has rotated the root key. Apart from that discovery, operations
/// on keys never call the holder.
///
/// # Examples
/// ```
/// use strongroom::request::{DecryptRequest, EncryptRequest};
/// use strongroom::seal::{RootKey, RootKeyHolder};
/// use strongroom::{EncryptionContext, Kms, Result, SecretBytes};
///
/// /// Wraps the root key of one KMS under a key of another.
/// #[derive(Debug)]
/// struct HeldByKms(Kms, String);
///
/// impl RootKeyHolder for HeldByKms {
///     fn id(&self) -> &str {
///         &self.1
///     }
///
///     fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
///         let context = EncryptionContext::from([("binding", format!("{binding:?}"))]);
///         let request = EncryptRequest::new(self.1.as_str(), key.expose_secret()).context(&context);
///         Ok(self.0.encrypt(request)?.ciphertext_blob)
///     }
///
///     fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
///         let context = EncryptionContext::from([("binding", format!("{binding:?}"))]);
///         Ok(self.0.decrypt(DecryptRequest::new(wrapped).context(&context))?.plaintext)
///     }
/// }
///
/// let upper = Kms::in_memory()?;
/// let key = upper.create_key(Default::default())?.arn().to_string();
/// let store = strongroom::store::MemoryStore::new(&Default::default())?;
/// let kms = Kms::builder().store(store, RootKey::from_holder(HeldByKms(upper, key))).build()?;
/// kms.create_key(Default::default())?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait RootKeyHolder: fmt::Debug + Send + Sync {
    /// Returns the name that identifies the holder, at most 255 bytes. The name is not secret: the
    /// store records it in plaintext and reports it if it is opened with another holder. It must be
    /// the same in every process.
    fn id(&self) -> &str;

    /// Encrypts and authenticates a version of a root key, bound to `binding`. Returns at most
    /// 8,192 bytes.
    ///
    /// # Errors
    /// - Any error of the holder.
    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>>;

    /// Decrypts a version that `wrap` returned for the same binding. The holder must reject all
    /// other input and must never return a different key.
    ///
    /// # Errors
    /// - [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the holder cannot be
    ///   reached.
    /// - Any other kind if the holder rejects the input. The root key is then treated as wrong.
    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes>;
}

impl<H: RootKeyHolder + ?Sized> RootKeyHolder for Arc<H> {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        (**self).wrap(binding, key)
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        (**self).unwrap(binding, wrapped)
    }
}

/// A secret of 32 uniformly random bytes from any source.
pub(super) struct SecretHolder {
    id: String,
    key: CommittingKey,
}

impl SecretHolder {
    pub(super) fn new(backend: &CryptoBackend, secret: &SecretBytes) -> Result<Self> {
        let mut name = [0; 8];
        let material = backend.kdf().bind(DigestAlgorithm::Sha256, secret.expose_secret())?;
        material.expand(&[NAME_LABEL], &mut name)?;
        let id = format!("secret {}", base16ct::lower::encode_string(&name));
        Ok(Self { id, key: CommittingKey::new(backend, secret.expose_secret())? })
    }
}

impl RootKeyHolder for SecretHolder {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        wrap(&self.key, binding, key)
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        unwrap(&self.key, binding, wrapped).ok_or_else(|| SealError::WrongRootKey { holder: self.id.clone() }.into())
    }
}

impl fmt::Debug for SecretHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHolder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Wraps a version of a root key under a key. The result is a body of [`CommittingKey`] with an
/// empty prefix and the binding as its context.
pub(super) fn wrap(key: &CommittingKey, binding: &[u8], version: &SecretBytes) -> Result<Vec<u8>> {
    let mut wrapped = Vec::with_capacity(OVERHEAD + version.len());
    key.seal(WRAP_LABEL, &[], binding, version.expose_secret(), &mut wrapped)?;
    Ok(wrapped)
}

/// Unwraps a version that [`wrap`] returned.
pub(super) fn unwrap(key: &CommittingKey, binding: &[u8], wrapped: &[u8]) -> Option<SecretBytes> {
    key.open(WRAP_LABEL, &[], binding, wrapped).ok()
}

/// Generates a random secret.
pub(super) fn draw(backend: &CryptoBackend) -> Result<SecretBytes> {
    let mut secret = Zeroizing::new([0; 32]);
    backend.random().fill(secret.as_mut_slice())?;
    Ok(SecretBytes::copy_from_slice(secret.as_slice()))
}
