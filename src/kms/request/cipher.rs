//! Parameters and results of encryption, decryption and re-encryption.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::algorithm::EncryptionAlgorithm;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::key::{ForeignKeyId, KeyArn, KeyId, KeyIdentifier, KeyMaterialId};
use crate::secret::SecretBytes;

/// Parameters for [`Kms::encrypt`](crate::kms::Kms::encrypt).
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, EncryptRequest};
/// use strongroom::{EncryptionContext, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let row = EncryptionContext::from([("table", "users"), ("row", "42")]);
/// let blob = kms.encrypt(EncryptRequest::new(key, b"4711").context(&row))?.ciphertext_blob;
/// assert_eq!(blob.len(), 94 + 4);
/// let checked = kms.encrypt(EncryptRequest::new(key, b"4711").dry_run()).unwrap_err();
/// assert_eq!(checked.kind(), ErrorKind::DryRun); // it would succeed
///
/// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::EncryptDecrypt);
/// let rsa = kms.create_key(request)?.key_id();
/// let request = EncryptRequest::new(rsa, b"4711").algorithm(EncryptionAlgorithm::RsaesOaepSha256);
/// assert_eq!(kms.encrypt(request)?.ciphertext_blob.len(), 256);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncryptRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) plaintext: &'a [u8],
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> EncryptRequest<'a, K> {
    /// Encrypts 1 to 4,096 bytes under a key.
    pub const fn new(key: K, plaintext: &'a [u8]) -> Self {
        Self {
            key,
            plaintext,
            context: None,
            algorithm: EncryptionAlgorithm::SymmetricDefault,
            dry_run: false,
            grant_tokens: &[],
        }
    }

    /// Binds the ciphertext to an encryption context, which must be supplied again for decryption.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Sets the algorithm. Defaults to `SYMMETRIC_DEFAULT`; required for RSA keys.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::encrypt`](crate::kms::Kms::encrypt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptResponse {
    /// The ciphertext. For a symmetric software key, it is 94 bytes longer than the plaintext. For
    /// an RSA key, it is the raw output of RSA-OAEP, as long as the modulus.
    pub ciphertext_blob: Vec<u8>,
    /// The key that the plaintext was encrypted under.
    pub key_arn: KeyArn,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Parameters for [`Kms::decrypt`](crate::kms::Kms::decrypt).
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
/// use strongroom::{EncryptionContext, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let (key, other) = (kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id());
/// let row = EncryptionContext::from([("table", "users"), ("row", "42")]);
/// let blob = kms.encrypt(EncryptRequest::new(key, b"4711").context(&row))?.ciphertext_blob;
///
/// let request = DecryptRequest::new(&blob).context(&row); // the blob names its key
/// assert_eq!(kms.decrypt(request.clone())?.plaintext.expose_secret(), b"4711");
/// let refused = kms.decrypt(request.key(other)?).unwrap_err(); // only if it is this key
/// assert_eq!(refused.kind(), ErrorKind::IncorrectKey);
///
/// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::EncryptDecrypt);
/// let (rsa, algorithm) = (kms.create_key(request)?.key_id(), EncryptionAlgorithm::RsaesOaepSha256);
/// let blob = kms.encrypt(EncryptRequest::new(rsa, b"4711").algorithm(algorithm))?.ciphertext_blob;
/// let request = DecryptRequest::new(&blob).key(rsa)?.algorithm(algorithm); // both are required
/// assert_eq!(kms.decrypt(request)?.plaintext.expose_secret(), b"4711");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecryptRequest<'a> {
    pub(in crate::kms) ciphertext_blob: &'a [u8],
    /// The key, or an ID that AWS KMS considers well-formed and that no key here can have.
    pub(in crate::kms) key: Option<Result<KeyIdentifier, ForeignKeyId>>,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a> DecryptRequest<'a> {
    /// Decrypts a ciphertext of up to 6,144 bytes that an operation of the [`Kms`](crate::kms::Kms)
    /// produced. A ciphertext that was encrypted with the public key of an RSA key, here or
    /// elsewhere, requires [`key`](Self::key) and [`algorithm`](Self::algorithm).
    pub const fn new(ciphertext_blob: &'a [u8]) -> Self {
        let algorithm = EncryptionAlgorithm::SymmetricDefault;
        Self { ciphertext_blob, key: None, context: None, algorithm, dry_run: false, grant_tokens: &[] }
    }

    /// Specifies the algorithm of the ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Requires the ciphertext to have been encrypted under this key. The ID of a multi-Region key is
    /// accepted: the call then reports a missing key.
    ///
    /// # Errors
    /// - The errors of [`KeyReference::to_key_identifier`].
    pub fn key(mut self, key: impl KeyReference) -> Result<Self> {
        self.key = Some(match key.to_key_identifier() {
            Ok(identifier) => Ok(identifier),
            Err(error) => Err(ForeignKeyId::of(&error).cloned().ok_or(error)?),
        });
        Ok(self)
    }

    /// Specifies the encryption context that the ciphertext is bound to.
    #[must_use]
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::decrypt`](crate::kms::Kms::decrypt).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptResponse {
    /// The plaintext, wiped when dropped.
    pub plaintext: SecretBytes,
    /// The key that the plaintext was encrypted under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub key_material_id: Option<KeyMaterialId>,
    /// The algorithm.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Parameters for [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt).
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, ReEncryptRequest};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::EncryptDecrypt);
/// let (outer, inner) = (kms.create_key(request)?.key_id(), kms.create_key(Default::default())?.key_id());
/// let algorithm = EncryptionAlgorithm::RsaesOaepSha256;
/// let received = kms.encrypt(EncryptRequest::new(outer, b"4711").algorithm(algorithm))?.ciphertext_blob;
///
/// // Moves a secret from the public key of an interface to a row of a table.
/// let row = EncryptionContext::from([("table", "users"), ("row", "42")]);
/// let request = ReEncryptRequest::new(&received, inner)
///     .source_key(outer)?
///     .source_algorithm(algorithm)
///     .destination_context(&row);
/// let stored = kms.re_encrypt(request)?.ciphertext_blob;
/// assert!(kms.decrypt(DecryptRequest::new(&stored)).is_err());
///
/// // Moves it to another row.
/// let other = EncryptionContext::from([("table", "users"), ("row", "43")]);
/// let request = ReEncryptRequest::new(&stored, inner).source_context(&row).destination_context(&other);
/// let moved = kms.re_encrypt(request.destination_algorithm(EncryptionAlgorithm::SymmetricDefault))?;
/// let opened = kms.decrypt(DecryptRequest::new(&moved.ciphertext_blob).context(&other))?;
/// assert_eq!(opened.plaintext.expose_secret(), b"4711");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReEncryptRequest<'a, K> {
    pub(in crate::kms) source: DecryptRequest<'a>,
    pub(in crate::kms) destination: K,
    pub(in crate::kms) destination_context: Option<&'a EncryptionContext>,
    pub(in crate::kms) destination_algorithm: EncryptionAlgorithm,
    pub(in crate::kms) dry_run: bool,
}

impl<'a, K: KeyReference> ReEncryptRequest<'a, K> {
    /// Decrypts a ciphertext and encrypts the plaintext under another key, or under the current
    /// version of the same key.
    pub const fn new(ciphertext_blob: &'a [u8], destination: K) -> Self {
        Self {
            source: DecryptRequest::new(ciphertext_blob),
            destination,
            destination_context: None,
            destination_algorithm: EncryptionAlgorithm::SymmetricDefault,
            dry_run: false,
        }
    }

    /// Specifies the algorithm of the ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn source_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.source.algorithm = algorithm;
        self
    }

    /// Sets the algorithm of the new ciphertext. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn destination_algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.destination_algorithm = algorithm;
        self
    }

    /// Requires the ciphertext to have been encrypted under this key, like [`DecryptRequest::key`].
    ///
    /// # Errors
    /// - The errors of [`KeyReference::to_key_identifier`].
    pub fn source_key(mut self, key: impl KeyReference) -> Result<Self> {
        self.source = self.source.key(key)?;
        Ok(self)
    }

    /// Specifies the encryption context that the ciphertext is bound to.
    #[must_use]
    pub const fn source_context(mut self, context: &'a EncryptionContext) -> Self {
        self.source.context = Some(context);
        self
    }

    /// Sets the encryption context that the new ciphertext is bound to.
    #[must_use]
    pub const fn destination_context(mut self, context: &'a EncryptionContext) -> Self {
        self.destination_context = Some(context);
        self
    }

    /// Names up to 10 grants that may authorize either half of the call.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::key::Operation;
    /// use strongroom::policy::GrantTerms;
    /// use strongroom::request::{CreateGrantRequest, EncryptRequest, ReEncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let blob = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    /// let worker = Principal::role(AccountId::default(), "worker")?;
    /// let terms = GrantTerms::new(worker.clone(), [Operation::ReEncryptFrom, Operation::ReEncryptTo])?;
    /// let tokens = [kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_token];
    /// let request = ReEncryptRequest::new(&blob, key).grant_tokens(&tokens);
    /// assert!(kms.as_principal(worker)?.re_encrypt(request).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.source.grant_tokens = tokens;
        self
    }

    dry_run_setter!();
}

/// The result of [`Kms::re_encrypt`](crate::kms::Kms::re_encrypt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReEncryptResponse {
    /// The new ciphertext.
    pub ciphertext_blob: Vec<u8>,
    /// The key that the old ciphertext was encrypted under.
    pub source_key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub source_key_material_id: Option<KeyMaterialId>,
    /// The algorithm of the old ciphertext.
    pub source_encryption_algorithm: EncryptionAlgorithm,
    /// The key that the new ciphertext is encrypted under.
    pub key_arn: KeyArn,
    /// The version of its material, for symmetric keys.
    pub destination_key_material_id: Option<KeyMaterialId>,
    /// The algorithm of the new ciphertext.
    pub destination_encryption_algorithm: EncryptionAlgorithm,
}

impl ReEncryptResponse {
    /// Returns the ID of the key under which the data was encrypted before, which is a part of
    /// `source_key_arn`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{EncryptRequest, ReEncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let [from, to] = [kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id()];
    /// let encrypted = kms.encrypt(EncryptRequest::new(from, b"a secret"))?;
    /// let moved = kms.re_encrypt(ReEncryptRequest::new(&encrypted.ciphertext_blob, to))?;
    /// assert_eq!((moved.source_key_id(), moved.key_id()), (from, to));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn source_key_id(&self) -> KeyId {
        self.source_key_arn.key_id()
    }
}

key_id_accessor!(EncryptResponse, DecryptResponse, ReEncryptResponse);
