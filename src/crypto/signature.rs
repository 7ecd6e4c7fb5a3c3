//! Digital signatures.

use std::fmt::Debug;

use super::{CryptoError, DigestAlgorithm, SecureRandom};
use crate::secret::SecretBytes;

/// How often a secret is drawn anew before the generator counts as broken. Candidates miss by a chance of 2^-32 or less.
const MAX_DRAWS: usize = 16;

/// A signature algorithm: what kind of key it takes, and the hash function whose value is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA over the curve P-256 with SHA-256 (FIPS 186-5).
    EcdsaP256Sha256,
    /// ECDSA over the curve P-384 with SHA-384 (FIPS 186-5).
    EcdsaP384Sha384,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[Self::EcdsaP256Sha256, Self::EcdsaP384Sha384];

    /// The hash function whose value is signed.
    pub const fn digest_algorithm(self) -> DigestAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => DigestAlgorithm::Sha256,
            Self::EcdsaP384Sha384 => DigestAlgorithm::Sha384,
        }
    }

    /// Bytes of a public key as [`SigningKey::public_key`] gives it, the compressed point of a curve: 33 or 49.
    pub const fn public_key_length(self) -> usize {
        1 + self.scalar_length()
    }

    /// Bytes of a signature of [`SigningKey::sign_digest_to_fixed_length`]: 71 or 103.
    ///
    /// The DER form of an ECDSA signature varies in length; this is its commonest one, in which exactly one of the two
    /// numbers needs a leading zero byte.
    pub const fn fixed_signature_length(self) -> usize {
        2 * (2 + self.scalar_length()) + 1 + 2
    }

    /// Bytes of a secret scalar, which on these curves is as long as a coordinate of a point.
    pub(super) const fn scalar_length(self) -> usize {
        match self {
            Self::EcdsaP256Sha256 => 32,
            Self::EcdsaP384Sha384 => 48,
        }
    }
}

/// The signature part of a backend.
///
/// Keys sign and verify a finished hash value, so that a message can be hashed as a stream. That the value is the hash
/// of what is meant to be signed is up to the caller.
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
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// Makes a new key from the bytes of `random` alone, so that every backend makes the same key of the same bytes.
    ///
    /// # Errors
    /// [`CryptoError::RandomFailed`] if the generator fails, or gives bytes of which no key can be made time after time.
    fn generate(
        &self,
        algorithm: SignatureAlgorithm,
        random: &dyn SecureRandom,
    ) -> Result<Box<dyn SigningKey>, CryptoError>;

    /// Parses and checks a public key: a point of a curve in the compressed or uncompressed form of SEC 1 (section 2.3.3).
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] if it has another form or length, or is not a point of the curve, or is the
    /// point at infinity.
    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        public_key: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError>;
}

/// A secret key for signing; wiped when dropped.
pub trait SigningKey: Send + Sync {
    /// What the key was made for.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The public key: the compressed point of a curve in the form of SEC 1 (section 2.3.3), which has
    /// [`SignatureAlgorithm::public_key_length`] bytes.
    fn public_key(&self) -> Vec<u8>;

    /// Signs a hash value of the algorithm's hash function. The signature is the DER form of `Ecdsa-Sig-Value`
    /// (RFC 5912, section 6).
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] unless the value is as long as the hash function's output,
    /// [`CryptoError::RandomFailed`] if the library needs randomness and gets none.
    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Signs as [`SigningKey::sign_digest`] does, and until the signature has
    /// [`SignatureAlgorithm::fixed_signature_length`] bytes. Who writes it can then tell the length before.
    ///
    /// # Errors
    /// Those of [`SigningKey::sign_digest`].
    fn sign_digest_to_fixed_length(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// A public key that was checked and is ready for use.
pub trait VerifyingKey: Send + Sync {
    /// What signatures the key verifies.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Verifies a signature over a hash value of the algorithm's hash function.
    ///
    /// The signature must be strict DER without anything behind it, of whatever length its numbers have; a high `s` is as
    /// good as a low one.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] if the signature is malformed or does not fit key and value,
    /// [`CryptoError::InvalidLength`] unless the value is as long as the hash function's output.
    fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> Result<(), CryptoError>;
}

/// Refuses a hash value of the wrong length, which libraries would cut off or fill up.
pub(super) fn check_digest(algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<(), CryptoError> {
    if digest.len() != algorithm.digest_algorithm().output_length() {
        return Err(CryptoError::InvalidLength { what: "hash value", length: digest.len() });
    }
    Ok(())
}

/// Refuses what is neither a compressed nor an uncompressed point by its look. Libraries know more forms: the point at
/// infinity, hybrid and compact points, certificates' public keys.
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

/// Draws secret scalars until `parse` takes one, which it does unless the scalar is zero or not below the order of the
/// curve (FIPS 186-5, section A.2.2).
pub(super) fn draw_scalar<K>(
    algorithm: SignatureAlgorithm,
    random: &dyn SecureRandom,
    parse: impl Fn(&[u8]) -> Option<K>,
) -> Result<K, CryptoError> {
    draw_secret(0xff, algorithm.scalar_length(), random, parse)
}

/// Draws `length` bytes, of whose first one only `top_bits` may be set, until `parse` takes them.
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
