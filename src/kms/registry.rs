//! Records between store and memory: sealed on the way out, opened and cached on the way in.

use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::cache::{Cache, Entry, Held};
use super::record::{AliasRecord, KeyRecord};
use crate::audit::{ChainId, ChainState};
use crate::codec::Writer;
use crate::crypto::{CryptoBackend, PublicKey};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality};
use crate::key::{AliasName, KeyArn, KeyId};
use crate::provider::OpenedKey;
use crate::seal::{IdentityKey, RootKey};
use crate::secret::SecretBytes;
use crate::store::{
    Change, CommitError, Expectation, KeyStore, MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan, StoreId,
};

/// A key in memory: its record, its ARN, and those versions of its material that were opened.
pub(super) struct LoadedKey {
    pub(super) record: KeyRecord,
    pub(super) arn: KeyArn,
    opened: Box<[OnceLock<OpenedKey>]>,
    public: OnceLock<Box<dyn PublicKey>>,
}

impl LoadedKey {
    fn new(record: KeyRecord, locality: &Locality) -> Self {
        let arn = KeyArn::new(locality.clone(), record.account, record.key_id);
        let opened = record.versions.iter().map(|_| OnceLock::new()).collect();
        Self { record, arn, opened, public: OnceLock::new() }
    }

    /// The opened material of the version at `index`, opened by `open` the first time.
    pub(super) fn opened(&self, index: usize, open: impl FnOnce() -> Result<OpenedKey>) -> Result<&OpenedKey> {
        let slot = self.opened.get(index).ok_or_else(|| Error::new(ErrorKind::Internal, "no such version"))?;
        once(slot, open)
    }

    /// The public key, parsed by `parse` the first time.
    pub(super) fn public(&self, parse: impl FnOnce() -> Result<Box<dyn PublicKey>>) -> Result<&dyn PublicKey> {
        once(&self.public, parse).map(|key| &**key)
    }
}

/// What the slot holds; made by `make` if it holds nothing yet. Threads that come first together may all make it.
fn once<T>(slot: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match slot.get() {
        Some(made) => Ok(made),
        None => {
            let made = make()?;
            Ok(slot.get_or_init(|| made))
        }
    }
}

/// One record to be written, with the revision it must still have; `None` for one that must not exist yet.
pub(super) enum Edit {
    PutKey { record: KeyRecord, expected: Option<Revision> },
    DeleteKey { account: AccountId, key_id: KeyId, expected: Revision },
    PutAlias { account: AccountId, name: AliasName, record: AliasRecord, expected: Option<Revision> },
    DeleteAlias { account: AccountId, name: AliasName, expected: Revision },
    PutChain { id: ChainId, body: SecretBytes, expected: Option<Revision> },
    DeleteChain { id: ChainId, expected: Revision },
}

impl Edit {
    fn record_id(&self) -> RecordId {
        match self {
            Self::PutKey { record, .. } => key_record_id(record.account, record.key_id),
            Self::DeleteKey { account, key_id, .. } => key_record_id(*account, *key_id),
            Self::PutAlias { account, name, .. } | Self::DeleteAlias { account, name, .. } => {
                alias_record_id(*account, name)
            }
            Self::PutChain { id, .. } | Self::DeleteChain { id, .. } => chain_record_id(*id),
        }
    }

    const fn expected(&self) -> Option<Revision> {
        match self {
            Self::PutKey { expected, .. } | Self::PutAlias { expected, .. } | Self::PutChain { expected, .. } => {
                *expected
            }
            Self::DeleteKey { expected, .. }
            | Self::DeleteAlias { expected, .. }
            | Self::DeleteChain { expected, .. } => Some(*expected),
        }
    }

    fn body(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let body = match self {
            Self::PutKey { record, .. } => record.encode()?,
            Self::PutAlias { record, .. } => record.encode(),
            Self::PutChain { body, .. } => body.expose_secret().to_vec(),
            Self::DeleteKey { .. } | Self::DeleteAlias { .. } | Self::DeleteChain { .. } => return Ok(None),
        };
        Ok(Some(Zeroizing::new(body)))
    }
}

/// A store whose records are sealed under a root key.
struct Sealed {
    store: Arc<dyn KeyStore>,
    root: RootKey,
}

impl Sealed {
    fn open(&self, id: &RecordId, record: &Record) -> Result<SecretBytes> {
        self.root.open(&self.binding(id, record.revision)?, &record.body)
    }

