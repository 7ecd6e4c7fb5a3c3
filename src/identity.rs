//! Identities and locations: accounts, principals, and the partition and region in ARNs.
//!
//! Every key, alias, and grant belongs to one account ([`AccountId`]). A [`Principal`] is the party
//! that calls an operation: the root, a user, or a role of an account, a session of a role or of a
//! federated user, or a service ([`ServiceName`]) that acts for an account. It formats as the ARN
//! that policies and grants contain.
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

mod locality;
mod service;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

pub use self::locality::Locality;
use self::locality::ShortName;
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
    /// A session of a role of the account.
    AssumedRole,
    /// A federated user of the account.
    FederatedUser,
}

/// The maximum length of the last component of a user or role name, in characters.
const MAX_PRINCIPAL_NAME: usize = 64;
/// The maximum length of a user or role name including its path, in characters.
const MAX_PRINCIPAL_PATH: usize = 512;

/// The principal that acts: an account root, a user or role of an account, a session, or a service
/// on behalf of an account.
///
/// Formats as an ARN, or as a domain name for a service. Cloning copies one pointer.
///
/// The ARN begins with a partition, which is `aws` unless it is set. All principals of a
/// [`Kms`](crate::Kms) are in the partition of its [`Locality`], so the partition is not part of the
/// identity: principals that differ only in it are equal.
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
#[derive(Clone)]
pub struct Principal {
    account: AccountId,
    partition: ShortName,
    identity: Identity,
}

#[derive(Clone)]
enum Identity {
    Root,
    User(Arc<str>),
    Role(Arc<str>),
    Service(ServiceName),
    /// The name of the role with its path, a slash, and the name of the session.
    AssumedRole(Arc<str>),
    FederatedUser(Arc<str>),
}

impl Principal {
    /// Returns the root of an account, which can do whatever key policies delegate to the account.
    pub const fn root(account: AccountId) -> Self {
        Self::new(account, Identity::Root)
    }

    const fn new(account: AccountId, identity: Identity) -> Self {
        Self { account, partition: ShortName::AWS, identity }
    }

