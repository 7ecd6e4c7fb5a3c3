//! Records between store and memory: sealed on the way out, opened and cached on the way in.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::cache::{Cache, Cached, Entry};
use super::grants::{GrantChange, GrantIndex, KeyGrantees, KnownGrant};
use super::sealed::{Opened, Sealed};
use super::usage_counters::KeyCounter;
use crate::audit::{ChainId, ChainState};
use crate::crypto::{CryptoBackend, PublicKey};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, Principal};
use crate::key::{AliasName, ClusterId, CustomKeyStoreId, KeyArn, KeyId};
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::custom_key_store::{CustomKeyStores, read_claim};
use crate::kms::records::destruction::Destruction;
use crate::kms::records::identity_policy::IdentityPolicies;
use crate::kms::records::intent::Intent;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::tombstone::Tombstone;
use crate::policy::{GrantId, PolicyDocument};
use crate::provider::OpenedKey;
use crate::seal::{RootKey, RootKeyVersions};
use crate::secret::SecretBytes;
use crate::store::{
    Anchor, CommitError, Expectation, KeyStore, MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan, StoreId,
};

/// How often a change is tried again after another one came first. Each conflict means that someone else got on, so
/// this many in a row on one key mean that it is changed without a pause.
pub(in crate::kms) const MAX_COMMIT_ATTEMPTS: u32 = 256;

/// A key in memory: its record, its ARN, and those versions of its material that were opened.
pub(in crate::kms) struct LoadedKey {
    pub(in crate::kms) record: KeyRecord,
    pub(in crate::kms) arn: KeyArn,
    opened: Box<[OnceLock<OpenedKey>]>,
    public: OnceLock<Box<dyn PublicKey>>,
    policy: OnceLock<PolicyDocument>,
    granted: Arc<KeyGrantees>,
    counter: OnceLock<Arc<KeyCounter>>,
}

impl LoadedKey {
    pub(in crate::kms) fn new(record: KeyRecord, locality: &Locality) -> Self {
        let arn = KeyArn::new(locality.clone(), record.account, record.key_id);
        let opened = record.versions.iter().map(|_| OnceLock::new()).collect();
        Self {
            record,
            arn,
            opened,
            public: OnceLock::new(),
            policy: OnceLock::new(),
            granted: Arc::default(),
            counter: OnceLock::new(),
        }
    }

    /// The opened material of the version at `index`, opened by `open` the first time.
    pub(in crate::kms) fn opened(&self, index: usize, open: impl FnOnce() -> Result<OpenedKey>) -> Result<&OpenedKey> {
        let slot = self.opened.get(index).ok_or_else(|| Error::new(ErrorKind::Internal, "no such version"))?;
        once(slot, open)
    }

    /// Where calls are counted, looked up by `find` the first time.
    pub(in crate::kms) fn counter(&self, find: impl FnOnce() -> Arc<KeyCounter>) -> &KeyCounter {
        self.counter.get_or_init(find)
    }

    /// The grants of a principal on this revision of the key, read by `read` the first time.
    pub(in crate::kms) fn granted(
        &self,
        principal: &Principal,
        read: impl FnOnce() -> Result<GrantIndex>,
    ) -> Result<Arc<GrantIndex>> {
        self.granted.of(principal, read)
    }

    /// The policy, compiled the first time.
    pub(in crate::kms) fn policy(&self) -> Result<&PolicyDocument> {
        once(&self.policy, || match (&self.record.policy, &self.record.service) {
            (Some(text), _) => PolicyDocument::key_policy(text),
            (None, Some(service)) => {
                let (account, locality) = (self.record.account, self.arn.locality());
                PolicyDocument::service_managed_key_policy(account, locality, service.as_str())
            }
            (None, None) => Ok(PolicyDocument::default_key_policy(self.record.account)),
        })
    }

