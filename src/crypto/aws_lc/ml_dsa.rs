//! ML-DSA with AWS-LC, and with another library for message representatives that the caller computed,
//! because `aws-lc-rs` does not accept them.
//!
//! No other file uses the interface of `aws-lc-rs` for this algorithm, which is stable since 1.18.
//! `no_ml_dsa` takes the place of this file with an earlier version.

use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::signature::{
    KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING, ParsedPublicKey,
    PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding;
use crate::crypto::key_pair::check_input;
use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

/// `true` if AWS-LC computes ML-DSA.
pub(in crate::crypto) const HAS_ML_DSA: bool = true;

fn algorithms(
    kind: KeyPairKind,
) -> Result<(&'static PqdsaSigningAlgorithm, &'static PqdsaVerificationAlgorithm), CryptoError> {
    match kind {
        KeyPairKind::MlDsa44 => Ok((&ML_DSA_44_SIGNING, &ML_DSA_44)),
        KeyPairKind::MlDsa65 => Ok((&ML_DSA_65_SIGNING, &ML_DSA_65)),
        KeyPairKind::MlDsa87 => Ok((&ML_DSA_87_SIGNING, &ML_DSA_87)),
        _ => Err(CryptoError::UnsuitableKey),
    }
}

pub(super) fn generate(
    kind: KeyPairKind,
    random: &dyn SecureRandom,
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut_slice())?;
    Ok(Box::new(Private::new(kind, seed, elsewhere)?))
}

pub(super) fn private_key(
    kind: KeyPairKind,
    pkcs8: &[u8],
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let parts = key_encoding::parse_private(kind, pkcs8)?;
    let seed = parts.secret.expose_secret().try_into().map_err(|_| CryptoError::InvalidPrivateKey)?;
    let private = Private::new(kind, Zeroizing::new(seed), elsewhere)?;
    if parts.public.as_ref().is_some_and(|public| private.public() != public) {
        return Err(CryptoError::InvalidPrivateKey);
    }
    if let Some(expanded) = &parts.expanded {
        let own = private.key.private_key().as_raw_bytes().map_err(|_| CryptoError::InvalidPrivateKey)?;
        if !bool::from(own.as_ref().ct_eq(expanded.expose_secret())) {
            return Err(CryptoError::InvalidPrivateKey);
        }
    }
    Ok(Box::new(private))
}

pub(super) fn public_key(
    kind: KeyPairKind,
    bytes: &[u8],
    elsewhere: &'static dyn KeyPairs,
) -> Result<Box<dyn PublicKey>, CryptoError> {
    let key = ParsedPublicKey::new(algorithms(kind)?.1, bytes).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, key, bytes: bytes.to_vec(), elsewhere }))
}

fn to_spki(kind: KeyPairKind, key: &[u8]) -> Vec<u8> {
    key_encoding::write_public(kind, key).expect("a public key of ML-DSA is short enough for DER")
}

/// The key pair, which the library wipes when it is dropped, and its seed.
struct Private {
    kind: KeyPairKind,
    key: PqdsaKeyPair,
    seed: Zeroizing<[u8; 32]>,
    elsewhere: &'static dyn KeyPairs,
}

impl Private {
    fn new(
        kind: KeyPairKind,
        seed: Zeroizing<[u8; 32]>,
        elsewhere: &'static dyn KeyPairs,
    ) -> Result<Self, CryptoError> {
        let key = PqdsaKeyPair::from_seed(algorithms(kind)?.0, seed.as_slice());
        Ok(Self { kind, key: key.map_err(|_| CryptoError::InvalidPrivateKey)?, seed, elsewhere })
    }

    fn public(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(self.kind, self.seed.as_slice(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        to_spki(self.kind, self.public())
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let SignatureInput::Message(message) = input else {
            // An expanded key of `ml-dsa` has about 100 KB, so that it is not kept with each key.
            let pkcs8 = self.to_pkcs8()?;
            return self.elsewhere.private_key(self.kind, pkcs8.expose_secret())?.sign(algorithm, input);
        };
        let mut signature = vec![0; self.key.algorithm().signature_len()];
        // Apart from the length of the buffer, signing depends only on random bytes.
        self.key.sign(message, &mut signature).map_err(|_| CryptoError::RandomFailed)?;
        Ok(signature)
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
    kind: KeyPairKind,
    key: ParsedPublicKey,
    bytes: Vec<u8>,
    elsewhere: &'static dyn KeyPairs,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        to_spki(self.kind, &self.bytes)
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
        check_input(self.kind, algorithm, input)?;
        let SignatureInput::Message(message) = input else {
            return self.elsewhere.public_key(self.kind, &self.to_spki())?.verify(algorithm, input, signature);
        };
        self.key.verify_sig(message, signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}
