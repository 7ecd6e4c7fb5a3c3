//! Amazon Resource Names of keys and aliases, and the four forms of key identifiers in requests.

use std::fmt;

use super::id::{ForeignKeyId, invalid_key_id, invalid_key_id_of_arn};
use super::{AliasName, KeyId};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality};
use crate::text::{impl_str_serde, sanitize_for_error};

/// The resource that an ARN of this service names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A key.
    Key(KeyId),
    /// An alias.
    Alias(AliasName),
}

/// The ARN of a key or an alias: `arn:<partition>:kms:<region>:<account>:key/<id>` or
/// `...:alias/<name>`.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::identity::{AccountId, Locality};
/// use strongroom::key::{AliasName, KmsArn, Resource};
///
/// let alias = Resource::Alias(AliasName::parse("alias/reports")?);
/// let arn = KmsArn::new(Locality::default(), AccountId::default(), alias.clone());
/// assert_eq!(arn.to_string(), "arn:aws:kms:local:000000000000:alias/reports");
/// let arn = KmsArn::parse("arn:aws:kms:eu-central-1:111122223333:alias/reports")?;
/// assert_eq!((arn.locality().region(), arn.account().as_str()), ("eu-central-1", "111122223333"));
/// assert_eq!(arn.resource(), &alias);
/// let other = KmsArn::parse("arn:aws:s3:::bucket").unwrap_err();
/// assert_eq!(other.kind(), ErrorKind::InvalidArn);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KmsArn {
    locality: Locality,
    account: AccountId,
    resource: Resource,
}

impl KmsArn {
    /// Creates the ARN of a resource.
    pub const fn new(locality: Locality, account: AccountId, resource: Resource) -> Self {
        Self { locality, account, resource }
    }

    /// Parses an ARN of this service.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is not such an ARN.
    /// - [`NotFound`](ErrorKind::NotFound) if only the key ID in it is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let (locality, account, resource) = split(text).ok_or_else(|| invalid_arn(text))?;
        let resource = match resource.strip_prefix("key/") {
            Some("") => return Err(invalid_arn(text)),
            Some(id) => Resource::Key(KeyId::parse(id).map_err(|_| match ForeignKeyId::parse(id) {
                Some(cause) => {
                    Error::new(ErrorKind::NotFound, format!("Key '{text}' does not exist")).with_source(cause)
                }
                None => invalid_key_id_of_arn(id),
            })?),
            None => Resource::Alias(AliasName::parse(resource).map_err(|_| invalid_arn(text))?),
        };
        Ok(Self::new(locality, account, resource))
    }

    /// Returns the partition and region.
    pub const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// Returns the account that owns the resource.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the resource.
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }
}

/// Returns the parts of an ARN of this service, with the resource as it was written.
fn split(text: &str) -> Option<(Locality, AccountId, &str)> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let (scheme, partition, service) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    if (scheme, service) != ("arn", "kms") {
        return None;
    }
    Some((Locality::new(partition, region).ok()?, AccountId::parse(account).ok()?, resource))
}

fn invalid_arn(text: &str) -> Error {
    let form = "a key ARN has the form arn:PARTITION:kms:REGION:ACCOUNT:key/ID, where the account has twelve digits";
    Error::new(ErrorKind::InvalidArn, format!("Invalid arn '{}': {form}", sanitize_for_error(text)))
}

/// Writes the ARN part by part, without `format!`, because authorization decisions need it often.
fn write_prefix(f: &mut fmt::Formatter<'_>, locality: &Locality, account: AccountId) -> fmt::Result {
    let parts = ["arn:", locality.partition(), ":kms:", locality.region(), ":", account.as_str(), ":"];
    parts.iter().try_for_each(|part| f.write_str(part))
}

impl fmt::Display for KmsArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(f, &self.locality, self.account)?;
        match &self.resource {
            Resource::Key(id) => write!(f, "key/{id}"),
            Resource::Alias(name) => write!(f, "{name}"),
        }
    }
}

/// The ARN of a key. Responses identify keys by ARN, whichever form the request used.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality};
/// use strongroom::key::{KeyArn, KeyId};
///
/// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// let arn = KeyArn::new(Locality::default(), AccountId::default(), id);
/// assert_eq!(arn.to_string(), "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab");
/// assert_eq!(KeyArn::parse(&arn.to_string())?, arn);
/// assert_eq!((arn.key_id(), arn.account(), arn.locality().region()), (id, AccountId::default(), "local"));
/// assert!(KeyArn::parse("arn:aws:kms:local:000000000000:alias/reports").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    locality: Locality,
    account: AccountId,
    id: KeyId,
}

impl KeyArn {
    /// Creates the ARN of a key.
    pub const fn new(locality: Locality, account: AccountId, id: KeyId) -> Self {
        Self { locality, account, id }
    }

    /// Parses the ARN of a key.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is not the ARN of a key, for example if
    ///   it is the ARN of an alias.
    /// - [`NotFound`](ErrorKind::NotFound) if only the key ID in it is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        match KmsArn::parse(text)? {
            KmsArn { locality, account, resource: Resource::Key(id) } => Ok(Self { locality, account, id }),
            KmsArn { resource: Resource::Alias(_), .. } => Err(invalid_arn(text)),
        }
    }

    /// Returns the partition and region.
    pub const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// Returns the account that owns the key.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the ID of the key.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }
}

