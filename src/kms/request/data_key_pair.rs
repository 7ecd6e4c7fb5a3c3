//! Parameters and results of data key pair generation.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{grant_tokens_setter, key_id_accessor};
use crate::context::EncryptionContext;
use crate::key::{DataKeyPairSpec, KeyArn, KeyMaterialId};
use crate::secret::SecretBytes;

/// Parameters for [`Kms::generate_data_key_pair`](crate::Kms::generate_data_key_pair) and its
/// variant without plaintext.
///
/// # Examples
/// ```
/// use strongroom::key::DataKeyPairSpec;
/// use strongroom::request::{DecryptRequest, GenerateDataKeyPairRequest};
/// use strongroom::{EncryptionContext, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let device = EncryptionContext::from([("device", "17")]);
/// let request = GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256).context(&device);
/// assert_eq!(kms.generate_data_key_pair(request.clone().dry_run()).unwrap_err().kind(), ErrorKind::DryRun);
/// let pair = kms.generate_data_key_pair(request)?;
/// let request = DecryptRequest::new(&pair.private_key_ciphertext_blob);
/// assert_eq!(kms.decrypt(request.context(&device))?.plaintext, pair.private_key_plaintext);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GenerateDataKeyPairRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) spec: DataKeyPairSpec,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> GenerateDataKeyPairRequest<'a, K> {
    /// Generates a key pair and encrypts its private key under a symmetric key.
    pub const fn new(key: K, spec: DataKeyPairSpec) -> Self {
        Self { key, spec, context: None, dry_run: false, grant_tokens: &[] }
    }

    /// Binds the encrypted private key to an encryption context, which must be supplied again for
    /// decryption.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    /// Performs every check, generates no key pair, and fails with
    /// [`DryRun`](crate::ErrorKind::DryRun).
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Performs a [dry run](Self::dry_run) if `dry_run` is `true`, for callers that pass on a flag.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::DataKeyPairSpec;
    /// use strongroom::request::GenerateDataKeyPairRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let request = GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256);
    /// assert!(kms.generate_data_key_pair(request.clone().dry_run_if(true)).is_err());
    /// assert!(kms.generate_data_key_pair(request.dry_run_if(false)).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn dry_run_if(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// The result of [`Kms::generate_data_key_pair`](crate::Kms::generate_data_key_pair).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateDataKeyPairResponse {
    /// The private key, PKCS#8 in DER (RFC 5958), wiped when dropped.
    pub private_key_plaintext: SecretBytes,
    /// The private key, encrypted under the KMS key.
    pub private_key_ciphertext_blob: Vec<u8>,
    /// The public key, a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub public_key: Vec<u8>,
    /// The spec of the key pair.
    pub key_pair_spec: DataKeyPairSpec,
    /// The KMS key.
    pub key_arn: KeyArn,
    /// The version of its material.
    pub key_material_id: KeyMaterialId,
}

/// The result of
/// [`Kms::generate_data_key_pair_without_plaintext`](crate::Kms::generate_data_key_pair_without_plaintext).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateDataKeyPairWithoutPlaintextResponse {
    /// The private key, encrypted under the KMS key.
    pub private_key_ciphertext_blob: Vec<u8>,
    /// The public key, a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub public_key: Vec<u8>,
    /// The spec of the key pair.
    pub key_pair_spec: DataKeyPairSpec,
    /// The KMS key.
    pub key_arn: KeyArn,
    /// The version of its material.
    pub key_material_id: KeyMaterialId,
}

key_id_accessor!(GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse);
