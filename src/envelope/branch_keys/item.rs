//! Stored branch keys: the items of the official key store in DynamoDB.

use std::collections::BTreeMap;
use std::fmt;

use super::key::{BranchKeyVersion, MAX_BRANCH_KEY_ID};
use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};

/// The names of attributes.
pub(super) const ID: &str = "branch-key-id";
const TYPE: &str = "type";
const CREATE_TIME: &str = "create-time";
pub(super) const HIERARCHY_VERSION: &str = "hierarchy-version";
const KEY_ARN: &str = "kms-arn";
const VERSION: &str = "version";

/// The name of the attribute that contains the wrapped key.
pub(super) const WRAPPED_KEY: &str = "enc";

/// The name under which the encryption context contains the name of the key store. No item contains it.
const KEY_STORE: &str = "tablename";

/// The prefix of attributes from the encryption context of the branch key.
const CONTEXT_PREFIX: &str = "aws-crypto-ec:";

/// Values of [`TYPE`]. The ID of the version follows the last.
const ACTIVE_TYPE: &str = "branch:ACTIVE";
const BEACON_TYPE: &str = "beacon:ACTIVE";
const VERSION_PREFIX: &str = "branch:version:";

/// The value for [`HIERARCHY_VERSION`].
const SUPPORTED_VERSION: &str = "1";

/// The longest wrapped key: AWS KMS returns no longer ciphertext.
pub(super) const MAX_WRAPPED_KEY: usize = 6_144;

/// The part that an item has in its branch key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The version that encrypts.
    Active(BranchKeyVersion),
    /// A version, for decryption.
    Version(BranchKeyVersion),
    Beacon,
}

impl Role {
    /// Returns the value of the attribute `type`.
    pub(super) fn to_type(self) -> String {
        match self {
            Self::Active(_) => ACTIVE_TYPE.to_owned(),
            Self::Version(version) => format!("{VERSION_PREFIX}{version}"),
            Self::Beacon => BEACON_TYPE.to_owned(),
        }
    }

    /// Returns the version, which a beacon key does not have.
    pub(super) const fn version(self) -> Option<BranchKeyVersion> {
        match self {
            Self::Active(version) | Self::Version(version) => Some(version),
            Self::Beacon => None,
        }
    }

    fn parse(kind: &str, version: Option<&str>) -> Result<Self> {
        match (kind, version) {
            (ACTIVE_TYPE, Some(version)) => parse_version(version).map(Self::Active),
            (BEACON_TYPE, None) => Ok(Self::Beacon),
            (kind, None) if kind != ACTIVE_TYPE => parse_version(kind).map(Self::Version),
            _ => Err(invalid("its type and version do not belong together")),
        }
    }
}

fn parse_version(text: &str) -> Result<BranchKeyVersion> {
    let version = text.strip_prefix(VERSION_PREFIX).and_then(|version| BranchKeyVersion::parse(version).ok());
    version.ok_or_else(|| invalid("its type or version is not one of a branch key"))
}

pub(super) fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("an item of a branch key is invalid: {reason}"))
}

/// An item of a branch key with its attributes: a wrapped key, as in the key store of the official
/// hierarchical keyring. A branch key has an item for each version, another one for the active
/// version, and one for its beacon key.
///
/// Items move branch keys between a [`BranchKeyStore`](super::BranchKeyStore) and a table in
/// DynamoDB. They contain no plaintext key, and are useless without the permission to decrypt with
/// the KMS key that they name.
///
/// | attribute | contains |
/// |---|---|
/// | `branch-key-id` | the ID of the branch key |
/// | `type` | `branch:ACTIVE`, `branch:version:` and the ID of the version, or `beacon:ACTIVE` |
/// | `version` | only in the active item: the `type` of that version |
/// | `enc` | the wrapped key |
/// | `kms-arn` | the KMS key that wraps it |
/// | `create-time` | the time of the creation of the version, in RFC 3339 |
/// | `hierarchy-version` | 1 |
/// | `aws-crypto-ec:` and a name | a pair of the encryption context of the branch key |
///
/// The KMS authenticates all of them: its encryption context consists of these attributes except
/// `enc`, and the name of the key store as `tablename`.
///
/// # Examples
/// ```
/// use strongroom::envelope::{BranchKeyItem, BranchKeyStore, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, key.arn());
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper.clone())?;
/// let id = keys.create_branch_key(&EncryptionContext::new())?;
///
/// let items = keys.export(&id)?;
/// assert_eq!(items.len(), 3);
/// assert!(items.iter().all(|item| item.branch_key_id() == id && item.key_arn() == key.arn().to_string()));
/// let types: Vec<_> = items.iter().map(|item| item.item_type()).collect();
/// assert_eq!((types[0], types[1]), ("beacon:ACTIVE", "branch:ACTIVE"));
///
/// // The JSON of an item is that of `aws dynamodb put-item --item`.
/// let json = items[0].to_json()?;
/// assert_eq!(BranchKeyItem::from_json(json.as_bytes())?, items[0]);
/// let answer = format!(r#"{{"Items": [{json}], "Count": 1, "ScannedCount": 1}}"#);
/// assert_eq!(BranchKeyItem::list_from_json(answer.as_bytes())?, items[..1]);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BranchKeyItem {
    /// All attributes except `enc`.
    pub(super) attributes: BTreeMap<String, String>,
    wrapped_key: Vec<u8>,
    role: Role,
}

