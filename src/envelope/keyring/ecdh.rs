//! A keyring with raw elliptic-curve key pairs.

use std::fmt;

use super::contract::Keyring;
use super::ecdh_scheme::{KINDS, PROVIDER_ID, Party, Points, Scheme, not_opened, point_of};
use super::failures::UnwrapFailures;
use super::raw_key::private_key;
use crate::crypto::{CryptoBackend, KeyPairKind, PrivateKey};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// Wraps data keys under a secret that is agreed between two key pairs on P-256, P-384, or P-521.
///
/// | created with | writes | reads |
/// |---|---|---|
/// | [`static_keys`](RawEcdhKeyring::static_keys): own private key, peer's public key | for the peer | messages that either of the two wrote for the other |
/// | [`ephemeral`](RawEcdhKeyring::ephemeral): recipient's public key | for the recipient, with a new key pair for each message | nothing |
/// | [`discovery`](RawEcdhKeyring::discovery): own private key | nothing | messages that any sender wrote for its owner |
///
/// Only static keys identify the sender of a message, and only to the two owners.
///
/// Provider ID: `raw-ecdh`. Provider information:
/// `u8 1 ‖ u32 length ‖ recipient ‖ u32 length ‖ sender`, both compressed points. Ciphertext:
/// `salt 32 ‖ commitment key 32 ‖ data key under AES-256-GCM ‖ tag 16`. The commitment key and the
/// wrapping key are derived from the shared secret with SP 800-108 in counter mode and
/// HMAC-SHA-384; they are the first 64 bytes. Everything is bound to the curve, the points, and the
/// encryption context.
///
/// Private keys must be PKCS#8 and public keys `SubjectPublicKeyInfo`, in DER or PEM. PEM may
/// contain text and other blocks around the key, and lines of any length.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::envelope::RawEcdhKeyring;
/// use strongroom::{EncryptionContext, Envelope};
///
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
/// let context = EncryptionContext::from([("for", "the owner")]);
/// let anybody = Envelope::new(RawEcdhKeyring::ephemeral(&pair.public_key_der())?);
/// let message = anybody.encrypt(b"a report", &context)?;
///
/// let owner = Envelope::new(RawEcdhKeyring::discovery(pair.to_pkcs8()?.expose_secret())?);
/// assert_eq!(owner.decrypt(&message, &context)?, b"a report");
/// assert!(anybody.decrypt(&message, &context).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawEcdhKeyring {
    backend: CryptoBackend,
    kind: KeyPairKind,
    own: Option<OwnKey>,
    peer: Option<Party>,
}

struct OwnKey {
    private: Box<dyn PrivateKey>,
    point: Vec<u8>,
}

