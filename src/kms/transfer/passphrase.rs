//! Exports under a passphrase.

use std::fmt;

use super::error::ExportError;
use super::recipient::{ExportIdentity, ExportRecipient, Method, Unwrap, Wrap};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::seal::{PassphraseCost, passphrase};
use crate::secret::SecretBytes;

/// Separates exports from root keys under the same passphrase.
const LABEL: &[u8] = b"strongroom export passphrase v1";

impl ExportRecipient {
    /// Whoever knows a passphrase, at the default [`PassphraseCost`]. An export leaves the house, and can be guessed at for
    /// years: take six or more words drawn at random, say.
    ///
    /// # Errors
    /// [`Validation`](ErrorKind::Validation) for an empty passphrase.
    pub fn passphrase(text: &str) -> Result<Self> {
        Self::passphrase_with_cost(text, PassphraseCost::default())
    }

    /// Whoever knows a passphrase, at a cost of one's own, which is kept in the export.
    ///
    /// # Errors
    /// [`Validation`](ErrorKind::Validation) for an empty passphrase.
    pub fn passphrase_with_cost(text: &str, cost: PassphraseCost) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "the passphrase of an export is empty"));
        }
        Ok(Self::of(Passphrase { text: SecretBytes::copy_of(text.as_bytes()), cost }))
    }
}

impl ExportIdentity {
    /// The passphrase of an export.
    pub fn passphrase(text: &str) -> Self {
        Self::of(Passphrase { text: SecretBytes::copy_of(text.as_bytes()), cost: PassphraseCost::default() })
    }
}

struct Passphrase {
    text: SecretBytes,
    cost: PassphraseCost,
}

impl Wrap for Passphrase {
    fn method(&self) -> Method {
        Method::Passphrase
    }

    fn wrap(&self, backend: &CryptoBackend, header: &[u8], file_key: &SecretBytes) -> Result<Vec<u8>> {
        passphrase::seal(backend, (&self.text, self.cost), LABEL, header, file_key.expose_secret())
    }
}

impl Unwrap for Passphrase {
    fn method(&self) -> Method {
        Method::Passphrase
    }

    fn unwrap(&self, backend: &CryptoBackend, header: &[u8], wrapped: &[u8]) -> Result<SecretBytes, ExportError> {
        passphrase::open(backend, &self.text, LABEL, header, wrapped).ok_or(ExportError::WrongPassphrase)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").field("cost", &self.cost).finish_non_exhaustive()
    }
}
