//! A store whose records are sealed under the versions of a root key and listed in an index.
//!
//! Every commit requires the root key record to be unchanged since the commit was prepared. Once a
//! rotation of the root key has started, no process can therefore write anything under an older
//! version. Every commit also updates the index in the same transaction, and every read is compared
//! with it.

mod ambiguous;
mod anchored;
mod index;
mod index_cache;
mod index_update;
mod measured;
mod record_aad;
mod root;
mod rotation;
mod verify;
mod violations;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use self::ambiguous::settle;
pub(in crate::kms) use self::ambiguous::{CommitMark, ambiguous_commit, is_ambiguous};
use self::anchored::AnchorCheck;
pub(in crate::kms) use self::anchored::{is_committed, only_prepared};
use self::index::{IndexRoot, MAX_DEPTH, MAX_LEAF_ENTRIES, Name, Node, NodePath, RecordVersion, head_record_id};
use self::index_cache::{IndexCache, KnownHead, KnownNode, Listing};
use self::index_update::{Indexed, records_to_read};
use self::measured::commit_measured;
pub(in crate::kms) use self::record_aad::PlainChange;
use self::record_aad::{identity_record_id, open_under, record_aad, root_record_id, seal};
pub(in crate::kms) use self::root::Root;
pub(in crate::kms) use self::rotation::batches;
pub(in crate::kms) use self::verify::Checked;
use self::violations::{compare, set_back, unusable};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{Mutex, MutexGuard};
use crate::metrics::Metrics;
use crate::seal::{IdentityKey, RootKey, RootKeyHolder, RootKeyVersions};
use crate::secret::SecretBytes;
use crate::span::StepSpan;
use crate::store::{Anchor, Change, CommitError, Expectation, KeyStore, Record, RecordId, Revision, Scan, StoreId};

/// Maximum number of times that a commit is retried because the root key was rotated in the
/// meantime.
const MAX_ROTATIONS_MET: u32 = 16;

/// Maximum number of times that the anchor is read again because it moved during the comparison
/// with the store.
const MAX_ANCHOR_READS: u32 = 256;

/// Length of the secret for material IDs and the index.
const IDENTITY_LENGTH: usize = 32;

/// Creates the bodies of a commit. Separately sealed parts are sealed under the given versions.
pub(in crate::kms) type PlainChanges<'a> = dyn FnMut(&RootKeyVersions) -> Result<Vec<PlainChange>> + 'a;

/// A record in plaintext, or the error that prevents opening it.
pub(in crate::kms) type Opened = Result<(Revision, SecretBytes)>;

/// A store, with its root key versions and index parts as last read.
pub(in crate::kms) struct Sealed {
    store: Arc<dyn KeyStore>,
    metrics: Metrics,
    backend: CryptoBackend,
    holders: Mutex<Vec<Arc<dyn RootKeyHolder>>>,
    root: ArcSwap<Root>,
    identity: IdentityKey,
    witness: AnchorCheck,
    index: IndexCache,
    /// [`MAX_LEAF_ENTRIES`], or fewer in tests of deep trees.
    max_leaf_entries: usize,
}

impl Sealed {
    /// Opens a store, and initializes it if it is new. `cached_records` is the number of records
    /// whose index entries should fit into memory.
    ///
    /// # Errors
    /// - [`RootKey`](ErrorKind::RootKey) if the root key does not match the store.
    /// - [`Integrity`](ErrorKind::Integrity) if the store's own records do not belong together, or
    ///   the anchor has seen a later state of the store.
    pub(in crate::kms) fn open(
        store: Arc<dyn KeyStore>,
        root: RootKey,
        anchor: Option<Arc<dyn Anchor>>,
        backend: &CryptoBackend,
        cached_records: usize,
        metrics: Metrics,
    ) -> Result<Self> {
        let holder = root.into_holder(backend)?;
        let mut own = own_records(&*store)?;
        if own.root.is_none() {
            if store.revision()? == Revision(0) {
                create(&*store, &*holder, backend)?;
            }
            // The record exists if this process or a faster one has just created it.
            own = own_records(&*store)?;
        }
        let (Some(record), Some(identity)) = (own.root, own.identity) else { return Err(unusable()) };
        let holders = vec![holder];
        let root = Root::unwrap(store.id(), backend, &holders, &record)?;
        let identity = open_under(store.id(), &root.versions, &identity_record_id(), &identity)?;
        let identity: &[u8; IDENTITY_LENGTH] = identity.expose_secret().try_into().map_err(|_| unusable())?;
        let sealed = Self {
            identity: IdentityKey::new(backend, identity),
            witness: AnchorCheck::new(store.id(), anchor),
            store,
            metrics,
            backend: *backend,
            holders: Mutex::new(holders),
            root: ArcSwap::from_pointee(root),
            index: IndexCache::new(cached_records),
            max_leaf_entries: MAX_LEAF_ENTRIES,
        };
        for id in [root_record_id(), identity_record_id()] {
            sealed.get_sealed(&id)?.ok_or_else(unusable)?;
        }
        sealed.check_anchor()?;
        Ok(sealed)
    }

