//! A keyring with a raw RSA key pair, or only its public key.

use std::fmt;

use super::contract::Keyring;
use super::failures::UnwrapFailures;
use super::raw_key::{check_name, not_of, private_key, public_key, refused};
use crate::crypto::{CryptoBackend, CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// The supported key sizes.
const KINDS: [KeyPairKind; 3] = [KeyPairKind::Rsa2048, KeyPairKind::Rsa3072, KeyPairKind::Rsa4096];

/// Wraps data keys with an RSA key pair that the caller holds. The public key is sufficient for
/// encryption, and decryption requires the private key.
///
/// Provider ID: the namespace. Provider information: the name. Ciphertext: the data key with
/// RSA-OAEP, with one hash function for label and mask and an empty label.
///
/// RSA does not bind the data key to the encryption context; only the header's tag does. Anyone
/// with the public key can write a message, so decrypting a message does not authenticate its
/// sender.
///
/// Keys must have 2048, 3072, or 4096 bits. Private keys must be PKCS#8 and public keys
/// `SubjectPublicKeyInfo`, in DER or PEM. PEM may contain text and other blocks around the key, and
/// lines of any length.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
/// use strongroom::envelope::RawRsaKeyring;
/// use strongroom::{EncryptionContext, Envelope};
///
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
/// let writer = RawRsaKeyring::with_public_key("branch", "2026", RsaOaep::Sha256, &pair.public_key_der())?;
/// let message = Envelope::new(writer).encrypt(b"for the head office", &EncryptionContext::new())?;
///
/// let reader = RawRsaKeyring::with_private_key("branch", "2026", RsaOaep::Sha256, pair.to_pkcs8()?.expose_secret())?;
/// assert_eq!(Envelope::new(reader).decrypt(&message, &EncryptionContext::new())?, b"for the head office");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawRsaKeyring {
    namespace: String,
    name: Vec<u8>,
    padding: Padding,
    public: Box<dyn PublicKey>,
    private: Option<Box<dyn PrivateKey>>,
}

/// The padding of data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    Oaep(RsaOaep),
    /// Only for reading messages of legacy software.
    Pkcs1V15,
}

