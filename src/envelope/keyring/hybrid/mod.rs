//! A keyring for recipients with a hybrid key pair, which neither today's computers nor quantum
//! computers break.
//!
//! `kem` and `keys` contain the key encapsulation mechanisms and their keys, `wrapping` the encryption
//! of data keys with HPKE, and `drawn` the random numbers.

mod drawn;
mod kem;
mod keys;
mod wrapping;

use std::fmt;

pub use self::kem::HybridKem;
use self::wrapping::{HPKE, Recipient, VERSION};
use super::contract::Keyring;
use super::failures::UnwrapFailures;
use super::raw_key::{not_of, refused};
use crate::codec::{Reader, Writer};
use crate::crypto::CryptoBackend;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// The provider ID of wrapped data keys that this keyring writes.
const PROVIDER_ID: &str = "strongroom-hybrid";

/// Separates the wrapped data keys of this keyring from other uses of the same key pair.
const LABEL: &[u8] = b"strongroom hybrid data key v1";

/// The maximum length of the name of a key in bytes.
const MAX_NAME: usize = 1_024;

/// Wraps data keys for the owner of a hybrid key pair: a message that an attacker records today stays
/// secret, even if a quantum computer breaks elliptic curves later, and even if ML-KEM turns out to be
/// weak. The public key is sufficient for encryption, and decryption requires the private key.
///
/// **Only strongroom reads these data keys.** The message is one of the AWS Encryption SDK, but no
/// other implementation knows this provider. For several recipients, or to add a key that other
/// software reads, combine keyrings in a [`MultiKeyring`](crate::envelope::MultiKeyring). The message
/// is then as secret as the weakest of them: see [the manual](crate::manual::quantum).
///
/// The data key is encrypted with HPKE in base mode (RFC 9180, section 6.1) and a [`HybridKem`].
/// Anyone with the public key can write a message, so decrypting it does not authenticate its sender.
///
/// ```text
/// provider ID   = "strongroom-hybrid"    provider information = the name of the key, 1 to 1,024 bytes
/// ciphertext    = u8 1 ‖ u16 KEM id ‖ encapsulated key ‖ data key under AES-256-GCM ‖ 16 tag
/// HPKE: info    = "strongroom hybrid data key v1" ‖ name    associated data = encryption context, serialized
/// ```
///
/// # Examples
/// ```
/// use strongroom::crypto::RUST_CRYPTO;
/// use strongroom::envelope::{HybridKem, RawHybridKeyring};
/// use strongroom::{EncryptionContext, Envelope};
///
/// let kem = HybridKem::X25519MlKem768;
/// let private = kem.generate(&RUST_CRYPTO)?; // 32 bytes, for the recipient only
/// let public = kem.public_key(&private)?; // 1,216 bytes, for everyone
///
/// let context = EncryptionContext::from([("year", "2026")]);
/// let writer = RawHybridKeyring::with_public_key("archive", kem, &public)?.with_backend(RUST_CRYPTO);
/// let message = Envelope::new(writer).encrypt(b"keep for fifty years", &context)?;
///
/// let reader = RawHybridKeyring::with_private_key("archive", kem, &private)?.with_backend(RUST_CRYPTO);
/// assert_eq!(Envelope::new(reader).decrypt(&message, &context)?, b"keep for fifty years");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawHybridKeyring {
    name: Vec<u8>,
    kem: HybridKem,
    recipient: Box<dyn Recipient>,
    backend: CryptoBackend,
}