    fn seal(&self, id: &RecordId, revision: Revision, body: &[u8]) -> Result<Vec<u8>> {
        self.root.seal(&self.binding(id, revision)?, body)
    }

    /// What a sealed record is bound to: moved, renamed, or set back to an older revision, it does not open.
    fn binding(&self, id: &RecordId, revision: Revision) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(96);
        writer.bytes(b"strongroom record v1").bytes(&self.store.id().0);
        writer.u8(id.kind.code());
        writer.prefixed_u16(id.account.as_str().as_bytes(), "account")?;
        writer.prefixed_u16(&id.name, "record name")?;
        writer.u64(revision.0);
        Ok(writer.into_bytes())
    }
}

/// The keys and aliases of one store.
pub(super) struct Registry {
    sealed: Sealed,
    identity: IdentityKey,
    locality: Locality,
    keys: Cache<(AccountId, KeyId), LoadedKey>,
    aliases: Cache<(AccountId, AliasName), AliasRecord>,
}

impl Registry {
    /// Opens a store, and prepares it if it is new.
    ///
    /// Fails if the root key is not that of the store.
    pub(super) fn new(
        store: Arc<dyn KeyStore>,
        root: RootKey,
        backend: &CryptoBackend,
        locality: Locality,
        capacity: usize,
    ) -> Result<Self> {
        let sealed = Sealed { store, root };
        let secret = identity_secret(&sealed, backend)?;
        let identity = IdentityKey::new(backend, &secret);
        Ok(Self { sealed, identity, locality, keys: Cache::new(capacity), aliases: Cache::new(capacity) })
    }

    pub(super) fn store_id(&self) -> StoreId {
        self.sealed.store.id()
    }

    pub(super) const fn root(&self) -> &RootKey {
        &self.sealed.root
    }

    /// The key of material ids: drawn when the store is first used, and kept in it under the root key.
    pub(super) const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    pub(super) const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// The key as the store has it now.
    pub(super) fn key(&self, account: AccountId, key_id: KeyId) -> Result<Option<Held<LoadedKey>>> {
        let record_id = || key_record_id(account, key_id);
        self.fresh(&self.keys, (account, key_id), record_id, |bytes| {
            Ok(LoadedKey::new(KeyRecord::decode(account, key_id, bytes)?, &self.locality))
        })
    }

    /// The alias as the store has it now.
    pub(super) fn alias(&self, account: AccountId, name: &AliasName) -> Result<Option<Held<AliasRecord>>> {
        let record_id = || alias_record_id(account, name);
        self.fresh(&self.aliases, (account, name.clone()), record_id, AliasRecord::decode)
    }

    /// Returns the cached value if nothing was committed since it was last known current, and else asks the store.
    fn fresh<K: Hash + Eq + Clone, V>(
        &self,
        cache: &Cache<K, V>,
        key: K,
        record_id: impl FnOnce() -> RecordId,
        decode: impl FnOnce(&[u8]) -> Result<V>,
    ) -> Result<Option<Held<V>>> {
        // Read before the record, so that a commit in between makes the entry look older than it is, never newer.
        let now = self.sealed.store.revision()?;
        let cached = cache.get(&key);
        if let Some(held) = cached.as_ref().filter(|held| held.0.is_current(now)) {
            return Ok(Some(Arc::clone(held)));
        }
        let record_id = record_id();
        let Some(record) = self.sealed.store.get(&record_id)? else {
            cache.remove(&key);
            return Ok(None);
        };
        if let Some(held) = cached.filter(|held| held.0.revision == record.revision) {
            held.0.confirm(now);
            return Ok(Some(held));
        }
        let value = decode(self.sealed.open(&record_id, &record)?.expose_secret())?;
        Ok(Some(cache.insert(key, Entry::new(value, record.revision, now))))
    }

    /// Keys in ascending order behind `after`, of one account or of all.
    pub(super) fn keys(
        &self,
        account: Option<AccountId>,
        after: Option<(AccountId, KeyId)>,
        limit: usize,
    ) -> Result<Vec<(AccountId, KeyId, Revision, KeyRecord)>> {
        let after = after.map(|(account, key_id)| key_record_id(account, key_id));
        let found = self.sealed.store.scan(&Scan { kind: RecordKind::Key, account, after, limit })?;
        let decode = |(id, record): (RecordId, Record)| {
            let key_id = KeyId::from_bytes(id.name.as_slice().try_into().map_err(|_| misnamed())?);
            let body = self.sealed.open(&id, &record)?;
            let decoded = KeyRecord::decode(id.account, key_id, body.expose_secret())?;
            Ok((id.account, key_id, record.revision, decoded))
        };
        found.into_iter().map(decode).collect()
    }

