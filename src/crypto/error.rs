//! Errors of cryptographic primitives.

use crate::error::{Error, ErrorKind};

/// The reason why a primitive failed.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
/// use strongroom::{Error, ErrorKind};
///
/// let refused = CryptoBackend::default().key_pairs().public_key(KeyPairKind::EccP256, b"no key").err();
/// assert_eq!(refused, Some(CryptoError::InvalidPublicKey));
/// assert_eq!(Error::from(CryptoError::InvalidPublicKey).kind(), ErrorKind::Validation);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The tag does not match the key, nonce, associated data, and ciphertext.
    #[error("the ciphertext is not authentic")]
    NotAuthentic,
    /// The signature is malformed, or does not match the key and message.
    #[error("the signature is invalid")]
    InvalidSignature,
    /// The public key is malformed, or is not a point on its curve.
    #[error("the public key is invalid")]
    InvalidPublicKey,
    /// The private key is malformed, is of a different kind than requested, or its numbers are
    /// inconsistent.
    #[error("the private key is invalid")]
    InvalidPrivateKey,
    /// A key of this kind does not support the operation or the algorithm.
    #[error("the key does not support this algorithm")]
    UnsuitableKey,
    /// The algorithm does not accept the length of a key, buffer, or output.
    #[error("the algorithm does not support this length of {what}: {length} bytes")]
    InvalidLength {
        /// The value with the invalid length.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The operating system or the configured generator did not provide random bytes.
    #[error("the random number generator failed")]
    RandomFailed,
    /// The process is a child of `fork`, and would repeat the random bytes of its parent.
    #[error("the random number generator belongs to the process from which this one was forked")]
    RandomForked,
    /// The backend rejects the algorithm, because the FIPS module does not offer it as an approved
    /// service.
    #[error(
        "the FIPS backend rejects {algorithm}, which its module does not offer as an approved service: {instead}, or \
         choose another backend"
    )]
    Rejected {
        /// The algorithm or use, as [`CryptoBackend::parts`](super::CryptoBackend::parts) names it.
        algorithm: &'static str,
        /// The advice what to use instead.
        instead: &'static str,
    },
    /// The library is not in FIPS mode, so the strict backend does nothing.
    #[error(
        "the FIPS module is not in FIPS mode: build with the feature fips, and link no other AWS-LC in place of the \
         module"
    )]
    NotInFipsMode,
    /// The result of a private key operation contradicts the public key. The result was not
    /// returned.
    #[error(
        "the private key operation returned a wrong result: a number in the key is not prime, or the processor is \
         faulty"
    )]
    FaultyComputation,
}

impl From<CryptoError> for Error {
    fn from(error: CryptoError) -> Self {
        let kind = match error {
            CryptoError::NotAuthentic => ErrorKind::InvalidCiphertext,
            CryptoError::InvalidSignature => ErrorKind::InvalidSignature,
            CryptoError::InvalidPublicKey | CryptoError::InvalidPrivateKey | CryptoError::UnsuitableKey => {
                ErrorKind::Validation
            }
            CryptoError::Rejected { .. } => ErrorKind::UnsupportedOperation,
            CryptoError::InvalidLength { .. }
            | CryptoError::RandomFailed
            | CryptoError::RandomForked
            | CryptoError::NotInFipsMode
            | CryptoError::FaultyComputation => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
