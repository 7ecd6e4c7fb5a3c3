//! The key that wraps branch keys.

use std::fmt;
use std::sync::Arc;

use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyArn;
use crate::kms::{DecryptRequest, GenerateDataKeyRequest, Kms, ReEncryptRequest};
use crate::secret::SecretBytes;

/// Wraps the branch keys of a [`BranchKeyStore`](super::BranchKeyStore) under a KMS key. A
/// [`KmsBranchKeyWrapper`] does so with a [`Kms`]; the package `strongroom-aws-kms` with AWS KMS.
///
/// The encryption context must be authenticated: it contains every attribute of the stored item.
///
/// # Examples
/// A wrapper that counts how often branch keys are unwrapped:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use strongroom::envelope::{BranchKeyStore, BranchKeyWrapper, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Kms, Result, SecretBytes};
///
/// #[derive(Debug)]
/// struct Counted(KmsBranchKeyWrapper, Arc<AtomicUsize>);
///
/// impl BranchKeyWrapper for Counted {
///     fn key_arn(&self) -> &str {
///         self.0.key_arn()
///     }
///
///     fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
///         self.0.generate(context)
///     }
///
///     fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
///         self.0.rewrap(wrapped, from, to)
///     }
///
///     fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.unwrap(wrapped, context)
///     }
/// }
///
/// let kms = Kms::in_memory()?;
/// let inner = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
/// let unwrapped = Arc::new(AtomicUsize::new(0));
/// let wrapper = Counted(inner, Arc::clone(&unwrapped));
/// assert!(wrapper.accepts(wrapper.key_arn()) && !wrapper.accepts("another key"));
///
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// let id = keys.create_branch_key(&EncryptionContext::new())?;
/// assert_eq!(unwrapped.load(Ordering::Relaxed), 0); // creating one reveals no plaintext
/// keys.active(&id)?;
/// assert_eq!(unwrapped.load(Ordering::Relaxed), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait BranchKeyWrapper: fmt::Debug + Send + Sync {
    /// Returns the ARN of the KMS key. New items contain it, as the attribute `kms-arn`.
    fn key_arn(&self) -> &str;

    /// Returns `true` if this wrapper unwraps items that contain this ARN. By default, it must be
    /// [`key_arn`](Self::key_arn).
    fn accepts(&self, key_arn: &str) -> bool {
        key_arn == self.key_arn()
    }

    /// Generates a key of 32 bytes, and returns it wrapped.
    ///
    /// # Errors
    /// - Any error of the KMS.
    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>>;

    /// Wraps a wrapped key with another encryption context, without revealing it.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidCiphertext`] if it was not wrapped with the first context.
    /// - Any other error of the KMS.
    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>>;

    /// Unwraps a wrapped key.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidCiphertext`] if it was not wrapped with this context.
    /// - Any other error of the KMS.
    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes>;
}

impl<W: BranchKeyWrapper + ?Sized> BranchKeyWrapper for Arc<W> {
    fn key_arn(&self) -> &str {
        (**self).key_arn()
    }

    fn accepts(&self, key_arn: &str) -> bool {
        (**self).accepts(key_arn)
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        (**self).generate(context)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        (**self).rewrap(wrapped, from, to)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        (**self).unwrap(wrapped, context)
    }
}

/// Wraps branch keys under a symmetric key of a [`Kms`], with the permissions of a handle:
/// `kms:GenerateDataKeyWithoutPlaintext`, `kms:ReEncryptFrom`, `kms:ReEncryptTo` and `kms:Decrypt`.
///
/// # Examples
/// ```
/// use strongroom::envelope::{BranchKeyStore, BranchKeyWrapper, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, key.arn());
/// assert_eq!(wrapper.key_arn(), key.arn().to_string());
///
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// let id = keys.create_branch_key(&EncryptionContext::new())?;
/// kms.disable_key(key.key_id())?;
/// assert_eq!(keys.active(&id).unwrap_err().kind(), ErrorKind::Disabled);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KmsBranchKeyWrapper {
    kms: Kms,
    key: KeyArn,
    text: String,
}

impl KmsBranchKeyWrapper {
    /// Creates a wrapper with a key of a KMS. An unsuitable or missing key is reported when it is used.
    pub fn new(kms: &Kms, key: &KeyArn) -> Self {
        Self { kms: kms.clone(), text: key.to_string(), key: key.clone() }
    }

    /// Requires that the KMS used the key of this wrapper.
    fn check(&self, used: &KeyArn) -> Result<()> {
        if *used == self.key {
            return Ok(());
        }
        let text = format!("a branch key of {} was wrapped by {used}", self.key);
        Err(Error::new(ErrorKind::IncorrectKey, text))
    }
}

impl BranchKeyWrapper for KmsBranchKeyWrapper {
    fn key_arn(&self) -> &str {
        &self.text
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        let request = GenerateDataKeyRequest::new(&self.key).context(context);
        let made = self.kms.generate_data_key_without_plaintext(request)?;
        self.check(&made.key_arn)?;
        Ok(made.ciphertext_blob)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        let request = ReEncryptRequest::new(wrapped, &self.key).source_key(&self.key)?;
        let made = self.kms.re_encrypt(request.source_context(from).destination_context(to))?;
        self.check(&made.source_key_arn)?;
        self.check(&made.key_arn)?;
        Ok(made.ciphertext_blob)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        let opened = self.kms.decrypt(DecryptRequest::new(wrapped).key(&self.key)?.context(context))?;
        self.check(&opened.key_arn)?;
        Ok(opened.plaintext)
    }
}
