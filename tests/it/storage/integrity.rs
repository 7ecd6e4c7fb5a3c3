//! Attacks by a party with write access to the store but without the root key, and their detection.

use std::sync::Arc;

use proptest::prelude::*;
use strongroom::crypto::CryptoBackend;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, KeyState, Operation};
use strongroom::policy::GrantTerms;
use strongroom::request::{CreateGrantRequest, EncryptRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::store::{
    Anchor, AnchorPoint, FileAnchor, MemoryAnchor, MemoryStore, Record, RecordId, RecordKind, Revision, StoreAnchor,
    StoreId,
};
use strongroom::{Error, ErrorKind, Kms, KmsLimits, ManualClock, Result, Timestamp};

use crate::support::counting_store::CountingStore;
use crate::support::policies::identity_policy;
use crate::support::tampering_store::{State, TamperingStore};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn open(store: &Arc<TamperingStore>) -> Result<Kms> {
    Kms::builder().store(Arc::clone(store), root()).build()
}

fn is_violation<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Integrity)
}

fn id_of(state: &State, kind: RecordKind) -> RecordId {
    state.records.keys().find(|id| id.kind == kind).expect("there is one record").clone()
}

#[test]
fn a_record_that_is_replaced_by_its_own_older_version_is_noticed_when_it_is_touched() -> TestResult {
    let store = TamperingStore::new();
    let key = open(&store)?.create_key(Default::default())?.key_id();
    let before = store.state();
    open(&store)?.disable_key(key)?;
    let id = id_of(&before, RecordKind::Key);
    store.change(|state| _ = state.records.insert(id.clone(), before.records[&id].clone()));

    let kms = open(&store)?;
    assert!(is_violation(kms.describe_key(key)));
    assert!(is_violation(kms.enable_key(key)));
    assert_eq!(kms.verify_store(|_| {})?.problems().len(), 1);
    Ok(())
}

/// An index that the process read earlier proves nothing about the present.
#[test]
fn an_older_version_of_a_record_is_noticed_by_who_has_listed_it_before() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let [one, two] = [kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id()];
    kms.create_alias("alias/a", one)?;
    let aliases = || kms.list_aliases(PageRequest::default());
    assert_eq!(aliases()?.entries.len(), 1);
    let before = store.state();
    open(&store)?.update_alias("alias/a", two)?;
    let id = id_of(&before, RecordKind::Alias);
    store.change(|state| _ = state.records.insert(id.clone(), before.records[&id].clone()));
    assert!(is_violation(aliases()));
    Ok(())
}

#[test]
fn a_record_that_is_taken_away_is_no_key_that_was_never_made() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.create_alias("alias/a", key)?;
    for kind in [RecordKind::Alias, RecordKind::Key] {
        let id = id_of(&store.state(), kind);
        store.change(|state| _ = state.records.remove(&id));
    }
    let kms = open(&store)?;
    assert!(is_violation(kms.describe_key(key)));
    assert!(is_violation(kms.describe_key("alias/a")));
    assert!(is_violation(kms.create_alias("alias/a", kms.create_key(Default::default())?.key_id())));
    assert_eq!(kms.describe_key("alias/b").expect_err("never made").kind(), ErrorKind::NotFound);
    let report = kms.verify_store(|_| {})?;
    assert_eq!((report.is_intact(), report.problems().len()), (false, 2));
    Ok(())
}

