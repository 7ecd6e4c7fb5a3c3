//! Recipients of exports.

use std::fmt;

use super::error::ExportError;
use crate::crypto::{self, CryptoBackend, DigestAlgorithm, KeyPairKind, PrivateKey, PublicKey, RsaOaep};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The kinds of RSA keys for which exports can be created.
const KINDS: [KeyPairKind; 3] = [KeyPairKind::Rsa2048, KeyPairKind::Rsa3072, KeyPairKind::Rsa4096];

/// The length in bytes of the digest that identifies a recipient's key.
const FINGERPRINT_LENGTH: usize = 32;

/// The length of a file key in bytes.
const FILE_KEY_LENGTH: usize = 32;

/// The method that wraps the file key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Passphrase,
    RsaOaep,
}

impl Method {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::RsaOaep => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Passphrase),
            2 => Some(Self::RsaOaep),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "a passphrase",
            Self::RsaOaep => "an RSA key",
        }
    }
}

/// Wraps a file key.
pub(super) trait Wrap: fmt::Debug + Send + Sync {
    fn method(&self) -> Method;
    fn wrap(&self, backend: &CryptoBackend, header: &[u8], file_key: &SecretBytes) -> Result<Vec<u8>>;
}

/// Unwraps a file key.
pub(super) trait Unwrap: fmt::Debug + Send + Sync {
    fn method(&self) -> Method;
    fn unwrap(&self, backend: &CryptoBackend, header: &[u8], wrapped: &[u8]) -> Result<SecretBytes, ExportError>;
}

/// The recipient of an export: the owner of an RSA private key or, with the feature `passphrase`,
/// anyone who knows a passphrase.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::export::{ExportIdentity, ExportRecipient};
/// use strongroom::{ErrorKind, Kms};
///
/// // The recipient generates the key pair and sends the public key.
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::Rsa3072, backend.random())?;
/// let recipient = ExportRecipient::rsa(&pair.public_key_der())?;
/// let identity = ExportIdentity::rsa(&pair.to_pkcs8()?)?;
///
/// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
/// let key = here.create_key(Default::default())?;
/// let export = here.export_key(key.key_id(), &recipient)?;
/// assert_eq!(there.import_keys(&export.file, &identity)?, export.keys);
/// assert_eq!(ExportRecipient::rsa(b"no key").unwrap_err().kind(), ErrorKind::Validation);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct ExportRecipient(Box<dyn Wrap>);

impl ExportRecipient {
    /// Creates a recipient from an RSA public key of 2,048, 3,072, or 4,096 bits, as a
    /// `SubjectPublicKeyInfo` in DER or PEM.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the bytes are not such a key. The message names
    ///   the form that was found.
    pub fn rsa(public_key: &[u8]) -> Result<Self> {
        let refused = |reason| Error::new(ErrorKind::Validation, format!("the public key for an export {reason}"));
        let key = crypto::read_public_key(&CryptoBackend::default(), &KINDS, public_key).map_err(refused)?;
        Ok(Self::of(Rsa(key)))
    }

    pub(super) fn of(wrap: impl Wrap + 'static) -> Self {
        Self(Box::new(wrap))
    }

    pub(super) fn method(&self) -> Method {
        self.0.method()
    }

    pub(super) fn wrap(&self, backend: &CryptoBackend, header: &[u8], file_key: &SecretBytes) -> Result<Vec<u8>> {
        self.0.wrap(backend, header, file_key)
    }
}

/// The identity that opens an export.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::export::{ExportError, ExportIdentity, ExportRecipient};
/// use strongroom::Kms;
///
/// let backend = CryptoBackend::default();
/// let generate = || backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random());
/// let (pair, other) = (generate()?, generate()?);
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(Default::default())?;
/// let export = kms.export_all_keys(&ExportRecipient::rsa(&pair.public_key_der())?)?;
/// let wrong = ExportIdentity::rsa(&other.to_pkcs8()?)?;
/// let refused = Kms::in_memory()?.import_keys(&export.file, &wrong).unwrap_err();
/// assert_eq!(refused.downcast_ref(), Some(&ExportError::WrongKey));
/// let right = ExportIdentity::rsa(&pair.to_pkcs8()?)?;
/// assert_eq!(Kms::in_memory()?.import_keys(&export.file, &right)?, export.keys);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct ExportIdentity(Box<dyn Unwrap>);

impl ExportIdentity {
    /// Creates an identity from an RSA private key, as unencrypted PKCS#8 in DER or PEM.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the bytes are not an RSA key of 2,048, 3,072, or
    ///   4,096 bits. The message names the form that was found.
    pub fn rsa(private_key: &SecretBytes) -> Result<Self> {
        let refused = |reason| Error::new(ErrorKind::Validation, format!("the private key for an export {reason}"));
        let key = crypto::read_private_key(&CryptoBackend::default(), &KINDS, private_key.expose_secret());
        Ok(Self::of(RsaPrivate(key.map_err(refused)?)))
    }

    pub(super) fn of(unwrap: impl Unwrap + 'static) -> Self {
        Self(Box::new(unwrap))
    }

    pub(super) fn method(&self) -> Method {
        self.0.method()
    }

    pub(super) fn unwrap(
        &self,
        backend: &CryptoBackend,
        header: &[u8],
        wrapped: &[u8],
    ) -> Result<SecretBytes, ExportError> {
        let file_key = self.0.unwrap(backend, header, wrapped)?;
        if file_key.len() == FILE_KEY_LENGTH { Ok(file_key) } else { Err(ExportError::Altered) }
    }
}

struct Rsa(Box<dyn PublicKey>);

impl Wrap for Rsa {
    fn method(&self) -> Method {
        Method::RsaOaep
    }

    fn wrap(&self, backend: &CryptoBackend, _: &[u8], file_key: &SecretBytes) -> Result<Vec<u8>> {
        let mut wrapped = fingerprint(backend, &self.0.to_spki()).to_vec();
        wrapped.extend(self.0.encrypt(RsaOaep::Sha256, file_key.expose_secret(), backend.random())?);
        Ok(wrapped)
    }
}

struct RsaPrivate(Box<dyn PrivateKey>);

impl Unwrap for RsaPrivate {
    fn method(&self) -> Method {
        Method::RsaOaep
    }

    fn unwrap(&self, backend: &CryptoBackend, _: &[u8], wrapped: &[u8]) -> Result<SecretBytes, ExportError> {
        let (named, wrapped) = wrapped.split_first_chunk().ok_or(ExportError::Altered)?;
        if *named != fingerprint(backend, &self.0.public_key_der()) {
            return Err(ExportError::WrongKey);
        }
        self.0.decrypt(RsaOaep::Sha256, wrapped).map_err(|_| ExportError::Altered)
    }
}

fn fingerprint(backend: &CryptoBackend, public_key: &[u8]) -> [u8; FINGERPRINT_LENGTH] {
    let mut fingerprint = [0; FINGERPRINT_LENGTH];
    fingerprint.copy_from_slice(backend.digest().digest(DigestAlgorithm::Sha256, &[public_key]).as_ref());
    fingerprint
}

impl fmt::Debug for Rsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rsa").field(&self.0.kind()).finish()
    }
}

impl fmt::Debug for RsaPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RsaPrivate").field(&self.0.kind()).finish()
    }
}
