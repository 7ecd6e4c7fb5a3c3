//! Identities and locations: accounts, principals, and the partition and region in ARNs.
//!
//! Every key, alias, and grant belongs to one account ([`AccountId`]). A [`Principal`] is the party
//! that calls an operation: the root, a user, or a role of an account, or a service
//! ([`ServiceName`]) that acts for one. It formats as the ARN that policies and grants contain.
//! strongroom does not authenticate principals. The application does, and obtains a handle for each
//! of them from [`Kms::as_principal`](crate::Kms::as_principal).
//!
//! A [`Locality`] is the partition and region of all ARNs of a `Kms`. Set it with
//! [`KmsBuilder::locality`](crate::KmsBuilder::locality).
//!
//! # Examples
//! ```
//! use strongroom::identity::{AccountId, Locality, Principal};
//! use strongroom::{ErrorKind, Kms};
//!
//! let account = AccountId::parse("111122223333")?;
//! let kms = Kms::builder().account(account).locality(Locality::new("aws", "eu-central-1")?).build()?;
//! assert_eq!(kms.principal(), &Principal::root(account));
//!
//! let worker = kms.as_principal(Principal::role(account, "worker")?)?;
//! assert_eq!(worker.principal().to_string(), "arn:aws:iam::111122223333:role/worker");
//! assert_eq!(worker.create_key(Default::default()).unwrap_err().kind(), ErrorKind::AccessDenied);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod service;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use self::service::SERVICE_DOMAIN;
pub use self::service::ServiceName;
use crate::error::{Error, ErrorKind, Result};

/// An account ID: twelve decimal digits. Every key, alias, and grant belongs to one account.
///
/// # Examples
/// ```
/// use strongroom::identity::AccountId;
///
/// let account = AccountId::parse("111122223333")?;
/// assert_eq!((account.as_str(), account.as_bytes()), ("111122223333", b"111122223333"));
/// assert_eq!(AccountId::default().to_string(), "000000000000");
/// assert!(AccountId::parse("1234").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// The account of service-owned keys, `999999000000`. Only services can act in it.
    pub const SERVICES: Self = Self(*b"999999000000");

    /// Parses twelve decimal digits.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text is not twelve decimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        match <[u8; 12]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(Error::new(ErrorKind::Validation, "an account id must be twelve decimal digits")),
        }
    }

    /// Returns the digits as ASCII, suitable as part of an index.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// Returns the digits as a string.
    #[expect(clippy::missing_panics_doc, reason = "the invariant holds by construction")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an account id holds ASCII digits only")
    }
}

impl Default for AccountId {
    /// Returns the default account of a KMS: twelve zeros.
    fn default() -> Self {
        Self(*b"000000000000")
    }
}

impl FromStr for AccountId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

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
    partition: ShortName,
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
        Self { partition: ShortName::from_ascii(b"aws"), region: ShortName::from_ascii(b"local") }
    }
}

/// A name of up to 31 characters, padded with zero bytes, which cannot occur in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ShortName {
    bytes: [u8; MAX_LOCALITY_NAME],
    length: u8,
}

impl ShortName {
    fn parse(what: &str, name: &str) -> Result<Self> {
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

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locality({}:{})", self.partition(), self.region())
    }
}

/// Kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// The account itself.
    Root,
    /// A user of the account.
    User,
    /// A role of the account.
    Role,
    /// A service acting on behalf of the account.
    Service,
}

/// The maximum length of the last component of a user or role name, in characters.
const MAX_PRINCIPAL_NAME: usize = 64;
/// The maximum length of a user or role name including its path, in characters.
const MAX_PRINCIPAL_PATH: usize = 512;

/// The principal that acts: an account root, a user or role of an account, or a service on behalf
/// of an account.
///
/// Formats as an ARN, or as a domain name for a service. Cloning copies one pointer.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal, PrincipalKind};
///
/// let account = AccountId::parse("111122223333")?;
/// let alice = Principal::user(account, "engineering/alice")?;
/// assert_eq!(alice.to_string(), "arn:aws:iam::111122223333:user/engineering/alice");
/// assert_eq!(Principal::parse(&alice.to_string())?, alice);
/// assert_eq!((alice.account(), alice.kind()), (account, PrincipalKind::User));
/// assert_eq!(alice.name(), Some("engineering/alice"));
///
/// assert_eq!(Principal::role(account, "worker")?.to_string(), "arn:aws:iam::111122223333:role/worker");
/// let root = Principal::root(account);
/// assert_eq!((root.to_string().as_str(), root.name()), ("arn:aws:iam::111122223333:root", None));
/// assert!(root.is_account_root());
///
/// let s3 = Principal::service(account, "s3")?;
/// assert_eq!(s3.as_service().map(|service| service.as_str()), Some("s3"));
/// assert!(Principal::parse("s3.amazonaws.com").is_err()); // for which account?
/// assert_eq!(Principal::parse_on_behalf_of(account, "s3.amazonaws.com")?, s3);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    account: AccountId,
    identity: Identity,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Identity {
    Root,
    User(Arc<str>),
    Role(Arc<str>),
    Service(ServiceName),
}

