//! Trees of several levels. Their leaves are small, so that few records are enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::identity::AccountId;
use crate::store::{Pending, RecordKind, StoreError, WriteChanges};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A store whose records a test can change, and that observes its last commit.
#[derive(Debug, Default)]
struct TestStore {
    state: Mutex<State>,
    last: Mutex<LastCommit>,
}

#[derive(Clone, Debug, Default)]
struct State {
    revision: u64,
    records: BTreeMap<RecordId, Record>,
}

#[derive(Clone, Debug, Default)]
struct LastCommit {
    hint: BTreeSet<RecordId>,
    read: BTreeSet<RecordId>,
    /// The length of each body.
    written: BTreeMap<RecordId, usize>,
}

impl TestStore {
    fn state(&self) -> State {
        self.state.lock().expect("no thread panicked").clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no thread panicked"));
    }

    fn last(&self) -> LastCommit {
        self.last.lock().expect("no thread panicked").clone()
    }

    fn nodes(&self) -> Vec<NodePath> {
        self.state().records.keys().filter_map(NodePath::of_record).collect()
    }
}

struct Next<'a> {
    state: &'a State,
    read: &'a mut BTreeSet<RecordId>,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        Revision(self.state.revision + 1)
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.insert(id.clone());
        Ok(self.state.records.get(id).cloned())
    }
}

impl KeyStore for TestStore {
    fn id(&self) -> StoreId {
        StoreId([9; 16])
    }

    fn revision(&self) -> Result<Revision> {
        Ok(Revision(self.state.lock().expect("no thread panicked").revision))
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let state = self.state.lock().expect("no thread panicked");
        Ok(ids.iter().map(|id| state.records.get(id).cloned()).collect())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let wanted = |id: &RecordId| id.kind == scan.kind && scan.after.as_ref().is_none_or(|after| after < id);
        let state = self.state.lock().expect("no thread panicked");
        let found = state.records.iter().filter(|(id, _)| wanted(id)).take(scan.limit);
        Ok(found.map(|(id, record)| (id.clone(), record.clone())).collect())
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.commit_prefetching(expected, &[], changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let mut state = self.state.lock().expect("no thread panicked");
        for Expectation { id, revision } in expected {
            if state.records.get(id).map(|record| record.revision) != *revision {
                return Err(CommitError::Conflict(id.clone()));
            }
        }
        let mut last = LastCommit { hint: prefetch.iter().cloned().collect(), ..LastCommit::default() };
        let revision = Revision(state.revision + 1);
        for Change { id, body } in changes(&mut Next { state: &state, read: &mut last.read })? {
            assert!(last.read.contains(&id) || expected.iter().any(|one| one.id == id), "{id:?} was not read");
            let length = body.as_ref().map_or(0, Vec::len);
            assert!(last.written.insert(id.clone(), length).is_none(), "{id:?} is written twice");
            match body {
                Some(body) => _ = state.records.insert(id, Record { revision, body: body.into() }),
                None => _ = state.records.remove(&id),
            }
        }
        state.revision = revision.0;
        *self.last.lock().expect("no thread panicked") = last;
        Ok(revision)
    }
}

fn open(store: &Arc<TestStore>, max_leaf_entries: usize) -> Result<Sealed> {
    let (store, root): (Arc<dyn KeyStore>, _) = (Arc::<TestStore>::clone(store), RootKey::from_bytes(&[7; 32]));
    let mut sealed = Sealed::open(store, root, None, &CryptoBackend::default(), 0, Metrics::default())?;
    sealed.max_leaf_entries = max_leaf_entries;
    Ok(sealed)
}

fn id(number: u32) -> RecordId {
    RecordId { kind: RecordKind::Alias, account: AccountId::default(), name: number.to_be_bytes().to_vec() }
}

/// Writes records in one commit, or deletes those without a body.
fn put(sealed: &Sealed, records: &[(u32, Option<u8>)]) -> Result<Revision, CommitError> {
    let expectation = |(number, _): &(u32, Option<u8>)| {
        let revision = sealed.get_sealed(&id(*number))?.map(|record| record.revision);
        Ok(Expectation { id: id(*number), revision })
    };
    let expected = records.iter().map(expectation).collect::<Result<Vec<_>>>()?;
    sealed.commit(&expected, &mut |_| {
        Ok(records.iter().map(|(number, body)| (id(*number), body.map(|body| Zeroizing::new(vec![body])))).collect())
    })
}

fn body(sealed: &Sealed, number: u32) -> Result<Option<u8>> {
    Ok(sealed.get(&id(number))?.map(|(_, body)| body.expose_secret()[0]))
}

fn verify(sealed: &Sealed) -> Result<(u64, Vec<Error>)> {
    sealed.verify(&mut |_| {}, &|_, _| Ok(()))
}

fn assert_intact(sealed: &Sealed) -> Result<u64> {
    let (records, problems) = verify(sealed)?;
    assert!(problems.is_empty(), "{problems:?}");
    Ok(records)
}

fn is_violation<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Integrity)
}

