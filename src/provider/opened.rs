//! Opened key material, typed by its usage.

use std::fmt;

use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::SignatureInput;
use crate::error::Result;
use crate::key::KeyUsage;
use crate::secret::SecretBytes;

/// The secret part of a key, ready for use. Operations that need only the public key (encrypt,
/// verify, encapsulate) never use it.
///
/// # Examples
/// ```
/// use strongroom::Result;
/// use strongroom::key::KeyUsage;
/// use strongroom::provider::{MacGeneration, OpenedKey};
///
/// /// A key in a remote service.
/// struct Remote;
///
/// impl MacGeneration for Remote {
///     fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
///         // ... call the service ...
///         Ok(vec![0; message.len().min(32)])
///     }
/// }
///
/// assert_eq!(OpenedKey::Mac(Box::new(Remote)).usage(), KeyUsage::GenerateVerifyMac);
/// ```
#[non_exhaustive]
pub enum OpenedKey {
    /// A symmetric key that encrypts and decrypts.
    Cipher(Box<dyn Cipher>),
    /// A private key that decrypts ciphertexts of its public key.
    Decryption(Box<dyn Decryption>),
    /// A private key that signs.
    Signing(Box<dyn Signing>),
    /// A key that authenticates messages.
    Mac(Box<dyn MacGeneration>),
    /// A private key that computes shared secrets.
    Agreement(Box<dyn Agreement>),
    /// A private key that decapsulates shared secrets.
    Decapsulation(Box<dyn Decapsulation>),
}

impl OpenedKey {
    /// Returns the usage of the key.
    pub const fn usage(&self) -> KeyUsage {
        match self {
            Self::Cipher(_) | Self::Decryption(_) => KeyUsage::EncryptDecrypt,
            Self::Signing(_) => KeyUsage::SignVerify,
            Self::Mac(_) => KeyUsage::GenerateVerifyMac,
            Self::Agreement(_) => KeyUsage::KeyAgreement,
            Self::Decapsulation(_) => KeyUsage::EncapsulateDecapsulate,
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
            Self::Decapsulation(_) => "Decapsulation(..)",
        })
    }
}

/// Defines the format of the ciphertext body, which follows the header.
///
/// # Examples
/// ```
/// use strongroom::provider::CipherScheme;
///
/// assert_ne!(CipherScheme::Committing, CipherScheme::Provider); // the two schemes of a ciphertext blob
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherScheme {
    /// The committing construction of this crate: a derived key and a commitment for each message.
    Committing,
    /// The provider's own format, for keys in a token.
    Provider,
}

/// An opened symmetric key. Its ciphertexts are bound to `header` and `context`, which are
/// authenticated but not encrypted.
///
/// # Examples
/// A key whose ciphertexts use the construction of this crate:
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::provider::{Cipher, CipherScheme};
/// use strongroom::seal::CommittingKey;
/// use strongroom::{Result, SecretBytes};
///
/// struct Software(CommittingKey, CryptoBackend);
///
/// const LABEL: &[u8] = b"example provider v1";
///
/// impl Cipher for Software {
///     fn scheme(&self) -> CipherScheme {
///         CipherScheme::Provider // the label is not the one of software keys
///     }
///
///     fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
///         Ok(self.0.seal(LABEL, header, context, plaintext, output)?)
///     }
///
///     fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
///         Ok(self.0.open(LABEL, header, context, body)?)
///     }
///
///     fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
///         let mut data_key = SecretBytes::zeroed(length);
///         self.1.random().fill(data_key.expose_secret_mut())?;
///         self.seal(header, context, data_key.expose_secret(), output)?;
///         Ok(data_key)
///     }
/// }
///
/// let backend = CryptoBackend::default();
/// let (cipher, mut body) = (Software(CommittingKey::new(&backend, &[7; 32])?, backend), Vec::new());
/// let data_key = cipher.generate(b"header", b"context", 32, &mut body)?;
/// assert_eq!(cipher.open(b"header", b"context", &body)?, data_key);
/// assert!(cipher.open(b"header", b"another", &body).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Cipher: Send + Sync {
    /// Returns the scheme of its ciphertexts.
    fn scheme(&self) -> CipherScheme;

    /// Encrypts `plaintext` and appends the body to `output`. The body has 1 to 6,122 bytes, for a
    /// plaintext of up to 4,096 bytes.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()>;

    /// Decrypts a body.
    ///
    /// # Errors
    /// - [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext) if anything does not match. The
    ///   error gives no details.
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes>;

    /// Generates `length` random bytes, appends them encrypted to `output` and returns them in
    /// plaintext.
    ///
    /// # Errors
    /// - The errors of [`Cipher::seal`].
    /// - [`Internal`](crate::ErrorKind::Internal) if no randomness is available.
    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes>;
}

