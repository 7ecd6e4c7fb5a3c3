//! Parameters and results of signing and verification.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::algorithm::{MessageType, SignatureFormat, SigningAlgorithm};
use crate::key::KeyArn;

/// Parameters for [`Kms::sign`](crate::Kms::sign).
///
/// # Examples
/// ```
/// use strongroom::algorithm::{MessageType, SigningAlgorithm};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, SignRequest};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP384).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request)?.key_id();
/// let request = SignRequest::new(key, SigningAlgorithm::EcdsaSha384, &[7; 48]);
/// assert!(kms.sign(request.clone()).is_ok()); // the 48 bytes are a message
/// assert!(kms.sign(request.message_type(MessageType::Digest)).is_ok()); // they are its SHA-384 digest
/// let request = SignRequest::new(key, SigningAlgorithm::EcdsaSha384, &[7; 47]);
/// let refused = kms.sign(request.message_type(MessageType::Digest)).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Validation);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SignRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: SigningAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) message_type: MessageType,
    pub(in crate::kms) signature_format: SignatureFormat,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> SignRequest<'a, K> {
    /// Signs a message of up to 4,096 bytes. For a longer message, sign its digest.
    pub const fn new(key: K, algorithm: SigningAlgorithm, message: &'a [u8]) -> Self {
        Self {
            key,
            algorithm,
            message,
            message_type: MessageType::Raw,
            signature_format: SignatureFormat::Der,
            dry_run: false,
            grant_tokens: &[],
        }
    }

    /// Specifies whether the bytes are a message or its digest. Defaults to the message itself.
    #[must_use]
    pub const fn message_type(mut self, message_type: MessageType) -> Self {
        self.message_type = message_type;
        self
    }

    /// Specifies the format of an ECDSA signature. Defaults to DER.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::algorithm::{SignatureFormat, SigningAlgorithm};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let request = SignRequest::new(key, SigningAlgorithm::EcdsaSha256, b"a message");
    /// let signature = kms.sign(request.signature_format(SignatureFormat::P1363))?.signature;
    /// assert_eq!(signature.len(), 64);
    /// let request = VerifyRequest::new(key, SigningAlgorithm::EcdsaSha256, b"a message", &signature);
    /// kms.verify(request.signature_format(SignatureFormat::P1363))?;
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn signature_format(mut self, format: SignatureFormat) -> Self {
        self.signature_format = format;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::sign`](crate::Kms::sign).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignResponse {
    /// The signature: in the requested format for ECDSA, as long as the modulus for RSA, and 64
    /// bytes for Ed25519.
    pub signature: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub signing_algorithm: SigningAlgorithm,
}

/// Parameters for [`Kms::verify`](crate::Kms::verify).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::algorithm::{MessageType, SigningAlgorithm::EcdsaSha256};
/// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request)?.key_id();
/// let signature = kms.sign(SignRequest::new(key, EcdsaSha256, b"a message"))?.signature;
/// assert!(kms.verify(VerifyRequest::new(key, EcdsaSha256, b"a message", &signature)).is_ok());
///
/// // The signature of a message is that of its digest.
/// let digest = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha256, &[b"a message"]);
/// let request = VerifyRequest::new(key, EcdsaSha256, digest.as_ref(), &signature);
/// assert!(kms.verify(request.message_type(MessageType::Digest)).is_ok());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: SigningAlgorithm,
    pub(in crate::kms) message: &'a [u8],
    pub(in crate::kms) message_type: MessageType,
    pub(in crate::kms) signature: &'a [u8],
    pub(in crate::kms) signature_format: SignatureFormat,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> VerifyRequest<'a, K> {
    /// Verifies a signature of up to 6,144 bytes over a message of up to 4,096 bytes.
    pub const fn new(key: K, algorithm: SigningAlgorithm, message: &'a [u8], signature: &'a [u8]) -> Self {
        Self {
            key,
            algorithm,
            message,
            message_type: MessageType::Raw,
            signature,
            signature_format: SignatureFormat::Der,
            dry_run: false,
            grant_tokens: &[],
        }
    }

    /// Specifies whether the message bytes are a message or its digest. Defaults to the message
    /// itself.
    #[must_use]
    pub const fn message_type(mut self, message_type: MessageType) -> Self {
        self.message_type = message_type;
        self
    }

    /// Specifies the format of an ECDSA signature. Defaults to DER.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::{SignatureFormat, SigningAlgorithm};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, VerifyRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let request = VerifyRequest::new(key, SigningAlgorithm::EcdsaSha256, b"a message", &[7; 64]);
    /// let refused = kms.verify(request.signature_format(SignatureFormat::P1363)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidSignature);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn signature_format(mut self, format: SignatureFormat) -> Self {
        self.signature_format = format;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::verify`](crate::Kms::verify). It is returned only if the signature is
/// valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub signing_algorithm: SigningAlgorithm,
}

key_id_accessor!(SignResponse, VerifyResponse);
