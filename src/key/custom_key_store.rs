//! Names and states of custom key stores: IDs, cluster IDs, and connection states.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{impl_str_serde, sanitize_for_error, string_enum};

const ID_PREFIX: &str = "cks-";

/// The number of hexadecimal digits after the prefix of an ID.
const ID_DIGITS: usize = 17;

/// The ID of a custom key store: `cks-` followed by 17 hexadecimal digits, generated at random.
///
/// # Examples
/// ```
/// use strongroom::key::CustomKeyStoreId;
///
/// let id = CustomKeyStoreId::from_random_bytes([0xab; 9]);
/// assert_eq!(id.to_string(), "cks-ababababababababa");
/// assert_eq!(CustomKeyStoreId::parse(id.as_str())?, id);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomKeyStoreId([u8; ID_PREFIX.len() + ID_DIGITS]);

impl CustomKeyStoreId {
    /// Creates an ID from random bytes. Uses 68 of the 72 bits.
    pub fn from_random_bytes(random: [u8; 9]) -> Self {
        let mut digits = [0; 18];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let mut id = [0; ID_PREFIX.len() + ID_DIGITS];
        id[..ID_PREFIX.len()].copy_from_slice(ID_PREFIX.as_bytes());
        id[ID_PREFIX.len()..].copy_from_slice(&digits[..ID_DIGITS]);
        Self(id)
    }

    /// Parses an ID.
    ///
    /// # Errors
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the text is not an ID,
    ///   since no store can have it.
    pub fn parse(text: &str) -> Result<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match <[u8; ID_PREFIX.len() + ID_DIGITS]>::try_from(text.as_bytes()) {
            Ok(id) if text.starts_with(ID_PREFIX) && id[ID_PREFIX.len()..].iter().copied().all(is_digit) => {
                Ok(Self(id))
            }
            _ => {
                let text = format!("there is no custom key store '{}'", sanitize_for_error(text));
                Err(Error::new(ErrorKind::CustomKeyStoreNotFound, text))
            }
        }
    }

    /// Returns the ID as text.
    #[expect(clippy::missing_panics_doc, reason = "the invariant holds by construction")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the id of a custom key store is ASCII")
    }
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

impl fmt::Display for CustomKeyStoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CustomKeyStoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomKeyStoreId({self})")
    }
}

/// The human-readable name of a custom key store: 1 to 256 characters, unique within the account.
///
/// # Examples
/// ```
/// use strongroom::key::CustomKeyStoreName;
///
/// assert_eq!(CustomKeyStoreName::parse("Signing keys, Frankfurt")?.as_str(), "Signing keys, Frankfurt");
/// assert!(CustomKeyStoreName::parse("").is_err());
/// assert!(CustomKeyStoreName::parse(&"x".repeat(CustomKeyStoreName::MAX_LENGTH + 1)).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomKeyStoreName(Arc<str>);

impl CustomKeyStoreName {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 256;

