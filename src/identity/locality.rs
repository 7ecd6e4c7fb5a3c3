//! The partition and region of ARNs.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// The maximum length of a partition or region, in characters. The longest names in AWS have 14.
const MAX_LOCALITY_NAME: usize = 31;

/// A partition and region: a setting of the whole KMS, and part of every ARN that it returns.
///
/// The default is partition `aws`, region `local`. The names are stored inline, so that threads
/// that clone ARNs do not contend on a shared reference count.
///
/// # Examples
/// ```
/// use strongroom::identity::Locality;
///
/// let locality = Locality::new("aws-eusc", "eusc-de-east-1")?;
/// assert_eq!((locality.partition(), locality.region()), ("aws-eusc", "eusc-de-east-1"));
/// assert_eq!(Locality::default(), Locality::new("aws", "local")?);
/// assert!(Locality::new("aws", "Frankfurt:Main").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub(super) partition: ShortName,
    region: ShortName,
}

impl Locality {
    /// Creates a locality from a partition and a region, each 1 to 31 characters of `a` to `z`, `0`
    /// to `9`, and `-`.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a name is malformed.
    pub fn new(partition: &str, region: &str) -> Result<Self> {
        Ok(Self { partition: ShortName::parse("partition", partition)?, region: ShortName::parse("region", region)? })
    }

    /// Returns the partition, which defaults to `aws`.
    pub fn partition(&self) -> &str {
        self.partition.as_str()
    }

    /// Returns the region, which defaults to `local`.
    pub fn region(&self) -> &str {
        self.region.as_str()
    }
}

impl Default for Locality {
    fn default() -> Self {
        Self { partition: ShortName::AWS, region: ShortName::from_ascii(b"local") }
    }
}

/// A name of up to 31 characters, padded with zero bytes, which cannot occur in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ShortName {
    bytes: [u8; MAX_LOCALITY_NAME],
    length: u8,
}

impl ShortName {
    pub(super) const AWS: Self = {
        let mut bytes = [0; MAX_LOCALITY_NAME];
        (bytes[0], bytes[1], bytes[2]) = (b'a', b'w', b's');
        Self { bytes, length: 3 }
    };

    pub(super) fn parse(what: &str, name: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > MAX_LOCALITY_NAME || !name.bytes().all(known) {
            let message = format!("a {what} must be 1 to {MAX_LOCALITY_NAME} characters of a-z, 0-9 and -");
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self::from_ascii(name.as_bytes()))
    }

    /// Creates a name from ASCII whose length was already checked. A longer name is truncated.
    fn from_ascii(name: &[u8]) -> Self {
        let length = name.len().min(MAX_LOCALITY_NAME);
        let mut bytes = [0; MAX_LOCALITY_NAME];
        bytes[..length].copy_from_slice(&name[..length]);
        Self { bytes, length: u8::try_from(length).unwrap_or_default() }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locality({}:{})", self.partition(), self.region())
    }
}
