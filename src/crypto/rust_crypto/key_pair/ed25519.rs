//! Ed25519 and Ed25519ph with `ed25519-dalek`.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, typenum::U64};
use sha2::{Digest, Sha512};

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::check_input;
use crate::crypto::{CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

const KIND: KeyPairKind = KeyPairKind::Ed25519;

pub(super) fn generate(random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    random.fill(seed.as_mut_slice())?;
    Ok(Box::new(Private(SigningKey::from_bytes(&seed))))
}

pub(super) fn private_key(parts: &PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let seed = parts.secret.expose_secret().try_into().map_err(|_| CryptoError::InvalidPrivateKey)?;
    let key = SigningKey::from_bytes(seed);
    if parts.public.as_ref().is_some_and(|public| key.verifying_key().as_bytes()[..] != public[..]) {
        return Err(CryptoError::InvalidPrivateKey);
    }
    Ok(Box::new(Private(key)))
}

pub(super) fn public_key(bytes: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    Ok(Box::new(Public(parse(bytes)?)))
}

/// Rejects invalid points, encodings other than the one specified in RFC 8032, section 5.1.2, and
/// points of small order, under which one signature verifies for many messages. Both backends parse
/// public keys here.
fn parse(bytes: &[u8]) -> Result<VerifyingKey, CryptoError> {
    let bytes = bytes.try_into().map_err(|_| CryptoError::InvalidPublicKey)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| CryptoError::InvalidPublicKey)?;
    // The library reduces a coordinate that is not below p, although decoding must fail (section
    // 5.1.3).
    let is_canonical = key.to_edwards().compress().as_bytes() == bytes;
    if is_canonical && !key.is_weak() { Ok(key) } else { Err(CryptoError::InvalidPublicKey) }
}

fn verify_prehashed(key: &VerifyingKey, digest: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let signature = Signature::from_slice(signature).map_err(|_| CryptoError::InvalidSignature)?;
    key.verify_prehashed(Finished::new(digest)?, None, &signature).map_err(|_| CryptoError::InvalidSignature)
}

fn prehash(input: SignatureInput<'_>) -> Vec<u8> {
    match input {
        SignatureInput::Message(message) => Sha512::digest(message).to_vec(),
        // Representatives were rejected before.
        SignatureInput::Digest(digest) | SignatureInput::ExternalMu(digest) => digest.to_vec(),
    }
}

/// The seed, which the library wipes when it is dropped.
struct Private(SigningKey);

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        KIND
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(KIND, self.0.as_bytes(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        key_encoding::write_public(KIND, self.0.verifying_key().as_bytes()).expect("32 bytes are short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(KIND, algorithm, input)?;
        match (algorithm, input) {
            (SigningAlgorithm::Ed25519Sha512, SignatureInput::Message(message)) => {
                Ok(self.0.sign(message).to_bytes().to_vec())
            }
            // The library rejects only contexts of more than 255 bytes, and no context is used.
            _ => match self.0.sign_prehashed(Finished::new(&prehash(input))?, None) {
                Ok(signature) => Ok(signature.to_bytes().to_vec()),
                Err(_) => Err(CryptoError::UnsuitableKey),
            },
        }
    }

    fn decrypt(&self, _oaep: RsaOaep, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn agree(&self, _peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

struct Public(VerifyingKey);

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        KIND
    }

    fn to_spki(&self) -> Vec<u8> {
        key_encoding::write_public(KIND, self.0.as_bytes()).expect("32 bytes are short enough for DER")
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        None
    }

    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_input(KIND, algorithm, input)?;
        match (algorithm, input) {
            (SigningAlgorithm::Ed25519Sha512, SignatureInput::Message(message)) => {
                let signature = Signature::from_slice(signature).map_err(|_| CryptoError::InvalidSignature)?;
                self.0.verify(message, &signature).map_err(|_| CryptoError::InvalidSignature)
            }
            _ => verify_prehashed(&self.0, &prehash(input), signature),
        }
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

/// A SHA-512 value that was computed elsewhere, in the form of the hash function that the library
/// expects to finish.
#[derive(Default)]
struct Finished(Output<Sha512>);

impl Finished {
    fn new(digest: &[u8]) -> Result<Self, CryptoError> {
        let value = <[u8; 64]>::try_from(digest)
            .map_err(|_| CryptoError::InvalidLength { what: "hash value", length: digest.len() })?;
        Ok(Self(value.into()))
    }
}

impl OutputSizeUser for Finished {
    type OutputSize = U64;
}

impl HashMarker for Finished {}

impl Update for Finished {
    /// Never called, because the value is complete.
    fn update(&mut self, _data: &[u8]) {}
}

impl FixedOutput for Finished {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}