    pub(in crate::kms) fn id(&self) -> StoreId {
        self.store.id()
    }

    /// Returns the recorder of the KMS.
    pub(in crate::kms) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the location of the store, if the store reports one.
    pub(in crate::kms) fn location(&self) -> Option<[u8; 16]> {
        self.store.location()
    }

    /// Returns the key of material IDs. It is generated with the store and stored in it, sealed
    /// under the root key.
    pub(in crate::kms) const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Returns the revision of the last commit. Cheap.
    pub(in crate::kms) fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    /// Makes every later read reflect all commits that have ended before this call. Returns the last
    /// of them, or a later one.
    pub(in crate::kms) fn latest_revision(&self) -> Result<Revision> {
        self.store.latest_revision()
    }

    /// Returns the root key as last read.
    pub(in crate::kms) fn root(&self) -> Arc<Root> {
        self.root.load_full()
    }

    /// Returns the root key as currently stored.
    pub(in crate::kms) fn latest_root(&self) -> Result<Arc<Root>> {
        let record = self.store.get(&root_record_id())?.ok_or_else(unusable)?;
        let known = self.root();
        if record.revision == known.revision {
            return Ok(known);
        }
        let latest = Arc::new(known.follow(self.id(), &self.backend, &self.holders(), &record)?);
        // Never go back: another thread may have read a later state.
        self.root.rcu(|seen| Arc::clone(if seen.revision < latest.revision { &latest } else { seen }));
        Ok(latest)
    }

    /// Reads and opens one record.
    pub(in crate::kms) fn get(&self, id: &RecordId) -> Result<Option<(Revision, SecretBytes)>> {
        let Some(record) = self.get_sealed(id)? else { return Ok(None) };
        Ok(Some((record.revision, self.open_record(id, &record)?)))
    }

    /// Reads one record without opening it. Checks that the record matches its index entry, or that
    /// neither of them exists.
    pub(in crate::kms) fn get_sealed(&self, id: &RecordId) -> Result<Option<Record>> {
        let name = Name::of(&self.identity, id);
        let now = self.store.revision()?;
        // The cached head shows which nodes are not cached. If a later head lists others, all of
        // them are read in the second round.
        let mut paths = match self.index.head().map(|head| self.index.find_cached(&head.1, &name)) {
            Some(Listing::Version(_)) => Vec::new(),
            Some(Listing::Unknown { depth }) => self.paths_from(&name, depth),
            None => self.paths_from(&name, 1),
        };
        loop {
            let (record, head, mut nodes) = self.read_with_index(Some(id), paths, now)?;
            match self.find(&head.1, &name, &mut nodes)? {
                Listing::Version(listed) => {
                    compare(id, record.as_ref(), listed)?;
                    return Ok(record);
                }
                // Every round reads all nodes to a greater depth, of which there are few.
                Listing::Unknown { depth } => {
                    paths = (1..depth).map(|above| name.path(above)).collect();
                    paths.append(&mut self.paths_from(&name, depth));
                }
            }
        }
    }

    /// Compares a record that was read at `revision`, or was absent, with the store at revision
    /// `now` or later. Reads at most the head. Returns a revision up to which the record is known
    /// to be unchanged, or `None` if only reading it shows its state.
    pub(in crate::kms) fn unchanged_until(
        &self,
        id: &RecordId,
        revision: Option<Revision>,
        now: Revision,
    ) -> Result<Option<Revision>> {
        let head = self.index.head_since(now, || {
            let _span = StepSpan::store_read();
            self.open_head(self.store.get(&head_record_id())?, now)
        })?;
        let listing = self.index.find_cached(&head.1, &Name::of(&self.identity, id));
        let is_same = matches!(listing, Listing::Version(version) if version.map(|it| it.revision) == revision);
        Ok(is_same.then_some(head.0.revision))
    }

    /// Reads several records like [`Sealed::get_sealed`], with an error for each that does not
    /// match the index.
    pub(in crate::kms) fn get_each_sealed(&self, ids: &[RecordId]) -> Result<Vec<Result<Option<Record>>>> {
        let found = self.store.get_all(ids)?;
        let listings = self.find_each(ids.iter())?;
        let checked = ids.iter().zip(found).zip(listings).map(|((id, record), listing)| {
            // The index was read later. Only a joint read can distinguish a concurrent change from
            // a violation.
            if matches(id, record.as_ref(), listing) { Ok(record) } else { self.get_sealed(id) }
        });
        Ok(checked.collect())
    }

