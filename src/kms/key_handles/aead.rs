//! An encryption key of a KMS as a value.

use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyUsage, SpecClass};
use crate::kms::engine::handle::Kms;
use crate::kms::request::{DecryptRequest, EncryptRequest, KeyReference};
use crate::secret::SecretBytes;

/// A symmetric key of a [`Kms`] as a value. It encrypts up to 4,096 bytes with associated data, the
/// encryption context. For larger data, use an [`Envelope`](crate::Envelope).
///
/// # Examples
/// ```
/// use strongroom::{EncryptionContext, Kms, KmsAead};
///
/// let kms = Kms::in_memory()?;
/// let aead = KmsAead::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let row = EncryptionContext::from([("table", "users"), ("row", "42")]);
/// let sealed = aead.encrypt(b"a secret", &row)?;
/// assert_eq!(aead.decrypt(&sealed, &row)?.expose_secret(), b"a secret");
/// assert!(aead.decrypt(&sealed, &EncryptionContext::new()).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KmsAead {
    kms: Kms,
    key_arn: KeyArn,
}

impl KmsAead {
    /// Creates a value for a key.
    ///
    /// # Errors
    /// - The errors of [`Kms::describe_key`].
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not a symmetric encryption
    ///   key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{ErrorKind, Kms, KmsAead};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// let refused = KmsAead::new(&kms, kms.create_key(request)?.key_id()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidKeyUsage);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        let key = kms.describe_key(key)?;
        if (key.spec().class(), key.usage()) != (SpecClass::Symmetric, KeyUsage::EncryptDecrypt) {
            let text =
                format!("{} is a {} key for {}, not a symmetric encryption key", key.arn(), key.spec(), key.usage());
            return Err(Error::new(ErrorKind::InvalidKeyUsage, text));
        }
        Ok(Self { kms: kms.clone(), key_arn: key.arn().clone() })
    }

    /// Returns the ARN of the key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Kms, KmsAead};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.create_alias("alias/columns", key.key_id())?;
    /// // The value refers to the key, even if the alias moves.
    /// assert_eq!(KmsAead::new(&kms, "alias/columns")?.key_arn(), key.arn());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn key_arn(&self) -> &KeyArn {
        &self.key_arn
    }

    /// Encrypts 1 to 4,096 bytes, bound to a context.
    ///
    /// # Errors
    /// - The errors of [`Kms::encrypt`].
    pub fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        let request = EncryptRequest::new(&self.key_arn, plaintext).context(context);
        self.kms.encrypt(request).map(|made| made.ciphertext_blob)
    }

    /// Decrypts a ciphertext of this key that is bound to this context.
    ///
    /// # Errors
    /// - The errors of [`Kms::decrypt`].
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) if the ciphertext was encrypted under another
    ///   key.
    pub fn decrypt(&self, ciphertext: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        let request = DecryptRequest::new(ciphertext).key(&self.key_arn)?.context(context);
        self.kms.decrypt(request).map(|opened| opened.plaintext)
    }
}
