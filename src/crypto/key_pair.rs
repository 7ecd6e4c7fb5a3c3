//! Key pairs: RSA, elliptic curves and Ed25519.

use std::fmt::Debug;

use super::{CryptoError, SecureRandom};
use crate::algorithm::SigningAlgorithm;
use crate::secret::SecretBytes;

/// What kind a key pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyPairKind {
    /// RSA with a modulus of 2048 bits (RFC 8017).
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// The curve P-256 (SP 800-186, section 3.2.1.3).
    EccP256,
    /// The curve P-384.
    EccP384,
    /// The curve P-521.
    EccP521,
    /// The curve secp256k1 (SEC 2, section 2.4.1).
    EccSecp256k1,
    /// The curve edwards25519 for Ed25519 and Ed25519ph (RFC 8032).
    Ed25519,
}

impl KeyPairKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccP256,
        Self::EccP384,
        Self::EccP521,
        Self::EccSecp256k1,
        Self::Ed25519,
    ];

    /// The algorithms that a key pair of this kind signs with.
    pub const fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                SigningAlgorithm::RsassaPkcs1V15Sha256,
                SigningAlgorithm::RsassaPkcs1V15Sha384,
                SigningAlgorithm::RsassaPkcs1V15Sha512,
                SigningAlgorithm::RsassaPssSha256,
                SigningAlgorithm::RsassaPssSha384,
                SigningAlgorithm::RsassaPssSha512,
            ],
            Self::EccP256 | Self::EccSecp256k1 => &[SigningAlgorithm::EcdsaSha256],
            Self::EccP384 => &[SigningAlgorithm::EcdsaSha384],
            Self::EccP521 => &[SigningAlgorithm::EcdsaSha512],
            Self::Ed25519 => &[SigningAlgorithm::Ed25519Sha512, SigningAlgorithm::Ed25519PhSha512],
        }
    }

    /// Whether a key pair of this kind agrees on secrets: P-256, P-384 and P-521 do.
    pub const fn supports_key_agreement(self) -> bool {
        matches!(self, Self::EccP256 | Self::EccP384 | Self::EccP521)
    }

    /// The bits of the modulus, for RSA.
    pub const fn modulus_bits(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(2_048),
            Self::Rsa3072 => Some(3_072),
            Self::Rsa4096 => Some(4_096),
            Self::EccP256 | Self::EccP384 | Self::EccP521 | Self::EccSecp256k1 | Self::Ed25519 => None,
        }
    }

    /// The bytes of a coordinate and of a secret scalar, for elliptic curves; those of a seed, for Ed25519.
    pub(super) const fn scalar_length(self) -> Option<usize> {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => None,
            Self::EccP256 | Self::EccSecp256k1 | Self::Ed25519 => Some(32),
            Self::EccP384 => Some(48),
            Self::EccP521 => Some(66),
        }
    }

    /// The bits of a scalar's first byte that can be set: the order of P-521 has 521 bits in 66 bytes.
    pub(super) const fn top_bits(self) -> u8 {
        if matches!(self, Self::EccP521) { 0x01 } else { 0xff }
    }
}

/// RSA-OAEP with one hash function for label and mask, and the empty label (RFC 8017, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RsaOaep {
    /// With SHA-1, for systems that know no better.
    Sha1,
    /// With SHA-256.
    Sha256,
    /// With SHA-384.
    Sha384,
    /// With SHA-512.
    Sha512,
}

impl RsaOaep {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The most bytes that fit into one ciphertext under an RSA key: its bytes, less twice the hash's output, less 2.
    pub const fn max_plaintext(self, kind: KeyPairKind) -> Option<usize> {
        let hash = match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        };
        match kind.modulus_bits() {
            Some(bits) => Some(bits / 8 - 2 * hash - 2),
            None => None,
        }
    }
}

/// What is signed, and whether it is hashed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureInput<'a> {
    /// The message; it is hashed as the algorithm says.
    Message(&'a [u8]),
    /// The hash value of the message under the algorithm's hash function. Ed25519 itself has none: it reads the message
    /// twice.
    Digest(&'a [u8]),
}

/// The key pair part of a backend.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, SignatureInput};
///
/// let backend = CryptoBackend::default();
/// let private = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
/// let signature = private.sign(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a message"))?;
///
/// let public = backend.key_pairs().public_key(KeyPairKind::EccP256, &private.public_key_der())?;
/// public.verify(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a message"), &signature)?;
/// let other = public.verify(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"another"), &signature);
/// assert_eq!(other, Err(CryptoError::InvalidSignature));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait KeyPairs: Debug + Send + Sync {
    /// Name of the library behind keys of a kind. Where that library lacks an algorithm, the other backend's takes over.
    fn library(&self, kind: KeyPairKind) -> &'static str;

    /// What another library does with such keys because that one lacks it, as (algorithm, library).
    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Makes a new key pair. For RSA this takes from tenths of a second to seconds.
    ///
    /// Curves and Ed25519 draw their secret from `random` alone; for RSA a library may use its own generator.
    ///
    /// # Errors
    /// [`CryptoError::RandomFailed`] if the generator fails.
    fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError>;

    /// Parses and checks a private key in the form of PKCS#8 (`PrivateKeyInfo` or `OneAsymmetricKey`, RFC 5958), DER, not
    /// encrypted.
    ///
    /// The checks: the algorithm and the curve are those of `kind`; a scalar is as long as the curve's order and in its
    /// range; an embedded public key is the right one; nothing follows. The numbers of an RSA key fulfil FIPS 186-5,
    /// appendix A.1.1: the modulus has exactly the bits of `kind`, and the public exponent is odd and between 65537 and
    /// 2^33; there are two primes, each with half those bits, which differ by more than 2^(bits / 2 - 100); the private
    /// exponent is above 2^(bits / 2), below the modulus, and the inverse of the public one; the values for the Chinese
    /// remainder theorem are reduced and belong to the key. Two conditions of that standard are not checked: that the
    /// primes are at least the square root of 2, times 2^(bits / 2 - 1), and that they are prime.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`], without detail, if it is not such a key.
    fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError>;

    /// Parses and checks a public key as `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7), DER.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] if it is malformed, of another kind, or not a point of its curve; if a coordinate
    /// is not below the prime of the curve; and for a point of small order of edwards25519.
    fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError>;

    /// Parses and checks the public key of an elliptic curve as a compressed or uncompressed point (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] as [`KeyPairs::public_key`], and for kinds without points.
    fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError>;
}