    /// The public key, parsed by `parse` the first time.
    pub(in crate::kms) fn public(&self, parse: impl FnOnce() -> Result<Box<dyn PublicKey>>) -> Result<&dyn PublicKey> {
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
pub(in crate::kms) enum Edit {
    PutKey {
        record: KeyRecord,
        expected: Option<Revision>,
    },
    DeleteKey {
        account: AccountId,
        key_id: KeyId,
        expected: Revision,
    },
    PutAlias {
        account: AccountId,
        name: AliasName,
        record: AliasRecord,
        expected: Option<Revision>,
    },
    DeleteAlias {
        account: AccountId,
        name: AliasName,
        expected: Revision,
    },
    PutChain {
        id: ChainId,
        body: SecretBytes,
        expected: Option<Revision>,
    },
    DeleteChain {
        id: ChainId,
        expected: Revision,
    },
    /// A new grant, together with the count of grants in the record of its key.
    PutGrant {
        id: RecordId,
        body: Vec<u8>,
        grant: Box<KnownGrant>,
    },
    Put {
        id: RecordId,
        body: Vec<u8>,
        expected: Option<Revision>,
    },
    PutSecret {
        id: RecordId,
        body: SecretBytes,
        expected: Option<Revision>,
    },
    Delete {
        id: RecordId,
        expected: Revision,
    },
}

impl Edit {
    /// Notes that a key was deleted.
    pub(in crate::kms) fn tombstone(account: AccountId, key_id: KeyId, tombstone: Tombstone) -> Self {
        Self::Put { id: tombstone_record_id(account, key_id), body: tombstone.encode(), expected: None }
    }

    fn record_id(&self) -> RecordId {
        match self {
            Self::PutKey { record, .. } => key_record_id(record.account, record.key_id),
            Self::DeleteKey { account, key_id, .. } => key_record_id(*account, *key_id),
            Self::PutAlias { account, name, .. } | Self::DeleteAlias { account, name, .. } => {
                alias_record_id(*account, name)
            }
            Self::PutChain { id, .. } | Self::DeleteChain { id, .. } => chain_record_id(*id),
            Self::PutGrant { id, .. } | Self::Put { id, .. } | Self::PutSecret { id, .. } | Self::Delete { id, .. } => {
                id.clone()
            }
        }
    }

    const fn expected(&self) -> Option<Revision> {
        match self {
            Self::PutKey { expected, .. }
            | Self::PutAlias { expected, .. }
            | Self::PutChain { expected, .. }
            | Self::PutSecret { expected, .. }
            | Self::Put { expected, .. } => *expected,
            Self::PutGrant { .. } => None,
            Self::DeleteKey { expected, .. }
            | Self::Delete { expected, .. }
            | Self::DeleteAlias { expected, .. }
            | Self::DeleteChain { expected, .. } => Some(*expected),
        }
    }

    /// The change of a grant on a key, if it is one.
    fn grant_change(&self, account: AccountId, key_id: KeyId) -> Option<GrantChange<'_>> {
        let id = match self {
            Self::PutGrant { id, .. } | Self::Delete { id, .. } => id,
            _ => return None,
        };
        let is_of_key = id.kind == RecordKind::Grant && id.account == account;
        let grant_id = id.name.strip_prefix(key_id.as_bytes()).filter(|_| is_of_key)?;
        match self {
            Self::PutGrant { grant, .. } => Some(GrantChange::Made(grant)),
            _ => Some(GrantChange::Ended(GrantId::from_bytes(grant_id.try_into().ok()?))),
        }
    }

    /// The body to be sealed. Material in it that is sealed under an earlier version of the root key is sealed anew.
    fn body(&self, store: StoreId, root: &RootKeyVersions) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let body = match self {
            Self::PutKey { record, .. } => record.sealed_under(store, root)?.encode()?,
            Self::PutAlias { record, .. } => record.encode(),
            Self::PutChain { body, .. } | Self::PutSecret { body, .. } => body.expose_secret().to_vec(),
            Self::Put { body, .. } | Self::PutGrant { body, .. } => body.clone(),
            Self::DeleteKey { .. } | Self::DeleteAlias { .. } | Self::DeleteChain { .. } | Self::Delete { .. } => {
                return Ok(None);
            }
        };
        Ok(Some(Zeroizing::new(body)))
    }
}

/// What a key is cached by.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyName {
    account: AccountId,
    key_id: KeyId,
}

