//! Cryptographic backends. A [`CryptoBackend`] consists of parts, each of them a trait object
//! backed by a well-maintained library.
//!
//! This crate does not implement any primitive itself. There are two backends: [`RUST_CRYPTO`]
//! (pure Rust, always available) and `AWS_LC` (feature `aws-lc-rs`). [`FASTEST`] combines the
//! faster part of each. All backends agree bit for bit and pass the same conformance suite. The
//! page [backends](crate::manual::backends) of the manual lists their libraries. The feature `fips`
//! adds a strict backend, which is then the default: see [FIPS](crate::manual::fips).
//!
//! Applications rarely need this module: [`Kms`](crate::Kms) and [`Envelope`](crate::Envelope) choose
//! algorithms, nonces and keys. It serves custom keyrings, providers and stores, and the code around
//! an import or export of keys.
//!
//! | part | algorithms | standard |
//! |---|---|---|
//! | [`Aead`] | AES-GCM | NIST SP 800-38D |
//! | [`Digest`] | SHA-2 | FIPS 180-4 |
//! | [`Mac`] | HMAC | RFC 2104, FIPS 198-1 |
//! | [`Kdf`] | HKDF | RFC 5869 |
//! | [`KeyPairs`] | RSA, ECDSA, ECDH, Ed25519, ML-DSA, ML-KEM | RFC 8017, FIPS 186-5, SP 800-56A, RFC 8032, FIPS 204, FIPS 203 |
//! | [`Signature`] | ECDSA with keys for one message | FIPS 186-5 |
//! | [`KeyWrap`] | AES-KW, AES-KWP | RFC 3394, RFC 5649 |
//! | [`SecureRandom`] | the generator of the operating system or of AWS-LC | |
//!
//! # Examples
//! Generate a key pair to receive exported keys:
//! ```
//! use strongroom::crypto::{CryptoBackend, KeyPairKind};
//!
//! let backend = CryptoBackend::default();
//! let pair = backend.key_pairs().generate(KeyPairKind::Rsa3072, backend.random())?;
//! let (private, public) = (pair.to_pkcs8()?, pair.public_key_der());
//! assert!(private.len() > public.len());
//! # Ok::<(), strongroom::crypto::CryptoError>(())
//! ```

mod aead;
mod digest;
mod encoded_text;
mod error;
mod kdf;
mod key_encoding;
mod key_explain;
mod key_file;
mod key_flaw;
mod key_pair;
mod key_pair_kind;
mod key_wrap;
mod lattice_encoding;
mod mac;
mod pem;
mod random;
mod rsa_numbers;
mod rust_crypto;
mod signature;
mod signature_format;

#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
mod aws_lc;
#[cfg(test)]
mod conformance;
#[cfg(all(feature = "aws-lc-rs", not(feature = "fips")))]
mod fastest;
#[cfg(feature = "fips")]
mod fips;
#[cfg(test)]
mod lacking;

use std::fmt;

use rand_core::TryCryptoRng;

pub use aead::{Aead, AeadAlgorithm, AeadKey, NONCE_LENGTH, TAG_LENGTH};
pub use digest::{Digest, DigestAlgorithm, DigestValue, Hasher};
pub(crate) use encoded_text::text_form;
pub use error::CryptoError;
pub use kdf::{Kdf, PseudoRandomKey};
pub(crate) use key_encoding::{PublicNumbers, public_numbers};
pub(crate) use key_explain::explain_private;
pub(crate) use key_file::{read_private_key, read_public_key};
pub use key_pair::{Encapsulated, KeyPairs, PrivateKey, PublicKey, RsaOaep, SignatureInput};
pub(crate) use key_pair_kind::KeyPairFamily;
pub use key_pair_kind::KeyPairKind;
pub use key_wrap::{KeyWrap, KeyWrapMode, MAX_WRAPPED_KEY};
#[cfg(test)]
pub(crate) use lacking::default_lacks;
pub use mac::{Mac, MacKey, MacTag};
pub use random::{LockedRng, SecureRandom, SecureRng};
pub use rust_crypto::RUST_CRYPTO;
pub use signature::{Signature, SignatureAlgorithm, SigningKey, VerifyingKey};

#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
pub use aws_lc::AWS_LC;
#[cfg(all(feature = "aws-lc-rs", not(feature = "fips")))]
pub use fastest::FASTEST;
#[cfg(feature = "fips")]
pub use fips::{FIPS, FIPS as FASTEST, FipsModule};
#[cfg(not(any(feature = "aws-lc-rs", feature = "fips")))]
pub use rust_crypto::RUST_CRYPTO as FASTEST;

/// The name that [`CryptoBackend::parts`] returns in place of a library for an algorithm that the
/// backend rejects.
pub const REJECTED: &str = "rejected";

