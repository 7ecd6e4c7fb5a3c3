//! Branch keys and beacon keys in plaintext.

use std::fmt;

use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The longest ID of a branch key in bytes.
pub const MAX_BRANCH_KEY_ID: usize = 512;

/// The length of a branch key and of a beacon key in bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// The ID of a version of a branch key: a UUID (RFC 9562).
///
/// # Examples
/// ```
/// use strongroom::envelope::BranchKeyVersion;
///
/// let version = BranchKeyVersion::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// assert_eq!(version.to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
/// assert_eq!(BranchKeyVersion::from_bytes(*version.as_bytes()), version);
/// assert!(BranchKeyVersion::parse("ACTIVE").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchKeyVersion([u8; 16]);

impl BranchKeyVersion {
    /// Creates an ID from random bytes: a UUID of version 4.
    pub(super) const fn from_random_bytes(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid().into_bytes())
    }

    /// Creates an ID from its bytes, as in a wrapped data key.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Parses the lowercase hyphenated form.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the text is not such a UUID.
    pub fn parse(text: &str) -> Result<Self> {
        let is_canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let refused = || Error::new(ErrorKind::Validation, "the version of a branch key must be a lowercase UUID");
        let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| is_canonical).ok_or_else(refused)?;
        Ok(Self(uuid.into_bytes()))
    }

    /// Returns the sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for BranchKeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(uuid::Uuid::from_bytes_ref(&self.0).as_hyphenated(), f)
    }
}

impl fmt::Debug for BranchKeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BranchKeyVersion({self})")
    }
}

/// A version of a branch key in plaintext, as returned by [`BranchKeyStore`](super::BranchKeyStore).
///
/// # Examples
/// ```
/// use strongroom::envelope::{BranchKeyStore, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// let context = EncryptionContext::from([("department", "accounting")]);
/// keys.create_branch_key_as("tenant-42", &context)?;
///
/// let key = keys.active("tenant-42")?;
/// assert_eq!((key.id(), key.encryption_context()), ("tenant-42", &context));
/// assert_eq!(key.expose_secret().len(), 32);
/// assert_eq!(keys.version("tenant-42", key.version())?.expose_secret(), key.expose_secret());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct BranchKey {
    pub(super) id: String,
    pub(super) version: BranchKeyVersion,
    pub(super) context: EncryptionContext,
    pub(super) key: SecretBytes,
}

impl BranchKey {
    /// Returns the ID of the branch key, which is the same for all its versions.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the version.
    pub const fn version(&self) -> BranchKeyVersion {
        self.version
    }

    /// Returns the encryption context that was specified when the branch key was created.
    pub const fn encryption_context(&self) -> &EncryptionContext {
        &self.context
    }

    /// Returns the 32 bytes of the key.
    pub fn expose_secret(&self) -> &[u8] {
        self.key.expose_secret()
    }

    /// Returns the key, which is wiped when it is dropped.
    pub(in crate::envelope) fn into_secret(self) -> SecretBytes {
        self.key
    }
}

impl fmt::Debug for BranchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchKey").field("id", &self.id).field("version", &self.version).finish_non_exhaustive()
    }
}

/// The beacon key of a branch key in plaintext. It authenticates values for searches, for example of
/// the AWS Database Encryption SDK, and has no versions.
///
/// # Examples
/// ```
/// use strongroom::envelope::{BranchKeyStore, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// let id = keys.create_branch_key(&EncryptionContext::new())?;
/// let beacon = keys.beacon(&id)?;
/// keys.rotate(&id)?;
/// assert_eq!(keys.beacon(&id)?.expose_secret(), beacon.expose_secret());
/// assert_eq!((beacon.id(), beacon.encryption_context().len()), (id.as_str(), 0));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct BeaconKey {
    pub(super) id: String,
    pub(super) context: EncryptionContext,
    pub(super) key: SecretBytes,
}

impl BeaconKey {
    /// Returns the ID of the branch key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the encryption context that was specified when the branch key was created.
    pub const fn encryption_context(&self) -> &EncryptionContext {
        &self.context
    }

    /// Returns the 32 bytes of the key.
    pub fn expose_secret(&self) -> &[u8] {
        self.key.expose_secret()
    }
}

impl fmt::Debug for BeaconKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeaconKey").field("id", &self.id).finish_non_exhaustive()
    }
}
