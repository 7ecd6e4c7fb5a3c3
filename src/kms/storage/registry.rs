//! Transfers records between the store and memory: sealed when written, opened and cached when
//! read.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::cache::{ABSENT, Cache, Cached, Entry};
use super::grants::KeyGrantees;
use super::loaded_key::LoadedKey;
use super::sealed::{Opened, Sealed};
use crate::crypto::CryptoBackend;
use crate::error::{Error, Result};
use crate::identity::{AccountId, Locality, Principal};
use crate::key::{AliasName, KeyId};
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::custom_key_store::CustomKeyStores;
use crate::kms::records::identity_policy::IdentityPolicies;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::metrics::{CacheName, Lookup, Metrics};
use crate::seal::RootKey;
use crate::secret::SecretBytes;
use crate::span::StepSpan;
use crate::store::{Anchor, KeyStore, MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan, StoreId};

/// The cache key of a KMS key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyName {
    pub(super) account: AccountId,
    pub(super) key_id: KeyId,
}

/// Hashes the name as a single slice. Every call looks a key up, and the four short slices of a
/// derived implementation cost more than twice as much.
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
    pub(super) keys: Cache<KeyName, LoadedKey>,
    /// The grants on keys that a commit of this process has changed, until the keys are read again.
    pub(super) carried: Cache<KeyName, Arc<KeyGrantees>>,
    aliases: Cache<(AccountId, AliasName), AliasRecord>,
    custom_key_stores: Cache<AccountId, CustomKeyStores>,
}

