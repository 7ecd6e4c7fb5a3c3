//! The identifiers of a key: its ID, and the aliases that point to it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{impl_str_serde, sanitize_for_error};

/// The ID of a key: a UUID generated from random bytes and never reused.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::KeyId;
///
/// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// assert_eq!(id.to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
/// assert_eq!(KeyId::from_bytes(*id.as_bytes()), id);
/// // Random bytes become a UUID of version 4.
/// assert_eq!(KeyId::from_random_bytes([0xab; 16]).to_string(), "abababab-abab-4bab-abab-abababababab");
/// // Other text identifies no key.
/// assert_eq!(KeyId::parse("reports").unwrap_err().kind(), ErrorKind::NotFound);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Creates an ID from random bytes: a version 4 UUID (RFC 9562, section 5.4), which uses 122 of
    /// the bits.
    pub const fn from_random_bytes(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid().into_bytes())
    }

    /// Creates an ID from its bytes, as found in a stored record or a ciphertext.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Parses the lowercase hyphenated form. No other spelling is accepted, so IDs can be compared
    /// as text.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the text is not an ID, since no key can have it.
    pub fn parse(text: &str) -> Result<Self> {
        let canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) if canonical => Ok(Self(uuid.into_bytes())),
            _ => Err(invalid_key_id(text, "it must be a lowercase UUID")),
        }
    }

    /// Returns the sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Returns the error for text that cannot identify a key, in the wording of AWS KMS.
pub(super) fn invalid_key_id(text: &str, advice: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::NotFound, format!("Invalid keyId '{}'", sanitize_for_error(text))).with_advice(advice)
}

/// The cause of an error about a key ID that AWS KMS considers well-formed, although no key here can
/// have it: a UUID in upper case, or the ID of a multi-Region key.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the id of a key must be a lowercase UUID")]
pub(crate) struct ForeignKeyId(pub(crate) String);

impl ForeignKeyId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let is_multi_region = text.strip_prefix("mrk-").is_some_and(|id| id.len() == 32 && is_hex(id));
        let is_uuid = text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
        (is_multi_region || is_uuid).then(|| Self(text.to_owned()))
    }

    /// Returns the ID that an error is about. Returns `None` if it was in an ARN: then the error
    /// already has the wording of AWS KMS for a missing key.
    pub(crate) fn of(error: &Error) -> Option<&Self> {
        error.downcast_ref().filter(|_| !error.to_string().starts_with("Key "))
    }
}

/// Returns the error for an ARN whose key ID is malformed, in the wording of the service.
pub(super) fn invalid_key_id_of_arn(id: &str) -> Error {
    let text = format!("Invalid keyId {}", sanitize_for_error(id));
    Error::new(ErrorKind::NotFound, text).with_advice("the id in a key ARN must be a lowercase UUID")
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(uuid::Uuid::from_bytes_ref(&self.0).as_hyphenated(), f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

const ALIAS_PREFIX: &str = "alias/";
const RESERVED_PREFIX: &str = "alias/aws/";
/// The text of AWS KMS for an alias without its prefix.
const WITHOUT_PREFIX: &str = "Alias must start with the prefix \"alias/\". Please see \
    https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html";

/// A name that points to a key of its account: `alias/` followed by 1 to 250 letters, digits, `/`,
/// `_`, and `-`.
///
/// # Examples
/// ```
/// use strongroom::key::AliasName;
///
/// let name = AliasName::parse("alias/backup/2030")?;
/// assert_eq!(name.as_str(), "alias/backup/2030");
/// assert!(AliasName::parse("backup").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(Arc<str>);

impl AliasName {
    /// The maximum length in bytes, including the prefix.
    pub const MAX_LENGTH: usize = 256;

    /// Parses a case-sensitive name.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text does not begin with `alias/` or is
    ///   longer than 256 bytes.
    /// - [`InvalidAliasName`](ErrorKind::InvalidAliasName) if the rest is empty or contains other
    ///   characters.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(ALIAS_PREFIX).ok_or_else(|| Error::new(ErrorKind::Validation, WITHOUT_PREFIX))?;
        if text.len() > Self::MAX_LENGTH {
            let message =
                format!("an alias name must have at most {} characters, including its prefix", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        if rest.is_empty() || !rest.bytes().all(known) {
            let rule = "the prefix must be followed by letters, digits, '/', '_' and '-'";
            let message = format!("{} contains invalid characters for an alias: {rule}", sanitize_for_error(text));
            return Err(Error::new(ErrorKind::InvalidAliasName, message));
        }
        Ok(Self(text.into()))
    }

    /// Returns the full name, including the prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the name begins with `alias/aws/`, which is reserved for service-managed
    /// keys.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::AliasName;
    ///
    /// assert!(AliasName::parse("alias/aws/s3")?.is_reserved());
    /// assert!(!AliasName::parse("alias/awsome")?.is_reserved());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AliasName({self})")
    }
}

impl_str_serde!(KeyId, AliasName);

#[cfg(test)]
mod tests;
