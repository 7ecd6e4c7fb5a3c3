//! The names that a key has of its own: its id, and the aliases that point to it.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{impl_str_serde, sanitize_for_error};

/// The id of a key: a UUID that is made from random bytes and never used again.
///
/// # Examples
/// ```
/// use strongroom::key::KeyId;
///
/// let id = KeyId::from_random_bytes([0xab; 16]);
/// assert_eq!(id.to_string(), "abababab-abab-4bab-abab-abababababab");
/// assert_eq!(KeyId::parse(&id.to_string())?, id);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Makes a new id of random bytes: a UUID of version 4 (RFC 9562, section 5.4), which keeps 122 bits of them.
    pub const fn from_random_bytes(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid().into_bytes())
    }

    /// The id that these bytes are, as they stand in a stored record or a ciphertext.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads the hyphenated form in lower case. There is no second spelling, so that texts of ids can be compared.
    ///
    /// # Errors
    /// Of kind [`NotFound`](ErrorKind::NotFound) for anything else, as no key can have that id.
    pub fn parse(text: &str) -> Result<Self> {
        let canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) if canonical => Ok(Self(uuid.into_bytes())),
            _ => Err(invalid_key_id(text, "it must be a UUID in lower case")),
        }
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The error for text that cannot name a key.
pub(super) fn invalid_key_id(text: &str, rule: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Invalid keyId '{}': {rule}", sanitize_for_error(text)))
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

/// A name that points to a key of its account: `alias/` and 1 to 250 letters, digits, `/`, `_` and `-`.
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
    /// The most bytes of a name, its prefix included.
    pub const MAX_LENGTH: usize = 256;

    /// Reads a name; case matters.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) if `alias/` is not the beginning or the whole is over 256 bytes,
    /// [`InvalidAliasName`](ErrorKind::InvalidAliasName) if what follows is empty or has other characters.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text
            .strip_prefix(ALIAS_PREFIX)
            .ok_or_else(|| Error::new(ErrorKind::Validation, "Alias must start with the prefix \"alias/\""))?;
        if text.len() > Self::MAX_LENGTH {
            let message = format!("an alias name must have at most {} characters, prefix included", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        if rest.is_empty() || !rest.bytes().all(known) {
            let rule = "letters, digits, / _ and - stand behind its prefix";
            let message = format!("{} contains invalid characters for an alias: {rule}", sanitize_for_error(text));
            return Err(Error::new(ErrorKind::InvalidAliasName, message));
        }
        Ok(Self(text.into()))
    }

    /// The whole name, prefix included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name begins with `alias/aws/` and so is kept for keys that services manage.
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
