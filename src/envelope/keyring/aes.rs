//! A keyring with one raw AES key.

use std::fmt;

use super::contract::Keyring;
use super::failures::UnwrapFailures;
use super::javascript::OtherOrders;
use super::raw_key::{check_name, not_of, refused};
use crate::codec::{Reader, Writer};
use crate::crypto::{AeadAlgorithm, AeadKey, CryptoBackend, CryptoError, NONCE_LENGTH, TAG_LENGTH};
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// The tag length in the provider information, in bits.
const TAG_BITS: u32 = 128;

/// The IV length in the provider information, in bytes.
const IV_BYTES: u32 = 12;

/// Number of bytes after the key name in the provider information: tag length, IV length, and IV.
const INFO_LENGTH: usize = 4 + 4 + NONCE_LENGTH;

const NOT_AUTHENTIC: &str = "it was wrapped with another key or for another encryption context, or altered";

/// An additional hint for the case that the key and the context are correct.
const JAVASCRIPT_HINT: &str = "or by the Encryption SDK for JavaScript, which sorts the names of this context \
                               differently unless utf8Sorting is set (see \
                               EnvelopeBuilder::accept_javascript_context_order)";

/// Wraps data keys with a raw AES key that the caller holds (AES-GCM with a random IV).
///
/// Provider ID: the namespace. Provider information:
/// `name ‖ u32 tag bits = 128 ‖ u32 IV length = 12 ‖ IV`. Ciphertext: the data key under AES-GCM,
/// bound to the encryption context, and the tag.
///
/// IVs are random, so one wrapping key should not wrap more than 2^32 data keys (NIST SP 800-38D,
/// section 8.3).
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let wrapping_key = SecretBytes::zeroed(32); // take a random one
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", wrapping_key)?);
/// let context = EncryptionContext::from([("tenant", "42")]);
/// let message = envelope.encrypt(b"attack at dawn", &context)?;
/// assert_eq!(envelope.decrypt(&message, &context)?, b"attack at dawn");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawAesKeyring {
    namespace: String,
    name: Vec<u8>,
    /// For [`RawAesKeyring::with_backend`].
    wrapping_key: SecretBytes,
    key: Box<dyn AeadKey>,
}

impl RawAesKeyring {
    /// Creates a keyring with the fastest backend. You can choose any namespace and name; both
    /// appear in plaintext in every message. The wrapping key must have 16, 24, or 32 bytes.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the wrapping key has another length, or if the name is longer
    ///   than 65,515 bytes. The namespace must have 1 to 65,535 bytes and must not begin with
    ///   `aws-kms`.
    pub fn new(namespace: impl Into<String>, name: impl Into<Vec<u8>>, wrapping_key: SecretBytes) -> Result<Self> {
        let (namespace, name) = check_name(namespace.into(), name.into(), INFO_LENGTH)?;
        let key = bind(&CryptoBackend::default(), &wrapping_key)?;
        Ok(Self { namespace, name, wrapping_key, key })
    }

