//! RSA with `rsa`, which blinds every private operation.

use ::rsa::BoxedUint;
use ::rsa::hazmat::rsa_decrypt;
use ::rsa::pkcs1::der::Decode;
use ::rsa::pkcs1::der::asn1::UintRef;
use ::rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey, RsaPrivateKeyRef, RsaPublicKeyRef};
use ::rsa::traits::PublicKeyParts;
use sha1::Sha1;
use sha2::digest::FixedOutputReset;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::{check_input, check_plaintext};
use crate::crypto::rust_crypto::random::SystemRandom;
use crate::crypto::{
    CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SecureRng, SignatureInput,
};
use crate::secret::SecretBytes;

pub(super) fn generate(kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let bits = kind.modulus_bits().ok_or(CryptoError::UnsuitableKey)?;
    let key = ::rsa::PrivateKey::new(&mut SecureRng::new(random), bits).map_err(|_| CryptoError::RandomFailed)?;
    let written = key.to_pkcs1_der().map_err(|_| CryptoError::InvalidPrivateKey)?;
    Ok(Box::new(Private { kind, key, pkcs1: SecretBytes::copy_from_slice(written.as_bytes()) }))
}

pub(super) fn private_key(kind: KeyPairKind, parts: PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let key = parse(kind, parts.secret.expose_secret()).ok_or(CryptoError::InvalidPrivateKey)?;
    Ok(Box::new(Private { kind, key, pkcs1: parts.secret }))
}

/// Parses an `RSAPrivateKey` whose numbers have already been checked. The library recomputes the
/// values for the Chinese remainder theorem.
fn parse(kind: KeyPairKind, pkcs1: &[u8]) -> Option<::rsa::PrivateKey> {
    let key = RsaPrivateKeyRef::from_der(pkcs1).ok()?;
    let bits = u32::try_from(kind.modulus_bits()?).ok()?;
    let number = |value: UintRef<'_>, bits| BoxedUint::from_be_slice(value.as_bytes(), bits).ok();
    // The library's own parser allocates primes as long as the modulus and then does not wipe the
    // longer buffers.
    let primes = vec![number(key.prime1, bits / 2)?, number(key.prime2, bits / 2)?];
    let (modulus, exponent) = (number(key.modulus, bits)?, number(key.public_exponent, u64::BITS)?);
    ::rsa::PrivateKey::from_components(modulus, exponent, number(key.private_exponent, bits)?, primes).ok()
}

pub(super) fn public_key(kind: KeyPairKind, content: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    let numbers = RsaPublicKeyRef::from_der(content).map_err(|_| CryptoError::InvalidPublicKey)?;
    let key = ::rsa::PublicKey::try_from(numbers).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, key }))
}

/// The key's numbers, which the library wipes when they are dropped, and the encoded key. Encoding
/// it with the library would leave copies of the numbers in memory.
struct Private {
    kind: KeyPairKind,
    key: ::rsa::PrivateKey,
    pkcs1: SecretBytes,
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(self.kind, self.pkcs1.expose_secret(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        to_spki(self.kind, self.key.as_public_key())
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let digest = digest_of(algorithm, input)?;
        let signature = match algorithm {
            SigningAlgorithm::RsassaPkcs1V15Sha256 => self.key.pkcs1v15_sign_prehash::<Sha256>(&digest),
            SigningAlgorithm::RsassaPkcs1V15Sha384 => self.key.pkcs1v15_sign_prehash::<Sha384>(&digest),
            SigningAlgorithm::RsassaPkcs1V15Sha512 => self.key.pkcs1v15_sign_prehash::<Sha512>(&digest),
            SigningAlgorithm::RsassaPssSha256 => self.key.pss_sign_prehash::<Sha256>(&digest),
            SigningAlgorithm::RsassaPssSha384 => self.key.pss_sign_prehash::<Sha384>(&digest),
            SigningAlgorithm::RsassaPssSha512 => self.key.pss_sign_prehash::<Sha512>(&digest),
            _ => return Err(CryptoError::UnsuitableKey),
        };
        signature.map_err(|error| match error {
            ::rsa::Error::Rng => CryptoError::RandomFailed,
            // Key and digest were checked above, and the library verifies its result.
            _ => CryptoError::FaultyComputation,
        })
    }

    fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        // Both are computed unconditionally, so that timing does not reveal which check failed.
        let first_is_zero = first_octet_is_zero(&self.key, ciphertext);
        let opened = match oaep {
            RsaOaep::Sha1 => self.key.oaep_decrypt::<Sha1>(ciphertext),
            RsaOaep::Sha256 => self.key.oaep_decrypt::<Sha256>(ciphertext),
            RsaOaep::Sha384 => self.key.oaep_decrypt::<Sha384>(ciphertext),
            RsaOaep::Sha512 => self.key.oaep_decrypt::<Sha512>(ciphertext),
        };
        let opened = opened.map(SecretBytes::from_vec).map_err(|_| CryptoError::NotAuthentic);
        if bool::from(first_is_zero) { opened } else { Err(CryptoError::NotAuthentic) }
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        self.key.pkcs1v15_decrypt(ciphertext).map(SecretBytes::from_vec).map_err(|_| CryptoError::NotAuthentic)
    }

