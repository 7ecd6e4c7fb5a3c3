//! Parameters and results of key encapsulation.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::algorithm::EncapsulationAlgorithm;
use crate::key::KeyArn;
use crate::secret::SecretBytes;

/// Parameters for [`Kms::encapsulate`](crate::Kms::encapsulate).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, EncapsulateRequest};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::MlKem768).usage(KeyUsage::EncapsulateDecapsulate);
/// let key = kms.create_key(request)?.key_id();
/// let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
/// assert_eq!((sent.shared_secret.len(), sent.shared_secret_ciphertext_blob.len()), (32, 1_088));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncapsulateRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: EncapsulationAlgorithm,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> EncapsulateRequest<'a, K> {
    /// Generates a shared secret for the owner of the key.
    pub const fn new(key: K, algorithm: EncapsulationAlgorithm) -> Self {
        Self { key, algorithm, dry_run: false, grant_tokens: &[] }
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::encapsulate`](crate::Kms::encapsulate).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncapsulateResponse {
    /// The secret of 32 bytes; wiped when dropped. It can be used as a key.
    pub shared_secret: SecretBytes,
    /// The ciphertext of the secret: 768, 1,088, or 1,568 bytes.
    pub shared_secret_ciphertext_blob: Vec<u8>,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}

key_id_accessor!(EncapsulateResponse);

/// Parameters for [`Kms::decapsulate`](crate::Kms::decapsulate).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, DecapsulateRequest};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::MlKem512).usage(KeyUsage::EncapsulateDecapsulate);
/// let key = kms.create_key(request)?.key_id();
///
/// // Another party needs only the public key.
/// let backend = CryptoBackend::default();
/// let public = kms.get_public_key(key)?.public_key;
/// let sent = backend.key_pairs().public_key(KeyPairKind::MlKem512, &public)?.encapsulate(backend.random())?;
///
/// let received = kms.decapsulate(DecapsulateRequest::new(key, MlKem, &sent.ciphertext))?;
/// assert_eq!(received.shared_secret, sent.shared_secret);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecapsulateRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) algorithm: EncapsulationAlgorithm,
    pub(in crate::kms) ciphertext: &'a [u8],
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> DecapsulateRequest<'a, K> {
    /// Recovers a secret that was encapsulated with the public key of the key.
    pub const fn new(key: K, algorithm: EncapsulationAlgorithm, ciphertext: &'a [u8]) -> Self {
        Self { key, algorithm, ciphertext, dry_run: false, grant_tokens: &[] }
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::decapsulate`](crate::Kms::decapsulate).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecapsulateResponse {
    /// The secret of 32 bytes; wiped when dropped. It is the sender's only if the ciphertext was
    /// created with the public key of this key and not altered.
    pub shared_secret: SecretBytes,
    /// The key.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}

key_id_accessor!(DecapsulateResponse);
