//! Key pairs: RSA, elliptic curves, Ed25519, ML-DSA, and ML-KEM.

use std::fmt::Debug;

use super::{CryptoError, KeyPairKind, SecureRandom};
use crate::algorithm::SigningAlgorithm;
use crate::secret::SecretBytes;

/// RSA-OAEP with one hash function for label and mask, and the empty label (RFC 8017, section 7.1).
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, RsaOaep};
///
/// let backend = CryptoBackend::default();
/// let private = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
/// let public = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &private.public_key_der())?;
/// let ciphertext = public.encrypt(RsaOaep::Sha256, b"a key", backend.random())?;
/// assert_eq!(ciphertext.len(), 256);
/// assert_eq!(private.decrypt(RsaOaep::Sha256, &ciphertext)?.expose_secret(), b"a key");
/// assert_eq!(private.decrypt(RsaOaep::Sha512, &ciphertext), Err(CryptoError::NotAuthentic));
/// # Ok::<(), CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RsaOaep {
    /// With SHA-1, for systems that support nothing better.
    Sha1,
    /// With SHA-256.
    Sha256,
    /// With SHA-384.
    Sha384,
    /// With SHA-512.
    Sha512,
}

impl RsaOaep {
    /// All variants.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Returns the maximum number of bytes in one ciphertext under an RSA key: the length of the
    /// modulus, minus twice the length of the hash output, minus 2.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{KeyPairKind, RsaOaep};
    ///
    /// assert_eq!(RsaOaep::Sha256.max_plaintext(KeyPairKind::Rsa2048), Some(190));
    /// assert_eq!(RsaOaep::Sha256.max_plaintext(KeyPairKind::EccP256), None);
    /// ```
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

/// The input to a signature: a message, or its hash value.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::crypto::{CryptoBackend, CryptoError, DigestAlgorithm, KeyPairKind, SignatureInput};
///
/// let backend = CryptoBackend::default();
/// let private = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
/// let digest = backend.digest().digest(DigestAlgorithm::Sha256, &[b"a message"]);
/// let signature = private.sign(SigningAlgorithm::EcdsaSha256, SignatureInput::Digest(digest.as_ref()))?;
///
/// // The same signature, verified with the message.
/// let public = backend.key_pairs().public_key(KeyPairKind::EccP256, &private.public_key_der())?;
/// public.verify(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a message"), &signature)?;
/// # Ok::<(), CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureInput<'a> {
    /// The message, which is hashed with the algorithm's hash function.
    Message(&'a [u8]),
    /// The hash value of the message under the algorithm's hash function. Pure Ed25519 does not
    /// accept hash values, because it reads the message twice.
    Digest(&'a [u8]),
    /// The message representative of ML-DSA (FIPS 204, section 6.2): 64 bytes, the SHAKE256 value
    /// of the hash of the public key, two zero bytes, and the message.
    ExternalMu(&'a [u8]),
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
    /// Returns the name of the library for keys of a kind. If it lacks an algorithm, the other
    /// backend's library is used.
    fn library(&self, kind: KeyPairKind) -> &'static str;

    /// Returns the algorithms for such keys that are provided by another library, as (algorithm,
    /// library).
    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Generates a key pair. For RSA, this takes from tenths of a second to seconds.
    ///
    /// All keys except those for RSA are generated from `random` alone. For RSA, a library may use
    /// its own generator.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if the generator fails.
    fn generate(&self, kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError>;

    /// Parses and checks an unencrypted private key in PKCS#8 (`PrivateKeyInfo` or
    /// `OneAsymmetricKey`, RFC 5958), encoded in DER.
    ///
    /// Every key is checked as follows. The algorithm and the curve are those of `kind`. A scalar
    /// is as long as the curve's order and within its range. An embedded public key matches. There
    /// is no trailing data.
    ///
    /// The numbers of an RSA key satisfy FIPS 186-5, appendix A.1.1:
    ///
    /// - The modulus has exactly the bits of `kind`, and the public exponent is odd and between
    ///   65537 and 2^33.
    /// - There are two primes, each with half the bits of the modulus, which differ by more than
    ///   2^(bits / 2 - 100).
    /// - The private exponent is above 2^(bits / 2), below the modulus, and the inverse of the
    ///   public exponent.
    /// - The values for the Chinese remainder theorem are reduced and belong to the key.
    ///
    /// Two conditions of that standard are not checked: that the primes are at least the square
    /// root of 2, times 2^(bits / 2 - 1), and that they are prime.
    ///
    /// A key of ML-DSA (RFC 9881, section 6) or ML-KEM (RFC 9935, section 6) contains the seed,
    /// either alone or with the expanded key, which must belong to the seed. A key that contains
    /// only the expanded key is rejected, because the seed cannot be computed from it.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPrivateKey`], without detail, if the input is not such a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let pairs = backend.key_pairs();
    /// let pkcs8 = pairs.generate(KeyPairKind::Ed25519, backend.random())?.to_pkcs8()?;
    /// assert!(pairs.private_key(KeyPairKind::Ed25519, pkcs8.expose_secret()).is_ok());
    /// let other_kind = pairs.private_key(KeyPairKind::EccP256, pkcs8.expose_secret()).err();
    /// assert_eq!(other_kind, Some(CryptoError::InvalidPrivateKey));
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn private_key(&self, kind: KeyPairKind, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError>;

    /// Parses and checks a public key in `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7),
    /// encoded in DER.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPublicKey`] if the key is malformed, of another kind, or not a point
    ///   on its curve. A coordinate must be below the prime of the curve, a point on edwards25519
    ///   must not have small order, and the numbers of an ML-KEM key must be reduced (FIPS 203,
    ///   section 7.2).
    fn public_key(&self, kind: KeyPairKind, spki: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError>;

    /// Parses and checks the public key of an elliptic curve from a compressed or uncompressed
    /// point (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPublicKey`] as for [`KeyPairs::public_key`], and for kinds without
    ///   points.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let pairs = backend.key_pairs();
    /// let private = pairs.generate(KeyPairKind::EccP256, backend.random())?;
    /// let public = pairs.public_key(KeyPairKind::EccP256, &private.public_key_der())?;
    /// let point = public.to_compressed_point().ok_or(CryptoError::InvalidPublicKey)?;
    /// assert_eq!(point.len(), 33);
    /// assert_eq!(pairs.public_key_of_point(KeyPairKind::EccP256, &point)?.to_spki(), public.to_spki());
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn public_key_of_point(&self, kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError>;
}

/// A validated private key that is ready for use. It is wiped when dropped.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, SignatureInput};
///
/// let backend = CryptoBackend::default();
/// let key = backend.key_pairs().generate(KeyPairKind::Ed25519, backend.random())?;
/// assert_eq!(key.kind(), KeyPairKind::Ed25519);
/// assert_eq!(key.sign(SigningAlgorithm::Ed25519Sha512, SignatureInput::Message(b"a message"))?.len(), 64);
/// let wrong = key.sign(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a message"));
/// assert_eq!(wrong, Err(CryptoError::UnsuitableKey));
///
/// let copy = backend.key_pairs().private_key(key.kind(), key.to_pkcs8()?.expose_secret())?;
/// assert_eq!(copy.public_key_der(), key.public_key_der());
/// # Ok::<(), CryptoError>(())
/// ```
pub trait PrivateKey: Send + Sync {
    /// Returns the kind of the key.
    fn kind(&self) -> KeyPairKind;

    /// Returns the key as unencrypted PKCS#8 in DER (`PrivateKeyInfo`). For a curve, `ECPrivateKey`
    /// contains the public key. For ML-DSA and ML-KEM, it contains only the seed.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPrivateKey`] if the key cannot be encoded, which no key of these
    ///   kinds causes.
    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError>;

    /// Returns the public key as `SubjectPublicKeyInfo` in DER. Points are uncompressed.
    fn public_key_der(&self) -> Vec<u8>;

    /// Signs the input. ECDSA signatures are `Ecdsa-Sig-Value` in DER. RSA signatures are as long
    /// as the modulus, and PSS salts are as long as the hash value. Ed25519 signatures have 64
    /// bytes. ML-DSA signatures have 2420, 3309, or 4627 bytes; they are hedged with random bytes of
    /// the library (FIPS 204, section 3.4), and the context is empty.
    ///
    /// # Errors
    /// - [`CryptoError::UnsuitableKey`] if the key does not support this algorithm or this form of
    ///   input.
    /// - [`CryptoError::InvalidLength`] if a digest or a message representative has the wrong
    ///   length, and for any digest with pure Ed25519 or ML-DSA.
    /// - [`CryptoError::RandomFailed`] if the library needs random bytes and they are unavailable.
    /// - [`CryptoError::FaultyComputation`] if an RSA signature would not verify.
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError>;

    /// Decrypts an RSA-OAEP ciphertext.
    ///
    /// # Errors
    /// - [`CryptoError::NotAuthentic`], without detail, if the ciphertext is invalid in any way.
    /// - [`CryptoError::UnsuitableKey`] if this is not an RSA key.
    fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError>;

    /// Decrypts an RSAES-PKCS1-v1_5 ciphertext (RFC 8017, section 7.2). Do not create such
    /// ciphertexts any more. A ciphertext with wrong padding decrypts to random bytes of a random
    /// length that depend only on the key and the ciphertext (implicit rejection). The caller must
    /// authenticate the result.
    ///
    /// # Errors
    /// - The errors of [`PrivateKey::decrypt`].
    fn decrypt_pkcs1_v15_unauthenticated(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError>;

    /// Computes a shared secret with the owner of `peer`, a point in `SubjectPublicKeyInfo`. The
    /// secret is the x coordinate of the shared point, as long as the curve's coordinates (SP
    /// 800-56A, section 5.7.1.2).
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPublicKey`] if `peer` is not a key on the same curve.
    /// - [`CryptoError::UnsuitableKey`] if this key does not support key agreement.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let new = || backend.key_pairs().generate(KeyPairKind::EccP384, backend.random());
    /// let (alice, bob) = (new()?, new()?);
    /// let secret = alice.agree(&bob.public_key_der())?;
    /// assert_eq!(secret.len(), 48);
    /// assert_eq!(secret, bob.agree(&alice.public_key_der())?);
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError>;

    /// Returns the shared secret of 32 bytes that an ML-KEM ciphertext encapsulates (FIPS 203,
    /// section 7.3). A ciphertext that does not belong to this key yields bytes that look random and
    /// depend only on the key and the ciphertext (implicit rejection). Both parties must confirm
    /// that they have the same secret.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the ciphertext does not have
    ///   [`KeyPairKind::encapsulation_length`].
    /// - [`CryptoError::UnsuitableKey`] if this is not an ML-KEM key. The default implementation
    ///   returns this error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let private = backend.key_pairs().generate(KeyPairKind::MlKem512, backend.random())?;
    /// let rejected = private.decapsulate(&[7; 768])?; // nobody created this ciphertext
    /// assert_eq!(rejected, private.decapsulate(&[7; 768])?);
    /// let short = private.decapsulate(&[7; 767]);
    /// assert_eq!(short, Err(CryptoError::InvalidLength { what: "ciphertext", length: 767 }));
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn decapsulate(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

/// A validated public key that is ready for use.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, RsaOaep};
///
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::EccP521, backend.random())?;
/// let public = backend.key_pairs().public_key(pair.kind(), &pair.public_key_der())?;
/// assert_eq!((public.kind(), public.to_spki()), (KeyPairKind::EccP521, pair.public_key_der()));
/// assert_eq!(public.to_compressed_point().map(|point| point.len()), Some(67));
/// let not_rsa = public.encrypt(RsaOaep::Sha256, b"a key", backend.random());
/// assert_eq!(not_rsa, Err(CryptoError::UnsuitableKey));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait PublicKey: Send + Sync {
    /// Returns the kind of the key.
    fn kind(&self) -> KeyPairKind;

    /// Returns the key as `SubjectPublicKeyInfo` in DER. Points are uncompressed.
    fn to_spki(&self) -> Vec<u8>;

    /// Returns the compressed point (SEC 1, section 2.3.3), for a key on a curve.
    fn to_compressed_point(&self) -> Option<Vec<u8>>;

    /// Verifies a signature in the format of [`PrivateKey::sign`]. For ECDSA, both values of `s`
    /// are accepted.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidSignature`] if the signature is malformed or does not match.
    /// - Otherwise, the errors of [`PrivateKey::sign`].
    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError>;

    /// Encrypts with RSA-OAEP. The result is as long as the modulus. The seed comes from `random`,
    /// or from the library's own generator.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if `plaintext` exceeds [`RsaOaep::max_plaintext`].
    /// - [`CryptoError::UnsuitableKey`] if this is not an RSA key.
    /// - [`CryptoError::RandomFailed`] if random bytes are unavailable.
    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError>;

    /// Generates a shared secret of 32 bytes and encapsulates it for the owner of an ML-KEM key
    /// (FIPS 203, section 7.2). The randomness comes from `random`, or from the library's own
    /// generator.
    ///
    /// # Errors
    /// - [`CryptoError::UnsuitableKey`] if this is not an ML-KEM key. The default implementation
    ///   returns this error.
    /// - [`CryptoError::RandomFailed`] if random bytes are unavailable.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    ///
    /// let backend = CryptoBackend::default();
    /// let private = backend.key_pairs().generate(KeyPairKind::MlKem768, backend.random())?;
    /// let public = backend.key_pairs().public_key(KeyPairKind::MlKem768, &private.public_key_der())?;
    /// let sent = public.encapsulate(backend.random())?;
    /// assert_eq!((sent.ciphertext.len(), sent.shared_secret.len()), (1_088, 32));
    /// assert_eq!(private.decapsulate(&sent.ciphertext)?, sent.shared_secret);
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn encapsulate(&self, _random: &dyn SecureRandom) -> Result<Encapsulated, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

/// A shared secret and the ciphertext that encapsulates it: the result of
/// [`PublicKey::encapsulate`].
#[derive(Debug, PartialEq, Eq)]
pub struct Encapsulated {
    /// The shared secret: 32 bytes, which can be used as a key. Wiped when dropped.
    pub shared_secret: SecretBytes,
    /// The ciphertext for the owner of the private key.
    pub ciphertext: Vec<u8>,
}

/// Rejects an algorithm that a kind of key does not support, and an input of the wrong form or
/// length.
pub(super) fn check_input(
    kind: KeyPairKind,
    algorithm: SigningAlgorithm,
    input: SignatureInput<'_>,
) -> Result<(), CryptoError> {
    if !kind.signing_algorithms().contains(&algorithm) {
        return Err(CryptoError::UnsuitableKey);
    }
    use SigningAlgorithm::{Ed25519Sha512, MlDsaShake256};
    match input {
        SignatureInput::Message(_) => Ok(()),
        SignatureInput::Digest(digest)
            if !matches!(algorithm, Ed25519Sha512 | MlDsaShake256) && digest.len() == algorithm.digest_length() =>
        {
            Ok(())
        }
        SignatureInput::Digest(digest) => Err(CryptoError::InvalidLength { what: "hash value", length: digest.len() }),
        SignatureInput::ExternalMu(_) if algorithm != MlDsaShake256 => Err(CryptoError::UnsuitableKey),
        SignatureInput::ExternalMu(mu) if mu.len() == MlDsaShake256.digest_length() => Ok(()),
        SignatureInput::ExternalMu(mu) => {
            Err(CryptoError::InvalidLength { what: "message representative", length: mu.len() })
        }
    }
}

/// Rejects a ciphertext that no key of the kind decapsulates.
pub(super) fn check_encapsulation(kind: KeyPairKind, ciphertext: &[u8]) -> Result<(), CryptoError> {
    match kind.encapsulation_length() {
        None => Err(CryptoError::UnsuitableKey),
        Some(length) if ciphertext.len() == length => Ok(()),
        Some(_) => Err(CryptoError::InvalidLength { what: "ciphertext", length: ciphertext.len() }),
    }
}

/// Rejects a plaintext that does not fit into one ciphertext.
pub(super) fn check_plaintext(kind: KeyPairKind, oaep: RsaOaep, plaintext: &[u8]) -> Result<(), CryptoError> {
    match oaep.max_plaintext(kind) {
        None => Err(CryptoError::UnsuitableKey),
        Some(most) if plaintext.len() > most => {
            Err(CryptoError::InvalidLength { what: "plaintext", length: plaintext.len() })
        }
        Some(_) => Ok(()),
    }
}