/// In one piece: every call looks a key up, and four short pieces, which a derived implementation makes of it, cost more
/// than twice as much.
impl Hash for KeyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 28];
        bytes[..12].copy_from_slice(self.account.as_bytes());
        bytes[12..].copy_from_slice(self.key_id.as_bytes());
        state.write(&bytes);
    }
}

/// The keys and aliases of one store.
pub(in crate::kms) struct Registry {
    sealed: Sealed,
    locality: Locality,
    identities: Cache<Principal, IdentityPolicies>,
    keys: Cache<KeyName, LoadedKey>,
    /// The grants on keys that a commit of this process has changed, until the keys are read again.
    carried: Cache<KeyName, Arc<KeyGrantees>>,
    aliases: Cache<(AccountId, AliasName), AliasRecord>,
    custom_key_stores: Cache<AccountId, CustomKeyStores>,
}

impl Registry {
    /// Opens a store, and prepares it if it is new.
    ///
    /// Fails if the root key is not that of the store.
    pub(in crate::kms) fn new(
        (store, root): (Arc<dyn KeyStore>, RootKey),
        anchor: Option<Arc<dyn Anchor>>,
        backend: &CryptoBackend,
        locality: Locality,
        capacity: usize,
    ) -> Result<Self> {
        let sealed = Sealed::open(store, root, anchor, backend)?;
        Ok(Self {
            sealed,
            locality,
            identities: Cache::new(capacity),
            keys: Cache::new(capacity),
            carried: Cache::new(capacity),
            aliases: Cache::new(capacity),
            custom_key_stores: Cache::new(capacity),
        })
    }

    pub(in crate::kms) fn store_id(&self) -> StoreId {
        self.sealed.id()
    }

    /// The records of the store, opened and sealed.
    pub(in crate::kms) const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    pub(in crate::kms) const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// The key as the store has it now.
    pub(in crate::kms) fn key(&self, account: AccountId, key_id: KeyId) -> Result<Option<Cached<LoadedKey>>> {
        let record_id = || key_record_id(account, key_id);
        let name = KeyName { account, key_id };
        self.fresh(&self.keys, name, record_id, |bytes, revision| {
            let loaded = LoadedKey::new(KeyRecord::decode(account, key_id, bytes)?, &self.locality);
            let carried = self.carried.get(&name).filter(|carried| carried.revision() == revision);
            Ok(match carried {
                Some(carried) => LoadedKey { granted: Arc::clone(&carried), ..loaded },
                None => loaded,
            })
        })
    }

    /// Returns for each key if the store has it now, or the error of its record.
    pub(in crate::kms) fn has_keys(&self, keys: impl Iterator<Item = (AccountId, KeyId)>) -> Result<Vec<Result<bool>>> {
        let ids: Vec<_> = keys.map(|(account, key_id)| key_record_id(account, key_id)).collect();
        let found = self.sealed.get_each_sealed(&ids)?;
        Ok(found.into_iter().map(|record| record.map(|record| record.is_some())).collect())
    }

    /// The alias as the store has it now.
    pub(in crate::kms) fn alias(&self, account: AccountId, name: &AliasName) -> Result<Option<Cached<AliasRecord>>> {
        let record_id = || alias_record_id(account, name);
        self.fresh(&self.aliases, (account, name.clone()), record_id, |bytes, _| AliasRecord::decode(bytes))
    }

    /// The policies of a principal as the store has them now; the revision is zero if it has none.
    pub(in crate::kms) fn identity_policies(&self, principal: &Principal) -> Result<Cached<IdentityPolicies>> {
        // Read before the record, as in `fresh`: what was put in between must not be taken for absent later on.
        let now = self.sealed.revision()?;
        let record_id = || IdentityPolicies::record_id(principal);
        if let Some(held) =
            self.fresh(&self.identities, principal.clone(), record_id, |bytes, _| IdentityPolicies::decode(bytes))?
        {
            return Ok(held);
        }
        Ok(self.identities.insert(principal.clone(), Entry::new(IdentityPolicies::default(), Revision(0), now)))
    }

    /// The custom key stores of an account as the store has them now; `None` if it never had any.
    pub(in crate::kms) fn custom_key_stores(&self, account: AccountId) -> Result<Option<Cached<CustomKeyStores>>> {
        let record_id = || CustomKeyStores::record_id(account);
        self.fresh(&self.custom_key_stores, account, record_id, |bytes, _| CustomKeyStores::decode(bytes))
    }

