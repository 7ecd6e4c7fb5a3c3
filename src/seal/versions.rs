//! The versions of a store's root key, unwrapped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::committing::{CommittingKey, OVERHEAD};
use super::error::SealError;
use super::holder;
use crate::codec::Reader;
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::secret::SecretBytes;

/// Separates sealed records from ciphertext blobs.
pub(super) const RECORD_LABEL: &[u8] = b"strongroom seal v1";

/// Version of the format of a sealed record.
const RECORD_FORMAT: u8 = 1;

/// Bytes of a sealed record before its body: format and version of the root key.
pub(super) const RECORD_PREFIX_LENGTH: usize = 5;

/// What seals everything that a store keeps: under the current version of its root key, while what was sealed under
/// another one that is known still opens.
///
/// ```text
/// record = u8 format = 1 ‖ u32 version of the root key ‖ body
/// ```
///
/// The body is that of a [`CommittingKey`] with the label `strongroom seal v1`, the five bytes before it as the prefix,
/// and what the record is bound to as the context.
pub(crate) struct RootKeyVersions {
    current: u32,
    keys: BTreeMap<u32, Arc<CommittingKey>>,
}

impl RootKeyVersions {
    /// Takes over versions, of which `current` is one.
    pub(crate) fn new(
        backend: &CryptoBackend,
        current: u32,
        secrets: impl IntoIterator<Item = (u32, SecretBytes)>,
    ) -> Result<Self> {
        let bind = |(version, secret): (u32, SecretBytes)| {
            Ok((version, Arc::new(CommittingKey::new(backend, secret.expose_secret())?)))
        };
        Ok(Self { current, keys: secrets.into_iter().map(bind).collect::<Result<_>>()? })
    }

    /// Keeps versions that were known before, for what was read while they were in use.
    #[must_use]
    pub(crate) fn keeping(mut self, earlier: &Self) -> Self {
        for (version, key) in &earlier.keys {
            self.keys.entry(*version).or_insert_with(|| Arc::clone(key));
        }
        self
    }

    /// The same versions with another one current; `None` if that one is not known here.
    pub(crate) fn with_current(&self, current: u32) -> Option<Self> {
        self.keys.contains_key(&current).then(|| Self { current, keys: self.keys.clone() })
    }

    /// Draws the secret of a version.
    pub(crate) fn draw(backend: &CryptoBackend) -> Result<SecretBytes> {
        holder::draw(backend)
    }

    /// Whether something sealed names a version that is not known here.
    pub(crate) fn lacks_version_of(&self, sealed: &[u8]) -> bool {
        version_of(sealed).is_some_and(|version| !self.keys.contains_key(&version))
    }

    /// Whether something was sealed under the current version.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        version_of(sealed) == Some(self.current)
    }

    /// Encrypts a record under the current version, bound to what `binding` says of it.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) if there is no randomness.
    pub(crate) fn seal(&self, binding: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.get(&self.current).ok_or(SealError::UnknownVersion { version: self.current })?;
        let prefix = prefix(self.current);
        let mut sealed = Vec::with_capacity(RECORD_PREFIX_LENGTH + OVERHEAD + plaintext.len());
        sealed.extend_from_slice(&prefix);
        key.seal(RECORD_LABEL, &prefix, binding, plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// Decrypts a record that was sealed with the same binding under a version that is known.
    ///
    /// # Errors
    /// [`Integrity`](crate::ErrorKind::Integrity), whatever does not fit.
    pub(crate) fn open(&self, binding: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let version = version_of(sealed).ok_or(SealError::Altered)?;
        let key = self.keys.get(&version).ok_or(SealError::UnknownVersion { version })?;
        let body = &sealed[RECORD_PREFIX_LENGTH..];
        Ok(key.open(RECORD_LABEL, &prefix(version), binding, body).map_err(|_| SealError::Altered)?)
    }
}

impl fmt::Debug for RootKeyVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKeyVersions").field("current", &self.current).finish_non_exhaustive()
    }
}

/// The version that something sealed names; `None` if it is of no format that is known.
fn version_of(sealed: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(sealed);
    let format = reader.u8("format").ok()?;
    reader.u32("version").ok().filter(|_| format == RECORD_FORMAT)
}

fn prefix(version: u32) -> [u8; RECORD_PREFIX_LENGTH] {
    let [a, b, c, d] = version.to_be_bytes();
    [RECORD_FORMAT, a, b, c, d]
}