/// A complete set of cryptographic parts. Cheap to copy. The default is [`FASTEST`]. With the
/// feature `fips`, that is the strict backend, whatever other features are enabled.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm, RUST_CRYPTO};
///
/// let ours = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha256, &[b"abc"]);
/// assert_eq!(ours.as_ref(), RUST_CRYPTO.digest().digest(DigestAlgorithm::Sha256, &[b"a", b"bc"]).as_ref());
/// ```
#[derive(Clone, Copy)]
pub struct CryptoBackend {
    name: &'static str,
    aead: &'static dyn Aead,
    digest: &'static dyn Digest,
    mac: &'static dyn Mac,
    kdf: &'static dyn Kdf,
    signature: &'static dyn Signature,
    key_pairs: &'static dyn KeyPairs,
    key_wrap: &'static dyn KeyWrap,
    random: &'static dyn SecureRandom,
    /// The algorithms that the backend rejects, also those that no part provides, with what to use
    /// instead.
    rejected: &'static [(&'static str, &'static str)],
    /// Checks the state of the library.
    ready: fn() -> Result<(), CryptoError>,
    /// The same, with another generator.
    ready_with_random: fn() -> Result<(), CryptoError>,
}

impl CryptoBackend {
    /// Uses another source of randomness, such as a hardware generator, or a fixed one in a test.
    /// [`CryptoBackend::with_rng`] accepts a generator of `rand_core`.
    ///
    /// A generator with predictable output breaks everything that is built on it. The strict backend
    /// of the feature `fips` rejects other generators than its own: a [`Kms`](crate::Kms) or an
    /// [`Envelope`](crate::Envelope) with it cannot be built.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, SecureRandom};
    ///
    /// /// Counts instead of drawing, for a reproducible test.
    /// #[derive(Debug)]
    /// struct Counting;
    ///
    /// impl SecureRandom for Counting {
    ///     fn library(&self) -> &'static str {
    ///         "counting"
    ///     }
    ///
    ///     fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
    ///         output.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let backend = CryptoBackend::default().with_random(&Counting);
    /// let mut bytes = [9; 4];
    /// backend.random().fill(&mut bytes)?;
    /// assert_eq!(bytes, [0, 1, 2, 3]);
    /// # Ok::<(), CryptoError>(())
    /// ```
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self.ready = self.ready_with_random;
        self
    }

    /// Uses a generator of `rand_core` 0.10 as the source of randomness, behind a lock. If the
    /// generator fails, so does the operation that needs it, and the operation changes nothing.
    ///
    /// The generator is never dropped, because copies of the backend refer to it. Children of
    /// `fork` cannot use it. For a generator that is safe to use there, or one in a static, call
    /// [`CryptoBackend::with_random`] with a [`LockedRng`].
    ///
    /// The [manual](crate::manual::backends#randomness) lists the values that a library generates
    /// on its own.
    ///
    /// # Examples
    /// ```
    /// use rand_core::TryCryptoRng;
    /// use strongroom::crypto::CryptoBackend;
    ///
    /// fn backend(generator: impl TryCryptoRng + Send + 'static) -> CryptoBackend {
    ///     CryptoBackend::default().with_rng(generator)
    /// }
    ///
    /// let kms = strongroom::Kms::builder().backend(backend(CryptoBackend::default().rng())).build()?;
    /// assert_eq!(kms.generate_random(32)?.len(), 32);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_rng(self, rng: impl TryCryptoRng + Send + 'static) -> Self {
        self.with_random(Box::leak(Box::new(LockedRng::new(rng))))
    }

    /// Replaces the key pairs, to test the effects of faulty ones.
    #[cfg(test)]
    pub(crate) const fn with_key_pairs(mut self, key_pairs: &'static dyn KeyPairs) -> Self {
        self.key_pairs = key_pairs;
        self
    }

    /// Returns the name of the backend, for reports.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the part for authenticated encryption.
    pub const fn aead(&self) -> &'static dyn Aead {
        self.aead
    }

    /// Returns the part for hash functions.
    pub const fn digest(&self) -> &'static dyn Digest {
        self.digest
    }

    /// Returns the part for message authentication.
    pub const fn mac(&self) -> &'static dyn Mac {
        self.mac
    }

    /// Returns the part for key derivation.
    pub const fn kdf(&self) -> &'static dyn Kdf {
        self.kdf
    }

    /// Returns the part for message signatures of the Encryption SDK, with keys that are generated
    /// for one message.
    pub const fn signature(&self) -> &'static dyn Signature {
        self.signature
    }

    /// Returns the part for key pairs: RSA, elliptic curves, Ed25519, ML-DSA, and ML-KEM.
    pub const fn key_pairs(&self) -> &'static dyn KeyPairs {
        self.key_pairs
    }

    /// Returns the part for key wrapping.
    pub const fn key_wrap(&self) -> &'static dyn KeyWrap {
        self.key_wrap
    }

    /// Returns the part for random numbers.
    pub const fn random(&self) -> &'static dyn SecureRandom {
        self.random
    }

    /// Returns the part for random numbers as a generator of `rand_core`, for other crates.
    ///
    /// # Examples
    /// ```
    /// use p256::elliptic_curve::Generate;
    /// use strongroom::crypto::CryptoBackend;
    ///
    /// let key = p256::SecretKey::try_generate_from_rng(&mut CryptoBackend::default().rng())?;
    /// assert_eq!(key.to_bytes().len(), 32);
    /// # Ok::<(), strongroom::crypto::CryptoError>(())
    /// ```
    pub const fn rng(&self) -> SecureRng<'static> {
        SecureRng::new(self.random)
    }

    /// Checks that the backend can be used: the strict backend of the feature `fips` requires that
    /// its module is in FIPS mode, and that its generator was not replaced. Building a
    /// [`Kms`](crate::Kms) or an [`Envelope`](crate::Envelope) calls it.
    ///
    /// # Errors
    /// - [`CryptoError::NotInFipsMode`] if the module is not.
    /// - [`CryptoError::Rejected`] if the backend rejects its generator.
    ///
    /// # Examples
    /// ```
    /// strongroom::crypto::CryptoBackend::default().check_ready()?;
    /// # Ok::<(), strongroom::crypto::CryptoError>(())
    /// ```
    pub fn check_ready(&self) -> Result<(), CryptoError> {
        (self.ready)()
    }

    /// Checks that the backend does not reject an algorithm or use, named as in
    /// [`CryptoBackend::parts`]. Only the strict backend of the feature `fips` rejects any.
    ///
    /// # Errors
    /// - [`CryptoError::Rejected`] if it does.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, REJECTED, RUST_CRYPTO};
    ///
    /// assert!(RUST_CRYPTO.check_allowed("Ed25519").is_ok());
    /// let backend = CryptoBackend::default();
    /// for (part, library) in backend.parts() {
    ///     assert_eq!(backend.check_allowed(part).is_err(), library == REJECTED);
    /// }
    /// ```
    pub fn check_allowed(&self, algorithm: &str) -> Result<(), CryptoError> {
        match self.rejected.iter().find(|(rejected, _)| *rejected == algorithm) {
            Some((algorithm, instead)) => Err(CryptoError::Rejected { algorithm, instead }),
            None => Ok(()),
        }
    }

    /// Returns the library of each part, as (part, library). Algorithms that another library
    /// provides are listed at the end, and those that the backend rejects, with [`REJECTED`] as
    /// their library.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
    ///
    /// assert!(RUST_CRYPTO.parts().contains(&("AES-GCM", "aes-gcm")));
    /// println!("{:?}", CryptoBackend::default().parts()); // for a support request
    /// ```
    pub fn parts(&self) -> Vec<(&'static str, &'static str)> {
        let pairs = self.key_pairs;
        let mut parts = vec![
            ("AES-GCM", self.aead.library()),
            ("SHA-2", self.digest.library()),
            ("HMAC", self.mac.library()),
            ("HKDF", self.kdf.library()),
            ("ECDSA of messages", self.signature.library()),
            ("RSA-2048", pairs.library(KeyPairKind::Rsa2048)),
            ("RSA-3072", pairs.library(KeyPairKind::Rsa3072)),
            ("RSA-4096", pairs.library(KeyPairKind::Rsa4096)),
            ("P-256", pairs.library(KeyPairKind::EccP256)),
            ("P-384", pairs.library(KeyPairKind::EccP384)),
            ("P-521", pairs.library(KeyPairKind::EccP521)),
            ("secp256k1", pairs.library(KeyPairKind::EccSecp256k1)),
            ("Ed25519", pairs.library(KeyPairKind::Ed25519)),
            ("ML-DSA", pairs.library(KeyPairKind::MlDsa65)),
            ("ML-KEM", pairs.library(KeyPairKind::MlKem768)),
            ("AES-KW", self.key_wrap.library()),
            ("random", self.random.library()),
        ];
        parts.extend_from_slice(self.kdf.exceptions());
        parts.extend_from_slice(pairs.exceptions());
        let listed = parts.len();
        for (algorithm, _) in self.rejected {
            if !parts[..listed].iter().any(|(part, _)| part == algorithm) {
                parts.push((algorithm, REJECTED));
            }
        }
        parts
    }
}

impl Default for CryptoBackend {
    fn default() -> Self {
        FASTEST
    }
}

impl fmt::Debug for CryptoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoBackend").field("name", &self.name).field("parts", &self.parts()).finish()
    }
}
