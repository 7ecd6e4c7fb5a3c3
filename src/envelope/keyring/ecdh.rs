//! A keyring with raw elliptic-curve key pairs.

use std::fmt;

use subtle::ConstantTimeEq;

use super::contract::Keyring;
use super::counter_mode;
use super::failures::UnwrapFailures;
use super::raw_key::{private_key, public_key, refused};
use crate::codec::{Reader, Writer};
use crate::crypto::{
    AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, KeyPairKind, NONCE_LENGTH, PrivateKey, PublicKey,
    TAG_LENGTH,
};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// The provider ID of wrapped data keys that this keyring writes.
const PROVIDER_ID: &str = "raw-ecdh";

/// The provider ID that a key on this curve in AWS KMS writes. The owner of the private key can
/// unwrap those data keys as well.
const KMS_PROVIDER_ID: &str = "aws-kms-ecdh";

/// The version of the provider information.
const INFO_VERSION: u8 = 1;

/// Length in bytes of the salt for the key derivation.
const SALT_LENGTH: usize = 32;

/// Length in bytes of the wrapping key, and of the commitment key that precedes the wrapped data
/// key.
const KEY_LENGTH: usize = 32;

/// The supported curves.
const KINDS: [KeyPairKind; 3] = [KeyPairKind::EccP256, KeyPairKind::EccP384, KeyPairKind::EccP521];

/// Each wrapping key is derived with a fresh salt, so the nonce can be constant.
const NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];

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
    peer: Option<Peer>,
}

struct OwnKey {
    private: Box<dyn PrivateKey>,
    point: Vec<u8>,
}

/// A public key in its two forms.
struct Peer {
    spki: Vec<u8>,
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
        let peer = Peer::read(&backend, &[kind], public)?;
        Ok(Self { backend, kind, own: Some(own), peer: Some(peer.1) })
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
        let (kind, peer) = Peer::read(&backend, &KINDS, public)?;
        Ok(Self { backend, kind, own: None, peer: Some(peer) })
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

    /// Returns the other party's point of a wrapped data key, if the data key is for this keyring.
    fn other_point<'a>(&self, own: &OwnKey, points: &Points<'a>) -> Option<&'a [u8]> {
        let is = |point: &[u8], other: &[u8]| point == other;
        match &self.peer {
            None if is(points.recipient, &own.point) => Some(points.sender),
            Some(peer) if is(points.recipient, &own.point) && is(points.sender, &peer.point) => Some(points.sender),
            Some(peer) if is(points.sender, &own.point) && is(points.recipient, &peer.point) => Some(points.recipient),
            _ => None,
        }
    }

    fn unwrap(&self, materials: &DecryptionMaterials, data_key: &EncryptedDataKey) -> Result<SecretBytes> {
        let own = self.own.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::InvalidKeyUsage, "this keyring has no private key, so it can only encrypt")
        })?;
        let not_ours = |text| Error::new(ErrorKind::IncorrectKey, text);
        let is_known = [PROVIDER_ID, KMS_PROVIDER_ID].contains(&data_key.provider_id());
        let points = Points::read(data_key.provider_info()).filter(|_| is_known);
        let points = points.ok_or_else(|| not_ours("it was not wrapped by a keyring of this kind"))?;
        let other = self.other_point(own, &points);
        let other = other.ok_or_else(|| not_ours("it was not wrapped for the keys of this keyring"))?;
        let length = materials.suite().data_key_length();
        let wrapped = Wrapped::read(data_key.ciphertext(), length)
            .ok_or_else(|| refused(format!("it does not contain a data key of {length} bytes")))?;
        let other = self.backend.key_pairs().public_key_of_point(self.kind, other).map_err(not_opened)?;
        let secret = own.private.agree(&other.to_spki()).map_err(not_opened)?;
        let fixed = fixed_info(self.kind, &points, materials.canonical_context());
        let keys = derive(&self.backend, &secret, &fixed, wrapped.salt);
        if !bool::from(keys.commitment().ct_eq(wrapped.commitment)) {
            return Err(not_opened(CryptoError::NotAuthentic));
        }
        let mut plaintext = SecretBytes::zeroed(length);
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, keys.wrapping_key())?;
        let opened = key.open(&NONCE, &fixed, wrapped.ciphertext, wrapped.tag, plaintext.expose_secret_mut());
        opened.map(|()| plaintext).map_err(not_opened)
    }
}

