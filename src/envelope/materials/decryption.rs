//! The materials of a message that is being read, whose data key managers and keyrings find.

use std::collections::BTreeSet;

use super::data_key;
use crate::context::{self, EncryptionContext};
use crate::crypto::CryptoBackend;
use crate::envelope::policy::CommitmentPolicy;
use crate::error::Result;
use crate::message::AlgorithmSuite;
use crate::secret::SecretBytes;

/// Materials of a message that is being read. A keyring fills in the data key.
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
    /// Materials without the data key yet.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the context is too long.
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

    /// The serialization of the context in the header, if data keys may be bound to the context in another order.
    pub(in crate::envelope) fn context_as_received(&self) -> Option<&[u8]> {
        self.context_as_received.as_deref()
    }

    /// Says under which commitment policy the message is read; without it, under the default one.
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

    /// Says which pairs of the context the caller brought, whether the header shows them or not.
    #[must_use]
    pub fn with_reproduced_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.reproduced_names = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// The names of the pairs of the context that the caller brought.
    pub fn reproduced_names(&self) -> impl Iterator<Item = &str> {
        self.reproduced_names.iter().map(String::as_str)
    }

    /// The algorithm suite.
    pub const fn suite(&self) -> AlgorithmSuite {
        self.suite
    }

    /// The encryption context, to which the data key was bound. Not authentic yet.
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

    /// The data key, once a keyring found it.
    pub const fn data_key(&self) -> Option<&SecretBytes> {
        self.data_key.as_ref()
    }

    /// Refuses materials that have a data key already: a keyring asks first.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if there is one.
    pub fn expect_no_data_key(&self) -> Result<()> {
        data_key::expect_none(self.data_key.as_ref())
    }

    /// Sets the data key that was unwrapped.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if there is one already, or if its length is not that of the suite.
    pub fn set_data_key(&mut self, data_key: SecretBytes) -> Result<()> {
        data_key::set(&mut self.data_key, self.suite, data_key)
    }
}
