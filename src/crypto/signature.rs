//! Digital signatures.

use std::fmt::Debug;

use super::{CryptoError, DigestAlgorithm, SecureRandom};
use crate::secret::SecretBytes;

/// The number of times that a secret is drawn before the generator is considered broken. A
/// candidate is invalid with probability 2^-32 or less.
const MAX_DRAWS: usize = 16;

/// A signature algorithm: the kind of key, and the hash function whose value is signed.
///
/// # Examples
/// ```
/// use strongroom::crypto::{DigestAlgorithm, SignatureAlgorithm};
///
/// let algorithm = SignatureAlgorithm::EcdsaP384Sha384;
/// assert_eq!(algorithm.digest_algorithm(), DigestAlgorithm::Sha384);
/// assert_eq!((algorithm.public_key_length(), algorithm.fixed_signature_length()), (49, 103));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA over the curve P-256 with SHA-256 (FIPS 186-5).
    EcdsaP256Sha256,
    /// ECDSA over the curve P-384 with SHA-384 (FIPS 186-5).
    EcdsaP384Sha384,
}

impl SignatureAlgorithm {
    /// All algorithms.
    pub const ALL: &'static [Self] = &[Self::EcdsaP256Sha256, Self::EcdsaP384Sha384];

    /// Returns the hash function whose value is signed.
    pub const fn digest_algorithm(self) -> DigestAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => DigestAlgorithm::Sha256,
            Self::EcdsaP384Sha384 => DigestAlgorithm::Sha384,
        }
    }

    /// Returns the length in bytes of a public key from [`SigningKey::public_key`], a compressed
    /// point on a curve: 33 or 49.
    pub const fn public_key_length(self) -> usize {
        1 + self.scalar_length()
    }

    /// Returns the length in bytes of a signature from [`SigningKey::sign_digest_to_fixed_length`]:
    /// 71 or 103.
    ///
    /// ECDSA signatures in DER vary in length. This is the most common length, in which exactly one
    /// of the two numbers needs a leading zero byte.
    pub const fn fixed_signature_length(self) -> usize {
        2 * (2 + self.scalar_length()) + 1 + 2
    }

    /// Returns the length in bytes of a secret scalar, which on these curves equals the length of a
    /// coordinate.
    pub(super) const fn scalar_length(self) -> usize {
        match self {
            Self::EcdsaP256Sha256 => 32,
            Self::EcdsaP384Sha384 => 48,
        }
    }
}

/// The signature part of a backend.
///
/// Keys sign and verify a finished hash value, so that a message can be hashed as a stream. The
/// caller must ensure that the value is the hash of the intended message.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, SignatureAlgorithm};
///
/// let backend = CryptoBackend::default();
/// let algorithm = SignatureAlgorithm::EcdsaP384Sha384;
/// let key = backend.signature().generate(algorithm, backend.random())?;
///
/// let mut hasher = backend.digest().hasher(algorithm.digest_algorithm());
/// hasher.update(b"a message, ");
/// hasher.update(b"in pieces");
/// let digest = hasher.finish();
/// let signature = key.sign_digest(digest.as_ref())?;
///
/// let public = backend.signature().verifying_key(algorithm, &key.public_key())?;
/// public.verify_digest(digest.as_ref(), &signature)?;
/// let other = backend.digest().digest(algorithm.digest_algorithm(), &[b"another message"]);
/// assert_eq!(public.verify_digest(other.as_ref(), &signature), Err(CryptoError::InvalidSignature));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait Signature: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Generates a key from the bytes of `random` alone, so that every backend generates the same
    /// key from the same bytes.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if the generator fails, or repeatedly returns bytes from
    ///   which no key can be created.
    fn generate(
        &self,
        algorithm: SignatureAlgorithm,
        random: &dyn SecureRandom,
    ) -> Result<Box<dyn SigningKey>, CryptoError>;

    /// Parses and checks a public key: a point on a curve in the compressed or uncompressed form of
    /// SEC 1 (section 2.3.3).
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPublicKey`] if the key has another form or length, is not a point on
    ///   the curve, or is the point at infinity.
    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        public_key: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError>;
}

/// A secret key for signing. It is wiped when dropped.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, SignatureAlgorithm};
///
/// let backend = CryptoBackend::default();
/// let key = backend.signature().generate(SignatureAlgorithm::EcdsaP256Sha256, backend.random())?;
/// assert_eq!(key.public_key().len(), key.algorithm().public_key_length());
/// assert!(key.sign_digest(&[7; 32]).is_ok());
/// assert!(key.sign_digest(&[7; 48]).is_err()); // not the length of a SHA-256 value
/// # Ok::<(), CryptoError>(())
/// ```
pub trait SigningKey: Send + Sync {
    /// Returns the algorithm of the key.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Returns the public key: the compressed point of a curve in the form of SEC 1 (section
    /// 2.3.3). Its length is [`SignatureAlgorithm::public_key_length`].
    fn public_key(&self) -> Vec<u8>;