/// Fills a store with records, 50 in each commit.
fn fill(sealed: &Sealed, records: u32) -> Result<()> {
    let all: Vec<_> = (0..records).map(|number| (number, Some(1))).collect();
    all.chunks(50).try_for_each(|chunk| put(sealed, chunk).map(drop)).map_err(Error::from)
}

/// The leaves below the first byte of a name have so few entries that the tree has four levels.
const FEW: usize = 1;

#[test]
fn a_tree_of_several_levels_lists_every_record() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, FEW)?;
    fill(&sealed, 3_000)?;
    let depth = store.nodes().iter().map(NodePath::depth).max();
    assert!(depth >= Some(4), "{depth:?}");
    for sealed in [&sealed, &open(&store, FEW)?] {
        for number in 0..3_100 {
            assert_eq!(body(sealed, number)?, (number < 3_000).then_some(1), "{number}");
        }
        let ids: Vec<_> = (2_900..3_100).map(id).collect();
        let found = sealed.get_each_sealed(&ids)?.into_iter().map(|found| found.map(|record| record.is_some()));
        let expected = (2_900..3_100).map(|number| number < 3_000);
        assert!(found.zip(expected).all(|(found, expected)| found.is_ok_and(|found| found == expected)));
        let scan = Scan { kind: RecordKind::Alias, account: None, after: None, limit: 5_000 };
        assert_eq!(sealed.scan(&scan)?.len(), 3_000);
        assert_eq!(assert_intact(sealed)?, 3_002, "with the root key and the identity");
    }

    // Deleted records leave no nodes behind.
    let none: Vec<_> = (0..3_000).map(|number| (number, None)).collect();
    none.chunks(500).try_for_each(|chunk| put(&sealed, chunk).map(drop)).map_err(Error::from)?;
    assert!(store.nodes().iter().all(|path| path.depth() <= 4) && store.nodes().len() <= 8, "{:?}", store.nodes());
    assert_eq!(assert_intact(&open(&store, FEW)?)?, 2);
    Ok(())
}

#[test]
fn a_commit_writes_one_small_node_of_each_level() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, MAX_LEAF_ENTRIES)?;
    // All in one leaf, so that it is as large as a leaf can be.
    let mut number = 0;
    let mut next = || loop {
        number += 1;
        if Name::of(&sealed.identity, &id(number)).path(1) == NodePath::top(0) {
            return number;
        }
    };
    let mut greatest = 0;
    for created in 0..3 * u32::try_from(MAX_LEAF_ENTRIES)? {
        let number = next();
        let leaves = store.nodes().len();
        put(&sealed, &[(number, Some(1))]).map_err(Error::from)?;
        let last = store.last();
        let index = last.written.iter().filter(|(id, _)| index::is_part_of_index(id));
        let bytes: usize = index.clone().map(|(_, length)| length).sum();
        greatest = greatest.max(bytes);
        assert!(bytes < 7_000, "commit {created}: {bytes} bytes");
        if store.nodes().len() <= leaves + 1 {
            assert!(index.count() <= 3, "{:?}", last.written);
        }
        assert_eq!(last.hint.iter().filter(|id| !last.read.contains(id)).count(), 0, "commit {created}");
        assert!(last.read.is_subset(&last.hint), "commit {created}: {:?}", last.read.difference(&last.hint));
    }
    assert!(greatest > 32 * MAX_LEAF_ENTRIES, "{greatest}");
    assert!(store.nodes().iter().any(|path| path.depth() == 2));
    Ok(())
}

