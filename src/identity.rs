//! Who acts and where: accounts, principals, and the partition and region that names of keys carry.

mod service;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use self::service::SERVICE_DOMAIN;
pub use self::service::ServiceName;
use crate::error::{Error, ErrorKind, Result};

/// The number of an account: twelve decimal digits. Every key, alias and grant belongs to one.
///
/// # Examples
/// ```
/// use strongroom::identity::AccountId;
///
/// assert_eq!(AccountId::default().to_string(), "000000000000");
/// assert!(AccountId::parse("1234").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// Where services keep the keys that they own: nobody but services can act in this account, `999999000000`.
    pub const SERVICES: Self = Self(*b"999999000000");

    /// Reads twelve decimal digits.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match <[u8; 12]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(Error::new(ErrorKind::Validation, "an account id must be twelve decimal digits")),
        }
    }

    /// The digits as ASCII, fit to be part of an index.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// The digits.
    #[expect(clippy::missing_panics_doc, reason = "the invariant holds by construction")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an account id holds ASCII digits only")
    }
}

impl Default for AccountId {
    /// The account of a KMS that was told nothing else: twelve zeros.
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

/// The most characters of a partition or region. The longest of AWS have 14.
const MAX_LOCALITY_NAME: usize = 31;

/// Partition and region: a setting of the whole KMS, and a part of every ARN that it gives out.
///
/// The default is partition `aws`, region `local`. Kept in place, so that ARNs are cloned by many threads without a counter
/// that they would share.
///
/// # Examples
/// ```
/// use strongroom::identity::Locality;
///
/// let locality = Locality::new("aws", "eu-central-1")?;
/// assert_eq!(locality.region(), "eu-central-1");
/// assert!(Locality::new("aws", "Frankfurt:Main").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    partition: ShortName,
    region: ShortName,
}

impl Locality {
    /// Names a partition and a region: 1 to 31 of `a` to `z`, `0` to `9` and `-` each.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) for other names.
    pub fn new(partition: &str, region: &str) -> Result<Self> {
        Ok(Self { partition: ShortName::parse("partition", partition)?, region: ShortName::parse("region", region)? })
    }

    /// The partition, `aws` unless it was set.
    pub fn partition(&self) -> &str {
        self.partition.as_str()
    }

    /// The region, `local` unless it was set.
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

    /// Takes ASCII of a length that was checked; a longer name would be cut, never misread.
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

/// What kind of principal acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// The account itself.
    Root,
    /// A user of the account.
    User,
    /// A role of the account.
    Role,
    /// A service, on behalf of the account.
    Service,
}

/// The most characters of the last part of a user's or role's name.
const MAX_PRINCIPAL_NAME: usize = 64;
/// The most characters of a user's or role's name with the path before it.
const MAX_PRINCIPAL_PATH: usize = 512;

/// Who acts: an account's root, one of its users or roles, or a service on behalf of an account.
///
/// Displays as ARN, a service as its domain name. A clone copies one pointer.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
///
/// let account = AccountId::parse("111122223333")?;
/// let alice = Principal::user(account, "engineering/alice")?;
/// assert_eq!(alice.to_string(), "arn:aws:iam::111122223333:user/engineering/alice");
/// assert_eq!(Principal::parse(&alice.to_string())?, alice);
/// assert_eq!(Principal::service(account, "s3")?.to_string(), "s3.amazonaws.com");
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
    /// The account itself, which may do what its keys' policies leave to the account.
    pub const fn root(account: AccountId) -> Self {
        Self { account, identity: Identity::Root }
    }

    /// A user of the account; a path may stand before the name (`engineering/alice`).
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) unless each part of the name is 1 to 64 characters of letters,
    /// digits and `_+=,.@-`, and all of it 512 at most.
    pub fn user(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::User(checked_name(name)?) })
    }

    /// A role of the account; a path may stand before the name.
    ///
    /// # Errors
    /// As [`Principal::user`].
    pub fn role(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::Role(checked_name(name)?) })
    }

    /// A service acting on behalf of `account`, by its short name: `s3`, `rds`.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation) unless the name is 1 to 64 characters of `a` to `z`, `0` to `9`,
    /// `-`, and single dots between them.
    pub fn service(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self { account, identity: Identity::Service(ServiceName::parse(name)?) })
    }

    /// Reads the ARN of an account's root, a user or a role.
    ///
    /// A service's domain name tells no account: use [`Principal::parse_on_behalf_of`] where one may stand.
    ///
    /// # Errors
    /// Of kind [`InvalidArn`](ErrorKind::InvalidArn) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_arn(text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidArn, "not the ARN of an account's root, a user or a role"))
    }

    /// Reads what [`Principal::parse`] reads, and a service's domain name as acting on behalf of `account`.
    ///
    /// # Errors
    /// Of kind [`InvalidArn`](ErrorKind::InvalidArn) for anything else.
    pub fn parse_on_behalf_of(account: AccountId, text: &str) -> Result<Self> {
        match text.strip_suffix(SERVICE_DOMAIN) {
            Some(name) => Self::service(account, name)
                .map_err(|error| Error::new(ErrorKind::InvalidArn, "not the name of a service").with_source(error)),
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

    /// The account that the principal belongs to, or that a service acts for.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// What kind of principal this is.
    pub const fn kind(&self) -> PrincipalKind {
        match self.identity {
            Identity::Root => PrincipalKind::Root,
            Identity::User(_) => PrincipalKind::User,
            Identity::Role(_) => PrincipalKind::Role,
            Identity::Service(_) => PrincipalKind::Service,
        }
    }

    /// The name within the account, or a service's short name; an account's root has none.
    pub fn name(&self) -> Option<&str> {
        match &self.identity {
            Identity::Root => None,
            Identity::User(name) | Identity::Role(name) => Some(name),
            Identity::Service(name) => Some(name.as_str()),
        }
    }

    /// The service that this is, if it is one.
    pub const fn as_service(&self) -> Option<&ServiceName> {
        match &self.identity {
            Identity::Service(name) => Some(name),
            Identity::Root | Identity::User(_) | Identity::Role(_) => None,
        }
    }

    /// Whether this is an account itself.
    pub const fn is_account_root(&self) -> bool {
        matches!(self.identity, Identity::Root)
    }
}

/// Users and roles are global: their ARNs carry no region.
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
        // Part by part, as decisions need it.
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