impl From<KeyArn> for KmsArn {
    fn from(arn: KeyArn) -> Self {
        Self::new(arn.locality, arn.account, Resource::Key(arn.id))
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(f, &self.locality, self.account)?;
        f.write_str("key/")?;
        fmt::Display::fmt(&self.id, f)
    }
}

/// The ARN of an alias.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality};
/// use strongroom::key::{AliasArn, AliasName};
///
/// let name = AliasName::parse("alias/reports")?;
/// let arn = AliasArn::new(Locality::default(), AccountId::default(), name.clone());
/// assert_eq!(AliasArn::parse("arn:aws:kms:local:000000000000:alias/reports")?, arn);
/// assert_eq!((arn.name(), arn.account(), arn.locality().region()), (&name, AccountId::default(), "local"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasArn {
    locality: Locality,
    account: AccountId,
    name: AliasName,
}

impl AliasArn {
    /// Creates the ARN of an alias.
    pub const fn new(locality: Locality, account: AccountId, name: AliasName) -> Self {
        Self { locality, account, name }
    }

    /// Parses the ARN of an alias.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text is not the ARN of an alias, for example
    ///   if it is the ARN of a key.
    pub fn parse(text: &str) -> Result<Self> {
        match KmsArn::parse(text)? {
            KmsArn { locality, account, resource: Resource::Alias(name) } => Ok(Self { locality, account, name }),
            KmsArn { resource: Resource::Key(_), .. } => Err(invalid_arn(text)),
        }
    }

    /// Returns the partition and region.
    pub const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// Returns the account that owns the alias.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the name of the alias.
    pub const fn name(&self) -> &AliasName {
        &self.name
    }
}

impl From<AliasArn> for KmsArn {
    fn from(arn: AliasArn) -> Self {
        Self::new(arn.locality, arn.account, Resource::Alias(arn.name))
    }
}

impl fmt::Display for AliasArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(f, &self.locality, self.account)?;
        f.write_str(self.name.as_str())
    }
}

/// The four forms of key identifiers in requests.
///
/// Key IDs and alias names refer to the caller's own account. Only ARNs can refer to another
/// account. Operations that manage a key do not accept aliases: see
/// [`Operation::accepts_alias`](super::Operation::accepts_alias).
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::KeyIdentifier;
///
/// assert!(KeyIdentifier::parse("alias/reports")?.is_alias());
/// assert!(KeyIdentifier::parse("arn:aws:kms:local:111122223333:alias/reports")?.is_alias());
/// assert!(!KeyIdentifier::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?.is_alias());
/// assert_eq!(KeyIdentifier::parse("reports").unwrap_err().kind(), ErrorKind::NotFound);
/// assert_eq!(KeyIdentifier::parse("arn:reports").unwrap_err().kind(), ErrorKind::InvalidArn);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyIdentifier {
    /// The ID of a key.
    KeyId(KeyId),
    /// The ARN of a key.
    KeyArn(KeyArn),
    /// The name of an alias.
    AliasName(AliasName),
    /// The ARN of an alias.
    AliasArn(AliasArn),
}

impl KeyIdentifier {
    /// Parses any of the four forms.
    ///
    /// # Errors
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the text begins with `arn:` but is not an ARN of
    ///   this service.
    /// - [`NotFound`](ErrorKind::NotFound) if other text, or the key ID in an ARN, cannot identify a
    ///   key.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with("arn:") {
            let KmsArn { locality, account, resource } = KmsArn::parse(text)?;
            return Ok(match resource {
                Resource::Key(id) => Self::KeyArn(KeyArn::new(locality, account, id)),
                Resource::Alias(name) => Self::AliasArn(AliasArn::new(locality, account, name)),
            });
        }
        match AliasName::parse(text) {
            Ok(name) => Ok(Self::AliasName(name)),
            Err(_) => KeyId::parse(text).map(Self::KeyId).map_err(|error| match ForeignKeyId::parse(text) {
                Some(cause) => Error::new(ErrorKind::NotFound, error.to_string()).with_source(cause),
                None => invalid_key_id(
                    text,
                    "specify a key id, a key ARN, an alias ARN, or an alias name with its prefix, alias/NAME",
                ),
            }),
        }
    }

    /// Returns `true` if the identifier is the name or ARN of an alias.
    pub const fn is_alias(&self) -> bool {
        matches!(self, Self::AliasName(_) | Self::AliasArn(_))
    }
}

impl fmt::Display for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyId(id) => write!(f, "{id}"),
            Self::KeyArn(arn) => write!(f, "{arn}"),
            Self::AliasName(name) => write!(f, "{name}"),
            Self::AliasArn(arn) => write!(f, "{arn}"),
        }
    }
}

macro_rules! debug_as_displayed {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )+};
}

debug_as_displayed!(KmsArn, KeyArn, AliasArn);
impl_str_serde!(KmsArn, KeyArn, AliasArn, KeyIdentifier);

#[cfg(test)]
mod tests;
