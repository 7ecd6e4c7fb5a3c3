//! ML-DSA with `ml-dsa`.

use ml_dsa::signature::Keypair;
use ml_dsa::{EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Seed, Signature, SigningKey, VerifyingKey};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::check_input;
use crate::crypto::random::SecureRng;
use crate::crypto::rust_crypto::random::SystemRandom;
use crate::crypto::{CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

pub(super) fn generate(kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = Zeroizing::new(Seed::default());
    random.fill(seed.as_mut_slice())?;
    match kind {
        KeyPairKind::MlDsa44 => Ok(Box::new(Private::<MlDsa44>::new(kind, &seed))),
        KeyPairKind::MlDsa65 => Ok(Box::new(Private::<MlDsa65>::new(kind, &seed))),
        KeyPairKind::MlDsa87 => Ok(Box::new(Private::<MlDsa87>::new(kind, &seed))),
        _ => Err(CryptoError::UnsuitableKey),
    }
}

pub(super) fn private_key(kind: KeyPairKind, parts: &PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    match kind {
        KeyPairKind::MlDsa44 => Ok(Box::new(Private::<MlDsa44>::of_parts(kind, parts)?)),
        KeyPairKind::MlDsa65 => Ok(Box::new(Private::<MlDsa65>::of_parts(kind, parts)?)),
        KeyPairKind::MlDsa87 => Ok(Box::new(Private::<MlDsa87>::of_parts(kind, parts)?)),
        _ => Err(CryptoError::UnsuitableKey),
    }
}

pub(super) fn public_key(kind: KeyPairKind, bytes: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    match kind {
        KeyPairKind::MlDsa44 => Ok(Box::new(Public::<MlDsa44>::new(kind, bytes)?)),
        KeyPairKind::MlDsa65 => Ok(Box::new(Public::<MlDsa65>::new(kind, bytes)?)),
        KeyPairKind::MlDsa87 => Ok(Box::new(Public::<MlDsa87>::new(kind, bytes)?)),
        _ => Err(CryptoError::UnsuitableKey),
    }
}

fn to_spki(kind: KeyPairKind, key: &[u8]) -> Vec<u8> {
    key_encoding::write_public(kind, key).expect("a public key of ML-DSA is short enough for DER")
}

/// The seed and the expanded key, which the library wipes when they are dropped.
struct Private<P: MlDsaParams> {
    kind: KeyPairKind,
    key: SigningKey<P>,
}

impl<P: MlDsaParams> Private<P> {
    fn new(kind: KeyPairKind, seed: &Seed) -> Self {
        Self { kind, key: SigningKey::from_seed(seed) }
    }

    /// Checks that the public key and the expanded key belong to the seed, if they are present.
    fn of_parts(kind: KeyPairKind, parts: &PrivateParts) -> Result<Self, CryptoError> {
        let seed = parts.secret.expose_secret().try_into().map_err(|_| CryptoError::InvalidPrivateKey)?;
        let private = Self::new(kind, seed);
        if parts.public.as_ref().is_some_and(|public| private.public()[..] != public[..]) {
            return Err(CryptoError::InvalidPrivateKey);
        }
        if let Some(expanded) = &parts.expanded {
            #[expect(deprecated, reason = "other software stores the expanded key beside the seed")]
            let own = Zeroizing::new(private.key.expanded_key().to_expanded());
            if !bool::from(own.as_slice().ct_eq(expanded.expose_secret())) {
                return Err(CryptoError::InvalidPrivateKey);
            }
        }
        Ok(private)
    }

    fn public(&self) -> EncodedVerifyingKey<P> {
        self.key.verifying_key().encode()
    }
}

impl<P: MlDsaParams + Send + Sync> PrivateKey for Private<P> {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(self.kind, self.key.as_seed(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        to_spki(self.kind, &self.public())
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let (key, mut rng) = (self.key.expanded_key(), SecureRng::new(&SystemRandom));
        let signature = match input {
            SignatureInput::Message(message) => key.sign_randomized(message, &[], &mut rng),
            SignatureInput::ExternalMu(mu) => key.sign_mu_randomized(representative(mu)?, &mut rng),
            SignatureInput::Digest(_) => return Err(CryptoError::UnsuitableKey),
        };
        // The library also rejects contexts of more than 255 bytes, and gives up after so many
        // rejected attempts that this never happens.
        signature.map(|signature| signature.encode().to_vec()).map_err(|_| CryptoError::RandomFailed)
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

struct Public<P: MlDsaParams> {
    kind: KeyPairKind,
    key: VerifyingKey<P>,
}

impl<P: MlDsaParams> Public<P> {
    fn new(kind: KeyPairKind, bytes: &[u8]) -> Result<Self, CryptoError> {
        let encoded = bytes.try_into().map_err(|_| CryptoError::InvalidPublicKey)?;
        Ok(Self { kind, key: VerifyingKey::decode(encoded) })
    }
}

impl<P: MlDsaParams + Send + Sync> PublicKey for Public<P> {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        to_spki(self.kind, &self.key.encode())
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
        let signature = Signature::<P>::try_from(signature).map_err(|_| CryptoError::InvalidSignature)?;
        let is_valid = match input {
            SignatureInput::Message(message) => self.key.verify_with_context(message, &[], &signature),
            SignatureInput::ExternalMu(mu) => self.key.verify_mu(representative(mu)?, &signature),
            SignatureInput::Digest(_) => return Err(CryptoError::UnsuitableKey),
        };
        if is_valid { Ok(()) } else { Err(CryptoError::InvalidSignature) }
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

/// Returns a message representative in the type of the library.
fn representative<'a, A>(mu: &'a [u8]) -> Result<&'a A, CryptoError>
where
    &'a A: TryFrom<&'a [u8]>,
{
    mu.try_into().map_err(|_| CryptoError::InvalidLength { what: "message representative", length: mu.len() })
}
