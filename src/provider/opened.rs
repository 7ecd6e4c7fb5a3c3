//! Material that is ready for use, typed by what it is for.

use std::fmt;

use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::SignatureInput;
use crate::error::Result;
use crate::key::KeyUsage;
use crate::secret::SecretBytes;

/// The secret part of a key, ready for use. What a public key can do alone (encrypt, verify) is never asked of it.
#[non_exhaustive]
pub enum OpenedKey {
    /// A symmetric key that encrypts and decrypts.
    Cipher(Box<dyn Cipher>),
    /// A private key that decrypts what was encrypted with its public key.
    Decryption(Box<dyn Decryption>),
    /// A private key that signs.
    Signing(Box<dyn Signing>),
    /// A key that authenticates messages.
    Mac(Box<dyn MacGeneration>),
    /// A private key that agrees on secrets.
    Agreement(Box<dyn Agreement>),
}

impl OpenedKey {
    /// What it is for.
    pub const fn usage(&self) -> KeyUsage {
        match self {
            Self::Cipher(_) | Self::Decryption(_) => KeyUsage::EncryptDecrypt,
            Self::Signing(_) => KeyUsage::SignVerify,
            Self::Mac(_) => KeyUsage::GenerateVerifyMac,
            Self::Agreement(_) => KeyUsage::KeyAgreement,
        }
    }
}

impl fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cipher(_) => "Cipher(..)",
            Self::Decryption(_) => "Decryption(..)",
            Self::Signing(_) => "Signing(..)",
            Self::Mac(_) => "Mac(..)",
            Self::Agreement(_) => "Agreement(..)",
        })
    }
}

/// Who defines what a ciphertext looks like behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherScheme {
    /// The committing construction of this crate: a derived key and a commitment for each message.
    Committing,
    /// The provider's own, for keys in a token.
    Provider,
}

/// A symmetric key at work. What it makes is bound to `header` and `context`, both authenticated and not encrypted.
pub trait Cipher: Send + Sync {
    /// Which scheme its ciphertexts follow.
    fn scheme(&self) -> CipherScheme;

    /// Encrypts `plaintext` and appends the body to `output`: 1 to 6,122 bytes, for up to 4,096 of plaintext.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now.
    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()>;

    /// Decrypts a body.
    ///
    /// # Errors
    /// [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext), without detail, whatever does not fit;
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now.
    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes>;

    /// Draws `length` random bytes, appends them encrypted to `output` and returns them in the clear.
    ///
    /// # Errors
    /// As [`Cipher::seal`]; [`Internal`](crate::ErrorKind::Internal) if there is no randomness.
    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes>;
}

/// A private key for decryption at work.
pub trait Decryption: Send + Sync {
    /// Decrypts what anybody encrypted with the public key and the same algorithm: for RSA-OAEP the bare output of the
    /// algorithm, with an empty label (RFC 8017, section 7.1).
    ///
    /// # Errors
    /// [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext), without detail, whatever does not fit;
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now.
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes>;
}

/// A private key for signing at work.
pub trait Signing: Send + Sync {
    /// Signs a message, or the hash value of one. The caller made sure that the algorithm fits the spec of the key, and
    /// that it takes such an input; a value is as long as the hash function's output.
    ///
    /// An ECDSA signature is in DER (RFC 5912, section 6), an RSA signature as long as the modulus, the salt of
    /// RSASSA-PSS as long as the hash; an Ed25519 signature has 64 bytes.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now;
    /// [`Internal`](crate::ErrorKind::Internal) if there is no randomness.
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>>;
}

/// A key for message authentication at work. The spec of the key says with which algorithm.
pub trait MacGeneration: Send + Sync {
    /// Computes the whole code over a message.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now.
    fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// A private key for key agreement at work.
pub trait Agreement: Send + Sync {
    /// Computes the raw shared secret with a public key, a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7): the
    /// x-coordinate of the common point, as long as a coordinate of the curve.
    ///
    /// # Errors
    /// [`Validation`](crate::ErrorKind::Validation) if the public key is malformed, of another curve, or no point of it;
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now.
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes>;
}