    /// Aliases of an account in ascending order behind `after`.
    pub(super) fn aliases(
        &self,
        account: AccountId,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<Vec<(AliasName, AliasRecord)>> {
        let after = after.map(|name| alias_record_id(account, name));
        let found = self.sealed.store.scan(&Scan { kind: RecordKind::Alias, account: Some(account), after, limit })?;
        let decode = |(id, record): (RecordId, Record)| {
            let name = AliasName::parse(std::str::from_utf8(&id.name).map_err(|_| misnamed())?)?;
            Ok((name, AliasRecord::decode(self.sealed.open(&id, &record)?.expose_secret())?))
        };
        found.into_iter().map(decode).collect()
    }

    /// The chains of the audit trail, with the revisions of their records.
    pub(super) fn chains(&self) -> Result<Vec<(Revision, ChainState)>> {
        let mut chains = Vec::new();
        let mut after = None;
        loop {
            let scan = Scan { kind: RecordKind::Audit, account: None, after, limit: MAX_SCAN };
            let found = self.sealed.store.scan(&scan)?;
            after = found.last().map(|(id, _)| id.clone());
            for (id, record) in &found {
                let body = self.sealed.open(id, record)?;
                chains.push((record.revision, ChainState::from_bytes(body.expose_secret())?));
            }
            if after.is_none() {
                return Ok(chains);
            }
        }
    }

    /// Overwrites what the store still holds of deleted and replaced records.
    pub(super) fn scrub(&self) -> Result<()> {
        self.sealed.store.scrub()
    }

    /// Writes all edits or none.
    pub(super) fn commit(&self, edits: &[Edit]) -> Result<Revision, CommitError> {
        let expected: Vec<_> =
            edits.iter().map(|edit| Expectation { id: edit.record_id(), revision: edit.expected() }).collect();
        self.sealed.store.commit(&expected, &mut |revision| {
            let seal = |edit: &Edit| {
                let id = edit.record_id();
                let body = edit.body()?.map(|body| self.sealed.seal(&id, revision, &body)).transpose()?;
                Ok(Change { id, body })
            };
            edits.iter().map(seal).collect()
        })
    }
}

/// The secret of material ids: that of the store, or, for a store that has none yet, a fresh one that is put there.
fn identity_secret(sealed: &Sealed, backend: &CryptoBackend) -> Result<Zeroizing<[u8; 32]>> {
    let id = RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"identity".to_vec() };
    if let Some(record) = sealed.store.get(&id)? {
        return stored_secret(sealed, &id, &record);
    }
    let mut fresh = Zeroizing::new([0; 32]);
    backend.random().fill(fresh.as_mut_slice())?;
    let absent = Expectation { id: id.clone(), revision: None };
    let put = sealed.store.commit(&[absent], &mut |revision| {
        Ok(vec![Change { id: id.clone(), body: Some(sealed.seal(&id, revision, fresh.as_slice())?) }])
    });
    match put {
        Ok(_) => Ok(fresh),
        Err(CommitError::Failed(error)) => Err(error),
        // Another process was faster: its secret is the store's.
        Err(CommitError::Conflict(_)) => stored_secret(sealed, &id, &sealed.store.get(&id)?.ok_or_else(unusable)?),
    }
}

fn stored_secret(sealed: &Sealed, id: &RecordId, record: &Record) -> Result<Zeroizing<[u8; 32]>> {
    let opened = sealed.open(id, record).map_err(|error| {
        let text = "the store does not open: it belongs to another root key, or its own record was altered";
        Error::new(ErrorKind::Internal, text).with_source(error)
    })?;
    let secret: &[u8; 32] = opened.expose_secret().try_into().map_err(|_| unusable())?;
    Ok(Zeroizing::new(*secret))
}

fn unusable() -> Error {
    Error::new(ErrorKind::Internal, "the store's own record is missing or malformed")
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a record under a name that no record has")
}

fn key_record_id(account: AccountId, key_id: KeyId) -> RecordId {
    RecordId { kind: RecordKind::Key, account, name: key_id.as_bytes().to_vec() }
}

fn chain_record_id(id: ChainId) -> RecordId {
    RecordId { kind: RecordKind::Audit, account: AccountId::default(), name: id.0.to_vec() }
}

fn alias_record_id(account: AccountId, name: &AliasName) -> RecordId {
    RecordId { kind: RecordKind::Alias, account, name: name.as_str().as_bytes().to_vec() }
}