#[test]
fn maintenance_goes_on_beside_what_is_damaged_and_tells() -> TestResult {
    let store = TamperingStore::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder()
        .store(Arc::clone(&store), root())
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .build()?;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = kms.create_key(Default::default())?;
        kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
        keys.push(key.arn().clone());
    }
    keys.sort_by_key(ToString::to_string);
    let damage = |id: &RecordId| {
        store.change(|state| {
            let record = state.records.get_mut(id).expect("the entry exists");
            let mut body = record.body.to_vec();
            body[9] ^= 1;
            record.body = body.into();
        });
    };
    let of_keys: Vec<RecordId> = store.state().records.into_keys().filter(|id| id.kind == RecordKind::Key).collect();
    clock.advance_days(30);
    damage(&of_keys[1]);
    let report = kms.run_maintenance()?;
    assert_eq!(report.deleted, [keys[0].clone(), keys[2].clone()]);
    let [(failed, error)] = report.failed.as_slice() else { panic!("{report:?}") };
    assert_eq!((failed, error.kind(), report.is_complete()), (&keys[1], ErrorKind::Integrity, false));
    assert!(report.unfinished.is_empty(), "{report:?}");
    damage(&of_keys[1]);
    assert_eq!(kms.run_maintenance()?.deleted, [keys[1].clone()]);

    // A step that fails completely does not prevent the other results from being reported.
    let used = kms.create_key(Default::default())?;
    kms.encrypt(EncryptRequest::new(used.key_id(), b"text"))?;
    assert!(kms.run_maintenance()?.is_complete());
    kms.encrypt(EncryptRequest::new(used.key_id(), b"text"))?;
    let key = kms.create_key(Default::default())?;
    kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    clock.advance_days(30);
    damage(&id_of(&store.state(), RecordKind::Usage));
    let report = kms.run_maintenance()?;
    assert_eq!((report.deleted.as_slice(), report.is_complete()), (&[key.arn().clone()][..], false), "{report:?}");
    assert_eq!(report.unfinished.len(), 1, "{report:?}");
    assert_eq!(report.unfinished[0].kind(), ErrorKind::Integrity);
    Ok(())
}

#[test]
fn a_list_of_deletions_is_applied_beside_what_is_damaged() -> TestResult {
    let store = TamperingStore::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let open = || {
        Kms::builder()
            .store(Arc::clone(&store), root())
            .clock(Arc::clone(&clock))
            .clock_tolerance(std::time::Duration::MAX)
            .build()
    };
    let kms = open()?;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(kms.create_key(Default::default())?.arn().clone());
    }
    keys.sort_by_key(ToString::to_string);
    let backup = store.state();
    for key in &keys {
        kms.schedule_key_deletion(key, DeletionWindow::default())?;
    }
    clock.advance_days(30);
    assert_eq!(kms.run_maintenance()?.deleted, keys);
    let list = kms.export_deletions()?;
    drop(kms);

    store.change(|state| *state = backup);
    let damaged =
        RecordId { kind: RecordKind::Key, account: keys[0].account(), name: keys[0].key_id().as_bytes().to_vec() };
    let flip = || {
        store.change(|state| {
            let record = state.records.get_mut(&damaged).expect("the entry exists");
            let mut body = record.body.to_vec();
            body[9] ^= 1;
            record.body = body.into();
        });
    };
    flip();
    let kms = open()?;
    let refused = kms.apply_deletions(&list, &keys).expect_err("one of them is damaged");
    assert_eq!(refused.kind(), ErrorKind::Integrity);
    assert!(refused.to_string().contains(&keys[0].to_string()), "{refused}");
    for key in &keys[1..] {
        assert_eq!(kms.describe_key(key).expect_err("deleted").kind(), ErrorKind::NotFound);
    }
    flip();
    assert_eq!(kms.apply_deletions(&list, &keys)?.deleted, keys[..1]);
    assert!(kms.apply_deletions(&list, &keys)?.deleted.is_empty());
    Ok(())
}

