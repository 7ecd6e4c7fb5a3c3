//! Who holds a root key.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::committing::{CommittingKey, OVERHEAD};
use super::error::SealError;
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::error::Result;
use crate::secret::SecretBytes;

/// Separates wrapped root keys from everything else that is encrypted under a secret.
const WRAP_LABEL: &[u8] = b"strongroom root wrap v1";

/// Separates the name of a secret from what is derived from it.
const NAME_LABEL: &[u8] = b"strongroom root name v1";

/// Wraps the versions of a store's root key, and unwraps them when the store is opened: a secret in memory, a passphrase,
/// an HSM, another KMS.
///
/// The store keeps what `wrap` returns. A holder wraps a version when a store is made and when its root key is rotated; it
/// unwraps the versions when the store is opened or rotated, and when a process finds that another one has rotated it. For
/// operations on keys it is not asked, but for the one that finds that.
///
/// # Examples
/// ```
/// use strongroom::request::{DecryptRequest, EncryptRequest};
/// use strongroom::seal::{RootKey, RootKeyHolder};
/// use strongroom::{EncryptionContext, Kms, Result, SecretBytes};
///
/// /// Keeps the root key of one KMS under a key of another.
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
    /// A name by which the holder is known again, at most 255 bytes. It is no secret: the store keeps it in the clear, and
    /// says so when another holder comes. The same holder has the same name in every process.
    fn id(&self) -> &str;

    /// Encrypts and authenticates a version of a root key, together with what it is bound to. The result has at most 8,192
    /// bytes.
    ///
    /// # Errors
    /// Whatever the holder answers.
    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>>;

    /// Decrypts what `wrap` made with the same binding. Anything else must be refused, and never give another key.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the holder cannot be reached; any other kind if it
    /// refuses, upon which the root key counts as the wrong one.
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

/// A secret of 32 uniformly random bytes, wherever it came from.
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

/// Wraps a version of a root key under a key: a body of [`CommittingKey`] without a prefix, the binding its context.
pub(super) fn wrap(key: &CommittingKey, binding: &[u8], version: &SecretBytes) -> Result<Vec<u8>> {
    let mut wrapped = Vec::with_capacity(OVERHEAD + version.len());
    key.seal(WRAP_LABEL, &[], binding, version.expose_secret(), &mut wrapped)?;
    Ok(wrapped)
}

/// Unwraps what [`wrap`] made.
pub(super) fn unwrap(key: &CommittingKey, binding: &[u8], wrapped: &[u8]) -> Option<SecretBytes> {
    key.open(WRAP_LABEL, &[], binding, wrapped).ok()
}

/// Draws a secret.
pub(super) fn draw(backend: &CryptoBackend) -> Result<SecretBytes> {
    let mut secret = Zeroizing::new([0; 32]);
    backend.random().fill(secret.as_mut_slice())?;
    Ok(SecretBytes::copy_from_slice(secret.as_slice()))
}
