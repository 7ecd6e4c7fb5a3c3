//! Encryption of data keys with HPKE, in base mode (RFC 9180, section 6.1).

use std::marker::PhantomData;

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::{HkdfSha256, HkdfSha384, Kdf};
use hpke::kem::{MlKem1024P384, XWing};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, single_shot_open_inout_detached,
    single_shot_seal_inout_detached_with_rng,
};

use super::drawn::Drawn;
use super::kem::HybridKem;
use crate::crypto::{CryptoError, SecureRandom};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The name of the scheme in the capability report of a backend.
pub(super) const HPKE: &str = "HPKE";

/// The version of the format.
pub(super) const VERSION: u8 = 1;

/// The length of a private key in bytes.
pub(super) const SEED_LENGTH: usize = 32;

/// The length of an authentication tag in bytes.
pub(super) const TAG_LENGTH: usize = 16;

/// A key pair, or only its public key.
pub(super) trait Recipient: Send + Sync {
    fn public_key(&self) -> Vec<u8>;

    /// Returns `true` if there is a private key.
    fn can_open(&self) -> bool;

    /// Returns `encapsulated key ‖ ciphertext ‖ tag`.
    fn seal(&self, info: &[u8], context: &[u8], data_key: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>>;

    /// Returns the data key, or `None` if the input is invalid in any way, or there is no private key.
    fn open(&self, info: &[u8], context: &[u8], sealed: &[u8]) -> Option<SecretBytes>;
}

/// Computes a key pair from its private key.
pub(super) fn from_private(kem: HybridKem, private: &SecretBytes) -> Result<Box<dyn Recipient>> {
    if private.len() != SEED_LENGTH {
        let text = format!("a private key for {kem} must have {SEED_LENGTH} bytes, not {}", private.len());
        return Err(Error::new(ErrorKind::Validation, text));
    }
    match kem {
        HybridKem::X25519MlKem768 => Keys::<XWing, HkdfSha256>::from_private(private),
        HybridKem::P384MlKem1024 => Keys::<MlKem1024P384, HkdfSha384>::from_private(private),
    }
    .map_err(|_| Error::new(ErrorKind::Validation, format!("the private key for {kem} is invalid")))
}

/// Parses and checks a public key.
pub(super) fn from_public(kem: HybridKem, public: &[u8]) -> Result<Box<dyn Recipient>> {
    let length = kem.public_key_length();
    if public.len() != length {
        let text = format!("a public key for {kem} must have {length} bytes, not {}", public.len());
        return Err(Error::new(ErrorKind::Validation, text));
    }
    match kem {
        HybridKem::X25519MlKem768 => Keys::<XWing, HkdfSha256>::from_public(public),
        HybridKem::P384MlKem1024 => Keys::<MlKem1024P384, HkdfSha384>::from_public(public),
    }
    .map_err(|_| {
        let text =
            format!("the public key for {kem} is invalid: a number is not reduced, or a point is not on the curve");
        Error::new(ErrorKind::Validation, text)
    })
}

struct Keys<K: Kem, D> {
    public: K::PublicKey,
    /// Wiped by its library when it is dropped.
    private: Option<K::PrivateKey>,
    derivation: PhantomData<D>,
}

impl<K, D> Keys<K, D>
where
    K: Kem + 'static,
    D: Kdf + Send + Sync + 'static,
    K::PublicKey: Send + Sync,
    K::PrivateKey: Send + Sync,
{
    fn from_private(private: &SecretBytes) -> Result<Box<dyn Recipient>, HpkeError> {
        let private = K::PrivateKey::from_bytes(private.expose_secret())?;
        Ok(Box::new(Self { public: K::sk_to_pk(&private), private: Some(private), derivation: PhantomData }))
    }

    fn from_public(public: &[u8]) -> Result<Box<dyn Recipient>, HpkeError> {
        let public = K::PublicKey::from_bytes(public)?;
        Ok(Box::new(Self { public, private: None, derivation: PhantomData }))
    }
}

impl<K, D> Recipient for Keys<K, D>
where
    K: Kem,
    D: Kdf + Send + Sync,
    K::PublicKey: Send + Sync,
    K::PrivateKey: Send + Sync,
{
    fn public_key(&self) -> Vec<u8> {
        self.public.to_bytes().to_vec()
    }

    fn can_open(&self) -> bool {
        self.private.is_some()
    }

    fn seal(&self, info: &[u8], context: &[u8], data_key: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>> {
        let mut buffer = SecretBytes::copy_from_slice(data_key);
        let mut drawn = Drawn::new(random);
        let sealed = single_shot_seal_inout_detached_with_rng::<AesGcm256, D, K>(
            &OpModeS::Base,
            &self.public,
            info,
            InOutBuf::from(buffer.expose_secret_mut()),
            context,
            &mut drawn,
        );
        drawn.check()?;
        // A valid public key and a short input leave no reason to fail.
        let (encapsulated, tag) = sealed.map_err(|_| CryptoError::FaultyComputation)?;
        Ok([encapsulated.to_bytes().as_slice(), buffer.expose_secret(), tag.to_bytes().as_slice()].concat())
    }

    fn open(&self, info: &[u8], context: &[u8], sealed: &[u8]) -> Option<SecretBytes> {
        let private = self.private.as_ref()?;
        let (encapsulated, body) = sealed.split_at_checked(K::EncappedKey::size())?;
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LENGTH>()?;
        let mut buffer = SecretBytes::copy_from_slice(ciphertext);
        single_shot_open_inout_detached::<AesGcm256, D, K>(
            &OpModeR::Base,
            private,
            &K::EncappedKey::from_bytes(encapsulated).ok()?,
            info,
            InOutBuf::from(buffer.expose_secret_mut()),
            context,
            &AeadTag::<AesGcm256>::from_bytes(tag).ok()?,
        )
        .ok()?;
        Some(buffer)
    }
}