#[test]
fn what_was_counted_is_added_beside_what_is_damaged_and_lost_of_none() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = kms.create_key(Default::default())?.arn().clone();
        kms.encrypt(EncryptRequest::new(&key, b"text"))?;
        keys.push(key);
    }
    let account = keys[0].account();
    let damaged = RecordId { kind: RecordKind::Key, account, name: keys[1].key_id().as_bytes().to_vec() };
    let whole = store.state().records[&damaged].clone();
    let altered = Record { revision: Revision(whole.revision.0 - 1), body: vec![7; 90].into() };
    store.change(|state| _ = state.records.insert(damaged.clone(), altered));
    // The store has moved on, so each key is read again.
    let other = kms.create_key(Default::default())?.arn().clone();
    let report = kms.run_maintenance()?;
    assert!(!report.unfinished.is_empty(), "{report:?}");
    let added = store.state().records.into_keys().filter(|id| id.kind == RecordKind::Usage).count();
    assert_eq!(added, 2);
    store.change(|state| _ = state.records.insert(damaged, whole));
    for key in kms.metered_keys(account)? {
        assert_eq!(key.requests, u64::from(key.key_arn != other), "{key:?}");
    }
    Ok(())
}

/// A missing key would otherwise look like a deleted one, and a missing count like none.
#[test]
fn what_was_counted_is_kept_while_a_key_or_its_count_is_taken_away() -> TestResult {
    let refuses_to_count = |kms: &Kms| -> TestResult {
        let report = kms.run_maintenance()?;
        assert_eq!(report.unfinished.iter().map(Error::kind).collect::<Vec<_>>(), [ErrorKind::Integrity], "{report:?}");
        Ok(())
    };
    for kind in [RecordKind::Key, RecordKind::Usage] {
        let store = TamperingStore::new();
        let kms = open(&store)?;
        let key = kms.create_key(Default::default())?.arn().clone();
        let encrypt = |kms: &Kms| kms.encrypt(EncryptRequest::new(&key, b"text")).map(drop);
        encrypt(&kms)?;
        assert!(kms.run_maintenance()?.is_complete());
        encrypt(&kms)?;
        let id = RecordId { kind, account: key.account(), name: key.key_id().as_bytes().to_vec() };
        let whole = store.state().records[&id].clone();
        store.change(|state| _ = state.records.remove(&id));
        kms.create_key(Default::default())?;
        refuses_to_count(&kms)?;
        // A process that has just started has read nothing of the index yet.
        let other = open(&store)?;
        let uses = u64::from(kind == RecordKind::Usage);
        if uses > 0 {
            encrypt(&other)?;
            refuses_to_count(&other)?;
        }
        store.change(|state| _ = state.records.insert(id, whole));
        other.metered_keys(key.account())?;
        let counted = kms.metered_keys(key.account())?.into_iter().find(|metered| metered.key_arn == key);
        assert_eq!(counted.map(|metered| metered.requests), Some(2 + uses), "{kind:?}");
    }
    Ok(())
}

/// A record under an impossible name does not stop maintenance either.
#[test]
fn maintenance_goes_on_beside_a_record_under_an_impossible_name() -> TestResult {
    let store = TamperingStore::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder()
        .store(Arc::clone(&store), root())
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .build()?;
    let key = kms.create_key(Default::default())?.arn().clone();
    kms.schedule_key_deletion(&key, DeletionWindow::default())?;
    clock.advance_days(30);
    for (kind, name) in [
        (RecordKind::Key, vec![0; 3]),
        (RecordKind::Key, vec![0; 20]),
        (RecordKind::Intent, vec![1]),
        (RecordKind::Destruction, vec![1; 30]),
    ] {
        let id = RecordId { kind, account: key.account(), name };
        let record = Record { revision: Revision(1), body: vec![7; 90].into() };
        store.change(|state| _ = state.records.insert(id, record));
    }
    let report = kms.run_maintenance()?;
    assert_eq!(report.deleted, [key]);
    assert!(report.unfinished.is_empty(), "{report:?}");
    let kinds: Vec<ErrorKind> = report.failed.iter().map(|(_, error)| error.kind()).collect();
    assert_eq!(kinds, [ErrorKind::Integrity; 4], "{report:?}");
    Ok(())
}