    /// Reads and opens records in order. A record that is changed or deleted concurrently is
    /// returned in its new state or omitted.
    pub(in crate::kms) fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Revision, SecretBytes)>> {
        let opened = |(id, opened): (RecordId, Opened)| opened.map(|(revision, body)| (id, revision, body));
        self.scan_each(scan, Revision::default())?.into_iter().map(opened).collect()
    }

    /// Like [`Sealed::scan`], but omits records that were not written after `since`, and returns an
    /// error for each record that does not open.
    pub(in crate::kms) fn scan_each(&self, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Opened)>> {
        let found =
            if since == Revision::default() { self.store.scan(scan) } else { self.store.scan_since(scan, since) }?;
        let listings = self.find_each(found.iter().map(|(id, _)| id))?;
        let mut records = Vec::with_capacity(found.len());
        for ((id, mut record), listing) in found.into_iter().zip(listings) {
            if !matches(&id, Some(&record), listing) {
                // The index was read later, as in `get_each_sealed`.
                match self.get_sealed(&id) {
                    Ok(Some(later)) => record = later,
                    Ok(None) => continue,
                    Err(error) => {
                        records.push((id, Err(error)));
                        continue;
                    }
                }
            }
            let opened = self.open_record(&id, &record).map(|body| (record.revision, body));
            records.push((id, opened));
        }
        Ok(records)
    }

    /// Opens a record that was read from the store.
    pub(in crate::kms) fn open_record(&self, id: &RecordId, record: &Record) -> Result<SecretBytes> {
        self.open_part(&record_aad(self.id(), id, record.revision)?, &record.body)
    }

    /// Opens a record under the given versions without accessing the store, for use within a
    /// commit.
    pub(in crate::kms) fn open_with(
        &self,
        versions: &RootKeyVersions,
        id: &RecordId,
        record: &Record,
    ) -> Result<SecretBytes> {
        open_under(self.id(), versions, id, record)
    }

    /// Opens data that is sealed within a record or was handed to a caller.
    pub(in crate::kms) fn open_part(&self, binding: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let mut root = self.root();
        if root.versions.lacks_version_of(sealed) {
            root = self.latest_root()?;
        }
        root.versions.open(binding, sealed)
    }

    /// Writes all changes or none, sealed under the current version of the root key. Every changed
    /// record must be among the expectations.
    pub(in crate::kms) fn commit(
        &self,
        expected: &[Expectation],
        changes: &mut PlainChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let mut met = 0;
        loop {
            let root = self.root();
            let committed = self.commit_indexed(root.revision, &root.versions, expected, &mut |revision| {
                let plain = changes(&root.versions)?;
                plain.into_iter().map(|change| seal(self.id(), &root.versions, revision, change)).collect()
            });
            match committed {
                Err(CommitError::Conflict(id)) if id == root_record_id() && met < MAX_ROTATIONS_MET => {
                    self.latest_root()?;
                    met += 1;
                }
                Err(conflict @ CommitError::Conflict(_)) => {
                    // The caller reads again, and must not find the state that led to the conflict.
                    // If the store is unreachable, that read reports it.
                    let _ = self.latest_revision();
                    return Err(conflict);
                }
                done => return done,
            }
        }
    }

    /// Commits sealed changes together with the index, which is sealed under the current one of
    /// `versions`. The root key record must still have the revision `root`.
    fn commit_indexed(
        &self,
        root: Revision,
        versions: &RootKeyVersions,
        expected: &[Expectation],
        changes: &mut dyn FnMut(Revision) -> Result<Vec<Change>>,
    ) -> Result<Revision, CommitError> {
        let mut all = vec![Expectation { id: root_record_id(), revision: Some(root) }];
        all.extend_from_slice(expected);
        // The record of the root key changes only alone.
        let changed = if expected.is_empty() { &all } else { expected };
        let prefetch = records_to_read(&self.index, &self.identity, changed, self.max_leaf_entries);
        let mut updated = None;
        let committed = commit_measured(&self.metrics, &*self.store, &all, &prefetch, &mut |pending| {
            let mut changes = changes(pending.revision())?;
            let head = pending.get(&head_record_id())?.ok_or_else(unusable)?;
            let mark = RecordVersion::of(head.revision, &head.body)?;
            let opened = IndexRoot::decode(open_under(self.id(), versions, &head_record_id(), &head)?.expose_secret())?;
            if head.revision.0.checked_add(1) != Some(pending.revision().0) {
                return Err(set_back(pending.revision(), head.revision));
            }
            // Read here, where no other process can commit. A point that was read earlier may be
            // too far behind by now.
            self.witness.follow(&self.identity, mark, &opened)?;
            let head = opened.succeeded_by(mark.tag);
            let max_leaf_entries = self.max_leaf_entries;
            let index = Indexed { id: self.id(), identity: &self.identity, versions, max_leaf_entries };
            let mut index = index.update(pending, head, &all, &changes)?;
            changes.append(&mut index.written);
            updated = Some(index);
            Ok(changes)
        });
        let revision = match (committed, &updated) {
            (Err(CommitError::Failed(error)), Some(index)) => {
                settle(index.head.0, error, |mark| self.took_effect(mark))?
            }
            (committed, _) => committed?,
        };
        if let Some(index) = updated {
            index.nodes.iter().for_each(|(path, node)| self.index.put_node(path, node));
            self.index.put_head(&index.head);
            self.witness.advance(&self.identity, index.head.0)?;
        }
        Ok(revision)
    }

    /// Returns `true` if the commit took effect, `false` if it did not and cannot anymore, and
    /// `None` if the current state of the store does not show it.
    pub(in crate::kms) fn took_effect(&self, commit: CommitMark) -> Option<bool> {
        let record = self.store.get(&head_record_id()).ok()?;
        commit.is_in(&*self.open_head(record, Revision::default()).ok()?)
    }

    /// Ends the use of the store.
    pub(in crate::kms) fn close(&self) -> Result<()> {
        self.store.close()
    }

    /// Overwrites the remains of deleted and replaced records in the store.
    pub(in crate::kms) fn scrub(&self) -> Result<()> {
        self.store.scrub()
    }

    /// Compares the anchor with the store. Creates the anchor at the store's current state if it
    /// has no point yet.
    ///
    /// Other processes may move both between the two reads, so a mismatch counts only if the anchor
    /// did not move.
    fn check_anchor(&self) -> Result<()> {
        let mut last = self.witness.last()?;
        for _ in 0..MAX_ANCHOR_READS {
            let record = self.store.get(&head_record_id())?;
            let head = self.open_head(record, Revision::default())?;
            let Err(refused) = self.witness.check(&self.identity, last, head.0, &head.1) else {
                return self.witness.advance(&self.identity, head.0);
            };
            let now = self.witness.last()?;
            if now == last {
                return Err(refused);
            }
            last = now;
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the anchor of the store kept moving while it was being compared: try again",
        ))
    }

    /// Opens the head from a record that was read when the store was at `now` or later.
    fn open_head(&self, record: Option<Record>, now: Revision) -> Result<Arc<KnownHead>> {
        let record = record.ok_or_else(unusable)?;
        if record.revision < now {
            return Err(set_back(now, record.revision));
        }
        let mark = RecordVersion::of(record.revision, &record.body)?;
        if let Some(known) = self.index.head().filter(|known| known.0 == mark) {
            return Ok(known);
        }
        let head = IndexRoot::decode(self.open_record(&head_record_id(), &record)?.expose_secret())?;
        let head = Arc::new((mark, head));
        self.index.put_head(&head);
        Ok(head)
    }

    /// Opens a node from a record that was read together with its parent, which lists `version`.
    fn open_node(&self, path: &NodePath, version: RecordVersion, record: Option<&Record>) -> Result<Node> {
        let id = path.record_id();
        compare(&id, record, Some(version))?;
        Node::decode(self.open_record(&id, record.ok_or_else(unusable)?)?.expose_secret())
    }

    /// Finds the version of a record that a head lists, in cached nodes and in those that were read
    /// together with the head.
    fn find(&self, head: &IndexRoot, name: &Name, nodes: &mut ReadNodes) -> Result<Listing> {
        self.index.find(head, name, &mut |path, version| {
            if let Some(known) = nodes.opened.get(path).filter(|known| known.0 == version) {
                return Ok(Some(Arc::clone(known)));
            }
            let Some(record) = nodes.read.get(path) else { return Ok(None) };
            let known = Arc::new((version, self.open_node(path, version, record.as_ref())?));
            self.index.put_node(path, &known);
            nodes.opened.insert(path.clone(), Arc::clone(&known));
            Ok(Some(known))
        })
    }

    /// Finds the versions of several records. Nodes that are cached and that a current head still
    /// authenticates are not read again.
    fn find_each<'a>(&self, ids: impl Iterator<Item = &'a RecordId>) -> Result<Vec<Listing>> {
        let names: Vec<Name> = ids.map(|id| Name::of(&self.identity, id)).collect();
        let now = self.store.revision()?;
        let (_, mut head, mut nodes) = self.read_with_index(None, Vec::new(), now)?;
        let mut rounds = 0..MAX_DEPTH;
        loop {
            let listings = names.iter().map(|name| self.find(&head.1, name, &mut nodes));
            let listings = listings.collect::<Result<Vec<_>>>()?;
            let unknown = names.iter().zip(&listings).filter_map(|(name, listing)| match listing {
                Listing::Unknown { depth } => Some(self.paths_from(name, *depth)),
                Listing::Version(_) => None,
            });
            let unknown: BTreeSet<NodePath> = unknown.flatten().collect();
            // With many concurrent commits, the last few names can stay unknown.
            if unknown.is_empty() || rounds.next().is_none() {
                return Ok(listings);
            }
            let (_, later, read) = self.read_with_index(None, unknown.into_iter().collect(), now)?;
            (head, nodes.read) = (later, read.read);
        }
    }

    /// Reads a record, the head and nodes from one snapshot of the store.
    fn read_with_index(
        &self,
        id: Option<&RecordId>,
        paths: Vec<NodePath>,
        now: Revision,
    ) -> Result<(Option<Record>, Arc<KnownHead>, ReadNodes)> {
        let mut ids = vec![head_record_id()];
        ids.extend(paths.iter().map(NodePath::record_id));
        ids.extend(id.cloned());
        let mut read = self.store.get_all(&ids)?;
        let record = id.and_then(|_| read.pop().flatten());
        let mut read = read.into_iter();
        let head = self.open_head(read.next().flatten(), now)?;
        Ok((record, head, ReadNodes { read: paths.into_iter().zip(read).collect(), opened: HashMap::new() }))
    }

    /// Returns the nodes of a name from a depth on that should be read together.
    fn paths_from(&self, name: &Name, depth: usize) -> Vec<NodePath> {
        (depth..=depth.max(self.index.likely_depth())).map(|depth| name.path(depth)).collect()
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Arc<dyn RootKeyHolder>>> {
        // Holders are only ever added, so the list is always consistent.
        self.holders.lock()
    }
}