impl BranchKeyItem {
    /// Returns the attributes of a new item, except `enc`.
    pub(super) fn attributes(
        id: &str,
        role: Role,
        key_arn: &str,
        create_time: &str,
        context: &EncryptionContext,
    ) -> BTreeMap<String, String> {
        let kind = role.to_type();
        let fixed = [
            (ID, id),
            (TYPE, kind.as_str()),
            (CREATE_TIME, create_time),
            (KEY_ARN, key_arn),
            (HIERARCHY_VERSION, SUPPORTED_VERSION),
        ];
        let pairs = context.iter().map(|(name, value)| (format!("{CONTEXT_PREFIX}{name}"), value.to_owned()));
        let mut all: BTreeMap<_, _> =
            fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(pairs).collect();
        if let Role::Active(version) = role {
            all.insert(VERSION.to_owned(), Role::Version(version).to_type());
        }
        all
    }

    /// Returns the attributes for another role in the same branch key.
    pub(super) fn attributes_as(&self, role: Role, create_time: &str) -> BTreeMap<String, String> {
        let mut all = self.attributes.clone();
        all.remove(VERSION);
        all.insert(TYPE.to_owned(), role.to_type());
        all.insert(CREATE_TIME.to_owned(), create_time.to_owned());
        if let Role::Active(version) = role {
            all.insert(VERSION.to_owned(), Role::Version(version).to_type());
        }
        all
    }

    /// Returns the encryption context with which attributes are bound to a wrapped key.
    pub(super) fn binding(attributes: &BTreeMap<String, String>, key_store: &str) -> EncryptionContext {
        let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.chain([(KEY_STORE, key_store)]).collect()
    }

    /// Creates an item from its attributes.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if an attribute is missing or invalid.
    pub(super) fn new(attributes: BTreeMap<String, String>, wrapped_key: Vec<u8>) -> Result<Self> {
        let value = |name: &str| attributes.get(name).map(String::as_str);
        if [ID, TYPE, CREATE_TIME, KEY_ARN].iter().any(|name| value(name).is_none_or(str::is_empty)) {
            return Err(invalid("an attribute is missing"));
        }
        if value(HIERARCHY_VERSION) != Some(SUPPORTED_VERSION) {
            return Err(invalid("its hierarchy version is not 1, the only one that is supported"));
        }
        if value(ID).is_none_or(|id| id.len() > MAX_BRANCH_KEY_ID) {
            return Err(invalid(&format!("its ID is longer than {MAX_BRANCH_KEY_ID} bytes")));
        }
        if [KEY_STORE, WRAPPED_KEY, ""].iter().any(|name| attributes.contains_key(*name)) {
            return Err(invalid("it has an attribute that is reserved"));
        }
        if !(1..=MAX_WRAPPED_KEY).contains(&wrapped_key.len()) {
            return Err(invalid("the length of its wrapped key is invalid"));
        }
        let role = Role::parse(value(TYPE).unwrap_or_default(), value(VERSION))?;
        Ok(Self { attributes, wrapped_key, role })
    }

    /// Returns the ID of the branch key.
    pub fn branch_key_id(&self) -> &str {
        self.text(ID)
    }

    /// Returns the type: `branch:ACTIVE`, `beacon:ACTIVE`, or `branch:version:` and the ID of the
    /// version.
    pub fn item_type(&self) -> &str {
        self.text(TYPE)
    }

    /// Returns the ARN of the KMS key that wraps the key.
    pub fn key_arn(&self) -> &str {
        self.text(KEY_ARN)
    }

    fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    pub(super) fn wrapped_key(&self) -> &[u8] {
        &self.wrapped_key
    }

    /// Returns the encryption context of the KMS.
    pub(super) fn own_binding(&self, key_store: &str) -> EncryptionContext {
        Self::binding(&self.attributes, key_store)
    }

    /// Returns the encryption context of the branch key.
    pub(super) fn context(&self) -> EncryptionContext {
        let pairs = self.attributes.iter();
        pairs.filter_map(|(name, value)| Some((name.strip_prefix(CONTEXT_PREFIX)?, value.as_str()))).collect()
    }
}

impl fmt::Debug for BranchKeyItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("BranchKeyItem");
        out.field("branch_key_id", &self.branch_key_id()).field("item_type", &self.item_type()).finish_non_exhaustive()
    }
}