    /// Signs a hash value of the algorithm's hash function. Returns `Ecdsa-Sig-Value` (RFC 5912,
    /// section 6) in DER.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the value is not as long as the hash output.
    /// - [`CryptoError::RandomFailed`] if the library needs random bytes and they are unavailable.
    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Signs like [`SigningKey::sign_digest`], repeating until the signature has
    /// [`SignatureAlgorithm::fixed_signature_length`] bytes. A writer therefore knows the length in
    /// advance.
    ///
    /// # Errors
    /// - The errors of [`SigningKey::sign_digest`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, SignatureAlgorithm};
    ///
    /// let backend = CryptoBackend::default();
    /// let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    /// let key = backend.signature().generate(algorithm, backend.random())?;
    /// assert_eq!(key.sign_digest_to_fixed_length(&[7; 32])?.len(), algorithm.fixed_signature_length());
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn sign_digest_to_fixed_length(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// A validated public key that is ready for use.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, SignatureAlgorithm};
///
/// let backend = CryptoBackend::default();
/// let key = backend.signature().generate(SignatureAlgorithm::EcdsaP256Sha256, backend.random())?;
/// let public = backend.signature().verifying_key(key.algorithm(), &key.public_key())?;
/// assert_eq!(public.algorithm(), key.algorithm());
/// public.verify_digest(&[7; 32], &key.sign_digest(&[7; 32])?)?;
/// let other = public.verify_digest(&[8; 32], &key.sign_digest(&[7; 32])?);
/// assert_eq!(other, Err(CryptoError::InvalidSignature));
/// # Ok::<(), CryptoError>(())
/// ```
pub trait VerifyingKey: Send + Sync {
    /// Returns the algorithm of the signatures that the key verifies.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Verifies a signature over a hash value of the algorithm's hash function.
    ///
    /// The signature must be strict DER without trailing data. Its length is that of its numbers,
    /// and a high `s` is accepted.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidSignature`] if the signature is malformed, or does not match the key
    ///   and the value.
    /// - [`CryptoError::InvalidLength`] if the value is not as long as the hash output.
    fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> Result<(), CryptoError>;
}

/// Rejects a hash value of the wrong length, which libraries would truncate or pad.
pub(super) fn check_digest(algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<(), CryptoError> {
    if digest.len() != algorithm.digest_algorithm().output_length() {
        return Err(CryptoError::InvalidLength { what: "hash value", length: digest.len() });
    }
    Ok(())
}

/// Rejects input that does not have the form of a compressed or uncompressed point. Libraries also
/// accept other forms: the point at infinity, hybrid and compact points, and public keys of
/// certificates.
pub(super) fn check_point(algorithm: SignatureAlgorithm, point: &[u8]) -> Result<(), CryptoError> {
    let coordinates = match point.first() {
        Some(0x02 | 0x03) => 1,
        Some(0x04) => 2,
        _ => return Err(CryptoError::InvalidPublicKey),
    };
    if point.len() != 1 + coordinates * algorithm.scalar_length() {
        return Err(CryptoError::InvalidPublicKey);
    }
    Ok(())
}

/// Draws secret scalars until `parse` accepts one. It rejects a scalar that is zero or not below
/// the order of the curve (FIPS 186-5, section A.2.2).
pub(super) fn draw_scalar<K>(
    algorithm: SignatureAlgorithm,
    random: &dyn SecureRandom,
    parse: impl Fn(&[u8]) -> Option<K>,
) -> Result<K, CryptoError> {
    draw_secret(0xff, algorithm.scalar_length(), random, parse)
}

/// Draws `length` bytes until `parse` accepts them. Only the bits in `top_bits` may be set in the
/// first byte.
pub(super) fn draw_secret<K>(
    top_bits: u8,
    length: usize,
    random: &dyn SecureRandom,
    parse: impl Fn(&[u8]) -> Option<K>,
) -> Result<K, CryptoError> {
    let mut candidate = SecretBytes::zeroed(length);
    for _ in 0..MAX_DRAWS {
        random.fill(candidate.expose_secret_mut())?;
        if let Some(first) = candidate.expose_secret_mut().first_mut() {
            *first &= top_bits;
        }
        if let Some(key) = parse(candidate.expose_secret()) {
            return Ok(key);
        }
    }
    Err(CryptoError::RandomFailed)
}