/// Rewrites the head in format 1, as an earlier release would have written it.
fn downgrade(store: &TestStore, sealed: &Sealed) -> Result<()> {
    let id = head_record_id();
    let state = store.state();
    let record = &state.records[&id];
    let mut body = sealed.open_record(&id, record)?.expose_secret().to_vec();
    body[0] = 1;
    let change = (id.clone(), Some(Zeroizing::new(body)));
    let sealed = seal(sealed.id(), &sealed.root().versions, record.revision, change)?;
    store.change(|state| state.records.get_mut(&id).expect("the head").body = sealed.body.expect("a body").into());
    Ok(())
}

fn format_of_head(store: &TestStore, sealed: &Sealed) -> Result<u8> {
    let id = head_record_id();
    Ok(sealed.open_record(&id, &store.state().records[&id])?.expose_secret()[0])
}

#[test]
fn a_store_of_an_earlier_release_is_read_and_migrated_by_its_changes() -> TestResult {
    let store = Arc::new(TestStore::default());
    let old = open(&store, usize::MAX)?;
    fill(&old, 2_000)?;
    downgrade(&store, &old)?;
    assert!(store.nodes().iter().all(|path| path.depth() == 1));

    // Several processes open the store, which changes nothing, and then write in turn.
    let before = store.state();
    let (one, two) = (open(&store, 4)?, open(&store, 4)?);
    for sealed in [&one, &two] {
        assert_eq!(assert_intact(sealed)?, 2_002);
        assert_eq!(body(sealed, 77)?, Some(1));
    }
    assert_eq!((store.state().revision, format_of_head(&store, &one)?), (before.revision, 1));
    for (number, sealed) in (0..2_000).zip([&one, &two].into_iter().cycle()) {
        put(sealed, &[(number, Some(2))]).map_err(Error::from)?;
        if number.is_multiple_of(500) {
            assert_eq!(format_of_head(&store, sealed)?, 2);
            for sealed in [&one, &two, &open(&store, 4)?] {
                assert_eq!(assert_intact(sealed)?, 2_002);
            }
        }
    }
    for number in 0..2_000 {
        assert_eq!(body(&one, number)?, Some(2));
    }
    for path in store.nodes() {
        let record = store.state().records[&path.record_id()].clone();
        let node = Node::decode(one.open_record(&path.record_id(), &record)?.expose_secret())?;
        let Node::Leaf(leaf) = node else { continue };
        assert!(leaf.len() <= 4, "{path:?} has {} entries", leaf.len());
    }
    Ok(())
}

#[test]
fn a_head_of_a_later_format_is_reported_as_such() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, 4)?;
    let (id, revision) = (head_record_id(), Revision(store.state().revision));
    let change = (id.clone(), Some(Zeroizing::new(vec![3; 40])));
    let head = seal(sealed.id(), &sealed.root().versions, revision, change)?.body.expect("a body");
    store.change(|state| _ = state.records.insert(id, Record { revision, body: head.into() }));
    for refused in [open(&store, 4).map(drop), put(&sealed, &[(1, Some(1))]).map(drop).map_err(Error::from)] {
        let error = refused.expect_err("a later format");
        assert!(matches!(error.downcast_ref(), Some(StoreError::NewerFormat { found: 3, known: 2 })), "{error}");
    }
    Ok(())
}

/// Every mixture of the records before and after a change: of the changed record, its leaf, the
/// branches above and the head.
#[test]
fn no_mixture_of_two_states_of_a_deep_tree_passes() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, FEW)?;
    fill(&sealed, 500)?;
    let deepest = (0..500).max_by_key(|number| {
        let name = Name::of(&sealed.identity, &id(*number));
        (1..=5).take_while(|depth| store.state().records.contains_key(&name.path(*depth).record_id())).count()
    });
    let number = deepest.ok_or("there are records")?;
    let before = store.state();
    put(&sealed, &[(number, Some(2))]).map_err(Error::from)?;
    let after = store.state();
    let changed: Vec<RecordId> =
        after.records.keys().filter(|id| after.records.get(id) != before.records.get(id)).cloned().collect();
    assert!(changed.len() >= 5, "the record, nodes of three levels and the head");
    for mixture in 1..(1_u32 << changed.len()) - 1 {
        let mut knowing = Vec::new();
        for known in [&before, &after] {
            store.change(|state| *state = known.clone());
            let sealed = open(&store, FEW)?;
            body(&sealed, number)?;
            knowing.push(sealed);
        }
        for (_, id) in changed.iter().enumerate().filter(|(place, _)| mixture & (1 << place) != 0) {
            store.change(|state| _ = state.records.insert(id.clone(), before.records[id].clone()));
        }
        for sealed in &knowing {
            assert!(
                body(sealed, number).map_or_else(|error| error.kind() == ErrorKind::Integrity, |body| body == Some(2))
            );
            assert!(verify(sealed).map_or(true, |(_, problems)| !problems.is_empty()), "mixture {mixture}");
        }
        let noticed = open(&store, FEW).map_or(true, |sealed| is_violation(body(&sealed, number)));
        assert!(noticed, "mixture {mixture}");
    }
    Ok(())
}