    /// Creates a name.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text is empty or has more than 256
    ///   characters.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() || text.chars().nth(Self::MAX_LENGTH).is_some() {
            let message = format!("the name of a custom key store must have 1 to {} characters", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self(text.into()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomKeyStoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The ID of an HSM cluster: the name under which it was passed to the builder of the `Kms`.
///
/// Contains 1 to 64 letters, digits, `-`, and `_`, like the IDs of AWS CloudHSM
/// (`cluster-1a23b4cdefg`). It is never the path of a PKCS#11 module, so no record or request can
/// make this process load a library.
///
/// # Examples
/// ```
/// use strongroom::key::ClusterId;
///
/// assert_eq!(ClusterId::parse("vault-a")?.as_str(), "vault-a");
/// assert!(ClusterId::parse("/usr/lib/libsofthsm2.so").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(Arc<str>);

impl ClusterId {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Parses an ID.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text is not an ID.
    pub fn parse(text: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(known) {
            let message = format!("a cluster id must be 1 to {} letters, digits, '-' and '_'", Self::MAX_LENGTH);
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self(text.into()))
    }

    /// Returns the ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl_str_serde!(CustomKeyStoreId, CustomKeyStoreName, ClusterId);

string_enum! {
    /// The kinds of keys that a custom key store can hold. The mode cannot be changed after
    /// creation.
    pub enum CustomKeyStoreMode as "custom key store mode" {
        /// Symmetric encryption keys only, as in AWS KMS.
        AwsCompatible => "AWS_COMPATIBLE",
        /// Every kind of key that the cluster supports, including RSA and elliptic-curve keys. AWS
        /// KMS has no such mode.
        Extended => "BEYOND_AWS",
    }
}

string_enum! {
    /// The state of the connection between a custom key store and its cluster.
    pub enum ConnectionState as "connection state" {
        /// Connected. Its keys are available as long as one HSM responds.
        Connected => "CONNECTED",
        /// Being connected.
        Connecting => "CONNECTING",
        /// The last connection attempt failed. [`ConnectionErrorCode`] contains the reason.
        Failed => "FAILED",
        /// Not connected. Its keys are unavailable.
        Disconnected => "DISCONNECTED",
        /// Being disconnected.
        Disconnecting => "DISCONNECTING",
    }
}

string_enum! {
    /// Reasons why a custom key store could not be connected: the subset of AWS KMS codes that can
    /// occur with a PKCS#11 cluster.
    pub enum ConnectionErrorCode as "connection error code" {
        /// The builder of the `Kms` was not given a cluster of that name.
        ClusterNotFound => "CLUSTER_NOT_FOUND",
        /// No HSM of the cluster is active.
        InsufficientHsms => "INSUFFICIENT_CLOUDHSM_HSMS",
        /// An invariant was violated.
        InternalError => "INTERNAL_ERROR",
        /// The password of the crypto user is wrong. It is not tried again until the store is
        /// disconnected.
        InvalidCredentials => "INVALID_CREDENTIALS",
        /// The HSMs cannot be reached.
        NetworkErrors => "NETWORK_ERRORS",
        /// The crypto user is locked out after too many wrong passwords.
        UserLockedOut => "USER_LOCKED_OUT",
        /// The crypto user is logged in elsewhere, and the HSM allows only one login.
        UserLoggedIn => "USER_LOGGED_IN",
        /// The HSMs have no crypto user yet.
        UserNotFound => "USER_NOT_FOUND",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_cks_and_17_hexadecimal_digits() -> Result<()> {
        for random in [[0; 9], [0xFF; 9], [0x5E; 9]] {
            let id = CustomKeyStoreId::from_random_bytes(random);
            assert_eq!(CustomKeyStoreId::parse(id.as_str())?, id);
        }
        for wrong in [
            "",
            "cks-",
            "cks-0123456789abcdef",
            "cks-0123456789abcdef01",
            "cks-0123456789ABCDEF0",
            "cms-0123456789abcdef0",
        ] {
            let error = CustomKeyStoreId::parse(wrong).expect_err("an id with a wrong length is rejected");
            assert_eq!(error.kind(), ErrorKind::CustomKeyStoreNotFound, "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn names_and_cluster_ids_have_limits() {
        for (length, fits) in [(0, false), (1, true), (256, true), (257, false)] {
            assert_eq!(CustomKeyStoreName::parse(&"ü".repeat(length)).is_ok(), fits, "{length}");
        }
        for (text, fits) in [("a", true), ("cluster-1a23b4cdefg", true), ("", false), ("a/b", false), ("a.so", false)] {
            assert_eq!(ClusterId::parse(text).is_ok(), fits, "{text}");
        }
        assert!(ClusterId::parse(&"x".repeat(64)).is_ok() && ClusterId::parse(&"x".repeat(65)).is_err());
    }
}
