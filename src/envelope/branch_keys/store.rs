//! The store of branch keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::item::{BranchKeyItem, Role};
use super::key::{BeaconKey, BranchKey, BranchKeyVersion, KEY_LENGTH, MAX_BRANCH_KEY_ID};
use super::wrapper::BranchKeyWrapper;
use crate::clock::{Clock, SystemClock};
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::secret::SecretBytes;
use crate::store::{Change, CommitError, Expectation, KeyStore, RecordId, RecordKind, Revision, Scan, StoreId};
use crate::text::sanitize_for_error;

/// The longest name of a key store in bytes, that of a table in DynamoDB.
const MAX_NAME: usize = 255;

/// The number of attempts to rotate a branch key while other processes rotate it.
const ROTATION_ATTEMPTS: usize = 16;

/// Stores branch keys for [`HierarchicalKeyring`](crate::envelope::HierarchicalKeyring)s in a
/// [`KeyStore`], such as a file of SQLite or a database of PostgreSQL.
///
/// A branch key is a key below a KMS key. It is stored wrapped by the KMS key, and wraps data keys in
/// this process. It has versions: the active one encrypts, and all of them decrypt. Its beacon key
/// has no versions.
///
/// | operation | calls of the KMS |
/// |---|---|
/// | [`create_branch_key`](Self::create_branch_key), [`create_branch_key_as`](Self::create_branch_key_as) | GenerateDataKeyWithoutPlaintext twice, ReEncrypt |
/// | [`rotate`](Self::rotate) | ReEncrypt twice, GenerateDataKeyWithoutPlaintext |
/// | [`active`](Self::active), [`version`](Self::version), [`beacon`](Self::beacon) | Decrypt |
/// | [`import`](Self::import) | Decrypt for each item |
/// | [`export`](Self::export) | none |
///
/// The items, and what the KMS authenticates of them, are those of the key store of the official
/// hierarchical keyring, which uses a table in DynamoDB. [`import`](Self::import) and
/// [`export`](Self::export) move branch keys between the two.
///
/// The name of the store, its *logical key store name*, is authenticated by the KMS too. Never change
/// it. Several stores with different names can share a `KeyStore`. That of a [`Kms`](crate::Kms)
/// cannot be shared, because a `Kms` seals all records of its store: use another file or database.
///
/// An attacker who can write to the store can delete branch keys, and replace the active version by an
/// earlier one, as in DynamoDB. All other modifications are rejected.
///
/// Cloning is cheap: clones use the same store.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::envelope::{BranchKeyStore, HierarchicalKeyring, KmsBranchKeyWrapper};
/// use strongroom::store::MemoryStore;
/// use strongroom::{EncryptionContext, Envelope, Kms};
///
/// let kms = Kms::in_memory()?;
/// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
/// // In production: `SqliteStore::open("branch-keys.db", &Default::default())?`.
/// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
/// let id = keys.create_branch_key(&EncryptionContext::new())?;
///
/// let envelope = Envelope::new(HierarchicalKeyring::new(&keys, &id, Duration::from_secs(600))?);
/// let message = envelope.encrypt(b"two pots of tea", &EncryptionContext::new())?;
/// let (old, new) = (keys.active(&id)?.version(), keys.rotate(&id)?);
/// assert!(old != new && keys.active(&id)?.version() == new);
/// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"two pots of tea");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct BranchKeyStore {
    pub(super) store: Arc<dyn KeyStore>,
    name: Arc<str>,
    wrapper: Arc<dyn BranchKeyWrapper>,
    backend: CryptoBackend,
    clock: Arc<dyn Clock>,
}

/// An item as currently stored.
pub(super) struct Stored {
    pub(super) revision: Revision,
    pub(super) item: BranchKeyItem,
}