impl Registry {
    /// Opens a store, and initializes it if it is new.
    ///
    /// # Errors
    /// - [`RootKey`](crate::ErrorKind::RootKey) if the root key does not match the store.
    /// - [`Integrity`](crate::ErrorKind::Integrity) if the store was altered or does not match the
    ///   anchor.
    /// - [`Store`](crate::ErrorKind::Store) if the store fails.
    pub(in crate::kms) fn new(
        (store, root): (Arc<dyn KeyStore>, RootKey),
        anchor: Option<Arc<dyn Anchor>>,
        backend: &CryptoBackend,
        locality: Locality,
        capacity: usize,
        metrics: Metrics,
    ) -> Result<Self> {
        let sealed = Sealed::open(store, root, anchor, backend, capacity, metrics)?;
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

    /// Returns the records of the store, opened and sealed.
    pub(in crate::kms) const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// Returns the recorder of the KMS.
    pub(in crate::kms) const fn metrics(&self) -> &Metrics {
        self.sealed.metrics()
    }

    pub(in crate::kms) const fn locality(&self) -> &Locality {
        &self.locality
    }

    /// Returns the key as currently stored.
    pub(in crate::kms) fn key(&self, account: AccountId, key_id: KeyId) -> Result<Option<Cached<LoadedKey>>> {
        let record_id = || KeyRecord::record_id(account, key_id);
        let name = KeyName { account, key_id };
        self.fresh((&self.keys, CacheName::Keys), name, record_id, |bytes, revision| {
            let mut loaded = LoadedKey::new(KeyRecord::decode(&record_id(), bytes)?, &self.locality);
            let carried = self.carried.get(&name).filter(|carried| carried.revision() == revision);
            if let Some(carried) = carried {
                loaded.granted = Arc::clone(&carried);
            }
            Ok(loaded)
        })
    }

    /// Returns, for each key, `true` if the store currently has it, or the error of its record.
    pub(in crate::kms) fn has_keys(&self, keys: impl Iterator<Item = (AccountId, KeyId)>) -> Result<Vec<Result<bool>>> {
        let ids: Vec<_> = keys.map(|(account, key_id)| KeyRecord::record_id(account, key_id)).collect();
        let found = self.sealed.get_each_sealed(&ids)?;
        Ok(found.into_iter().map(|record| record.map(|record| record.is_some())).collect())
    }

    /// Returns the alias as currently stored.
    pub(in crate::kms) fn alias(&self, account: AccountId, name: &AliasName) -> Result<Option<Cached<AliasRecord>>> {
        let record_id = || AliasRecord::record_id(account, name);
        self.fresh((&self.aliases, CacheName::Aliases), (account, name.clone()), record_id, |bytes, _| {
            AliasRecord::decode(&record_id(), bytes)
        })
    }

    /// Returns the policies of a principal as currently stored. The revision is zero if it has
    /// none.
    pub(in crate::kms) fn identity_policies(&self, principal: &Principal) -> Result<Cached<IdentityPolicies>> {
        // Read before the record, as in `fresh`: a record written in between must not be treated as
        // absent later.
        let now = self.sealed.revision()?;
        let record_id = || IdentityPolicies::record_id(principal);
        if let Some(held) =
            self.fresh((&self.identities, CacheName::IdentityPolicies), principal.clone(), record_id, |bytes, _| {
                IdentityPolicies::decode(&record_id(), bytes)
            })?
        {
            return Ok(held);
        }
        Ok(self.identities.insert(principal.clone(), Entry::new(IdentityPolicies::default(), ABSENT, now)))
    }

    /// Returns the custom key stores of an account as currently stored, or `None` if it never had
    /// any.
    pub(in crate::kms) fn custom_key_stores(&self, account: AccountId) -> Result<Option<Cached<CustomKeyStores>>> {
        let record_id = || CustomKeyStores::record_id(account);
        self.fresh((&self.custom_key_stores, CacheName::CustomKeyStores), account, record_id, |bytes, _| {
            CustomKeyStores::decode(&record_id(), bytes)
        })
    }

    /// Returns the cached value if nothing was committed since it was last known to be current, or
    /// if the index shows that its record was not changed. Otherwise, reads the record.
    ///
    /// Commits elsewhere are frequent in a shared store. Each costs one read of the index, and one
    /// read for each part of the index that it changed, regardless of the number of cached values.
    fn fresh<K: Hash + Eq + Clone, V>(
        &self,
        (cache, cache_name): (&Cache<K, V>, CacheName),
        key: K,
        record_id: impl FnOnce() -> RecordId,
        decode: impl FnOnce(&[u8], Revision) -> Result<V>,
    ) -> Result<Option<Cached<V>>> {
        // Read before the record, so that a commit in between makes the entry look older than it
        // is, never newer.
        let now = self.sealed.revision()?;
        let cached = cache.get(&key);
        if let Some(held) = cached.as_ref().filter(|held| held.is_current(now)) {
            self.metrics().count_lookup(cache_name, Lookup::Hit);
            return Ok(Some(Cached::clone(held)));
        }
        let record_id = record_id();
        if let Some(held) = &cached
            && let Some(until) = self.sealed.unchanged_until(&record_id, held.stored_revision(), now)?
        {
            self.metrics().count_lookup(cache_name, Lookup::Revalidated);
            held.confirm(until);
            return Ok(Some(Cached::clone(held)));
        }
        let _span = StepSpan::store_read();
        let record = self.sealed.get_sealed(&record_id)?;
        let revision = record.as_ref().map(|record| record.revision);
        if let Some(held) = cached.filter(|held| held.stored_revision() == revision) {
            self.metrics().count_lookup(cache_name, Lookup::Revalidated);
            held.confirm(now);
            return Ok(Some(held));
        }
        self.metrics().count_lookup(cache_name, Lookup::Miss);
        let Some(record) = record else {
            cache.remove(&key);
            return Ok(None);
        };
        let value = decode(self.sealed.open_record(&record_id, &record)?.expose_secret(), record.revision)?;
        Ok(Some(cache.insert(key, Entry::new(value, record.revision, now))))
    }

    /// Returns keys in ascending order after `after`, of one account or of all.
    pub(in crate::kms) fn keys(
        &self,
        account: Option<AccountId>,
        after: Option<(AccountId, KeyId)>,
        limit: usize,
    ) -> Result<Vec<(AccountId, KeyId, Revision, KeyRecord)>> {
        let after = after.map(|(account, key_id)| KeyRecord::record_id(account, key_id));
        let found = self.list::<KeyRecord>(account, after, limit)?;
        Ok(found.into_iter().map(|(_, revision, key)| (key.account, key.key_id, revision, key)).collect())
    }

    /// Returns keys of all accounts that were written after `since`, in ascending order after
    /// `after`, with an error for each that does not open, and the position at which to continue.
    pub(in crate::kms) fn keys_or_problems(
        &self,
        since: Revision,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<KeysOrProblems> {
        let found = self.sealed.scan_each(&Scan { kind: RecordKind::Key, account: None, after, limit }, since)?;
        let last = found.last().map(|(id, _)| id.clone());
        let decode = |(id, opened): (RecordId, Opened)| {
            let decoded = opened.and_then(|(_, body)| KeyRecord::decode(&id, body.expose_secret()));
            decoded.map_err(|error| (id, error))
        };
        Ok(KeysOrProblems { keys: found.into_iter().map(decode).collect(), last })
    }

    /// Returns aliases of an account in ascending order after `after`.
    pub(in crate::kms) fn aliases(
        &self,
        account: AccountId,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<Vec<(AliasName, AliasRecord)>> {
        let after = after.map(|name| AliasRecord::record_id(account, name));
        let found = self.list(Some(account), after, limit)?;
        found.into_iter().map(|(id, _, record)| Ok((AliasRecord::name_in(&id)?, record))).collect()
    }

    /// Returns the current revision of a record that opens, or `None` if the record does not exist.
    pub(in crate::kms) fn revision_of(&self, id: &RecordId) -> Result<Option<Revision>> {
        Ok(self.sealed.get(id)?.map(|(revision, _)| revision))
    }

    /// Returns a record as currently stored, with its revision.
    pub(in crate::kms) fn read<R: StoredRecord>(&self, id: &RecordId) -> Result<Found<R>> {
        let found = self.sealed.get(id)?;
        found.map(|(revision, body)| Ok((revision, R::decode(id, body.expose_secret())?))).transpose()
    }

    /// Returns several records as currently stored, in the order of the IDs, with an error for each
    /// that cannot be read.
    pub(in crate::kms) fn read_each<R: StoredRecord>(&self, ids: &[RecordId]) -> Result<Vec<Result<Found<R>>>> {
        let read = |(id, record): (&RecordId, Result<Option<Record>>)| {
            let Some(record) = record? else { return Ok(None) };
            let body = self.sealed.open_record(id, &record)?;
            Ok(Some((record.revision, R::decode(id, body.expose_secret())?)))
        };
        Ok(ids.iter().zip(self.sealed.get_each_sealed(ids)?).map(read).collect())
    }

    /// Returns records in ascending order after `after`, of one account or of all.
    pub(in crate::kms) fn list<R: StoredRecord>(
        &self,
        account: Option<AccountId>,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Revision, R)>> {
        let decode = |(id, revision, body): (RecordId, Revision, SecretBytes)| {
            let record = R::decode(&id, body.expose_secret())?;
            Ok((id, revision, record))
        };
        self.list_opened(R::KIND, account, after, limit)?.into_iter().map(decode).collect()
    }

    /// Like [`list`](Self::list), but returns the records before they are decoded.
    pub(super) fn list_opened(
        &self,
        kind: RecordKind,
        account: Option<AccountId>,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Revision, SecretBytes)>> {
        self.sealed.scan(&Scan { kind, account, after, limit })
    }

    /// Returns all records of a kind. Use only for kinds with few records.
    pub(in crate::kms) fn read_all<R: StoredRecord>(&self) -> Result<Vec<(Revision, R)>> {
        self.read_all_or_damaged()?.into_iter().map(|found| found.map_err(|(_, error)| error)).collect()
    }

    /// Like [`read_all`](Self::read_all), but returns an error for each record that cannot be read.
    pub(in crate::kms) fn read_all_or_damaged<R: StoredRecord>(&self) -> Result<Vec<OrDamaged<(Revision, R)>>> {
        let (mut records, mut after) = (Vec::new(), None);
        loop {
            let scan = Scan { kind: R::KIND, account: None, after, limit: MAX_SCAN };
            let found = self.sealed.scan_each(&scan, Revision::default())?;
            let Some((last, _)) = found.last() else { return Ok(records) };
            after = Some(last.clone());
            for (id, opened) in found.into_iter().filter(|(id, _)| R::is_named(id)) {
                let read = opened.and_then(|(revision, body)| Ok((revision, R::decode(&id, body.expose_secret())?)));
                records.push(read.map_err(|error| (id, error)));
            }
        }
    }

    /// Overwrites the remains of deleted and replaced records in the store.
    pub(in crate::kms) fn scrub(&self) -> Result<()> {
        self.sealed.scrub()
    }
}

/// A record with its revision, if it exists.
pub(in crate::kms) type Found<R> = Option<(Revision, R)>;

/// Keys, with the error of each key that does not open.
pub(in crate::kms) struct KeysOrProblems {
    pub(in crate::kms) keys: Vec<OrDamaged<KeyRecord>>,
    /// The position at which to continue, or `None` if there were no keys.
    pub(in crate::kms) last: Option<RecordId>,
}

/// The content of a record, or the name and error of a damaged one.
pub(in crate::kms) type OrDamaged<T> = Result<T, (RecordId, Error)>;