fn not_opened(error: CryptoError) -> Error {
    match error {
        CryptoError::NotAuthentic => refused("it was wrapped for another encryption context, or altered"),
        CryptoError::InvalidPublicKey => refused("the sender's public key is not a point on the curve"),
        other => other.into(),
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
        let mut salt = [0; SALT_LENGTH];
        materials.fill_random(&mut salt)?;
        materials.data_key_or_generate()?;
        let fixed = fixed_info(self.kind, &points, materials.canonical_context());
        let keys = derive(&self.backend, &secret, &fixed, &salt);
        let data_key = materials.data_key().map(SecretBytes::expose_secret).unwrap_or_default();
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, keys.wrapping_key())?;
        let mut wrapped = vec![0; data_key.len()];
        let tag = key.seal(&NONCE, &fixed, data_key, &mut wrapped)?;
        let ciphertext = [&salt[..], keys.commitment(), &wrapped, &tag].concat();
        materials.push(EncryptedDataKey::new(PROVIDER_ID, points.to_info()?, ciphertext))
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

impl Peer {
    fn read(backend: &CryptoBackend, kinds: &[KeyPairKind], public: &[u8]) -> Result<(KeyPairKind, Self)> {
        let public = public_key(backend, kinds, public)?;
        Ok((public.kind(), Self { spki: public.to_spki(), point: point_of(&*public)? }))
    }
}

fn point_of(public: &dyn PublicKey) -> Result<Vec<u8>> {
    let text = "an elliptic curve public key has no compressed point";
    public.to_compressed_point().ok_or_else(|| Error::new(ErrorKind::Internal, text))
}

/// The two compressed points of a wrapped data key.
struct Points<'a> {
    recipient: &'a [u8],
    sender: &'a [u8],
}

impl<'a> Points<'a> {
    /// The length of the longest point, that of P-521.
    const MAX: usize = 67;

    fn read(info: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(info);
        if reader.u8("version").ok()? != INFO_VERSION {
            return None;
        }
        let recipient = reader.prefixed_u32(Self::MAX, "recipient").ok()?;
        let sender = reader.prefixed_u32(Self::MAX, "sender").ok()?;
        reader.finish().ok()?;
        Some(Self { recipient, sender })
    }

    fn to_info(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(1 + 2 * (4 + Self::MAX));
        writer.u8(INFO_VERSION);
        writer.prefixed_u32(self.recipient, Self::MAX, "recipient")?;
        writer.prefixed_u32(self.sender, Self::MAX, "sender")?;
        Ok(writer.into_bytes())
    }
}

/// The parts of a wrapped data key.
struct Wrapped<'a> {
    salt: &'a [u8; SALT_LENGTH],
    commitment: &'a [u8; KEY_LENGTH],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Wrapped<'a> {
    fn read(bytes: &'a [u8], data_key_length: usize) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        (ciphertext.len() == data_key_length).then_some(Self { salt, commitment, ciphertext, tag })
    }
}

/// Returns the input to which the derived keys and the wrapped data key are bound.
fn fixed_info(kind: KeyPairKind, points: &Points<'_>, context: &[u8]) -> Vec<u8> {
    let curve: &[u8] = match kind {
        KeyPairKind::EccP384 => b"p384",
        KeyPairKind::EccP521 => b"p521",
        _ => b"p256",
    };
    let parts: [&[u8]; 10] = [
        b"ecdh-key-derivation",
        &[0],
        curve,
        &[0],
        b"HMAC_SHA384",
        &[0],
        points.sender,
        points.recipient,
        &[0, 1, 0],
        context,
    ];
    parts.concat()
}

/// The commitment key and the wrapping key. Both are wiped when dropped.
struct WrappingKeys(SecretBytes);

impl WrappingKeys {
    fn commitment(&self) -> &[u8] {
        &self.0.expose_secret()[..KEY_LENGTH]
    }

    fn wrapping_key(&self) -> &[u8] {
        &self.0.expose_secret()[KEY_LENGTH..]
    }
}

/// Derives 64 bytes with HMAC-SHA-384 in counter mode.
fn derive(backend: &CryptoBackend, secret: &SecretBytes, fixed: &[u8], salt: &[u8; SALT_LENGTH]) -> WrappingKeys {
    WrappingKeys(counter_mode::derive(backend, DigestAlgorithm::Sha384, secret, (fixed, salt), 64))
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