#[test]
fn a_deleted_record_that_is_put_back_is_noticed() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.create_alias("alias/a", key)?;
    let before = store.state();
    kms.delete_alias("alias/a")?;
    let id = id_of(&before, RecordKind::Alias);
    store.change(|state| _ = state.records.insert(id.clone(), before.records[&id].clone()));
    let kms = open(&store)?;
    assert!(is_violation(kms.describe_key("alias/a")));
    assert!(is_violation(kms.create_alias("alias/a", key)) || kms.describe_key("alias/a").is_err());
    assert_eq!(kms.verify_store(|_| {})?.problems().len(), 1);
    Ok(())
}

/// Every way to mix two states of one store: each record, including those of the index, is from
/// either state. All mixtures other than the two states themselves are detected, at the latest by
/// `verify_store`.
#[test]
fn no_mixture_of_two_states_passes() -> TestResult {
    let store = TamperingStore::new();
    // Keep the handle, because dropping it writes its metering to the store.
    let kms = open(&store)?;
    let key = kms.create_key(Default::default())?.key_id();
    let before = store.state();
    kms.disable_key(key)?;
    let after = store.state();
    let changed: Vec<RecordId> =
        after.records.keys().filter(|id| after.records.get(id) != before.records.get(id)).cloned().collect();
    assert_eq!(changed.len(), 3, "the key, its bucket and the head");
    for mixture in 1..(1_u32 << changed.len()) - 1 {
        // Each of these handles has read the whole index of one state and does not read again the
        // parts that the head confirms.
        let mut knowing = Vec::new();
        for known in [&before, &after] {
            store.change(|state| *state = known.clone());
            let kms = open(&store)?;
            assert!(kms.verify_store(|_| {})?.is_intact());
            knowing.push(kms);
        }
        for (place, id) in changed.iter().enumerate().filter(|(place, _)| mixture & (1 << place) != 0) {
            let old = before.records[id].clone();
            store.change(|state| _ = state.records.insert(changed[place].clone(), old));
        }
        for kms in knowing {
            match kms.describe_key(key) {
                Ok(found) => assert_eq!(found.state(), KeyState::Disabled, "mixture {mixture}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Integrity, "mixture {mixture}"),
            }
            assert!(kms.verify_store(|_| {}).map_or(true, |report| !report.is_intact()), "mixture {mixture}");
            // Dropping the handle would record that the key was used.
            std::mem::forget(kms);
        }
        let noticed = match open(&store) {
            Ok(kms) => {
                assert!(is_violation(kms.describe_key(key)), "mixture {mixture}");
                kms.verify_store(|_| {}).is_err_and(|error| error.kind() == ErrorKind::Integrity)
                    || kms.verify_store(|_| {}).is_ok_and(|report| !report.is_intact())
            }
            Err(error) => error.kind() == ErrorKind::Integrity,
        };
        assert!(noticed, "mixture {mixture}");
    }
    Ok(())
}

/// Two histories that diverged from one copy have records with the same names and revisions. They
/// cannot be mixed either.
#[test]
fn records_of_a_history_that_went_on_elsewhere_are_noticed() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let key = kms.create_key(Default::default())?.key_id();
    drop(kms);
    let fork = store.state();
    // Keep the handle, because dropping it writes its metering to the store.
    let first = open(&store)?;
    first.update_key_description(key, "one")?;
    let one = store.state();
    store.change(|state| *state = fork.clone());
    let second = open(&store)?;
    second.update_key_description(key, "two")?;
    assert_eq!(store.state().revision, one.revision);
    for (id, record) in one.records.iter().filter(|(id, record)| fork.records.get(id) != Some(record)) {
        let two = store.state();
        assert_eq!(two.records[id].revision, record.revision);
        store.change(|state| _ = state.records.insert(id.clone(), record.clone()));
        assert!(open(&store).and_then(|kms| kms.describe_key(key)).is_err_and(|e| e.kind() == ErrorKind::Integrity));
        store.change(|state| *state = two);
    }
    open(&store)?.describe_key(key)?;
    Ok(())
}