#[test]
fn a_node_that_is_removed_or_added_is_noticed() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, FEW)?;
    fill(&sealed, 1_000)?;
    let state = store.state();
    for path in store.nodes().into_iter().step_by(37) {
        store.change(|state| _ = state.records.remove(&path.record_id()));
        assert!(is_violation(verify(&sealed)), "{path:?}");
        assert!(is_violation(open(&store, FEW).and_then(|sealed| verify(&sealed))), "{path:?}");
        store.change(|to| *to = state.clone());
        // A node that no other lists, in a place where a later commit could create one.
        let mut free = (0..index::FAN_OUT).map(|step| path.child(3).child(step));
        let added = free.find(|added| !state.records.contains_key(&added.record_id())).ok_or("a place")?;
        store.change(|to| _ = to.records.insert(added.record_id(), state.records[&path.record_id()].clone()));
        assert_eq!(verify(&sealed)?.1.len(), 1, "{path:?}");
        store.change(|to| *to = state.clone());
    }
    assert_eq!(assert_intact(&sealed)?, 1_002);

    // A split does not overwrite such a node.
    let sealed = open(&store, usize::MAX)?;
    let is_free = |number: &u32| {
        let top = Name::of(&sealed.identity, &id(*number)).path(1);
        state.records.contains_key(&top.record_id()) && body(&sealed, *number).is_ok_and(|body| body.is_none())
    };
    let free = (0..u32::MAX).find(is_free).ok_or("a name")?;
    let name = Name::of(&sealed.identity, &id(free));
    let leaf = (1..=8).map(|depth| name.path(depth)).take_while(|path| state.records.contains_key(&path.record_id()));
    let leaf = leaf.last().ok_or("a leaf")?;
    let sealed = open(&store, 0)?;
    let step = name.step(leaf.depth()).ok_or("the tree is not that deep")?;
    let record = state.records[&leaf.record_id()].clone();
    store.change(|to| _ = to.records.insert(leaf.child(step).record_id(), record));
    assert!(is_violation(put(&sealed, &[(free, Some(1))]).map_err(Error::from)));
    Ok(())
}

#[test]
fn a_rotation_of_the_root_key_reseals_every_node() -> TestResult {
    let store = Arc::new(TestStore::default());
    let sealed = open(&store, FEW)?;
    fill(&sealed, 600)?;
    assert!(!sealed.begin_rotation(None)?);
    assert!(!sealed.finish_rotation()?, "records are sealed under the earlier version");
    for &kind in RecordKind::ALL {
        let mut after = None;
        loop {
            let (outdated, next) = sealed.outdated(kind, after)?;
            for batch in batches(&outdated) {
                let expected: Vec<_> = batch
                    .iter()
                    .map(|(id, record)| Expectation { id: id.clone(), revision: Some(record.revision) })
                    .collect();
                let reseal = |versions: &RootKeyVersions, (id, record): &(RecordId, Record)| {
                    let body = sealed.open_with(versions, id, record)?;
                    Ok((id.clone(), Some(Zeroizing::new(body.expose_secret().to_vec()))))
                };
                sealed
                    .commit(&expected, &mut |versions| batch.iter().map(|record| reseal(versions, record)).collect())
                    .map_err(Error::from)?;
            }
            let Some(next) = next else { break };
            after = Some(next);
        }
    }
    assert!(sealed.finish_rotation()?);
    assert_eq!(assert_intact(&open(&store, FEW)?)?, 602);
    Ok(())
}