/// A private key that was checked and is ready for use; wiped when dropped.
pub trait PrivateKey: Send + Sync {
    /// Its kind.
    fn kind(&self) -> KeyPairKind;

    /// The key as unencrypted PKCS#8 in DER: `PrivateKeyInfo`, for a curve with the public key inside `ECPrivateKey`.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`] if it cannot be written, which no key of these kinds causes.
    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError>;

    /// The public key as `SubjectPublicKeyInfo` in DER; points are not compressed.
    fn public_key_der(&self) -> Vec<u8>;

    /// Signs. ECDSA signatures are `Ecdsa-Sig-Value` in DER, RSA signatures as long as the modulus, PSS salts as long as
    /// the hash value, Ed25519 signatures 64 bytes.
    ///
    /// # Errors
    /// [`CryptoError::UnsuitableKey`] if the key does not sign with this algorithm;
    /// [`CryptoError::InvalidLength`] for a digest of the wrong length, and for any digest with Ed25519 itself;
    /// [`CryptoError::RandomFailed`] if the library needs randomness and gets none;
    /// [`CryptoError::FaultyComputation`] if an RSA signature would not verify.
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError>;

    /// Opens an RSA-OAEP ciphertext.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`], without detail, whatever is wrong with it; [`CryptoError::UnsuitableKey`] if this is
    /// no RSA key.
    fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError>;

    /// Opens an RSAES-PKCS1-v1_5 ciphertext (RFC 8017, section 7.2), which no one should make any more. A ciphertext with
    /// wrong padding opens to random bytes of a random length that depend on key and ciphertext alone (implicit
    /// rejection): whoever calls this has to authenticate what comes out.
    ///
    /// # Errors
    /// As [`PrivateKey::decrypt`].
    fn decrypt_pkcs1_v15_unauthenticated(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError>;

    /// Agrees on a secret with the owner of `peer`, a point in `SubjectPublicKeyInfo`: the x coordinate of the common
    /// point, as long as the curve's coordinates (SP 800-56A, section 5.7.1.2).
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] if `peer` is no key of the same curve; [`CryptoError::UnsuitableKey`] if this key
    /// does not agree.
    fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError>;
}

/// A public key that was checked and is ready for use.
pub trait PublicKey: Send + Sync {
    /// Its kind.
    fn kind(&self) -> KeyPairKind;

    /// The key as `SubjectPublicKeyInfo` in DER; points are not compressed.
    fn to_spki(&self) -> Vec<u8>;

    /// The compressed point (SEC 1, section 2.3.3), for a key of a curve.
    fn to_compressed_point(&self) -> Option<Vec<u8>>;

    /// Verifies a signature as [`PrivateKey::sign`] makes it. Of an ECDSA signature either `s` is good.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] if it is malformed or does not fit; otherwise as [`PrivateKey::sign`].
    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError>;

    /// Encrypts with RSA-OAEP, into as many bytes as the modulus has. The seed is drawn from `random`, or by the library from
    /// a generator of its own.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `plaintext` is over [`RsaOaep::max_plaintext`]; [`CryptoError::UnsuitableKey`] if
    /// this is no RSA key; [`CryptoError::RandomFailed`].
    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError>;
}

/// Refuses an algorithm that a kind of key does not have, and an input of the wrong form or length.
pub(super) fn check_input(
    kind: KeyPairKind,
    algorithm: SigningAlgorithm,
    input: SignatureInput<'_>,
) -> Result<(), CryptoError> {
    if !kind.signing_algorithms().contains(&algorithm) {
        return Err(CryptoError::UnsuitableKey);
    }
    match input {
        SignatureInput::Message(_) => Ok(()),
        SignatureInput::Digest(digest)
            if algorithm != SigningAlgorithm::Ed25519Sha512 && digest.len() == algorithm.digest_length() =>
        {
            Ok(())
        }
        SignatureInput::Digest(digest) => Err(CryptoError::InvalidLength { what: "hash value", length: digest.len() }),
    }
}

/// Refuses a plaintext that does not fit into one ciphertext.
pub(super) fn check_plaintext(kind: KeyPairKind, oaep: RsaOaep, plaintext: &[u8]) -> Result<(), CryptoError> {
    match oaep.max_plaintext(kind) {
        None => Err(CryptoError::UnsuitableKey),
        Some(most) if plaintext.len() > most => {
            Err(CryptoError::InvalidLength { what: "plaintext", length: plaintext.len() })
        }
        Some(_) => Ok(()),
    }
}