#[test]
fn a_record_of_someone_else_is_noticed_by_verification() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    kms.create_key(Default::default())?;
    let id = RecordId { kind: RecordKind::Key, account: AccountId::default(), name: vec![5; 16] };
    let record = Record { revision: Revision(1), body: vec![1; 200].into() };
    store.change(|state| _ = state.records.insert(id, record));
    assert_eq!(kms.verify_store(|_| {})?.problems().len(), 1);
    assert!(is_violation(kms.list_keys(Default::default())));
    Ok(())
}

#[test]
fn verification_opens_every_record() -> TestResult {
    let store = TamperingStore::new();
    let kms = open(&store)?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.create_alias("alias/a", key)?;
    let alice = Principal::user(AccountId::default(), "alice")?;
    kms.put_identity_policy(&alice, "none", &identity_policy("Allow", "kms:Encrypt"))?;
    kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(alice, [Operation::Encrypt])?))?;
    let kinds = [RecordKind::Key, RecordKind::Alias, RecordKind::IdentityPolicy, RecordKind::Grant];
    for id in kinds.map(|kind| id_of(&store.state(), kind)) {
        // Do not change the last bytes, which are in the index.
        let flip = || {
            store.change(|state| {
                let record = state.records.get_mut(&id).expect("the entry exists");
                let mut body = record.body.to_vec();
                body[9] ^= 1;
                record.body = body.into();
            });
        };
        flip();
        let report = kms.verify_store(|_| {})?;
        assert_eq!((report.is_intact(), report.problems().len()), (false, 1), "{id:?}: {report:?}");
        flip();
        assert!(kms.verify_store(|_| {})?.is_intact());
    }
    Ok(())
}

#[test]
fn a_sound_store_is_found_sound_while_it_is_written() -> TestResult {
    let kms = Kms::in_memory()?;
    let keys = (0..20).map(|_| Ok(kms.create_key(Default::default())?.key_id())).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..10 {
                for key in &keys {
                    kms.update_key_description(*key, format!("round {round}"))?;
                    kms.create_key(Default::default())?;
                }
            }
            Ok::<_, Error>(())
        });
        while !writer.is_finished() {
            let report = kms.verify_store(|_| {}).expect("readable");
            assert!(report.is_intact(), "{report:?}");
            kms.list_keys(Default::default()).expect("sound");
        }
        writer.join().expect("no thread panicked")
    })?;
    assert_eq!(kms.verify_store(|_| {})?.records(), 223);
    Ok(())
}

fn anchored(store: &Arc<TamperingStore>, anchor: &Arc<dyn Anchor>) -> Result<Kms> {
    Kms::builder().store(Arc::clone(store), root()).anchor(Arc::clone(anchor)).build()
}

/// Returns all kinds of anchors, with the values that must stay alive for them to work.
fn anchors(folder: &std::path::Path) -> Result<Vec<Arc<dyn Anchor>>> {
    Ok(vec![
        Arc::new(MemoryAnchor::default()),
        Arc::new(FileAnchor::new(folder.join("anchor"))),
        Arc::new(StoreAnchor::new(MemoryStore::new(&CryptoBackend::default())?)),
    ])
}