/// An opened private key for decryption.
///
/// # Examples
/// A key in a remote service:
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm;
/// use strongroom::key::KeyUsage;
/// use strongroom::provider::{Decryption, OpenedKey};
/// use strongroom::{Error, ErrorKind, Result, SecretBytes};
///
/// struct Remote;
///
/// impl Decryption for Remote {
///     fn decrypt(&self, _algorithm: EncryptionAlgorithm, _ciphertext: &[u8]) -> Result<SecretBytes> {
///         // ... call the service; every invalid ciphertext gets the same error ...
///         Err(Error::new(ErrorKind::InvalidCiphertext, "the ciphertext cannot be decrypted"))
///     }
/// }
///
/// let refused = Remote.decrypt(EncryptionAlgorithm::RsaesOaepSha256, b"not a ciphertext").unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
/// assert_eq!(OpenedKey::Decryption(Box::new(Remote)).usage(), KeyUsage::EncryptDecrypt);
/// ```
pub trait Decryption: Send + Sync {
    /// Decrypts a ciphertext of the public key and the same algorithm. For RSA-OAEP this is the
    /// bare output of the algorithm with an empty label (RFC 8017, section 7.1).
    ///
    /// # Errors
    /// - [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext) if anything does not match. The
    ///   error gives no details.
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes>;
}

/// An opened private key for signing.
///
/// # Examples
/// A key in a remote service:
/// ```
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::crypto::SignatureInput;
/// use strongroom::key::KeyUsage;
/// use strongroom::provider::{OpenedKey, Signing};
/// use strongroom::{Error, ErrorKind, Result};
///
/// struct Remote;
///
/// impl Signing for Remote {
///     fn sign(&self, _algorithm: SigningAlgorithm, _input: SignatureInput<'_>) -> Result<Vec<u8>> {
///         // ... call the service; its outage is not the loss of the key ...
///         Err(Error::new(ErrorKind::KeyUnavailable, "the signing service does not respond"))
///     }
/// }
///
/// let refused = Remote.sign(SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a message")).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::KeyUnavailable);
/// assert_eq!(OpenedKey::Signing(Box::new(Remote)).usage(), KeyUsage::SignVerify);
/// ```
pub trait Signing: Send + Sync {
    /// Signs a message, its digest, or its ML-DSA message representative. Messages may have any
    /// length, because [`KmsSigner`](crate::KmsSigner) does not limit them. The caller has checked
    /// that the algorithm matches the key's spec and accepts such an input. A digest has the output
    /// length of the hash function, and a message representative 64 bytes.
    ///
    /// An ECDSA signature is encoded in DER (RFC 5912, section 6). An RSA signature is as long as
    /// the modulus, and an RSASSA-PSS salt is as long as the hash. An Ed25519 signature has 64
    /// bytes.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    /// - [`Internal`](crate::ErrorKind::Internal) if no randomness is available.
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>>;
}

/// An opened key for message authentication. The key's spec determines the algorithm.
///
/// # Examples
/// A key of this crate, behind the trait:
/// ```
/// use strongroom::Result;
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm, MacKey};
/// use strongroom::provider::MacGeneration;
///
/// struct Software(Box<dyn MacKey>);
///
/// impl MacGeneration for Software {
///     fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
///         Ok(self.0.authenticate(&[message]).expose_secret().to_vec())
///     }
/// }
///
/// let key = Software(CryptoBackend::default().mac().bind(DigestAlgorithm::Sha256, &[7; 32]));
/// assert_eq!(key.authenticate(b"a message")?.len(), 32);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait MacGeneration: Send + Sync {
    /// Computes the full, untruncated MAC of a message. Messages may have any length, because
    /// [`KmsMac`](crate::KmsMac) does not limit them.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// An opened private key for key agreement.
///
/// # Examples
/// A key of this crate, behind the trait:
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, PrivateKey};
/// use strongroom::provider::Agreement;
/// use strongroom::{Result, SecretBytes};
///
/// struct Software(Box<dyn PrivateKey>);
///
/// impl Agreement for Software {
///     fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
///         Ok(self.0.agree(public_key)?)
///     }
/// }
///
/// let backend = CryptoBackend::default();
/// let new = || backend.key_pairs().generate(KeyPairKind::EccP256, backend.random());
/// let (own, peer) = (Software(new()?), new()?);
/// assert_eq!(own.agree(&peer.public_key_der())?, peer.agree(&own.0.public_key_der())?);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Agreement: Send + Sync {
    /// Computes the raw shared secret with a public key, a SubjectPublicKeyInfo in DER (RFC 5280,
    /// section 4.1.2.7). The shared secret is the x-coordinate of the common point, as long as a
    /// coordinate of the curve.
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) if the public key is malformed, belongs to
    ///   another curve, or is not a point on the curve.
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes>;
}

/// An opened private key for decapsulation.
///
/// # Examples
/// A key of this crate, behind the trait:
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, PrivateKey};
/// use strongroom::provider::Decapsulation;
/// use strongroom::{Result, SecretBytes};
///
/// struct Software(Box<dyn PrivateKey>);
///
/// impl Decapsulation for Software {
///     fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes> {
///         Ok(self.0.decapsulate(ciphertext)?)
///     }
/// }
///
/// let backend = CryptoBackend::default();
/// let own = Software(backend.key_pairs().generate(KeyPairKind::MlKem768, backend.random())?);
/// let public = backend.key_pairs().public_key(KeyPairKind::MlKem768, &own.0.public_key_der())?;
/// let sent = public.encapsulate(backend.random())?;
/// assert_eq!(own.decapsulate(&sent.ciphertext)?, sent.shared_secret);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait Decapsulation: Send + Sync {
    /// Returns the shared secret of 32 bytes in an ML-KEM ciphertext (FIPS 203, section 7.3). The
    /// caller has checked the length of the ciphertext. One that does not belong to the key yields
    /// bytes that look random and depend only on the key and the ciphertext.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes>;
}