    /// Creates a user of the account. The name may include a path (`engineering/alice`).
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless each component of the name is 1 to 64
    ///   letters, digits, and `_+=,.@-`, and the full name is at most 512 characters.
    pub fn user(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self::new(account, Identity::User(checked_name(name)?)))
    }

    /// Creates a role of the account. The name may include a path.
    ///
    /// # Errors
    /// - The errors of [`Principal::user`].
    pub fn role(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self::new(account, Identity::Role(checked_name(name)?)))
    }

    /// Creates a session of a role of the account. It may use whatever policies and grants allow to
    /// the role or to the session itself.
    ///
    /// The name of the role may include a path, which the ARN of the session omits. Specify it: the
    /// role is found by its full name. A session that is parsed from its ARN belongs to a role
    /// without a path, and gets nothing that is allowed to a role with one. Role names must be
    /// unique in an account whatever their paths, as in AWS: policies and grants that name a session
    /// name it by its ARN.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the name of the role is malformed, as for
    ///   [`Principal::user`], or unless the session name is 1 to 64 letters, digits, and
    ///   `_+=,.@-`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    ///
    /// let account = AccountId::parse("111122223333")?;
    /// let session = Principal::assumed_role(account, "batch/worker", "job-7")?;
    /// assert_eq!(session.to_string(), "arn:aws:sts::111122223333:assumed-role/worker/job-7");
    /// assert_eq!(session.name(), Some("worker/job-7"));
    /// let role = Principal::role(account, "batch/worker")?;
    /// assert_eq!(session.assumed(), Some(role.clone()));
    /// assert!(role.covers(&session) && !session.covers(&role));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn assumed_role(account: AccountId, role: &str, session: &str) -> Result<Self> {
        let role = checked_name(role)?;
        check_single_name(session)?;
        Ok(Self::new(account, Identity::AssumedRole(format!("{role}/{session}").into())))
    }

    /// Creates a federated user of the account. It has no identity policies, so only key policies
    /// and grants allow it anything.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless the name is 1 to 64 letters, digits, and
    ///   `_+=,.@-`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    ///
    /// let guest = Principal::federated_user(AccountId::parse("111122223333")?, "guest")?;
    /// assert_eq!(guest.to_string(), "arn:aws:sts::111122223333:federated-user/guest");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn federated_user(account: AccountId, name: &str) -> Result<Self> {
        check_single_name(name)?;
        Ok(Self::new(account, Identity::FederatedUser(name.into())))
    }

    /// Creates a service acting on behalf of `account`, from its short name such as `s3` or `rds`.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless the name is 1 to 64 characters of `a` to `z`,
    ///   `0` to `9`, `-`, and single dots between them.
    pub fn service(account: AccountId, name: &str) -> Result<Self> {
        Ok(Self::new(account, Identity::Service(ServiceName::parse(name)?)))
    }

    /// Sets the partition of the ARN to that of a locality.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Locality, Principal};
    ///
    /// let locality = Locality::new("aws-us-gov", "us-gov-west-1")?;
    /// let alice = Principal::user(AccountId::parse("111122223333")?, "alice")?;
    /// let there = alice.clone().with_partition_of(&locality);
    /// assert_eq!(there.to_string(), "arn:aws-us-gov:iam::111122223333:user/alice");
    /// assert_eq!(there.partition(), "aws-us-gov");
    /// assert_eq!(there, alice);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_partition_of(mut self, locality: &Locality) -> Self {
        self.partition = locality.partition.clone();
        self
    }

    /// Parses the ARN of an account root, a user, a role, a session of a role, or a federated user,
    /// in any partition.
    ///
    /// The domain name of a service does not specify an account. Use
    /// [`Principal::parse_on_behalf_of`] where a service is allowed.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is not such an ARN.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_arn(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArn, "not the ARN of an account root, a user, a role or a session")
        })
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
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
        let partition = ShortName::parse("partition", partition).ok()?;
        let (service, rest) = rest.split_once("::")?;
        let (account, resource) = rest.split_once(':')?;
        let account = AccountId::parse(account).ok()?;
        let principal = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Self::root(account),
            ("iam", Some(("user", name))) => Self::user(account, name).ok()?,
            ("iam", Some(("role", name))) => Self::role(account, name).ok()?,
            ("sts", Some(("assumed-role", name))) => {
                let (role, session) = name.split_once('/')?;
                Self::assumed_role(account, role, session).ok()?
            }
            ("sts", Some(("federated-user", name))) => Self::federated_user(account, name).ok()?,
            _ => return None,
        };
        Some(Self { partition, ..principal })
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
            Identity::AssumedRole(_) => PrincipalKind::AssumedRole,
            Identity::FederatedUser(_) => PrincipalKind::FederatedUser,
        }
    }

    /// Returns the partition of the ARN, which defaults to `aws`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::Principal;
    ///
    /// let root = Principal::parse("arn:aws-cn:iam::111122223333:root")?;
    /// assert_eq!(root.partition(), "aws-cn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn partition(&self) -> &str {
        self.partition.as_str()
    }

    /// Returns the name within the account, or the short name of a service. The name of a session
    /// is that of its role, without the path, a slash, and its own. Returns `None` for an account
    /// root.
    pub fn name(&self) -> Option<&str> {
        match &self.identity {
            Identity::Root => None,
            Identity::User(name) | Identity::Role(name) | Identity::FederatedUser(name) => Some(name),
            Identity::AssumedRole(name) => {
                let path = assumed_role_name(name).rfind('/').map_or(0, |slash| slash + 1);
                Some(&name[path..])
            }
            Identity::Service(name) => Some(name.as_str()),
        }
    }

    /// Returns the role of a session, or `None` for any other principal.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::Principal;
    ///
    /// let session = Principal::parse("arn:aws:sts::111122223333:assumed-role/worker/job-7")?;
    /// let role = session.assumed().map(|role| role.to_string());
    /// assert_eq!(role.as_deref(), Some("arn:aws:iam::111122223333:role/worker"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn assumed(&self) -> Option<Self> {
        let Identity::AssumedRole(name) = &self.identity else { return None };
        let role = Identity::Role(assumed_role_name(name).into());
        Some(Self { identity: role, ..self.clone() })
    }

    /// Returns `true` if a policy or grant that allows something to this principal allows it to
    /// `caller`: it is the same principal, a session with this ARN, or a session of this role.
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    ///
    /// let account = AccountId::parse("111122223333")?;
    /// let role = Principal::role(account, "batch/worker")?;
    /// assert!(role.covers(&role));
    /// let session = Principal::assumed_role(account, "batch/worker", "job-7")?;
    /// assert!(role.covers(&session) && !session.covers(&role));
    /// assert!(!role.covers(&Principal::assumed_role(account, "web/worker", "job-7")?));
    /// let of_no_path = Principal::parse("arn:aws:sts::111122223333:assumed-role/worker/job-7")?;
    /// assert!(!role.covers(&of_no_path) && of_no_path.covers(&session));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn covers(&self, caller: &Self) -> bool {
        match (&self.identity, &caller.identity) {
            (Identity::Role(named), Identity::AssumedRole(name)) => {
                self.account == caller.account && **named == *assumed_role_name(name)
            }
            (Identity::AssumedRole(named), Identity::AssumedRole(_)) if !assumed_role_name(named).contains('/') => {
                self.account == caller.account && self.name() == caller.name()
            }
            _ => self == caller,
        }
    }

    /// Returns `true` if a policy that denies something to this principal denies it to `caller`:
    /// also if `caller` is a session of a role without a path, which may be this role, because the
    /// ARN of a session has no path.
    pub(crate) fn may_cover(&self, caller: &Self) -> bool {
        self.covers(caller)
            || match (&self.identity, &caller.identity) {
                (Identity::Role(named), Identity::AssumedRole(name)) => {
                    self.account == caller.account && named.rsplit('/').next() == Some(assumed_role_name(name))
                }
                _ => false,
            }
    }

    /// Returns values that are equal for two principals if one of them may cover the other. They can
    /// be equal for others too.
    pub(crate) fn lookup_key(&self) -> (AccountId, PrincipalKind, Option<&str>) {
        let role = match &self.identity {
            Identity::Role(name) => name,
            Identity::AssumedRole(name) => assumed_role_name(name),
            _ => return self.sort_key(),
        };
        (self.account, PrincipalKind::Role, role.rsplit('/').next())
    }

    /// Returns the principal as its ARN names it: a session without the path of its role.
    pub(crate) fn as_named(&self) -> Self {
        match &self.identity {
            Identity::AssumedRole(_) => {
                let name = self.name().expect("a session has a name");
                Self { identity: Identity::AssumedRole(name.into()), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Returns the text that identifies the principal in the store, whatever its partition: the ARN
    /// in the partition `aws`, or the domain name of a service.
    pub(crate) fn stored_name(&self) -> String {
        self.in_default_partition().to_string()
    }

    /// Returns the same principal, whose ARN is in the partition `aws`.
    pub(crate) fn in_default_partition(&self) -> Self {
        Self { partition: ShortName::AWS, ..self.clone() }
    }

    /// The properties that identify a principal.
    fn sort_key(&self) -> (AccountId, PrincipalKind, Option<&str>) {
        let name = match &self.identity {
            // With the path, because sessions of different roles have different rights.
            Identity::AssumedRole(name) => Some(&**name),
            _ => self.name(),
        };
        (self.account, self.kind(), name)
    }

    /// Returns the service name if the principal is a service.
    pub const fn as_service(&self) -> Option<&ServiceName> {
        match &self.identity {
            Identity::Service(name) => Some(name),
            Identity::Root
            | Identity::User(_)
            | Identity::Role(_)
            | Identity::AssumedRole(_)
            | Identity::FederatedUser(_) => None,
        }
    }

    /// Returns `true` if the principal is an account root.
    pub const fn is_account_root(&self) -> bool {
        matches!(self.identity, Identity::Root)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }
}

impl Eq for Principal {}

impl PartialOrd for Principal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Principal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sort_key().hash(state);
    }
}

/// Returns the name of the role, with its path, from the name of a session.
fn assumed_role_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(role, _)| role)
}