    /// Returns the cached value if nothing was committed since it was last known current, and else asks the store.
    fn fresh<K: Hash + Eq + Clone, V>(
        &self,
        cache: &Cache<K, V>,
        key: K,
        record_id: impl FnOnce() -> RecordId,
        decode: impl FnOnce(&[u8], Revision) -> Result<V>,
    ) -> Result<Option<Cached<V>>> {
        // Read before the record, so that a commit in between makes the entry look older than it is, never newer.
        let now = self.sealed.revision()?;
        let cached = cache.get(&key);
        if let Some(held) = cached.as_ref().filter(|held| held.is_current(now)) {
            return Ok(Some(Cached::clone(held)));
        }
        let record_id = record_id();
        let Some(record) = self.sealed.get_sealed(&record_id)? else {
            cache.remove(&key);
            return Ok(None);
        };
        if let Some(held) = cached.filter(|held| held.revision() == record.revision) {
            held.confirm(now);
            return Ok(Some(held));
        }
        let value = decode(self.sealed.open_record(&record_id, &record)?.expose_secret(), record.revision)?;
        Ok(Some(cache.insert(key, Entry::new(value, record.revision, now))))
    }

    /// Keys in ascending order behind `after`, of one account or of all.
    pub(in crate::kms) fn keys(
        &self,
        account: Option<AccountId>,
        after: Option<(AccountId, KeyId)>,
        limit: usize,
    ) -> Result<Vec<(AccountId, KeyId, Revision, KeyRecord)>> {
        let after = after.map(|(account, key_id)| key_record_id(account, key_id));
        let found = self.sealed.scan(&Scan { kind: RecordKind::Key, account, after, limit })?;
        let decode = |(id, revision, body): (RecordId, Revision, SecretBytes)| {
            let key_id = key_id_of(&id)?;
            let decoded = KeyRecord::decode(id.account, key_id, body.expose_secret())?;
            Ok((id.account, key_id, revision, decoded))
        };
        found.into_iter().map(decode).collect()
    }

    /// The same of all accounts, with what is wrong with those that do not open; and where to go on.
    pub(in crate::kms) fn keys_or_problems(&self, after: Option<RecordId>, limit: usize) -> Result<KeysOrProblems> {
        let found = self.sealed.scan_each(&Scan { kind: RecordKind::Key, account: None, after, limit })?;
        let last = found.last().map(|(id, _)| id.clone());
        let decode = |(id, opened): (RecordId, Opened)| {
            let decoded =
                opened.and_then(|(_, body)| KeyRecord::decode(id.account, key_id_of(&id)?, body.expose_secret()));
            (id.account, key_named_in(&id), decoded)
        };
        Ok(KeysOrProblems { keys: found.into_iter().map(decode).collect(), last })
    }