impl RawHybridKeyring {
    /// Creates a keyring for encryption and decryption from a private key of
    /// [`HybridKem::generate`]. The name appears in plaintext in every message.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the private key does not have 32 bytes, or if the name does not
    ///   have 1 to 1,024.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::envelope::{HybridKem, RawHybridKeyring};
    /// use strongroom::{ErrorKind, SecretBytes};
    ///
    /// let kem = HybridKem::P384MlKem1024;
    /// assert!(RawHybridKeyring::with_private_key("archive", kem, &kem.generate(&RUST_CRYPTO)?).is_ok());
    /// let refused = RawHybridKeyring::with_private_key("archive", kem, &SecretBytes::zeroed(31)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_private_key(name: impl Into<Vec<u8>>, kem: HybridKem, private: &SecretBytes) -> Result<Self> {
        Self::new(name.into(), kem, wrapping::from_private(kem, private)?)
    }

    /// Creates a keyring for encryption only, from a public key of [`HybridKem::public_key`].
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the public key does not have
    ///   [`HybridKem::public_key_length`], contains a number that is not reduced, or contains a point
    ///   that is not on the curve. The name must have 1 to 1,024 bytes.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::envelope::{HybridKem, RawHybridKeyring, UnwrapFailures};
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    ///
    /// let kem = HybridKem::P384MlKem1024;
    /// let public = kem.public_key(&kem.generate(&RUST_CRYPTO)?)?;
    /// let writer = RawHybridKeyring::with_public_key("archive", kem, &public)?.with_backend(RUST_CRYPTO);
    /// let envelope = Envelope::new(writer);
    /// let message = envelope.encrypt(b"for the archive", &EncryptionContext::new())?;
    /// let refused = envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::InvalidKeyUsage));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_public_key(name: impl Into<Vec<u8>>, kem: HybridKem, public: &[u8]) -> Result<Self> {
        Self::new(name.into(), kem, wrapping::from_public(kem, public)?)
    }

    /// Returns the same keyring with another backend, which supplies the random numbers. By default,
    /// the fastest backend is used. The strict backend of the feature `fips` rejects this keyring,
    /// because its cryptography is outside the module.
    #[must_use]
    pub fn with_backend(self, backend: CryptoBackend) -> Self {
        Self { backend, ..self }
    }

    /// Returns the public key, for writers.
    pub fn public_key(&self) -> Vec<u8> {
        self.recipient.public_key()
    }

    fn new(name: Vec<u8>, kem: HybridKem, recipient: Box<dyn Recipient>) -> Result<Self> {
        if name.is_empty() || name.len() > MAX_NAME {
            let text = format!("the name of a hybrid key must have 1 to {MAX_NAME} bytes, not {}", name.len());
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { name, kem, recipient, backend: CryptoBackend::default() })
    }

    /// Returns what HPKE binds a data key to, besides the encryption context.
    fn info(&self) -> Vec<u8> {
        [LABEL, &self.name].concat()
    }

    /// Returns the encapsulated key and the encrypted data key, if the wrapped data key is of this
    /// kind.
    fn parse<'a>(&self, wrapped: &'a [u8]) -> Option<&'a [u8]> {
        let mut reader = Reader::new(wrapped);
        let version = reader.u8("version").ok()?;
        let kem = reader.u16("KEM").ok()?;
        (version == VERSION && kem == self.kem.hpke_id()).then_some(&wrapped[reader.position()..])
    }

    fn unwrap(&self, materials: &DecryptionMaterials, wrapped: &[u8]) -> Result<SecretBytes> {
        let length = materials.suite().data_key_length();
        let Some(body) = self.parse(wrapped) else {
            return Err(refused(format!("it was not wrapped with {}", self.kem)));
        };
        if body.len() != self.kem.encapsulated_key_length() + length + wrapping::TAG_LENGTH {
            return Err(refused(format!("it does not contain a data key of {length} bytes")));
        }
        if !self.recipient.can_open() {
            let text = "this keyring has no private key, so it can only encrypt";
            return Err(Error::new(ErrorKind::InvalidKeyUsage, text));
        }
        self.recipient
            .open(&self.info(), materials.canonical_context(), body)
            .ok_or_else(|| refused("it was wrapped for another key or encryption context, or altered"))
    }
}

impl Keyring for RawHybridKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.backend.check_allowed(HPKE)?;
        let length = materials.data_key_or_generate()?.len();
        let data_key = materials.data_key().map(SecretBytes::expose_secret).unwrap_or_default();
        let random = self.backend.random();
        let sealed = self.recipient.seal(&self.info(), materials.canonical_context(), data_key, random)?;
        let mut writer = Writer::with_capacity(3 + sealed.len());
        debug_assert_eq!(sealed.len(), self.kem.encapsulated_key_length() + length + wrapping::TAG_LENGTH);
        writer.u8(VERSION).u16(self.kem.hpke_id()).bytes(&sealed);
        materials.push(EncryptedDataKey::new(PROVIDER_ID, self.name.as_slice(), writer.into_bytes()))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        self.backend.check_allowed(HPKE)?;
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            if data_key.provider_id() != PROVIDER_ID || data_key.provider_info() != self.name {
                let named = Some(data_key.provider_info());
                failures.push(data_key, not_of(PROVIDER_ID, &self.name, data_key, named));
                continue;
            }
            match self.unwrap(materials, data_key.ciphertext()) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for RawHybridKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawHybridKeyring")
            .field("name", &format_args!("{}", self.name.escape_ascii()))
            .field("kem", &self.kem)
            .field("writes_only", &!self.recipient.can_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