fn is_name(part: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    !part.is_empty() && part.len() <= MAX_PRINCIPAL_NAME && part.bytes().all(known)
}

fn check_single_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let message = "the name of a session or federated user must be 1 to 64 letters, digits and _+=,.@-";
    Err(Error::new(ErrorKind::Validation, message))
}

fn checked_name(name: &str) -> Result<Arc<str>> {
    if name.len() > MAX_PRINCIPAL_PATH || !name.split('/').all(is_name) {
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
        let name = self.name().unwrap_or_default();
        // Principals are global, so their ARNs contain no region.
        let (service, resource) = match &self.identity {
            Identity::Root => (":iam::", ":root"),
            Identity::User(_) => (":iam::", ":user/"),
            Identity::Role(_) => (":iam::", ":role/"),
            Identity::AssumedRole(_) => (":sts::", ":assumed-role/"),
            Identity::FederatedUser(_) => (":sts::", ":federated-user/"),
            Identity::Service(_) => {
                f.write_str(name)?;
                return f.write_str(SERVICE_DOMAIN);
            }
        };
        // Written part by part for speed, because authorization decisions need it.
        let parts = ["arn:", self.partition(), service, self.account.as_str(), resource, name];
        parts.iter().try_for_each(|part| f.write_str(part))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.identity {
            Identity::Service(_) => write!(f, "Principal({self} for {})", self.account),
            _ => write!(f, "Principal({self})"),
        }
    }
}

#[cfg(test)]
mod tests;