impl RawEcdhKeyring {
    /// Creates a keyring between the owner of a private key and the owner of a public key.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if a key is malformed, or if the two are not on the same one of
    ///   the three curves.
    ///
    /// # Examples
    /// Either side reads the messages of both:
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::envelope::RawEcdhKeyring;
    /// use strongroom::{EncryptionContext, Envelope};
    ///
    /// let backend = CryptoBackend::default();
    /// let new = || backend.key_pairs().generate(KeyPairKind::EccP384, backend.random());
    /// let (alice, bob) = (new()?, new()?);
    /// let of_alice = RawEcdhKeyring::static_keys(alice.to_pkcs8()?.expose_secret(), &bob.public_key_der())?;
    /// let of_bob = RawEcdhKeyring::static_keys(bob.to_pkcs8()?.expose_secret(), &alice.public_key_der())?;
    ///
    /// let message = Envelope::new(of_alice).encrypt(b"a report", &EncryptionContext::new())?;
    /// assert_eq!(Envelope::new(of_bob).decrypt(&message, &EncryptionContext::new())?, b"a report");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn static_keys(private: &[u8], public: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let own = OwnKey::read(&backend, private)?;
        let kind = own.private.kind();
        let peer = Party::read(&backend, &[kind], public)?;
        Ok(Self { backend, kind, own: Some(own), peer: Some(peer) })
    }

    /// Creates a keyring that writes for the owner of a public key, with a new key pair for each
    /// message.
    ///
    /// # Errors
    /// - The errors of [`RawEcdhKeyring::static_keys`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::envelope::RawEcdhKeyring;
    /// use strongroom::{EncryptionContext, Envelope};
    ///
    /// let backend = CryptoBackend::default();
    /// let recipient = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
    /// let envelope = Envelope::new(RawEcdhKeyring::ephemeral(&recipient.public_key_der())?);
    /// assert!(envelope.encrypt(b"a report", &EncryptionContext::new()).is_ok());
    /// assert!(RawEcdhKeyring::ephemeral(b"no key").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn ephemeral(public: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let peer = Party::read(&backend, &KINDS, public)?;
        Ok(Self { backend, kind: peer.kind, own: None, peer: Some(peer) })
    }

    /// Creates a keyring that reads messages from any sender to the owner of a private key.
    ///
    /// # Errors
    /// - The errors of [`RawEcdhKeyring::static_keys`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::envelope::RawEcdhKeyring;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let owner = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
    /// let reader = Envelope::new(RawEcdhKeyring::discovery(owner.to_pkcs8()?.expose_secret())?);
    /// let refused = reader.encrypt(b"a report", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation); // it reads only
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn discovery(private: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let own = OwnKey::read(&backend, private)?;
        Ok(Self { backend, kind: own.private.kind(), own: Some(own), peer: None })
    }

    /// Returns the same keyring with another backend, which parses the keys again. By default, the
    /// fastest backend is used.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the backend rejects a key. No backend rejects a key that
    ///   another one has accepted.
    pub fn with_backend(self, backend: CryptoBackend) -> Result<Self> {
        let read = |own: &OwnKey| OwnKey::read(&backend, own.private.to_pkcs8()?.expose_secret());
        let own = self.own.as_ref().map(read).transpose()?;
        Ok(Self { backend, own, ..self })
    }

    fn unwrap(&self, materials: &DecryptionMaterials, data_key: &EncryptedDataKey) -> Result<SecretBytes> {
        let own = self.own.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::InvalidKeyUsage, "this keyring has no private key, so it can only encrypt")
        })?;
        let points = Points::of(data_key)?;
        let other = points.other(&own.point, self.peer.as_ref().map(|peer| &peer.point[..]))?;
        let other = self.backend.key_pairs().public_key_of_point(self.kind, other).map_err(not_opened)?;
        let agree = || own.private.agree(&other.to_spki()).map_err(not_opened);
        Scheme { backend: &self.backend, kind: self.kind }.unwrap(&points, agree, materials, data_key)
    }
}

impl Keyring for RawEcdhKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let peer = self.peer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Validation, "a discovery keyring can only decrypt, because it has no recipient")
        })?;
        let ephemeral = match &self.own {
            Some(_) => None,
            None => {
                let random = materials.backend().random();
                Some(OwnKey::new(&self.backend, self.backend.key_pairs().generate(self.kind, random)?)?)
            }
        };
        let sender = self.own.as_ref().or(ephemeral.as_ref());
        let sender = sender.ok_or_else(|| Error::new(ErrorKind::Internal, "the keyring has no key"))?;
        let points = Points { recipient: &peer.point, sender: &sender.point };
        let secret = sender.private.agree(&peer.spki)?;
        Scheme { backend: &self.backend, kind: self.kind }.wrap(&points, &secret, materials, PROVIDER_ID)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            match self.unwrap(materials, data_key) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl OwnKey {
    fn read(backend: &CryptoBackend, private: &[u8]) -> Result<Self> {
        Self::new(backend, private_key(backend, &KINDS, private)?)
    }

    fn new(backend: &CryptoBackend, private: Box<dyn PrivateKey>) -> Result<Self> {
        let public = backend.key_pairs().public_key(private.kind(), &private.public_key_der())?;
        let point = point_of(&*public)?;
        Ok(Self { private, point })
    }
}

impl fmt::Debug for RawEcdhKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEcdhKeyring")
            .field("curve", &self.kind)
            .field("reads", &self.own.is_some())
            .field("writes", &self.peer.is_some())
            .finish_non_exhaustive()
    }
}
