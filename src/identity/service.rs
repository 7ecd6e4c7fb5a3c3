//! Services, which use keys on behalf of their callers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// The maximum length of a service name, in characters.
const MAX_SERVICE_NAME: usize = 64;
pub(super) const SERVICE_DOMAIN: &str = ".amazonaws.com";

/// The short name of a service, such as `s3` or `rds`. Cloning copies one pointer.
///
/// # Examples
/// ```
/// use strongroom::identity::ServiceName;
///
/// let s3 = ServiceName::parse("s3")?;
/// assert_eq!((s3.as_str(), s3.domain()), ("s3", "s3.amazonaws.com".to_owned()));
/// assert!(ServiceName::parse("S3").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Parses a short name.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless the name is 1 to 64 characters of `a` to `z`,
    ///   `0` to `9`, `-`, and single dots between them.
    pub fn parse(name: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let whole = name.split('.').all(|part| !part.is_empty() && part.bytes().all(known));
        if !whole || name.len() > MAX_SERVICE_NAME {
            let message = "a service name must be 1 to 64 characters of a-z, 0-9 and -, separated by dots";
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(Self(name.into()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the domain name, which identifies the service in policies, grants, and the audit
    /// trail.
    pub fn domain(&self) -> String {
        format!("{self}{SERVICE_DOMAIN}")
    }
}

impl FromStr for ServiceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceName({self})")
    }
}
