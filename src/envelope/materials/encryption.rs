//! The materials for encrypting a message. Managers and keyrings complete them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use super::data_key;
use crate::context::{self, EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::crypto::CryptoBackend;
use crate::envelope::policy::CommitmentPolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{AlgorithmSuite, EncryptedDataKey};
use crate::secret::SecretBytes;

/// Number of random bytes for one message with one raw key: message ID (32), data key (32), and
/// wrapping IV (12). They are requested in one call, because the call costs more than the bytes.
const POOL_LENGTH: usize = 32 + 32 + 12;

/// Materials for encrypting a message. Keyrings complete them.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::envelope::{CommitmentPolicy, EncryptionMaterials};
/// use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
/// use strongroom::EncryptionContext;
///
/// let suite = AlgorithmSuite::default();
/// let mut materials = EncryptionMaterials::new(suite, EncryptionContext::new(), CryptoBackend::default())?;
/// assert_eq!(materials.data_key_or_generate()?.len(), suite.data_key_length());
/// materials.push(EncryptedDataKey::new("my-vault", *b"key 1", *b"wrapped"))?;
/// assert_eq!(materials.encrypted_data_keys().len(), 1);
/// assert!(materials.data_key().is_some() && materials.context().is_empty());
/// assert_eq!((materials.canonical_context(), materials.commitment_policy()), (&b""[..], CommitmentPolicy::default()));
/// assert_eq!(materials.with_plaintext_length(17).plaintext_length(), Some(17));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct EncryptionMaterials {
    suite: AlgorithmSuite,
    context: EncryptionContext,
    canonical_context: Vec<u8>,
    required_names: BTreeSet<String>,
    commitment_policy: CommitmentPolicy,
    plaintext_length: Option<u64>,
    data_key: Option<SecretBytes>,
    encrypted_data_keys: Vec<EncryptedDataKey>,
    backend: CryptoBackend,
    pool: Zeroizing<[u8; POOL_LENGTH]>,
    pool_left: usize,
}

impl EncryptionMaterials {
    /// Creates materials without keys.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the context is too long.
    pub fn new(suite: AlgorithmSuite, context: EncryptionContext, backend: CryptoBackend) -> Result<Self> {
        Ok(Self {
            suite,
            canonical_context: context.to_canonical_bytes().map_err(context::too_long)?,
            context,
            required_names: BTreeSet::new(),
            commitment_policy: CommitmentPolicy::default(),
            plaintext_length: None,
            data_key: None,
            encrypted_data_keys: Vec::new(),
            backend,
            pool: Zeroizing::new([0; POOL_LENGTH]),
            pool_left: 0,
        })
    }

    /// Omits a context pair from the header of the message. The recipient must then supply it. Data
    /// key and header are still bound to the pair.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the context does not contain the name, or if the name is
    ///   reserved.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::envelope::EncryptionMaterials;
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::EncryptionContext;
    ///
    /// let context = EncryptionContext::from([("patient", "Doe")]);
    /// let mut materials = EncryptionMaterials::new(AlgorithmSuite::default(), context, CryptoBackend::default())?;
    /// materials.require_context("patient")?;
    /// assert_eq!(materials.required_names().collect::<Vec<_>>(), ["patient"]);
    /// assert!(materials.require_context("ward").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn require_context(&mut self, name: &str) -> Result<()> {
        if self.context.get(name).is_none() || name.starts_with(RESERVED_CONTEXT_PREFIX) {
            let text =
                format!("the encryption context lacks {name:?}, which is required and must be reproduced to decrypt");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.required_names.insert(name.to_owned());
        Ok(())
    }

    /// Returns the names of the pairs that the header omits.
    pub fn required_names(&self) -> impl Iterator<Item = &str> {
        self.required_names.iter().map(String::as_str)
    }

    /// Returns the canonical serializations of the context pairs in the header and of the omitted
    /// ones.
    pub(in crate::envelope) fn header_contexts(&self) -> Result<(Cow<'_, [u8]>, Vec<u8>)> {
        if self.required_names.is_empty() {
            return Ok((Cow::Borrowed(&self.canonical_context), Vec::new()));
        }
        let part = |omitted: bool| {
            let pairs = self.context.iter().filter(|(name, _)| self.required_names.contains(*name) == omitted);
            pairs.collect::<EncryptionContext>().to_canonical_bytes().map_err(context::too_long)
        };
        Ok((Cow::Owned(part(false)?), part(true)?))
    }