impl Principal {
    /// Returns the root of an account, which can do whatever key policies delegate to the account.
    pub const fn root(account: AccountId) -> Self {
        Self { account, identity: Identity::Root }
    }

    /// Creates a user of the account. The name may include a path (`engineering/alice`).
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless each component of the name is 1 to 64
    ///   letters, digits, and `_+=,.@-`, and the full name is at most 512 characters.
    pub fn user(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::User(checked_name(name)?) })
    }

    /// Creates a role of the account. The name may include a path.
    ///
    /// # Errors
    /// - The errors of [`Principal::user`].
    pub fn role(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::Role(checked_name(name)?) })
    }

    /// Creates a service acting on behalf of `account`, from its short name such as `s3` or `rds`.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless the name is 1 to 64 characters of `a` to `z`,
    ///   `0` to `9`, `-`, and single dots between them.
    pub fn service(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::Service(ServiceName::parse(name)?) })
    }

    /// Parses the ARN of an account root, a user, or a role.
    ///
    /// The domain name of a service does not specify an account. Use
    /// [`Principal::parse_on_behalf_of`] where a service is allowed.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is not such an ARN.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_arn(text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidArn, "not the ARN of an account root, a user or a role"))
    }

    /// Parses the same ARNs as [`Principal::parse`], and the domain name of a service as acting on
    /// behalf of `account`.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is neither.
    pub fn parse_on_behalf_of(account: AccountId, text: &str) -> Result<Self> {
        match text.strip_suffix(SERVICE_DOMAIN) {
            Some(name) => Self::service(account, name)
                .map_err(|error| Error::new(ErrorKind::InvalidArn, "not a service name").with_source(error)),
            None => Self::parse(text),
        }
    }

    fn parse_arn(text: &str) -> Option<Self> {
        let (account, resource) = text.strip_prefix(IAM_PREFIX)?.split_once(':')?;
        let account = AccountId::parse(account).ok()?;
        match resource.split_once('/') {
            None if resource == "root" => Some(Self::root(account)),
            Some(("user", name)) => Self::user(account, name).ok(),
            Some(("role", name)) => Self::role(account, name).ok(),
            _ => None,
        }
    }

    /// Returns the account that the principal belongs to, or that a service acts for.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the kind of this principal.
    pub const fn kind(&self) -> PrincipalKind {
        match self.identity {
            Identity::Root => PrincipalKind::Root,
            Identity::User(_) => PrincipalKind::User,
            Identity::Role(_) => PrincipalKind::Role,
            Identity::Service(_) => PrincipalKind::Service,
        }
    }

    /// Returns the name within the account, or the short name of a service. Returns `None` for an
    /// account root.
    pub fn name(&self) -> Option<&str> {
        match &self.identity {
            Identity::Root => None,
            Identity::User(name) | Identity::Role(name) => Some(name),
            Identity::Service(name) => Some(name.as_str()),
        }
    }

    /// Returns the service name if the principal is a service.
    pub const fn as_service(&self) -> Option<&ServiceName> {
        match &self.identity {
            Identity::Service(name) => Some(name),
            Identity::Root | Identity::User(_) | Identity::Role(_) => None,
        }
    }

    /// Returns `true` if the principal is an account root.
    pub const fn is_account_root(&self) -> bool {
        matches!(self.identity, Identity::Root)
    }
}

/// The ARN prefix. Users and roles are global, so their ARNs contain no region.
const IAM_PREFIX: &str = "arn:aws:iam::";

fn checked_name(name: &str) -> Result<Arc<str>> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let fits = |part: &str| !part.is_empty() && part.len() <= MAX_PRINCIPAL_NAME && part.bytes().all(known);
    if name.len() > MAX_PRINCIPAL_PATH || !name.split('/').all(fits) {
        let message = "a user or role name must be 1 to 64 letters, digits and _+=,.@- after an optional path";
        return Err(Error::new(ErrorKind::Validation, message));
    }
    Ok(name.into())
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.as_str();
        // Written part by part for speed, because authorization decisions need it.
        let parts = match &self.identity {
            Identity::Root => [IAM_PREFIX, account, ":root", ""],
            Identity::User(name) => [IAM_PREFIX, account, ":user/", name],
            Identity::Role(name) => [IAM_PREFIX, account, ":role/", name],
            Identity::Service(name) => [name.as_str(), SERVICE_DOMAIN, "", ""],
        };
        parts.iter().try_for_each(|part| f.write_str(part))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.identity {
            Identity::Service(_) => write!(f, "Principal({self} for {})", self.account),
            Identity::Root | Identity::User(_) | Identity::Role(_) => write!(f, "Principal({self})"),
        }
    }
}

#[cfg(test)]
mod tests;
