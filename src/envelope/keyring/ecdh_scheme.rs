//! Wrapping of data keys under an agreed secret, in the format of the ECDH keyrings.

use subtle::ConstantTimeEq;

use super::counter_mode;
use super::raw_key::{public_key, refused};
use crate::codec::{Reader, Writer};
use crate::crypto::{
    AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, KeyPairKind, NONCE_LENGTH, PublicKey, TAG_LENGTH,
};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// The provider ID of data keys that a raw private key wraps.
pub(super) const PROVIDER_ID: &str = "raw-ecdh";

/// The provider ID of data keys that a private key in a KMS wraps. The owner of a private key can
/// unwrap both.
pub(super) const KMS_PROVIDER_ID: &str = "aws-kms-ecdh";

/// The supported curves.
pub(super) const KINDS: [KeyPairKind; 3] = [KeyPairKind::EccP256, KeyPairKind::EccP384, KeyPairKind::EccP521];

/// The version of the provider information.
const INFO_VERSION: u8 = 1;

/// Length in bytes of the salt for the key derivation.
const SALT_LENGTH: usize = 32;

/// Length in bytes of the wrapping key, and of the commitment key that precedes the wrapped data
/// key.
const KEY_LENGTH: usize = 32;

/// Each wrapping key is derived with a fresh salt, so the nonce can be constant.
const NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];

/// A public key in its two forms.
pub(super) struct Party {
    pub(super) kind: KeyPairKind,
    pub(super) spki: Vec<u8>,
    pub(super) point: Vec<u8>,
}

impl Party {
    /// Parses a public key on one of the curves.
    pub(super) fn read(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Self> {
        let public = public_key(backend, kinds, key)?;
        Ok(Self { kind: public.kind(), spki: public.to_spki(), point: point_of(&*public)? })
    }
}

/// Returns the compressed point of a public key.
pub(super) fn point_of(public: &dyn PublicKey) -> Result<Vec<u8>> {
    let text = "an elliptic curve public key has no compressed point";
    public.to_compressed_point().ok_or_else(|| Error::new(ErrorKind::Internal, text))
}

/// Returns the error for a data key that cannot be unwrapped.
pub(super) fn not_opened(error: CryptoError) -> Error {
    match error {
        CryptoError::NotAuthentic => refused("it was wrapped for another encryption context, or altered"),
        CryptoError::InvalidPublicKey => refused("the sender's public key is not a point on the curve"),
        other => other.into(),
    }
}

/// The scheme on a curve.
pub(super) struct Scheme<'a> {
    pub(super) backend: &'a CryptoBackend,
    pub(super) kind: KeyPairKind,
}

impl Scheme<'_> {
    /// Wraps the data key of a message under an agreed secret.
    pub(super) fn wrap(
        &self,
        points: &Points<'_>,
        secret: &SecretBytes,
        materials: &mut EncryptionMaterials,
        provider_id: &str,
    ) -> Result<()> {
        let mut salt = [0; SALT_LENGTH];
        materials.fill_random(&mut salt)?;
        materials.data_key_or_generate()?;
        let fixed = fixed_info(self.kind, points, materials.canonical_context());
        let keys = derive(self.backend, secret, &fixed, &salt);
        let data_key = materials.data_key().map(SecretBytes::expose_secret).unwrap_or_default();
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, keys.wrapping_key())?;
        let mut wrapped = vec![0; data_key.len()];
        let tag = key.seal(&NONCE, &fixed, data_key, &mut wrapped)?;
        let ciphertext = [&salt[..], keys.commitment(), &wrapped, &tag].concat();
        materials.push(EncryptedDataKey::new(provider_id, points.to_info()?, ciphertext))
    }

    /// Unwraps a data key. The secret is agreed only if the data key has the right length.
    pub(super) fn unwrap(
        &self,
        points: &Points<'_>,
        agree: impl FnOnce() -> Result<SecretBytes>,
        materials: &DecryptionMaterials,
        data_key: &EncryptedDataKey,
    ) -> Result<SecretBytes> {
        let length = materials.suite().data_key_length();
        let wrapped = Wrapped::read(data_key.ciphertext(), length)
            .ok_or_else(|| refused(format!("it does not contain a data key of {length} bytes")))?;
        let secret = agree()?;
        let fixed = fixed_info(self.kind, points, materials.canonical_context());
        let keys = derive(self.backend, &secret, &fixed, wrapped.salt);
        if !bool::from(keys.commitment().ct_eq(wrapped.commitment)) {
            return Err(not_opened(CryptoError::NotAuthentic));
        }
        let mut plaintext = SecretBytes::zeroed(length);
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, keys.wrapping_key())?;
        let opened = key.open(&NONCE, &fixed, wrapped.ciphertext, wrapped.tag, plaintext.expose_secret_mut());
        opened.map(|()| plaintext).map_err(not_opened)
    }
}

/// The two compressed points of a wrapped data key.
pub(super) struct Points<'a> {
    pub(super) recipient: &'a [u8],
    pub(super) sender: &'a [u8],
}

impl<'a> Points<'a> {
    /// The length of the longest point, that of P-521.
    const MAX: usize = 67;

    /// Reads the points of a data key that an ECDH keyring wrapped.
    pub(super) fn of(data_key: &'a EncryptedDataKey) -> Result<Self> {
        let is_known = [PROVIDER_ID, KMS_PROVIDER_ID].contains(&data_key.provider_id());
        let points = Self::read(data_key.provider_info()).filter(|_| is_known);
        points.ok_or_else(|| Error::new(ErrorKind::IncorrectKey, "it was not wrapped by a keyring of this kind"))
    }

    /// Returns the other party's point, if the data key is for the owner of a point and, if there is
    /// one, its peer.
    pub(super) fn other(&self, own: &[u8], peer: Option<&[u8]>) -> Result<&'a [u8]> {
        match peer {
            None if self.recipient == own => Ok(self.sender),
            Some(peer) if self.recipient == own && self.sender == peer => Ok(self.sender),
            Some(peer) if self.sender == own && self.recipient == peer => Ok(self.recipient),
            _ => Err(Error::new(ErrorKind::IncorrectKey, "it was not wrapped for the keys of this keyring")),
        }
    }

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
