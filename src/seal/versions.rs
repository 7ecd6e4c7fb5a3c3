//! The unwrapped versions of a store's root key.

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

/// Format version of a sealed record.
const RECORD_FORMAT: u8 = 1;

/// Number of bytes before the body of a sealed record: format and root key version.
pub(super) const RECORD_PREFIX_LENGTH: usize = 5;

/// The versions of a store's root key, which seal all records. New records are sealed under the
/// current version, and records sealed under any known version can be opened.
///
/// ```text
/// record = u8 format = 1 ‖ u32 version of the root key ‖ body
/// ```
///
/// The body is that of a [`CommittingKey`] with the label `strongroom seal v1`. Its prefix is the
/// five bytes before the body, and its context is the binding of the record.
pub(crate) struct RootKeyVersions {
    current: u32,
    keys: BTreeMap<u32, Arc<CommittingKey>>,
}

impl RootKeyVersions {
    /// Creates the set from versions that include `current`.
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

    /// Adds versions that were known before, for records that were read while those versions were
    /// in use.
    #[must_use]
    pub(crate) fn keeping(mut self, earlier: &Self) -> Self {
        for (version, key) in &earlier.keys {
            self.keys.entry(*version).or_insert_with(|| Arc::clone(key));
        }
        self
    }

    /// Returns the same versions with another one current, or `None` if that version is unknown.
    pub(crate) fn with_current(&self, current: u32) -> Option<Self> {
        self.keys.contains_key(&current).then(|| Self { current, keys: self.keys.clone() })
    }

    /// Generates the secret of a new version.
    pub(crate) fn draw(backend: &CryptoBackend) -> Result<SecretBytes> {
        holder::draw(backend)
    }

    /// Returns `true` if sealed data specifies an unknown version.
    pub(crate) fn lacks_version_of(&self, sealed: &[u8]) -> bool {
        version_of(sealed).is_some_and(|version| !self.keys.contains_key(&version))
    }

    /// Returns `true` if data was sealed under the current version.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        version_of(sealed) == Some(self.current)
    }

    /// Encrypts a record under the current version, bound to `binding`.
    ///
    /// # Errors
    /// - [`Internal`](crate::ErrorKind::Internal) if random bytes are unavailable.
    pub(crate) fn seal(&self, binding: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.get(&self.current).ok_or(SealError::UnknownVersion { version: self.current })?;
        let prefix = prefix(self.current);
        let mut sealed = Vec::with_capacity(RECORD_PREFIX_LENGTH + OVERHEAD + plaintext.len());
        sealed.extend_from_slice(&prefix);
        key.seal(RECORD_LABEL, &prefix, binding, plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// Decrypts a record that was sealed with the same binding under a known version.
    ///
    /// # Errors
    /// - [`Integrity`](crate::ErrorKind::Integrity) if the record is malformed or not authentic.
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

/// Returns the version that sealed data specifies, or `None` if its format is unknown.
fn version_of(sealed: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(sealed);
    let format = reader.u8("format").ok()?;
    reader.u32("version").ok().filter(|_| format == RECORD_FORMAT)
}

fn prefix(version: u32) -> [u8; RECORD_PREFIX_LENGTH] {
    let [a, b, c, d] = version.to_be_bytes();
    [RECORD_FORMAT, a, b, c, d]
}
