//! The materials of a message that is being written, which managers and keyrings fill in.

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

/// Randomness that one message with one raw key needs: message id (32), data key (32) and wrapping IV (12). It is asked
/// for at once, because the call costs more than the bytes.
const POOL_LENGTH: usize = 32 + 32 + 12;

/// Materials of a message that is being written. Keyrings fill them in.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::envelope::EncryptionMaterials;
/// use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
/// use strongroom::EncryptionContext;
///
/// let suite = AlgorithmSuite::default();
/// let mut materials = EncryptionMaterials::new(suite, EncryptionContext::new(), CryptoBackend::default())?;
/// assert_eq!(materials.data_key_or_generate()?.len(), suite.data_key_length());
/// materials.push(EncryptedDataKey::new("my-vault", *b"key 1", *b"wrapped"))?;
/// assert_eq!(materials.encrypted_data_keys().len(), 1);
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
    /// Materials without any key yet.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the context is too long.
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

    /// Leaves a pair of the context out of the header of the message. Who decrypts must then know it; data key and
    /// header are bound to it all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the context does not have the name, or if it is reserved.
    pub fn require_context(&mut self, name: &str) -> Result<()> {
        if self.context.get(name).is_none() || name.starts_with(RESERVED_CONTEXT_PREFIX) {
            let text = format!("the encryption context must have {name:?}, which those who decrypt are to know");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.required_names.insert(name.to_owned());
        Ok(())
    }

    /// The names of the pairs that the header leaves out.
    pub fn required_names(&self) -> impl Iterator<Item = &str> {
        self.required_names.iter().map(String::as_str)
    }

    /// The canonical serializations of what the header shows of the context and of what it leaves out.
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

    /// Says under which commitment policy the message is written; without it, under the default one.
    #[must_use]
    pub const fn with_commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.commitment_policy = policy;
        self
    }

    /// The commitment policy, which the suite was checked against. What is kept for later messages must be kept for this
    /// policy only.
    pub const fn commitment_policy(&self) -> CommitmentPolicy {
        self.commitment_policy
    }

    /// Says how many bytes of plaintext the message will have.
    #[must_use]
    pub const fn with_plaintext_length(mut self, bytes: u64) -> Self {
        self.plaintext_length = Some(bytes);
        self
    }

    pub(in crate::envelope) const fn forget_plaintext_length(&mut self) {
        self.plaintext_length = None;
    }

    /// Bytes of plaintext of the message, if that is known beforehand.
    pub const fn plaintext_length(&self) -> Option<u64> {
        self.plaintext_length
    }

    /// The algorithm suite.
    pub const fn suite(&self) -> AlgorithmSuite {
        self.suite
    }

    /// The encryption context, to which a keyring binds the data key.
    pub const fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// The canonical serialization of the encryption context.
    pub fn canonical_context(&self) -> &[u8] {
        &self.canonical_context
    }

    /// The cryptography to use.
    pub const fn backend(&self) -> &CryptoBackend {
        &self.backend
    }

    /// The data key, once a keyring made it.
    pub const fn data_key(&self) -> Option<&SecretBytes> {
        self.data_key.as_ref()
    }

    /// Refuses materials that have a data key already: who means to make one asks first.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if there is one.
    pub fn expect_no_data_key(&self) -> Result<()> {
        data_key::expect_none(self.data_key.as_ref())
    }

    /// The data key; a random one is made if there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the random generator fails.
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

    /// Sets the data key that a key source made.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if there is one already, or if its length is not that of the suite: the keyring is at
    /// fault.
    pub fn set_data_key(&mut self, data_key: SecretBytes) -> Result<()> {
        data_key::set(&mut self.data_key, self.suite, data_key)
    }

    /// The wrapped data keys so far.
    pub fn encrypted_data_keys(&self) -> &[EncryptedDataKey] {
        &self.encrypted_data_keys
    }

    /// Adds a wrapped form of the data key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the ciphertext is empty, which nobody could ever open: the keyring is at fault.
    pub fn push(&mut self, data_key: EncryptedDataKey) -> Result<()> {
        if data_key.ciphertext().is_empty() {
            return Err(Error::new(ErrorKind::Internal, "a keyring wrapped the data key to nothing"));
        }
        self.encrypted_data_keys.push(data_key);
        Ok(())
    }

    /// Fills `output` with random bytes: as strong as the backend's, and cheaper by the piece.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the random generator fails.
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
        // No byte may be handed out twice, whatever happens later.
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