impl BranchKeyStore {
    /// Opens a store of branch keys with this logical name, or begins an empty one.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the name does not have 1 to 255 bytes, or if the store contains
    ///   the keys of a [`Kms`](crate::Kms).
    /// - [`ErrorKind::Store`] if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use strongroom::envelope::{BranchKeyStore, KmsBranchKeyWrapper};
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let store = Arc::new(MemoryStore::new(&Default::default())?);
    /// let kms = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let refused = BranchKeyStore::new(store, "branch-keys", wrapper).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation); // it is the store of the KMS
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(
        store: impl KeyStore + 'static,
        name: impl Into<String>,
        wrapper: impl BranchKeyWrapper + 'static,
    ) -> Result<Self> {
        let name = name.into();
        if !(1..=MAX_NAME).contains(&name.len()) {
            let text =
                format!("the name of a store of branch keys must have 1 to {MAX_NAME} bytes, not {}", name.len());
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let (backend, clock) = (CryptoBackend::default(), Arc::new(SystemClock));
        let opened = Self { store: Arc::new(store), name: name.into(), wrapper: Arc::new(wrapper), backend, clock };
        opened.expect_no_kms()?;
        Ok(opened)
    }

    /// Returns the same store with another clock, which sets the times of creation. Default:
    /// [`SystemClock`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{BranchKeyStore, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, Kms, ManualClock, Timestamp};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let keys = keys.with_clock(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let id = keys.create_branch_key(&EncryptionContext::new())?;
    /// assert!(keys.export(&id)?[0].to_json()?.contains(r#""create-time":{"S":"1970-01-01T00:00:00Z"}"#));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Returns the logical name of the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::envelope) fn store_id(&self) -> StoreId {
        self.store.id()
    }

    /// Creates a branch key with a beacon key, and returns its ID, a UUID.
    ///
    /// The encryption context is stored with the branch key and authenticated by the KMS. It is
    /// independent of the contexts of messages.
    ///
    /// # Errors
    /// - Any error of the KMS or the store.
    pub fn create_branch_key(&self, context: &EncryptionContext) -> Result<String> {
        let id = self.new_version()?.to_string();
        self.insert(&id, context)?;
        Ok(id)
    }

    /// Creates a branch key with a chosen ID, for example that of a tenant. The encryption context
    /// must not be empty, as in the official key store.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the ID does not have 1 to [`MAX_BRANCH_KEY_ID`] bytes, or if the
    ///   context is empty.
    /// - [`ErrorKind::AlreadyExists`] if there is a branch key with this ID.
    /// - Any error of the KMS or the store.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{BranchKeyStore, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let context = EncryptionContext::from([("tenant", "42")]);
    /// keys.create_branch_key_as("tenant-42", &context)?;
    /// assert_eq!(keys.create_branch_key_as("tenant-42", &context).unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// let without_context = keys.create_branch_key_as("tenant-43", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(without_context.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_branch_key_as(&self, id: &str, context: &EncryptionContext) -> Result<()> {
        check_id(id)?;
        if context.is_empty() {
            let text = "a branch key with a chosen ID must have an encryption context";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.insert(id, context)
    }

    fn insert(&self, id: &str, context: &EncryptionContext) -> Result<()> {
        self.expect_no_kms()?;
        let version = self.new_version()?;
        if self.find(id, Role::Active(version))?.is_some() {
            return Err(already_exists(id));
        }
        let time = self.clock.now().to_string();
        let attributes = |role| BranchKeyItem::attributes(id, role, self.wrapper.key_arn(), &time, context);
        let [stored, active, beacon] = [Role::Version(version), Role::Active(version), Role::Beacon].map(attributes);
        let (stored, active) = self.wrap_version(stored, active)?;
        let wrapped = self.wrapper.generate(&BranchKeyItem::binding(&beacon, &self.name))?;
        let beacon = BranchKeyItem::new(beacon, wrapped)?;
        self.insert_items(id, &[stored, active, beacon])
    }

