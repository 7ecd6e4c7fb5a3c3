//! A store whose records are sealed under the versions of a root key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use crate::codec::Writer;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::seal::{RootKey, RootKeyHolder, RootKeyVersions, RootRecord, SealError, WrappedVersion};
use crate::secret::SecretBytes;
use crate::store::{Change, CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, StoreId};

/// How often a commit is tried again because the root key was rotated in between.
const MAX_ROTATIONS_MET: u32 = 16;

/// What one record becomes: its body before sealing, or `None` if it is to be deleted.
pub(super) type PlainChange = (RecordId, Option<Zeroizing<Vec<u8>>>);

/// Makes the bodies of a commit. What they hold that is sealed by itself is sealed under the versions given.
pub(super) type PlainChanges<'a> = dyn FnMut(&RootKeyVersions) -> Result<Vec<PlainChange>> + 'a;

/// A store, and the versions of its root key as they were last seen.
///
/// Every commit demands that the record of the root key is still the one that it was prepared with. So once a rotation has
/// begun nothing is written under an older version any more, by whatever process.
pub(super) struct Sealed {
    store: Arc<dyn KeyStore>,
    backend: CryptoBackend,
    holders: Mutex<Vec<Arc<dyn RootKeyHolder>>>,
    root: ArcSwap<Root>,
}

/// The record of the root key, and its versions unwrapped.
pub(super) struct Root {
    pub(super) revision: Revision,
    pub(super) record: RootRecord,
    pub(super) versions: RootKeyVersions,
}

impl Sealed {
    /// Opens a store, and prepares it if it is new: draws its root key, and commits it together with `first`.
    ///
    /// Fails if the root key is not that of the store.
    pub(super) fn open(
        store: Arc<dyn KeyStore>,
        root: RootKey,
        backend: &CryptoBackend,
        first: &mut PlainChanges<'_>,
    ) -> Result<Self> {
        let holder = root.into_holder(backend)?;
        let id = root_record_id();
        let record = match store.get(&id)? {
            Some(record) => record,
            None => {
                if store.revision()? == Revision(0) {
                    create(&*store, &*holder, backend, first)?;
                }
                // Here if it was made just now, by this process or a faster one.
                store.get(&id)?.ok_or(SealError::DamagedRootRecord)?
            }
        };
        let holders = vec![holder];
        let root = Root::unwrap(&*store, backend, &holders, &record)?;
        Ok(Self { store, backend: *backend, holders: Mutex::new(holders), root: ArcSwap::from_pointee(root) })
    }

    pub(super) fn id(&self) -> StoreId {
        self.store.id()
    }

    /// The revision of the last commit. Cheap.
    pub(super) fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    /// The root key as it was last seen.
    pub(super) fn root(&self) -> Arc<Root> {
        self.root.load_full()
    }

    /// The root key as the store has it now.
    pub(super) fn latest_root(&self) -> Result<Arc<Root>> {
        let record = self.store.get(&root_record_id())?.ok_or(SealError::DamagedRootRecord)?;
        let known = self.root();
        if record.revision == known.revision {
            return Ok(known);
        }
        let mut latest = Root::unwrap(&*self.store, &self.backend, &self.holders(), &record)?;
        latest.versions = latest.versions.keeping(&known.versions);
        let latest = Arc::new(latest);
        self.root.store(Arc::clone(&latest));
        Ok(latest)
    }

    /// Reads and opens one record.
    pub(super) fn get(&self, id: &RecordId) -> Result<Option<(Revision, SecretBytes)>> {
        let Some(record) = self.store.get(id)? else { return Ok(None) };
        Ok(Some((record.revision, self.open_record(id, &record)?)))
    }

    /// Reads one record without opening it.
    pub(super) fn get_sealed(&self, id: &RecordId) -> Result<Option<Record>> {
        self.store.get(id)
    }