    /// Aliases of an account in ascending order behind `after`.
    pub(in crate::kms) fn aliases(
        &self,
        account: AccountId,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<Vec<(AliasName, AliasRecord)>> {
        let after = after.map(|name| alias_record_id(account, name));
        let found = self.sealed.scan(&Scan { kind: RecordKind::Alias, account: Some(account), after, limit })?;
        let decode = |(id, _, body): (RecordId, Revision, SecretBytes)| {
            let name = AliasName::parse(std::str::from_utf8(&id.name).map_err(|_| misnamed())?)?;
            Ok((name, AliasRecord::decode(body.expose_secret())?))
        };
        found.into_iter().map(decode).collect()
    }

    /// What is kept of a key that was deleted.
    pub(in crate::kms) fn tombstone(&self, account: AccountId, key_id: KeyId) -> Result<Option<Tombstone>> {
        let id = tombstone_record_id(account, key_id);
        let Some(record) = self.sealed.get_sealed(&id)? else { return Ok(None) };
        Tombstone::decode(self.sealed.open_record(&id, &record)?.expose_secret()).map(Some)
    }

    /// What is kept of deleted keys, in ascending order behind `after`.
    pub(in crate::kms) fn tombstones(
        &self,
        after: Option<(AccountId, KeyId)>,
        limit: usize,
    ) -> Result<Vec<(AccountId, KeyId, Tombstone)>> {
        let after = after.map(|(account, key_id)| tombstone_record_id(account, key_id));
        let found = self.sealed.scan(&Scan { kind: RecordKind::Tombstone, account: None, after, limit })?;
        let decode = |(id, _, body): (RecordId, Revision, SecretBytes)| {
            let key_id = KeyId::from_bytes(id.name.as_slice().try_into().map_err(|_| misnamed())?);
            Ok((id.account, key_id, Tombstone::decode(body.expose_secret())?))
        };
        found.into_iter().map(decode).collect()
    }

    /// The chains of the audit trail, with the revisions of their records.
    pub(in crate::kms) fn chains(&self) -> Result<Vec<(Revision, ChainState)>> {
        let all = self.all(RecordKind::Audit, |_, revision, body| Ok((revision, ChainState::from_bytes(body)?)))?;
        all.into_iter().map(|found| found.map_err(|(_, error)| error)).collect()
    }

    /// A record of a kind that is not cached, as the store has it now.
    pub(in crate::kms) fn record(&self, id: &RecordId) -> Result<Option<(Revision, SecretBytes)>> {
        let Some(record) = self.sealed.get_sealed(id)? else { return Ok(None) };
        Ok(Some((record.revision, self.sealed.open_record(id, &record)?)))
    }

    /// Work in HSMs that was begun and is not finished, in all accounts.
    pub(in crate::kms) fn intents(&self) -> Result<Vec<OrDamaged<(Intent, Revision)>>> {
        self.all(RecordKind::Intent, |id, revision, body| Ok((Intent::decode(id, body)?, revision)))
    }

    /// What providers have to destroy of deleted keys, in all accounts.
    pub(in crate::kms) fn destructions(&self) -> Result<Vec<OrDamaged<(Destruction, Revision)>>> {
        self.all(RecordKind::Destruction, |id, revision, body| Ok((Destruction::decode(id, body)?, revision)))
    }

    /// The clusters that serve custom key stores, with account and id of the store.
    pub(in crate::kms) fn claimed_clusters(&self) -> Result<Vec<(ClusterId, AccountId, CustomKeyStoreId)>> {
        let all = self.all(RecordKind::CustomKeyStore, |id, _, body| read_claim(id, body))?;
        all.into_iter().filter_map(|found| found.map_err(|(_, error)| error).transpose()).collect()
    }

    /// All records of a kind of which there are few.
    fn all<T>(
        &self,
        kind: RecordKind,
        decode: impl Fn(&RecordId, Revision, &[u8]) -> Result<T>,
    ) -> Result<Vec<OrDamaged<T>>> {
        let mut records = Vec::new();
        let mut after = None;
        loop {
            let found = self.sealed.scan_each(&Scan { kind, account: None, after, limit: MAX_SCAN })?;
            let Some((last, _)) = found.last() else { return Ok(records) };
            after = Some(last.clone());
            for (id, opened) in found {
                let read = opened.and_then(|(revision, body)| decode(&id, revision, body.expose_secret()));
                records.push(read.map_err(|error| (id, error)));
            }
        }
    }

    /// Overwrites what the store still holds of deleted and replaced records.
    pub(in crate::kms) fn scrub(&self) -> Result<()> {
        self.sealed.scrub()
    }

    /// Writes all edits or none.
    pub(in crate::kms) fn commit(&self, edits: &[Edit]) -> Result<Revision, CommitError> {
        let expected: Vec<_> =
            edits.iter().map(|edit| Expectation { id: edit.record_id(), revision: edit.expected() }).collect();
        let revision = self.sealed.commit(&expected, &mut |root| {
            edits.iter().map(|edit| Ok((edit.record_id(), edit.body(self.store_id(), root)?))).collect()
        })?;
        edits.iter().for_each(|edit| self.carry_grants(edit, edits, revision));
        Ok(revision)
    }

    /// Takes the grants on a key over to the revision that a commit gave it. Nobody else can have changed them in between:
    /// a grant is created and ended together with the count in the record of its key.
    fn carry_grants(&self, edit: &Edit, edits: &[Edit], revision: Revision) {
        let Edit::PutKey { record: KeyRecord { account, key_id, grants, .. }, expected: Some(expected) } = edit else {
            return;
        };
        let name = KeyName { account: *account, key_id: *key_id };
        let before = self.keys.get(&name).filter(|held| held.revision() == *expected);
        let Some(before) = before.filter(|held| *grants > 0 || held.record.grants > 0) else { return };
        let changes = edits.iter().filter_map(|edit| edit.grant_change(*account, *key_id));
        let after = before.granted.after(changes);
        self.carried.insert(name, Entry::new(Arc::new(after), revision, revision));
    }
}

impl Registry {
    /// The revision of the record of a chain, if there is one.
    pub(in crate::kms) fn chain_revision(&self, id: ChainId) -> Result<Option<Revision>> {
        Ok(self.sealed.get_sealed(&chain_record_id(id))?.map(|record| record.revision))
    }