    /// Replaces the active version of a branch key by a new one, and returns it. Earlier versions still
    /// decrypt. Keyrings encrypt with the new version when their cached one has expired.
    ///
    /// If several processes rotate a branch key, each creates a version, and the last one is active.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if the branch key does not exist.
    /// - [`ErrorKind::IncorrectKey`] if it is wrapped by another KMS key.
    /// - [`ErrorKind::Integrity`] if the stored item was modified.
    /// - [`ErrorKind::Conflict`] if other processes kept rotating it first.
    /// - Any error of the KMS or the store.
    pub fn rotate(&self, id: &str) -> Result<BranchKeyVersion> {
        self.expect_no_kms()?;
        for _ in 0..ROTATION_ATTEMPTS {
            let version = self.new_version()?;
            let current = self.find(id, Role::Active(version))?.ok_or_else(|| not_found(id))?;
            self.check_key(&current.item)?;
            // The KMS authenticates the attributes, which the new items repeat.
            let binding = current.item.own_binding(&self.name);
            let verified = self.wrapper.rewrap(current.item.wrapped_key(), &binding, &binding);
            verified.map_err(|error| damaged(id, error))?;
            let time = self.clock.now().to_string();
            let attributes = |role| current.item.attributes_as(role, &time);
            let (stored, active) =
                self.wrap_version(attributes(Role::Version(version)), attributes(Role::Active(version)))?;
            let expected = [
                Expectation { id: self.record(id, stored.item_type()), revision: None },
                Expectation { id: self.record(id, active.item_type()), revision: Some(current.revision) },
            ];
            match self.commit(&expected, &[stored, active]) {
                Ok(()) => return Ok(version),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        let text = format!("cannot rotate the branch key {}: other processes rotate it", sanitize_for_error(id));
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// Generates a key for a version, and wraps it for decryption and as the active version.
    fn wrap_version(
        &self,
        stored: BTreeMap<String, String>,
        active: BTreeMap<String, String>,
    ) -> Result<(BranchKeyItem, BranchKeyItem)> {
        let (from, to) = (BranchKeyItem::binding(&stored, &self.name), BranchKeyItem::binding(&active, &self.name));
        let wrapped = self.wrapper.generate(&from)?;
        let rewrapped = self.wrapper.rewrap(&wrapped, &from, &to)?;
        Ok((BranchKeyItem::new(stored, wrapped)?, BranchKeyItem::new(active, rewrapped)?))
    }

    /// Returns the active version of a branch key.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if the branch key does not exist.
    /// - [`ErrorKind::IncorrectKey`] if it is wrapped by another KMS key.
    /// - [`ErrorKind::Integrity`] if the stored item was modified.
    /// - Any error of the KMS or the store.
    pub fn active(&self, id: &str) -> Result<BranchKey> {
        // Every version has the same type while it is active.
        self.branch_key(id, Role::Active(BranchKeyVersion::from_bytes([0; 16])))
    }

    /// Returns a version of a branch key.
    ///
    /// # Errors
    /// - The errors of [`active`](Self::active).
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{BranchKeyStore, BranchKeyVersion, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
    /// let id = keys.create_branch_key(&EncryptionContext::new())?;
    /// let first = keys.active(&id)?.version();
    /// keys.rotate(&id)?;
    /// assert_eq!(keys.version(&id, first)?.version(), first);
    /// let missing = keys.version(&id, BranchKeyVersion::from_bytes([7; 16])).unwrap_err();
    /// assert_eq!(missing.kind(), ErrorKind::NotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn version(&self, id: &str, version: BranchKeyVersion) -> Result<BranchKey> {
        self.branch_key(id, Role::Version(version))
    }

    /// Returns the beacon key of a branch key.
    ///
    /// # Errors
    /// - The errors of [`active`](Self::active).
    pub fn beacon(&self, id: &str) -> Result<BeaconKey> {
        let found = self.find(id, Role::Beacon)?.ok_or_else(|| not_found(id))?;
        Ok(BeaconKey { id: id.to_owned(), context: found.item.context(), key: self.unwrap(&found.item)? })
    }

    fn branch_key(&self, id: &str, role: Role) -> Result<BranchKey> {
        let item = self.find(id, role)?.ok_or_else(|| not_found(id))?.item;
        match item.role() {
            Role::Active(version) | Role::Version(version) => {
                Ok(BranchKey { id: id.to_owned(), version, context: item.context(), key: self.unwrap(&item)? })
            }
            Role::Beacon => Err(misplaced(id)),
        }
    }

    /// Unwraps the key of an item.
    pub(super) fn unwrap(&self, item: &BranchKeyItem) -> Result<SecretBytes> {
        self.check_key(item)?;
        let key = self.wrapper.unwrap(item.wrapped_key(), &item.own_binding(&self.name));
        let key = key.map_err(|error| damaged(item.branch_key_id(), error))?;
        if key.len() == KEY_LENGTH {
            return Ok(key);
        }
        let text = format!("the branch key {} does not have {KEY_LENGTH} bytes", shown(item));
        Err(Error::new(ErrorKind::Integrity, text))
    }

    /// Reads an item.
    pub(super) fn find(&self, id: &str, role: Role) -> Result<Option<Stored>> {
        check_id(id)?;
        let Some(record) = self.store.get(&self.record(id, &role.to_type()))? else { return Ok(None) };
        let item = self.decode(id, &record.body)?;
        if item.item_type() != role.to_type() {
            return Err(misplaced(id));
        }
        Ok(Some(Stored { revision: record.revision, item }))
    }

    pub(super) fn decode(&self, id: &str, body: &[u8]) -> Result<BranchKeyItem> {
        let item = BranchKeyItem::from_json(body).map_err(|error| {
            let text = format!("the branch key {} in the store is damaged", sanitize_for_error(id));
            Error::new(ErrorKind::Integrity, text).with_source(error)
        })?;
        if item.branch_key_id() == id { Ok(item) } else { Err(misplaced(id)) }
    }

    fn insert_items(&self, id: &str, items: &[BranchKeyItem]) -> Result<()> {
        let expected: Vec<_> = items.iter().map(|item| self.absent(item)).collect();
        match self.commit(&expected, items) {
            Err(CommitError::Conflict(_)) => Err(already_exists(id)),
            result => Ok(result?),
        }
    }

    pub(super) fn absent(&self, item: &BranchKeyItem) -> Expectation {
        Expectation { id: self.record(item.branch_key_id(), item.item_type()), revision: None }
    }

    pub(super) fn commit(&self, expected: &[Expectation], items: &[BranchKeyItem]) -> Result<(), CommitError> {
        let change = |item: &BranchKeyItem| {
            let id = self.record(item.branch_key_id(), item.item_type());
            Ok(Change { id, body: Some(item.to_json()?.into_bytes()) })
        };
        let changes: Vec<_> = items.iter().map(change).collect::<Result<_>>()?;
        self.store.commit(expected, &mut |_| Ok(changes.clone())).map(drop)
    }

    /// Returns the record of an item: the name of the store, the ID and the type. Both lengths precede
    /// their texts.
    pub(super) fn record(&self, id: &str, kind: &str) -> RecordId {
        let mut name = Vec::with_capacity(4 + self.name.len() + id.len() + kind.len());
        for text in [&*self.name, id] {
            name.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            name.extend_from_slice(text.as_bytes());
        }
        name.extend_from_slice(kind.as_bytes());
        RecordId { kind: RecordKind::BranchKey, account: AccountId::default(), name }
    }

    fn new_version(&self) -> Result<BranchKeyVersion> {
        let mut random = [0; 16];
        self.backend.random().fill(&mut random)?;
        Ok(BranchKeyVersion::from_random_bytes(random))
    }

    /// Requires that an item is wrapped by the KMS key of this store.
    fn check_key(&self, item: &BranchKeyItem) -> Result<()> {
        if self.wrapper.accepts(item.key_arn()) {
            return Ok(());
        }
        let text =
            format!("the branch key {} is wrapped by another KMS key than {}", shown(item), self.wrapper.key_arn());
        Err(Error::new(ErrorKind::IncorrectKey, text))
    }

    /// Rejects the store of a [`Kms`](crate::Kms), which accepts no records but its own.
    pub(super) fn expect_no_kms(&self) -> Result<()> {
        let scan = Scan { kind: RecordKind::Store, account: None, after: None, limit: 1 };
        if self.store.scan(&scan)?.is_empty() {
            return Ok(());
        }
        let text = "branch keys cannot be in the store of a KMS: use another file or database";
        Err(Error::new(ErrorKind::Validation, text))
    }
}

impl fmt::Debug for BranchKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("BranchKeyStore");
        out.field("name", &self.name).field("wrapper", &self.wrapper).finish_non_exhaustive()
    }
}

pub(super) fn check_id(id: &str) -> Result<()> {
    if (1..=MAX_BRANCH_KEY_ID).contains(&id.len()) {
        return Ok(());
    }
    let text = format!("the ID of a branch key must have 1 to {MAX_BRANCH_KEY_ID} bytes, not {}", id.len());
    Err(Error::new(ErrorKind::Validation, text))
}

fn shown(item: &BranchKeyItem) -> String {
    sanitize_for_error(item.branch_key_id())
}

pub(super) fn not_found(id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("the branch key {} does not exist, or not in this version", sanitize_for_error(id)),
    )
}

pub(super) fn already_exists(id: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("cannot store the branch key {}: it exists", sanitize_for_error(id)))
}

pub(super) fn misplaced(id: &str) -> Error {
    let text = format!("the item of the branch key {} in the store is another one", sanitize_for_error(id));
    Error::new(ErrorKind::Integrity, text)
}

/// Returns the error for an item that the KMS rejected. A ciphertext that does not belong to its
/// attributes is damage of the store, and not the fault of the message or the caller.
fn damaged(id: &str, error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::InvalidCiphertext | ErrorKind::IncorrectKey) {
        return error;
    }
    let text = format!(
        "the branch key {} cannot be unwrapped: its item was modified, or is from a store with another name",
        sanitize_for_error(id)
    );
    Error::new(ErrorKind::Integrity, text).with_source(error)
}
