//! The error of cryptographic primitives.

use crate::error::{Error, ErrorKind};

/// Why a primitive refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The tag does not fit key, nonce, associated data and ciphertext.
    #[error("the ciphertext is not authentic")]
    NotAuthentic,
    /// The signature is malformed, or does not fit key and message.
    #[error("the signature is not valid")]
    InvalidSignature,
    /// The public key is malformed, or is not a point of its curve.
    #[error("the public key is not valid")]
    InvalidPublicKey,
    /// The private key is malformed, of another kind than asked for, or its numbers do not fit each other.
    #[error("the private key is not valid")]
    InvalidPrivateKey,
    /// The key is of a kind that does not do this, or not with this algorithm.
    #[error("the key does not have this algorithm")]
    UnsuitableKey,
    /// A key, buffer or output has a length that the algorithm does not take.
    #[error("{what} has a length that the algorithm does not take: {length} bytes")]
    InvalidLength {
        /// What has the wrong length.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The operating system gave no randomness.
    #[error("the random number generator failed")]
    RandomFailed,
    /// A private key computed something that its public key contradicts, and which was therefore not returned.
    #[error("the private key computed a wrong result: a number in the key is not prime, or the processor failed")]
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
            CryptoError::InvalidLength { .. } | CryptoError::RandomFailed | CryptoError::FaultyComputation => {
                ErrorKind::Internal
            }
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