    /// Sets the commitment policy under which the message is written. Otherwise, the default policy
    /// applies.
    #[must_use]
    pub const fn with_commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.commitment_policy = policy;
        self
    }

    /// Returns the commitment policy, against which the suite was checked. Anything that is cached
    /// for later messages must be cached for this policy only.
    pub const fn commitment_policy(&self) -> CommitmentPolicy {
        self.commitment_policy
    }

    /// Sets the length of the plaintext of the message in bytes.
    #[must_use]
    pub const fn with_plaintext_length(mut self, bytes: u64) -> Self {
        self.plaintext_length = Some(bytes);
        self
    }

    pub(in crate::envelope) const fn forget_plaintext_length(&mut self) {
        self.plaintext_length = None;
    }

    /// Returns the length of the plaintext in bytes, if it is known in advance.
    pub const fn plaintext_length(&self) -> Option<u64> {
        self.plaintext_length
    }

    /// Returns the algorithm suite.
    pub const fn suite(&self) -> AlgorithmSuite {
        self.suite
    }

    /// Returns the encryption context, to which keyrings bind the data key.
    pub const fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// Returns the canonical serialization of the encryption context.
    pub fn canonical_context(&self) -> &[u8] {
        &self.canonical_context
    }

    /// Returns the cryptographic backend.
    pub const fn backend(&self) -> &CryptoBackend {
        &self.backend
    }

    /// Returns the data key, if a keyring has generated it.
    pub const fn data_key(&self) -> Option<&SecretBytes> {
        self.data_key.as_ref()
    }

    /// Rejects materials that already contain a data key. Call this before generating one.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if there is a data key.
    pub fn expect_no_data_key(&self) -> Result<()> {
        data_key::expect_none(self.data_key.as_ref())
    }

    /// Returns the data key. Generates a random one if there is none.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the random generator fails.
    pub fn data_key_or_generate(&mut self) -> Result<&SecretBytes> {
        let data_key = match self.data_key.take() {
            Some(data_key) => data_key,
            None => {
                let mut data_key = SecretBytes::zeroed(self.suite.data_key_length());
                self.fill_random(data_key.expose_secret_mut())?;
                data_key
            }
        };
        Ok(self.data_key.insert(data_key))
    }

    /// Sets a data key that was generated by a key source.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if there is already a data key, or if its length does not match
    ///   the suite. Both are faults of the keyring.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::envelope::EncryptionMaterials;
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let suite = AlgorithmSuite::default();
    /// let mut materials = EncryptionMaterials::new(suite, EncryptionContext::new(), CryptoBackend::default())?;
    /// assert!(materials.set_data_key(SecretBytes::zeroed(16)).is_err()); // this suite needs 32 bytes
    /// materials.set_data_key(SecretBytes::zeroed(32))?; // from a key source, which also wraps it
    /// assert!(materials.expect_no_data_key().is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn set_data_key(&mut self, data_key: SecretBytes) -> Result<()> {
        data_key::set(&mut self.data_key, self.suite, data_key)
    }

    /// Returns the wrapped data keys added so far.
    pub fn encrypted_data_keys(&self) -> &[EncryptedDataKey] {
        &self.encrypted_data_keys
    }

    /// Adds a wrapped form of the data key.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the ciphertext is empty, because it could never be unwrapped.
    ///   This is a fault of the keyring.
    pub fn push(&mut self, data_key: EncryptedDataKey) -> Result<()> {
        if data_key.ciphertext().is_empty() {
            return Err(Error::new(ErrorKind::Internal, "the keyring wrapped the data key into an empty ciphertext"));
        }
        self.encrypted_data_keys.push(data_key);
        Ok(())
    }

    /// Fills `output` with random bytes. They are as strong as those of the backend, but small
    /// requests are cheaper.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the random generator fails.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::envelope::EncryptionMaterials;
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::EncryptionContext;
    ///
    /// let suite = AlgorithmSuite::default();
    /// let mut materials = EncryptionMaterials::new(suite, EncryptionContext::new(), CryptoBackend::default())?;
    /// let (mut first, mut second) = ([0; 12], [0; 12]);
    /// materials.fill_random(&mut first)?;
    /// materials.fill_random(&mut second)?;
    /// assert_ne!(first, second);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn fill_random(&mut self, output: &mut [u8]) -> Result<()> {
        if output.len() > self.pool_left {
            if output.len() > POOL_LENGTH {
                return Ok(self.backend.random().fill(output)?);
            }
            self.pool_left = 0;
            self.backend.random().fill(self.pool.as_mut_slice())?;
            self.pool_left = POOL_LENGTH;
        }
        let start = POOL_LENGTH - self.pool_left;
        let drawn = &mut self.pool[start..start + output.len()];
        output.copy_from_slice(drawn);
        // No byte may be returned twice, whatever happens later.
        drawn.fill(0);
        self.pool_left -= output.len();
        Ok(())
    }
}

impl fmt::Debug for EncryptionMaterials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionMaterials")
            .field("suite", &self.suite)
            .field("context", &self.context)
            .field("required_names", &self.required_names)
            .field("data_key", &self.data_key)
            .field("encrypted_data_keys", &self.encrypted_data_keys)
            .finish_non_exhaustive()
    }
}