impl RawRsaKeyring {
    /// Creates a keyring for encryption and decryption with the fastest backend. You can choose any
    /// namespace and name; both appear in plaintext in every message.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the private key is not RSA with 2048, 3072, or 4096 bits, or
    ///   if the name is longer than 65,535 bytes. The namespace must have 1 to 65,535 bytes and
    ///   must not begin with `aws-kms`.
    ///
    /// # Examples
    /// PEM from `openssl genpkey` works as well as DER:
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
    /// use strongroom::envelope::RawRsaKeyring;
    /// use strongroom::{EncryptionContext, Envelope};
    ///
    /// let backend = CryptoBackend::default();
    /// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let keyring = RawRsaKeyring::with_private_key("branch", "2026", RsaOaep::Sha256, pair.to_pkcs8()?.expose_secret())?;
    /// let envelope = Envelope::new(keyring);
    /// let message = envelope.encrypt(b"for ourselves", &EncryptionContext::new())?;
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"for ourselves");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_private_key(
        namespace: impl Into<String>,
        name: impl Into<Vec<u8>>,
        oaep: RsaOaep,
        private: &[u8],
    ) -> Result<Self> {
        Self::with_private(namespace.into(), name.into(), Padding::Oaep(oaep), private)
    }

    /// Creates a keyring for encryption only; see [`RawRsaKeyring::with_private_key`].
    ///
    /// # Errors
    /// - The errors of [`RawRsaKeyring::with_private_key`], applied to the public key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
    /// use strongroom::envelope::{RawRsaKeyring, UnwrapFailures};
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let writer = RawRsaKeyring::with_public_key("branch", "2026", RsaOaep::Sha256, &pair.public_key_der())?;
    /// let envelope = Envelope::new(writer);
    /// let message = envelope.encrypt(b"for the head office", &EncryptionContext::new())?;
    /// let refused = envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::InvalidKeyUsage));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_public_key(
        namespace: impl Into<String>,
        name: impl Into<Vec<u8>>,
        oaep: RsaOaep,
        public: &[u8],
    ) -> Result<Self> {
        let (namespace, name) = check_name(namespace.into(), name.into(), 0)?;
        let public = public_key(&CryptoBackend::default(), &KINDS, public)?;
        Ok(Self { namespace, name, padding: Padding::Oaep(oaep), public, private: None })
    }

    /// Creates a keyring for decryption only, for data keys padded with RSAES-PKCS1-v1_5 by legacy
    /// software.
    ///
    /// This padding is not authenticated. A data key that was altered or wrapped with another key
    /// unwraps to random bytes, which sometimes have the length of a data key. The message is then
    /// rejected by its commitment or its header. Messages of version 1 do not commit to their key,
    /// so do not read such messages from untrusted senders with this keyring.
    ///
    /// # Errors
    /// - The errors of [`RawRsaKeyring::with_private_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::envelope::RawRsaKeyring;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let reader = RawRsaKeyring::decrypt_only_pkcs1_v15("branch", "2019", pair.to_pkcs8()?.expose_secret())?;
    /// let refused = Envelope::new(reader).encrypt(b"never again", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_only_pkcs1_v15(
        namespace: impl Into<String>,
        name: impl Into<Vec<u8>>,
        private: &[u8],
    ) -> Result<Self> {
        Self::with_private(namespace.into(), name.into(), Padding::Pkcs1V15, private)
    }

    /// Returns the same keyring with another backend, which parses the keys again. By default, the
    /// fastest backend is used.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the backend rejects a key. No backend rejects a key that
    ///   another one has accepted.
    pub fn with_backend(self, backend: CryptoBackend) -> Result<Self> {
        let pairs = backend.key_pairs();
        let public = pairs.public_key(self.public.kind(), &self.public.to_spki())?;
        let read = |private: &dyn PrivateKey| pairs.private_key(private.kind(), private.to_pkcs8()?.expose_secret());
        let private = self.private.as_deref().map(read).transpose()?;
        Ok(Self { public, private, ..self })
    }

    fn with_private(namespace: String, name: Vec<u8>, padding: Padding, private: &[u8]) -> Result<Self> {
        let (namespace, name) = check_name(namespace, name, 0)?;
        let backend = CryptoBackend::default();
        let private = private_key(&backend, &KINDS, private)?;
        let public = backend.key_pairs().public_key(private.kind(), &private.public_key_der())?;
        Ok(Self { namespace, name, padding, public, private: Some(private) })
    }

    fn is_ours(&self, data_key: &EncryptedDataKey) -> bool {
        data_key.provider_id() == self.namespace && data_key.provider_info() == self.name
    }

    /// Returns the data key if it can be unwrapped. All reasons for a failure look the same to the
    /// caller, except that the backend rejects the padding.
    fn unwrap(&self, private: &dyn PrivateKey, length: usize, ciphertext: &[u8]) -> Result<SecretBytes> {
        let opened = match self.padding {
            Padding::Oaep(oaep) => private.decrypt(oaep, ciphertext),
            Padding::Pkcs1V15 => private.decrypt_pkcs1_v15_unauthenticated(ciphertext),
        };
        match opened {
            Ok(data_key) if data_key.len() == length => Ok(data_key),
            Err(rejected @ CryptoError::Rejected { .. }) => Err(rejected.into()),
            Ok(_) | Err(_) => {
                Err(refused("it cannot be decrypted: it was wrapped with another key or padding, or altered"))
            }
        }
    }
}

impl Keyring for RawRsaKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let Padding::Oaep(oaep) = self.padding else {
            let text = "a keyring with RSAES-PKCS1-v1_5 can only decrypt: use RSA-OAEP to encrypt";
            return Err(Error::new(ErrorKind::Validation, text));
        };
        let backend = *materials.backend();
        let data_key = materials.data_key_or_generate()?;
        let ciphertext = self.public.encrypt(oaep, data_key.expose_secret(), backend.random())?;
        materials.push(EncryptedDataKey::new(self.namespace.as_str(), self.name.as_slice(), ciphertext))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        let length = materials.suite().data_key_length();
        for data_key in data_keys {
            let private = match &self.private {
                _ if !self.is_ours(data_key) => {
                    let named = Some(data_key.provider_info());
                    failures.push(data_key, not_of(&self.namespace, &self.name, data_key, named));
                    continue;
                }
                None => {
                    let text = "this keyring has no private key, so it can only encrypt";
                    failures.push(data_key, Error::new(ErrorKind::InvalidKeyUsage, text));
                    continue;
                }
                Some(private) => private,
            };
            match self.unwrap(&**private, length, data_key.ciphertext()) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for RawRsaKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRsaKeyring")
            .field("namespace", &self.namespace)
            .field("name", &format_args!("{}", self.name.escape_ascii()))
            .field("padding", &self.padding)
            .field("writes_only", &self.private.is_none())
            .finish_non_exhaustive()
    }
}