    /// Seals records anew, with the material in them, under the current version of the root key, and returns how many.
    /// What was changed in the meantime is sealed under it already.
    pub(in crate::kms) fn reseal(&self, records: &[(RecordId, Record)]) -> Result<u64> {
        match self.try_reseal(records) {
            Ok(_) => Ok(u64::try_from(records.len()).unwrap_or(u64::MAX)),
            Err(CommitError::Conflict(_)) if records.len() > 1 => {
                records.iter().map(|record| self.reseal(std::slice::from_ref(record))).sum()
            }
            Err(CommitError::Conflict(_)) => Ok(0),
            Err(CommitError::Failed(error)) => Err(error),
        }
    }

    fn try_reseal(&self, records: &[(RecordId, Record)]) -> Result<Revision, CommitError> {
        let expected: Vec<_> = records
            .iter()
            .map(|(id, record)| Expectation { id: id.clone(), revision: Some(record.revision) })
            .collect();
        self.sealed.commit(&expected, &mut |root| {
            let reseal = |(id, record): &(RecordId, Record)| {
                let body = self.sealed.open_with(root, id, record)?;
                let body = match id.kind {
                    RecordKind::Key => KeyRecord::decode(id.account, key_id_of(id)?, body.expose_secret())?
                        .sealed_under(self.store_id(), root)?
                        .encode()?,
                    _ => body.expose_secret().to_vec(),
                };
                Ok((id.clone(), Some(Zeroizing::new(body))))
            };
            records.iter().map(reseal).collect()
        })
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a record under a name that no record has")
}

/// Keys, and of those that do not open what is wrong.
pub(in crate::kms) struct KeysOrProblems {
    pub(in crate::kms) keys: Vec<(AccountId, KeyId, Result<KeyRecord>)>,
    /// Where to go on; `None` if there were none.
    pub(in crate::kms) last: Option<RecordId>,
}

/// What a record says; of a damaged one its name, and what is wrong.
pub(in crate::kms) type OrDamaged<T> = Result<T, (RecordId, Error)>;

/// The key that the name of a record begins with, for reports of what is wrong with it.
pub(in crate::kms) fn key_named_in(id: &RecordId) -> KeyId {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(&id.name).for_each(|(byte, named)| *byte = *named);
    KeyId::from_bytes(bytes)
}

/// The key that a record is of.
pub(in crate::kms) fn key_id_of(id: &RecordId) -> Result<KeyId> {
    Ok(KeyId::from_bytes(id.name.as_slice().try_into().map_err(|_| misnamed())?))
}

pub(in crate::kms) fn key_record_id(account: AccountId, key_id: KeyId) -> RecordId {
    RecordId { kind: RecordKind::Key, account, name: key_id.as_bytes().to_vec() }
}

fn tombstone_record_id(account: AccountId, key_id: KeyId) -> RecordId {
    RecordId { kind: RecordKind::Tombstone, account, name: key_id.as_bytes().to_vec() }
}

pub(in crate::kms) fn chain_record_id(id: ChainId) -> RecordId {
    RecordId { kind: RecordKind::Audit, account: AccountId::default(), name: id.0.to_vec() }
}

fn alias_record_id(account: AccountId, name: &AliasName) -> RecordId {
    RecordId { kind: RecordKind::Alias, account, name: name.as_str().as_bytes().to_vec() }
}
