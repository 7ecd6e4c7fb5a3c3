//! Ed25519 with AWS-LC, and Ed25519ph with another library, because AWS-LC does not offer it.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::check_input;
use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

const KIND: KeyPairKind = KeyPairKind::Ed25519;

pub(super) fn generate(
    random: &dyn SecureRandom,
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut_slice())?;
    Ok(Box::new(Private::new(seed, elsewhere)?))
}

pub(super) fn private_key(
    parts: PrivateParts,
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let seed = parts.secret.expose_secret().try_into().map_err(|_| CryptoError::InvalidPrivateKey)?;
    let key = Private::new(Zeroizing::new(seed), elsewhere)?;
    if parts.public.is_some_and(|public| key.public() != public) {
        return Err(CryptoError::InvalidPrivateKey);
    }
    Ok(Box::new(key))
}

pub(super) fn public_key(bytes: &[u8], elsewhere: &'static dyn KeyPairs) -> Result<Box<dyn PublicKey>, CryptoError> {
    let spki = key_encoding::write_public(KIND, bytes)?;
    let elsewhere = elsewhere.public_key(KIND, &spki)?;
    let key = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { key, elsewhere }))
}

/// The key pair, which the library wipes when it is dropped, and its seed.
struct Private {
    key: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    elsewhere: &'static dyn KeyPairs,
}

impl Private {
    fn new(seed: Zeroizing<[u8; 32]>, elsewhere: &'static dyn KeyPairs) -> Result<Self, CryptoError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| CryptoError::InvalidPrivateKey)?;
        Ok(Self { key, seed, elsewhere })
    }

    fn public(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        KIND
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(KIND, self.seed.as_slice(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        key_encoding::write_public(KIND, self.public()).expect("32 bytes are short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(KIND, algorithm, input)?;
        match (algorithm, input) {
            (SigningAlgorithm::Ed25519Sha512, SignatureInput::Message(message)) => {
                Ok(self.key.sign(message).as_ref().to_vec())
            }
            _ => {
                let pkcs8 = self.to_pkcs8()?;
                self.elsewhere.private_key(KIND, pkcs8.expose_secret())?.sign(algorithm, input)
            }
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

struct Public {
    key: ParsedPublicKey,
    /// The key in the other backend, which also rejects points of small order.
    elsewhere: Box<dyn PublicKey>,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        KIND
    }

    fn to_spki(&self) -> Vec<u8> {
        self.elsewhere.to_spki()
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
                self.key.verify_sig(message, signature).map_err(|_| CryptoError::InvalidSignature)
            }
            _ => self.elsewhere.verify(algorithm, input, signature),
        }
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}
