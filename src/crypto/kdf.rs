//! Key derivation with HKDF.

use std::fmt::Debug;

use super::{CryptoError, DigestAlgorithm};

/// The key derivation part of a backend: HKDF (RFC 5869).
///
/// # Examples
/// The first 4 bytes of test case 1 of RFC 5869, appendix A:
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, DigestAlgorithm};
///
/// let salt: Vec<u8> = (0x00..=0x0c).collect();
/// let info: Vec<u8> = (0xf0..=0xf9).collect();
/// let key = CryptoBackend::default().kdf().extract(DigestAlgorithm::Sha256, &salt, &[0x0b; 22]);
/// let mut output = [0; 42];
/// key.expand(&[&info], &mut output)?;
/// assert_eq!(output[..4], [0x3c, 0xb2, 0x5f, 0x25]);
/// # Ok::<(), CryptoError>(())
/// ```
pub trait Kdf: Debug + Send + Sync {
    /// Returns the name of the underlying library.
    fn library(&self) -> &'static str;

    /// Returns the algorithms that are provided by another library, as (algorithm, library).
    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Computes HKDF-Extract. An empty salt is equivalent to the RFC's default, a salt of zeros as
    /// long as the hash output.
    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey>;

    /// Creates a key from bytes that are already uniformly pseudorandom, without the extract step.
    ///
    /// RFC 5869 allows keys longer than the output of the extract step. Libraries differ in the
    /// lengths they accept, so longer keys are rejected.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the key is not as long as the hash output.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, DigestAlgorithm};
    ///
    /// let kdf = CryptoBackend::default().kdf();
    /// let mut subkey = [0; 32];
    /// kdf.bind(DigestAlgorithm::Sha512, &[7; 64])?.expand(&[b"purpose"], &mut subkey)?;
    /// assert_ne!(subkey, [0; 32]);
    /// assert!(kdf.bind(DigestAlgorithm::Sha512, &[7; 32]).is_err());
    /// # Ok::<(), CryptoError>(())
    /// ```
    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError>;
}

/// A pseudorandom key from which keys are derived. It is wiped when dropped.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError, DigestAlgorithm};
///
/// let key = CryptoBackend::default().kdf().extract(DigestAlgorithm::Sha256, b"salt", b"a shared secret");
/// let [mut to_server, mut to_client] = [[0; 32]; 2];
/// key.expand(&[b"to server"], &mut to_server)?;
/// key.expand(&[b"to client"], &mut to_client)?;
/// assert_ne!(to_server, to_client);
/// assert!(key.expand(&[], &mut vec![0; 255 * 32 + 1]).is_err());
/// # Ok::<(), CryptoError>(())
/// ```
pub trait PseudoRandomKey: Send + Sync {
    /// Computes HKDF-Expand into `output`, with the concatenation of `info` as the context.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if `output` is longer than 255 times the hash output.
    fn expand(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError>;
}

/// Rejects a pseudorandom key that is not as long as the output of the extract step.
pub(super) fn check_key(algorithm: DigestAlgorithm, key: &[u8]) -> Result<(), CryptoError> {
    if key.len() != algorithm.output_length() {
        return Err(CryptoError::InvalidLength { what: "HKDF pseudo-random key", length: key.len() });
    }
    Ok(())
}