/// Nodes of the index.
struct ReadNodes {
    /// Those that were read together with the current head.
    read: HashMap<NodePath, Option<Record>>,
    /// Those that were verified with this head or an earlier one.
    opened: HashMap<NodePath, Arc<KnownNode>>,
}

/// Returns `true` if a record matches its index entry.
fn matches(id: &RecordId, record: Option<&Record>, listing: Listing) -> bool {
    matches!(listing, Listing::Version(listed) if compare(id, record, listed).is_ok())
}

/// The records that are needed to open the store, read from one snapshot.
struct Own {
    root: Option<Record>,
    identity: Option<Record>,
}

fn own_records(store: &dyn KeyStore) -> Result<Own> {
    let read = store.get_all(&[root_record_id(), identity_record_id()])?;
    let [root, identity] = <[_; 2]>::try_from(read).map_err(|_| unusable())?;
    Ok(Own { root, identity })
}

/// Generates the root key and the identity of a new store and commits them, unless another process
/// is faster.
fn create(store: &dyn KeyStore, holder: &dyn RootKeyHolder, backend: &CryptoBackend) -> Result<()> {
    let root = Root::draw(store.id(), holder, backend)?;
    let mut secret = Zeroizing::new([0; IDENTITY_LENGTH]);
    backend.random().fill(secret.as_mut_slice())?;
    let index = Indexed {
        id: store.id(),
        identity: &IdentityKey::new(backend, &secret),
        versions: &root.versions,
        max_leaf_entries: MAX_LEAF_ENTRIES,
    };
    let expected = [root_record_id(), identity_record_id()].map(|id| Expectation { id, revision: None });
    let created = store.commit(&expected, &mut |pending| {
        let revision = pending.revision();
        if pending.get(&head_record_id())?.is_some() {
            return Err(unusable());
        }
        let aad = record_aad(store.id(), &root_record_id(), revision)?;
        let body = root.record.encode(backend, &root.versions, &aad)?;
        let identity = (identity_record_id(), Some(Zeroizing::new(secret.to_vec())));
        let mut changes = vec![
            Change { id: root_record_id(), body: Some(body) },
            seal(store.id(), &root.versions, revision, identity)?,
        ];
        changes.extend(index.update(pending, IndexRoot::default(), &expected, &changes)?.written);
        Ok(changes)
    });
    match created {
        Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(CommitError::Failed(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