#[test]
fn an_anchor_shows_that_the_whole_store_was_set_back() -> TestResult {
    let folder = tempfile::tempdir()?;
    for anchor in anchors(folder.path())? {
        let store = TamperingStore::new();
        let kms = anchored(&store, &anchor)?;
        let key = kms.create_key(Default::default())?.key_id();
        let before = store.state();
        kms.disable_key(key)?;
        drop(kms);
        anchored(&store, &anchor)?.verify_store(|_| {})?;

        let after = store.state();
        store.change(|state| *state = before.clone());
        assert!(is_violation(anchored(&store, &anchor)), "{anchor:?}");
        let unanchored = open(&store)?;
        assert_eq!(unanchored.describe_key(key)?.state(), KeyState::Enabled, "not detectable without an anchor");

        // Another history of the same length, or a longer one, is rejected as well.
        unanchored.update_key_description(key, "another history")?;
        assert!(is_violation(anchored(&store, &anchor)));
        unanchored.update_key_description(key, "of more commits")?;
        assert!(is_violation(anchored(&store, &anchor)));
        store.change(|state| *state = after);
        anchored(&store, &anchor)?.enable_key(key)?;
    }
    Ok(())
}

#[test]
fn a_store_that_is_set_back_in_use_takes_no_more_changes() -> TestResult {
    let anchor: Arc<dyn Anchor> = Arc::new(MemoryAnchor::default());
    let store = TamperingStore::new();
    let kms = anchored(&store, &anchor)?;
    let key = kms.create_key(Default::default())?.key_id();
    let before = store.state();
    kms.disable_key(key)?;
    store.change(|state| *state = before.clone());
    assert!(is_violation(kms.create_key(Default::default())));
    assert_eq!(store.state().revision, before.revision);
    assert!(is_violation(kms.verify_store(|_| {})));
    Ok(())
}

/// If a process is killed between a commit and the move of the anchor, the anchor is one commit
/// behind.
#[test]
fn a_store_may_be_ahead_of_its_anchor_by_as_much_as_its_head_remembers() -> TestResult {
    let anchor: Arc<dyn Anchor> = Arc::new(MemoryAnchor::default());
    let store = TamperingStore::new();
    let key = anchored(&store, &anchor)?.create_key(Default::default())?.key_id();
    let kms = open(&store)?;
    for number in 0..64 {
        kms.update_key_description(key, number.to_string())?;
    }
    let reached = anchored(&store, &anchor)?.verify_store(|_| {})?;
    assert!(reached.is_intact());
    for number in 0..65 {
        kms.update_key_description(key, format!("again {number}"))?;
    }
    assert!(is_violation(anchored(&store, &anchor)));
    Ok(())
}

#[test]
fn an_anchor_of_another_store_is_refused_and_left() -> TestResult {
    let anchor: Arc<dyn Anchor> = Arc::new(MemoryAnchor::default());
    let point = AnchorPoint { store: StoreId([1; 16]), revision: Revision(1), digest: [0; 32] };
    anchor.advance(&point)?;
    assert!(is_violation(anchored(&TamperingStore::new(), &anchor)));
    assert_eq!(anchor.last()?, Some(point));
    Ok(())
}

#[test]
fn an_anchor_only_moves_forward() -> TestResult {
    let folder = tempfile::tempdir()?;
    let point = |revision| AnchorPoint { store: StoreId([1; 16]), revision: Revision(revision), digest: [2; 32] };
    for anchor in anchors(folder.path())? {
        assert_eq!(anchor.last()?, None);
        for (next, expected) in [(3, 3), (2, 3), (3, 3), (u64::MAX, u64::MAX), (4, u64::MAX)] {
            anchor.advance(&point(next))?;
            assert_eq!(anchor.last()?, Some(point(expected)), "{anchor:?}");
        }
    }
    Ok(())
}