    /// Reads and opens records in order, all from one moment.
    pub(super) fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Revision, SecretBytes)>> {
        let open = |(id, record): (RecordId, Record)| {
            let body = self.open_record(&id, &record)?;
            Ok((id, record.revision, body))
        };
        self.store.scan(scan)?.into_iter().map(open).collect()
    }

    /// Opens a record that was read from the store.
    pub(super) fn open_record(&self, id: &RecordId, record: &Record) -> Result<SecretBytes> {
        self.open_part(&place(self.id(), id, record.revision)?, &record.body)
    }

    /// Opens what lies sealed within a record, or was given away.
    pub(super) fn open_part(&self, binding: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let mut root = self.root();
        if root.versions.lacks_version_of(sealed) {
            root = self.latest_root()?;
        }
        root.versions.open(binding, sealed)
    }

    /// Writes all changes or none, sealed under the current version of the root key. All must be among the expectations.
    pub(super) fn commit(
        &self,
        expected: &[Expectation],
        changes: &mut PlainChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let mut met = 0;
        loop {
            let root = self.root();
            match self.commit_under(&root, expected, changes) {
                Err(CommitError::Conflict(id)) if id == root_record_id() && met < MAX_ROTATIONS_MET => {
                    self.latest_root()?;
                    met += 1;
                }
                done => return done,
            }
        }
    }

    fn commit_under(
        &self,
        root: &Root,
        expected: &[Expectation],
        changes: &mut PlainChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let mut all = vec![Expectation { id: root_record_id(), revision: Some(root.revision) }];
        all.extend_from_slice(expected);
        self.store.commit(&all, &mut |revision| {
            let plain = changes(&root.versions)?;
            plain.into_iter().map(|change| seal(self.id(), &root.versions, revision, change)).collect()
        })
    }

    /// Overwrites what the store still holds of deleted and replaced records.
    pub(super) fn scrub(&self) -> Result<()> {
        self.store.scrub()
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Arc<dyn RootKeyHolder>>> {
        // Holders are only ever added, so the list is whole at any moment.
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Root {
    fn unwrap(
        store: &dyn KeyStore,
        backend: &CryptoBackend,
        holders: &[Arc<dyn RootKeyHolder>],
        record: &Record,
    ) -> Result<Self> {
        let place = place(store.id(), &root_record_id(), record.revision)?;
        let (unwrapped, secrets) = RootRecord::unwrap(backend, &record.body, holders, &store.id().0, &place)?;
        let versions = RootKeyVersions::new(backend, unwrapped.current, secrets)?;
        Ok(Self { revision: record.revision, record: unwrapped, versions })
    }
}

/// Draws the first version of the root key and commits it, unless another process is faster.
fn create(
    store: &dyn KeyStore,
    holder: &dyn RootKeyHolder,
    backend: &CryptoBackend,
    first: &mut PlainChanges<'_>,
) -> Result<()> {
    const FIRST: u32 = 1;
    let secret = RootKeyVersions::draw(backend)?;
    let wrapped = vec![WrappedVersion::wrap(holder, &store.id().0, FIRST, &secret)?];
    let record = RootRecord { current: FIRST, holder: holder.id().to_owned(), wrapped };
    let versions = RootKeyVersions::new(backend, FIRST, [(FIRST, secret)])?;
    let plain = first(&versions)?;
    let mut expected = vec![Expectation { id: root_record_id(), revision: None }];
    expected.extend(plain.iter().map(|(id, _)| Expectation { id: id.clone(), revision: None }));
    let mut plain = Some(plain);
    let created = store.commit(&expected, &mut |revision| {
        let body = record.encode(backend, &versions, &place(store.id(), &root_record_id(), revision)?)?;
        let mut changes = vec![Change { id: root_record_id(), body: Some(body) }];
        for change in plain.take().unwrap_or_default() {
            changes.push(seal(store.id(), &versions, revision, change)?);
        }
        Ok(changes)
    });
    match created {
        Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(CommitError::Failed(error)) => Err(error),
    }
}

fn seal(store: StoreId, versions: &RootKeyVersions, revision: Revision, (id, body): PlainChange) -> Result<Change> {
    let place = place(store, &id, revision)?;
    let body = body.map(|body| versions.seal(&place, &body)).transpose()?;
    Ok(Change { id, body })
}

/// What a record is bound to: moved, renamed, or set back to an older revision, it does not open.
fn place(store: StoreId, id: &RecordId, revision: Revision) -> Result<Vec<u8>> {
    let mut writer = Writer::with_capacity(96);
    writer.bytes(b"strongroom record v1").bytes(&store.0);
    writer.u8(id.kind.code());
    writer.prefixed_u16(id.account.as_str().as_bytes(), "account")?;
    writer.prefixed_u16(&id.name, "record name")?;
    writer.u64(revision.0);
    Ok(writer.into_bytes())
}

/// The name of a record that concerns the store as a whole.
pub(super) fn store_record_id(name: &str) -> RecordId {
    RecordId { kind: RecordKind::Store, account: AccountId::default(), name: name.as_bytes().to_vec() }
}

fn root_record_id() -> RecordId {
    store_record_id("root")
}

/// The refusal of a store whose own records are not there or make no sense.
pub(super) fn unusable() -> Error {
    Error::new(ErrorKind::Integrity, "the store's own record is missing or malformed")
}