    /// Returns the same keyring with another backend. By default, the fastest backend is used.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the backend fails.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let pure_rust = keyring()?.with_backend(RUST_CRYPTO)?;
    /// let message = Envelope::new(pure_rust).encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// assert_eq!(Envelope::new(keyring()?).decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_backend(self, backend: CryptoBackend) -> Result<Self> {
        let key = bind(&backend, &self.wrapping_key)?;
        Ok(Self { key, ..self })
    }

    /// Returns the provider information for an IV.
    fn provider_info(&self, nonce: &[u8; NONCE_LENGTH]) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.name.len() + INFO_LENGTH);
        writer.bytes(&self.name).u32(TAG_BITS).u32(IV_BYTES).bytes(nonce);
        writer.into_bytes()
    }

    /// Returns the name of the key in a wrapped data key, if it is of this kind.
    fn name_of(data_key: &EncryptedDataKey) -> Option<&[u8]> {
        let (name, _) = data_key.provider_info().split_last_chunk::<INFO_LENGTH>()?;
        Some(name)
    }

    /// Returns the IV if a wrapped data key specifies this key. The length distinguishes names that
    /// are prefixes of each other.
    fn nonce_of(&self, data_key: &EncryptedDataKey) -> Option<[u8; NONCE_LENGTH]> {
        let info = data_key.provider_info().strip_prefix(self.name.as_slice())?;
        if data_key.provider_id() != self.namespace || info.len() != INFO_LENGTH {
            return None;
        }
        let mut reader = Reader::new(info);
        let lengths = (reader.u32("tag length").ok()?, reader.u32("IV length").ok()?);
        let nonce = reader.array("IV").ok()?;
        (lengths == (TAG_BITS, IV_BYTES)).then_some(nonce)
    }

    fn unwrap(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        materials: &DecryptionMaterials,
        data_key: &EncryptedDataKey,
        orders: &mut OtherOrders<'_>,
    ) -> Result<SecretBytes> {
        let expected = materials.suite().data_key_length();
        let (ciphertext, tag) = data_key
            .ciphertext()
            .split_last_chunk::<TAG_LENGTH>()
            .filter(|(ciphertext, _)| ciphertext.len() == expected)
            .ok_or_else(|| refused(format!("it does not contain a data key of {expected} bytes")))?;
        let open = |context: &[u8]| {
            let mut plaintext = SecretBytes::zeroed(expected);
            self.key.open(nonce, context, ciphertext, tag, plaintext.expose_secret_mut()).map(|()| plaintext)
        };
        match open(materials.canonical_context()) {
            Ok(plaintext) => Ok(plaintext),
            Err(CryptoError::NotAuthentic) => match orders.find(|context| open(context).ok()) {
                Some(plaintext) => Ok(plaintext),
                None if orders.may_be_the_reason() => Err(refused(format!("{NOT_AUTHENTIC}; {JAVASCRIPT_HINT}"))),
                None => Err(refused(NOT_AUTHENTIC)),
            },
            Err(other) => Err(other.into()),
        }
    }
}

/// Loads a wrapping key into a backend.
fn bind(backend: &CryptoBackend, wrapping_key: &SecretBytes) -> Result<Box<dyn AeadKey>> {
    let algorithm = AeadAlgorithm::ALL.into_iter().find(|algorithm| algorithm.key_length() == wrapping_key.len());
    let algorithm = algorithm.ok_or_else(|| {
        let text = format!("a wrapping key must have 16, 24 or 32 bytes, not {}", wrapping_key.len());
        Error::new(ErrorKind::Validation, text)
    })?;
    Ok(backend.aead().bind(algorithm, wrapping_key.expose_secret())?)
}

impl Keyring for RawAesKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let length = materials.data_key_or_generate()?.len();
        let mut nonce = [0; NONCE_LENGTH];
        materials.fill_random(&mut nonce)?;
        let data_key = materials.data_key().map(SecretBytes::expose_secret).unwrap_or_default();
        let mut ciphertext = Vec::with_capacity(length + TAG_LENGTH);
        ciphertext.resize(length, 0);
        let tag = self.key.seal(&nonce, materials.canonical_context(), data_key, &mut ciphertext)?;
        ciphertext.extend_from_slice(&tag);
        materials.push(EncryptedDataKey::new(self.namespace.as_str(), self.provider_info(&nonce), ciphertext))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        let mut orders = OtherOrders::new(materials.context(), materials.context_as_received());
        for data_key in data_keys {
            let Some(nonce) = self.nonce_of(data_key) else {
                failures.push(data_key, not_of(&self.namespace, &self.name, data_key, Self::name_of(data_key)));
                continue;
            };
            match self.unwrap(&nonce, materials, data_key, &mut orders) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for RawAesKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAesKeyring")
            .field("namespace", &self.namespace)
            .field("name", &format_args!("{}", self.name.escape_ascii()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