#[test]
fn every_damaged_byte_of_an_anchor_file_is_noticed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("anchor");
    let anchor: Arc<dyn Anchor> = Arc::new(FileAnchor::new(&path));
    let store = TamperingStore::new();
    let kms = anchored(&store, &anchor)?;
    kms.create_key(Default::default())?;
    drop(kms);
    let whole = std::fs::read(&path)?;
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged)?;
        let refused = anchored(&store, &anchor).expect_err("damaged").kind();
        assert!(matches!(refused, ErrorKind::Store | ErrorKind::Integrity), "byte {place}");
        std::fs::write(&path, &whole[..place])?;
        assert!(anchored(&store, &anchor).is_err(), "cut to {place}");
    }
    std::fs::write(&path, &whole)?;
    anchored(&store, &anchor)?;
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Create,
    Disable(usize),
    Enable(usize),
    Describe(usize, u8),
    Alias(usize, u8),
    Unalias(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Create),
        any::<usize>().prop_map(Step::Disable),
        any::<usize>().prop_map(Step::Enable),
        (any::<usize>(), any::<u8>()).prop_map(|(key, text)| Step::Describe(key, text)),
        (any::<usize>(), 0..4_u8).prop_map(|(key, name)| Step::Alias(key, name)),
        (0..4_u8).prop_map(Step::Unalias),
    ]
}

/// Runs the steps, whether or not they make sense, and returns the result of each.
fn run(kms: &Kms, steps: &[Step]) -> Vec<std::result::Result<(), ErrorKind>> {
    let mut keys = Vec::new();
    let pick = |keys: &[strongroom::key::KeyId], index: usize| keys.get(index % keys.len().max(1)).copied();
    let mut results = Vec::new();
    for step in steps {
        let result = match step {
            Step::Create => kms.create_key(Default::default()).map(|key| keys.push(key.key_id())),
            Step::Disable(index) => pick(&keys, *index).map_or(Ok(()), |key| kms.disable_key(key)),
            Step::Enable(index) => pick(&keys, *index).map_or(Ok(()), |key| kms.enable_key(key)),
            Step::Describe(index, text) => {
                pick(&keys, *index).map_or(Ok(()), |key| kms.update_key_description(key, text.to_string()))
            }
            Step::Alias(index, name) => pick(&keys, *index)
                .map_or(Ok(()), |key| kms.create_alias(format!("alias/{name}").as_str(), key).map(drop)),
            Step::Unalias(name) => kms.delete_alias(format!("alias/{name}").as_str()).map(drop),
        };
        results.push(result.map_err(|error| error.kind()));
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The same steps have the same results on both stores and leave both intact. An older record
    /// in place of its later version is always detected.
    #[test]
    fn random_work_leaves_a_sound_index_on_every_store(steps in prop::collection::vec(step(), 1..40), cut in any::<prop::sample::Index>()) {
        let limits = KmsLimits::default();
        let store = TamperingStore::new();
        let kms = Kms::builder().store(Arc::clone(&store), root()).limits(limits).build()?;
        let model = Kms::in_memory()?;
        let at = cut.index(steps.len());
        prop_assert_eq!(run(&kms, &steps[..at]), run(&model, &steps[..at]));
        let before = store.state();
        run(&kms, &steps[at..]);
        for kms in [&kms, &model] {
            let report = kms.verify_store(|_| {})?;
            prop_assert!(report.is_intact(), "{:?}", report);
        }
        let after = store.state();
        for (id, old) in before.records.iter().filter(|(id, old)| after.records.get(id).is_some_and(|new| new != *old)) {
            store.change(|state| _ = state.records.insert(id.clone(), old.clone()));
            let found = open(&store).and_then(|kms| kms.verify_store(|_| {}));
            prop_assert!(!found.is_ok_and(|report| report.is_intact()), "the rollback of {:?} was not detected", id);
            store.change(|state| *state = after.clone());
        }
    }
}

#[test]
fn opening_a_store_reads_the_same_whatever_the_number_of_keys() -> Result<()> {
    let store = CountingStore::new(Arc::new(MemoryStore::new(&CryptoBackend::default())?));
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    drop(open()?);
    let mut counts = Vec::new();
    for keys in [1, 50] {
        let kms = open()?;
        for _ in 0..keys {
            kms.create_key(Default::default())?;
        }
        drop(kms);
        store.take_reads();
        let kms = open()?;
        counts.push(store.take_reads().records);
        drop(kms);
    }
    assert_eq!(counts[0], counts[1], "records read");
    Ok(())
}