#[test]
fn concurrent_commits_readers_and_verifications_see_a_sound_index() -> TestResult {
    let store = Arc::new(TestStore::default());
    let handles = [open(&store, FEW)?, open(&store, FEW)?];
    std::thread::scope(|scope| {
        let write = |thread: u32| {
            for number in 0..300 {
                let number = 2 * number + thread;
                put(&handles[usize::from(thread == 1)], &[(number, Some(1))]).map_err(Error::from)?;
                if number.is_multiple_of(5) {
                    put(&handles[0], &[(number, None)]).map_err(Error::from)?;
                }
            }
            Ok::<_, Error>(())
        };
        let writers = [0, 1].map(|thread| scope.spawn(move || write(thread)));
        let scan = Scan { kind: RecordKind::Alias, account: None, after: None, limit: 1_000 };
        while writers.iter().any(|writer| !writer.is_finished()) {
            assert_intact(&handles[1]).expect("sound");
            handles[0].scan(&scan).expect("sound");
        }
        writers.into_iter().try_for_each(|writer| writer.join().expect("no thread panicked"))
    })?;
    assert_eq!(assert_intact(&open(&store, FEW)?)?, 482);
    Ok(())
}

/// The cache of one part of the index is emptied when it is full.
#[test]
fn the_cache_of_nodes_is_bounded() -> Result<()> {
    let cache = IndexCache::new(0);
    let version = |number: u8| RecordVersion { revision: Revision(u64::from(number)), tag: [number; 8] };
    let leaf = |entries: u32| {
        let mut leaf = index::Leaf::default();
        let key = IdentityKey::new(&CryptoBackend::default(), &[1; 32]);
        (0..entries).for_each(|number| leaf.set(&Name::of(&key, &id(number)), version(1)));
        leaf
    };
    let full = leaf(5_000);
    let (one, two) = (NodePath::top(1), NodePath::top(1).child(2));
    cache.put_node(&one, &Arc::new((version(1), Node::Leaf(full.clone()))));
    assert!(cache.node(&one, version(1)).is_some() && cache.node(&one, version(2)).is_none());
    cache.put_node(&one, &Arc::new((version(2), Node::Leaf(full.clone()))));
    cache.put_node(&one, &Arc::new((version(1), Node::Leaf(full.clone()))));
    assert!(cache.node(&one, version(2)).is_some(), "an earlier version replaces no later one");
    cache.put_node(&NodePath::top(2), &Arc::new((version(1), Node::Leaf(full.clone()))));
    cache.put_node(&two, &Arc::new((version(1), Node::Leaf(full))));
    assert!(cache.node(&two, version(1)).is_some() && cache.node(&one, version(2)).is_none());
    assert!(cache.node(&NodePath::top(2), version(1)).is_some(), "other parts are not affected");

    let roomy = IndexCache::new(25_600);
    roomy.put_node(&one, &Arc::new((version(1), Node::Leaf(leaf(5_000)))));
    roomy.put_node(&two, &Arc::new((version(1), Node::Leaf(leaf(5_000)))));
    assert!(roomy.node(&one, version(1)).is_some() && roomy.node(&two, version(1)).is_some());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Handles with different limits change one store in turn, and always list what a map lists.
    #[test]
    fn a_tree_lists_what_a_map_lists(
        steps in prop::collection::vec((prop::collection::btree_map(0_u32..400, prop::option::weighted(0.7, any::<u8>()), 1..60), 0..3_usize), 1..12),
    ) {
        let store = Arc::new(TestStore::default());
        let handles = [open(&store, FEW)?, open(&store, 3)?, open(&store, usize::MAX)?];
        let mut model = BTreeMap::new();
        for (changes, handle) in steps {
            let changes: Vec<_> = changes.into_iter().collect();
            put(&handles[handle], &changes).map_err(Error::from)?;
            for (number, body) in changes {
                match body {
                    Some(body) => _ = model.insert(number, body),
                    None => _ = model.remove(&number),
                }
            }
            for sealed in &handles {
                for number in (0..400).step_by(7) {
                    prop_assert_eq!(body(sealed, number)?, model.get(&number).copied());
                }
            }
            let records = u64::try_from(model.len()).expect("few records") + 2;
            prop_assert_eq!(assert_intact(&handles[handle])?, records);
            prop_assert_eq!(assert_intact(&open(&store, 3)?)?, records);
        }
    }
}
