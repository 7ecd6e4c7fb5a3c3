//! The materials for decrypting a message. Managers and keyrings find the data key.

use std::collections::BTreeSet;

use super::data_key;
use crate::context::{self, EncryptionContext};
use crate::crypto::CryptoBackend;
use crate::envelope::policy::CommitmentPolicy;
use crate::error::Result;
use crate::message::AlgorithmSuite;
use crate::secret::SecretBytes;

/// Materials for decrypting a message. A keyring sets the data key.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::envelope::{CommitmentPolicy, DecryptionMaterials, EncryptionMaterials, Keyring, RawAesKeyring};
/// use strongroom::message::AlgorithmSuite;
/// use strongroom::{EncryptionContext, SecretBytes};
///
/// // A keyring without an envelope, as in a test of your own keyring.
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let (suite, context, backend) = (AlgorithmSuite::default(), EncryptionContext::new(), CryptoBackend::default());
/// let mut written = EncryptionMaterials::new(suite, context.clone(), backend)?;
/// keyring.on_encrypt(&mut written)?;
///
/// let mut read = DecryptionMaterials::new(suite, context, backend)?;
/// read.expect_no_data_key()?;
/// keyring.on_decrypt(&mut read, written.encrypted_data_keys())?;
/// assert_eq!(read.data_key(), written.data_key());
/// assert!(read.set_data_key(SecretBytes::zeroed(32)).is_err()); // a keyring has set it
/// assert_eq!((read.canonical_context(), read.commitment_policy()), (&b""[..], CommitmentPolicy::default()));
/// assert_eq!(read.with_reproduced_names(["patient"]).reproduced_names().collect::<Vec<_>>(), ["patient"]);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct DecryptionMaterials {
    suite: AlgorithmSuite,
    context: EncryptionContext,
    reproduced_names: BTreeSet<String>,
    canonical_context: Vec<u8>,
    context_as_received: Option<Vec<u8>>,
    commitment_policy: CommitmentPolicy,
    data_key: Option<SecretBytes>,
    backend: CryptoBackend,
}

impl DecryptionMaterials {
    /// Creates materials without a data key.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the context is too long.
    pub fn new(suite: AlgorithmSuite, context: EncryptionContext, backend: CryptoBackend) -> Result<Self> {
        let canonical_context = context.to_canonical_bytes().map_err(context::too_long)?;
        Ok(Self {
            suite,
            context,
            reproduced_names: BTreeSet::new(),
            canonical_context,
            context_as_received: None,
            commitment_policy: CommitmentPolicy::default(),
            data_key: None,
            backend,
        })
    }

    /// Allows data keys that are bound to the context in another order than the canonical one.
    #[must_use]
    pub(in crate::envelope) fn with_context_as_received(mut self, serialized: &[u8]) -> Self {
        self.context_as_received = Some(serialized.to_vec());
        self
    }

    /// Returns the serialization of the context in the header, if data keys may be bound to the
    /// context in another order.
    pub(in crate::envelope) fn context_as_received(&self) -> Option<&[u8]> {
        self.context_as_received.as_deref()
    }

    /// Sets the commitment policy under which the message is read. Otherwise, the default policy
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

    /// Sets the names of the context pairs that the caller supplied, regardless of whether the
    /// header contains them.
    #[must_use]
    pub fn with_reproduced_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.reproduced_names = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// Returns the names of the context pairs that the caller supplied.
    pub fn reproduced_names(&self) -> impl Iterator<Item = &str> {
        self.reproduced_names.iter().map(String::as_str)
    }

    /// Returns the algorithm suite.
    pub const fn suite(&self) -> AlgorithmSuite {
        self.suite
    }

    /// Returns the encryption context to which the data key was bound. It is not authenticated yet.
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

    /// Returns the data key, if a keyring has found it.
    pub const fn data_key(&self) -> Option<&SecretBytes> {
        self.data_key.as_ref()
    }

    /// Rejects materials that already contain a data key. Keyrings must call this first.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`](crate::ErrorKind::Internal) if there is a data key.
    pub fn expect_no_data_key(&self) -> Result<()> {
        data_key::expect_none(self.data_key.as_ref())
    }

    /// Sets the unwrapped data key.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`](crate::ErrorKind::Internal) if there is already a data key, or if
    ///   its length does not match the suite.
    pub fn set_data_key(&mut self, data_key: SecretBytes) -> Result<()> {
        data_key::set(&mut self.data_key, self.suite, data_key)
    }
}