    fn agree(&self, _peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

/// Returns whether the encoded message of an OAEP ciphertext starts with a zero octet, as RFC 8017,
/// section 7.1.2, step 3.g requires. The library ignores that octet, so it accepts 256 encodings of
/// one message, of which AWS-LC accepts one.
fn first_octet_is_zero(key: &::rsa::PrivateKey, ciphertext: &[u8]) -> Choice {
    if ciphertext.len() != key.size() {
        return Choice::from(0);
    }
    let opened = BoxedUint::from_be_slice(ciphertext, key.n_bits_precision())
        .ok()
        .and_then(|number| rsa_decrypt(Some(&mut SecureRng::new(&SystemRandom)), key, &number).ok());
    let Some(opened) = opened.map(Zeroizing::new) else { return Choice::from(0) };
    let octets = Zeroizing::new(opened.to_be_bytes());
    // The number of bits of the modulus is a multiple of 64, so the first octet of the number is
    // that of the encoded message.
    octets.first().map_or(Choice::from(0), |first| first.ct_eq(&0))
}

struct Public {
    kind: KeyPairKind,
    key: ::rsa::PublicKey,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        to_spki(self.kind, &self.key)
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
        let digest = digest_of(algorithm, input)?;
        let verified = match algorithm {
            SigningAlgorithm::RsassaPkcs1V15Sha256 => self.key.pkcs1v15_verify_prehash::<Sha256>(&digest, signature),
            SigningAlgorithm::RsassaPkcs1V15Sha384 => self.key.pkcs1v15_verify_prehash::<Sha384>(&digest, signature),
            SigningAlgorithm::RsassaPkcs1V15Sha512 => self.key.pkcs1v15_verify_prehash::<Sha512>(&digest, signature),
            SigningAlgorithm::RsassaPssSha256 => self.key.pss_verify_prehash::<Sha256>(&digest, signature),
            SigningAlgorithm::RsassaPssSha384 => self.key.pss_verify_prehash::<Sha384>(&digest, signature),
            SigningAlgorithm::RsassaPssSha512 => self.key.pss_verify_prehash::<Sha512>(&digest, signature),
            _ => return Err(CryptoError::UnsuitableKey),
        };
        verified.map_err(|_| CryptoError::InvalidSignature)
    }

    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        check_plaintext(self.kind, oaep, plaintext)?;
        match oaep {
            RsaOaep::Sha1 => seal::<Sha1>(&self.key, plaintext, random),
            RsaOaep::Sha256 => seal::<Sha256>(&self.key, plaintext, random),
            RsaOaep::Sha384 => seal::<Sha384>(&self.key, plaintext, random),
            RsaOaep::Sha512 => seal::<Sha512>(&self.key, plaintext, random),
        }
    }
}

fn seal<D: Digest + FixedOutputReset>(
    key: &::rsa::PublicKey,
    plaintext: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, CryptoError> {
    // The length was checked above, so the only possible failure is the generation of random bytes.
    key.oaep_encrypt_with_rng::<D, _>(&mut SecureRng::new(random), plaintext).map_err(|_| CryptoError::RandomFailed)
}

fn to_spki(kind: KeyPairKind, key: &::rsa::PublicKey) -> Vec<u8> {
    let content = key.to_pkcs1_der().expect("the numbers of a validated key fit into DER");
    key_encoding::write_public(kind, content.as_bytes()).expect("the numbers of a validated key fit into DER")
}

fn digest_of(algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
    let message = match input {
        SignatureInput::Digest(digest) => return Ok(digest.to_vec()),
        SignatureInput::Message(message) => message,
        SignatureInput::ExternalMu(_) => return Err(CryptoError::UnsuitableKey),
    };
    match algorithm.digest_length() {
        32 => Ok(Sha256::digest(message).to_vec()),
        48 => Ok(Sha384::digest(message).to_vec()),
        64 => Ok(Sha512::digest(message).to_vec()),
        _ => Err(CryptoError::UnsuitableKey),
    }
}
