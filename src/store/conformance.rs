//! Conformance test suites for implementations of [`KeyStore`] and [`Anchor`].
//!
//! Run them in the tests of your store or anchor: [`run`] for every store, [`run_durable`] for
//! one that outlives its process, [`run_shared`] for one that several processes may open, and
//! [`run_anchor`] for an anchor. They cannot replace a crash test. A store that passes must still
//! guarantee durability and atomicity whenever the process or the machine stops.
//!
//! # Examples
//! ```
//! use strongroom::store::{KeyStore, MemoryAnchor, MemoryStore, conformance};
//!
//! let make = || -> strongroom::Result<Box<dyn KeyStore>> { Ok(Box::new(MemoryStore::new(&Default::default())?)) };
//! assert!(conformance::run(make).is_ok());
//! assert!(conformance::run_anchor(|| Ok(Box::new(MemoryAnchor::default()))).is_ok());
//! # Ok::<(), strongroom::Error>(())
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Anchor, AnchorPoint, Change, CommitError, Expectation, KeyStore, MAX_SCAN, Record, RecordId, RecordKind, Revision,
    Scan, StoreId,
};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;

type Body = fn(Make<'_>) -> Result<()>;
type Make<'a> = &'a dyn Fn() -> Result<Box<dyn KeyStore>>;

/// The maximum length of a record's name.
const LONGEST_NAME: usize = 1_024;

/// The time within which handles to one store must observe the commits of others.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Runs the tests that apply to every store, each on an empty store that `make` creates.
///
/// # Errors
/// - Any error from a call that the store should have accepted.
///
/// # Panics
/// Panics if the store violates the contract. The message describes the violation.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::store::{MemoryStore, conformance};
///
/// let tested = conformance::run(|| Ok(Box::new(MemoryStore::new(&CryptoBackend::default())?)));
/// assert!(tested.is_ok());
/// ```
pub fn run(make: impl Fn() -> Result<Box<dyn KeyStore>>) -> Result<()> {
    let bodies: [(&str, Body); 13] = [
        ("a commit is visible only in full", a_commit_is_visible_whole),
        ("an unmet expectation has no effect", an_unmet_expectation_changes_nothing),
        ("a failed writer has no effect", a_failed_writer_changes_nothing),
        ("a change requires an expectation", a_change_needs_an_expectation),
        ("a revision is never reused", a_revision_never_comes_twice),
        ("a scan is ordered, bounded and limited to one account", a_scan_is_ordered_and_bounded),
        ("a scan since a revision returns the records that were written after it", a_scan_finds_what_changed),
        ("names and bodies can be any bytes, and names are sorted", names_and_bodies_are_any_bytes),
        ("every kind has its own namespace", every_kind_is_a_space_of_its_own),
        ("a commit can change what it has read", what_a_commit_read_it_may_change),
        ("the prefetch hint of a commit never affects the result", a_hint_only_hints),
        ("records that are read together form a consistent snapshot", records_read_together_are_of_one_moment),
        ("no concurrent update is lost", no_concurrent_update_is_lost),
    ];
    for (name, body) in bodies {
        println!("store: {name}");
        body(&make)?;
    }
    Ok(())
}

/// Runs the tests for stores that outlive their process. Every call of `open` must open the same
/// location, which is empty before the first call. The suite uses one handle at a time.
///
/// # Errors
/// - Any error from a call that the store should have accepted.
///
/// # Panics
/// Panics if the store violates the contract. The message describes the violation.
///
/// # Examples
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use strongroom::store::{KeyStore, SqliteStore, conformance};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("keys.strongroom");
/// let open = || -> strongroom::Result<Box<dyn KeyStore>> {
///     Ok(Box::new(SqliteStore::open(&path, &Default::default())?))
/// };
/// assert!(conformance::run_durable(open).is_ok());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_durable(open: impl Fn() -> Result<Box<dyn KeyStore>>) -> Result<()> {
    println!("store: identity, records and revision outlive the handle");
    let (kept, gone) = (key("kept")?, key("gone")?);
    let store = open()?;
    let identity = store.id();
    put(&*store, &kept, None, b"1")?;
    let first = put(&*store, &gone, None, b"2")?;
    let last = delete(&*store, &gone, first)?;
    let before = store.get(&kept)?;
    store.close()?;
    assert!(store.close().is_ok(), "a store can be closed again");
    drop(store);

    let store = open()?;
    assert_eq!(store.id(), identity, "the identity of a store never changes");
    assert_eq!(store.revision()?, last, "the deletion of a record is durable");
    assert_eq!((store.get(&kept)?, store.get(&gone)?), (before, None));
    let next = put(&*store, &gone, None, b"3")?;
    assert!(next > last, "a revision was reused: {} after {}", next.0, last.0);
    assert!(matches!(put(&*store, &gone, Some(first), b"4"), Err(CommitError::Conflict(_))));
    drop(store);
    assert_eq!(open()?.revision()?, next, "a handle that is dropped loses no commit");
    Ok(())
}

/// Runs the tests for stores that several processes may open at the same time. Every call of `open`
/// must open the same location, which is empty before the first call. The suite uses two handles at
/// a time, both from several threads.
///
/// # Errors
/// - Any error from a call that the store should have accepted.
///
/// # Panics
/// Panics if the store violates the contract. The message describes the violation.
///
/// # Examples
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use strongroom::store::{KeyStore, SqliteStore, conformance};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("keys.strongroom");
/// let open = || -> strongroom::Result<Box<dyn KeyStore>> {
///     Ok(Box::new(SqliteStore::open(&path, &Default::default())?))
/// };
/// assert!(conformance::run_shared(open).is_ok());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_shared(open: impl Fn() -> Result<Box<dyn KeyStore>>) -> Result<()> {
    println!("store: handles of one store see each other's commits and lose none");
    let (one, two): (Arc<dyn KeyStore>, Arc<dyn KeyStore>) = (open()?.into(), open()?.into());
    assert_eq!(one.id(), two.id(), "both handles belong to one store");
    let a = key("a")?;
    let first = put(&*one, &a, None, b"1")?;
    assert!(
        matches!(put(&*two, &a, None, b"2"), Err(CommitError::Conflict(_))),
        "a commit is based on the latest state"
    );
    let begun = Instant::now();
    while two.revision()? != first {
        assert!(begun.elapsed() < SEEN_WITHIN, "the other handle is still at revision {}", two.revision()?.0);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(two.get(&a)?.map(|record| record.revision), Some(first));
    let second = put(&*one, &a, Some(first), b"2")?;
    assert_eq!(two.latest_revision()?, second, "the latest revision is that of the last commit anywhere");
    assert!(two.revision()? >= second, "a revision that was observed is not forgotten");
    count_up(&[Arc::clone(&one), Arc::clone(&two)])?;
    let last = one.revision()?;
    one.close()?;
    assert!(put(&*two, &key("b")?, None, b"3")? > last, "closing one handle does not affect the other");
    Ok(())
}

/// Runs the tests that apply to every anchor, each on an anchor without a point.
///
/// # Errors
/// - Any error from a call that the anchor should have accepted.
///
/// # Panics
/// Panics if the anchor violates the contract. The message describes the violation.
///
/// # Examples
/// ```
/// use strongroom::store::{MemoryAnchor, conformance};
///
/// assert!(conformance::run_anchor(|| Ok(Box::new(MemoryAnchor::default()))).is_ok());
/// ```
pub fn run_anchor(make: impl Fn() -> Result<Box<dyn Anchor>>) -> Result<()> {
    println!("anchor: it moves forward, never back or to another store");
    let anchor = make()?;
    let point =
        |store, revision| AnchorPoint { store: StoreId([store; 16]), revision: Revision(revision), digest: [7; 32] };
    assert_eq!(anchor.last()?, None);
    for (moved, expected) in [
        (point(1, 5), point(1, 5)),
        (point(1, 6), point(1, 6)),
        (point(1, 4), point(1, 6)),
        (AnchorPoint { digest: [8; 32], ..point(1, 6) }, point(1, 6)),
        (point(2, 9), point(1, 6)),
        (point(1, u64::MAX >> 1), point(1, u64::MAX >> 1)),
    ] {
        anchor.advance(&moved)?;
        assert_eq!(anchor.last()?, Some(expected), "after moving it to {moved:?}");
    }

    println!("anchor: of concurrent moves, the furthest wins");
    const THREADS: u64 = 4;
    const MOVES: u64 = 50;
    let anchor = make()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|thread| {
                let anchor = &anchor;
                scope.spawn(move || {
                    (0..MOVES).try_for_each(|number| anchor.advance(&point(1, number * THREADS + thread)))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the thread does not panic"))
    })?;
    assert_eq!(anchor.last()?, Some(point(1, THREADS * MOVES)));
    Ok(())
}

fn id(kind: RecordKind, account: &str, name: &str) -> Result<RecordId> {
    Ok(RecordId { kind, account: AccountId::parse(account)?, name: name.as_bytes().to_vec() })
}

fn key(name: &str) -> Result<RecordId> {
    id(RecordKind::Key, "000000000001", name)
}

fn put(store: &dyn KeyStore, id: &RecordId, revision: Option<Revision>, body: &[u8]) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id.clone(), revision }], &mut |_| {
        Ok(vec![Change { id: id.clone(), body: Some(body.to_vec()) }])
    })
}

fn delete(store: &dyn KeyStore, id: &RecordId, revision: Revision) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id.clone(), revision: Some(revision) }], &mut |_| {
        Ok(vec![Change { id: id.clone(), body: None }])
    })
}

fn a_commit_is_visible_whole(make: Make<'_>) -> Result<()> {
    let store = make()?;
    assert_eq!(store.revision()?, Revision(0));
    let (a, b) = (key("a")?, key("b")?);
    let expected = [&a, &b].map(|id| Expectation { id: id.clone(), revision: None });
    let mut announced = None;
    let revision = store.commit(&expected, &mut |pending| {
        announced = Some(pending.revision());
        Ok([&a, &b].map(|id| Change { id: id.clone(), body: Some(id.name.clone()) }).to_vec())
    })?;
    assert_eq!(announced, Some(revision));
    assert_eq!(store.revision()?, revision);
    for id in [&a, &b] {
        let record = store.get(id)?.expect("just written");
        assert_eq!((record.revision, &record.body[..]), (revision, &id.name[..]));
    }
    assert_eq!(store.get(&key("c")?)?, None);
    Ok(())
}

fn an_unmet_expectation_changes_nothing(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let (a, b) = (key("a")?, key("b")?);
    let first = put(&*store, &a, None, b"1")?;
    for wrong in [None, Some(Revision(first.0 + 1)), Some(Revision(0))] {
        let expected = [Expectation { id: b.clone(), revision: None }, Expectation { id: a.clone(), revision: wrong }];
        let mut called = false;
        let refusal = store.commit(&expected, &mut |_| {
            called = true;
            Ok(vec![Change { id: b.clone(), body: Some(vec![0]) }])
        });
        assert!(matches!(refusal, Err(CommitError::Conflict(id)) if id == a));
        assert!(!called, "bodies must not be sealed for a commit that fails");
    }
    assert_eq!(store.get(&b)?, None);
    assert_eq!(store.revision()?, first);
    Ok(())
}

fn a_failed_writer_changes_nothing(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let a = key("a")?;
    let refusal = store.commit(&[Expectation { id: a.clone(), revision: None }], &mut |_| {
        Err(Error::new(ErrorKind::Internal, "sealing failed"))
    });
    assert!(matches!(refusal, Err(CommitError::Failed(error)) if error.kind() == ErrorKind::Internal));
    assert_eq!((store.get(&a)?, store.revision()?), (None, Revision(0)));
    Ok(())
}

fn a_change_needs_an_expectation(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let (a, b) = (key("a")?, key("b")?);
    let refusal = store.commit(&[Expectation { id: a.clone(), revision: None }], &mut |_| {
        Ok(vec![Change { id: a.clone(), body: Some(vec![1]) }, Change { id: b.clone(), body: Some(vec![1]) }])
    });
    assert!(matches!(refusal, Err(CommitError::Failed(_))));
    assert_eq!((store.get(&a)?, store.get(&b)?), (None, None));
    Ok(())
}

fn a_revision_never_comes_twice(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let a = key("a")?;
    let first = put(&*store, &a, None, b"1")?;
    let second = put(&*store, &a, Some(first), b"2")?;
    let gone = delete(&*store, &a, second)?;
    assert_eq!(store.get(&a)?, None);
    let again = put(&*store, &a, None, b"1")?;
    assert!(first < second && second < gone && gone < again);
    assert!(matches!(put(&*store, &a, Some(first), b"3"), Err(CommitError::Conflict(_))));
    Ok(())
}

fn a_scan_is_ordered_and_bounded(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let other = id(RecordKind::Key, "000000000002", "z")?;
    let alias = id(RecordKind::Alias, "000000000001", "b")?;
    for id in [&key("c")?, &key("a")?, &other, &alias, &key("b")?] {
        put(&*store, id, None, b"x")?;
    }
    let scan = |account, after, limit| -> Result<Vec<String>> {
        let found = store.scan(&Scan { kind: RecordKind::Key, account, after, limit })?;
        Ok(found.into_iter().map(|(id, _)| String::from_utf8_lossy(&id.name).into_owned()).collect())
    };
    let account = Some(AccountId::parse("000000000001")?);
    assert_eq!(scan(account, None, 10)?, ["a", "b", "c"]);
    assert_eq!(scan(account, None, 2)?, ["a", "b"]);
    assert_eq!(scan(account, Some(key("b")?), 10)?, ["c"]);
    assert_eq!(scan(account, Some(key("bb")?), 10)?, ["c"], "the starting record may have been deleted");
    assert_eq!(scan(None, None, 10)?, ["a", "b", "c", "z"]);
    for number in 0..MAX_SCAN {
        put(&*store, &id(RecordKind::Key, "000000000003", &number.to_string())?, None, b"x")?;
    }
    assert_eq!(scan(None, None, usize::MAX)?.len(), MAX_SCAN);
    Ok(())
}

fn a_scan_finds_what_changed(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let number = |number: usize| id(RecordKind::Key, "000000000002", &format!("{number:04}"));
    let ids = (0..MAX_SCAN + 2).map(number).collect::<Result<Vec<_>>>()?;
    let absent: Vec<_> = ids.iter().map(|id| Expectation { id: id.clone(), revision: None }).collect();
    let first = store.commit(&absent, &mut |_| {
        Ok(ids.iter().map(|id| Change { id: id.clone(), body: Some(b"first".to_vec()) }).collect())
    })?;
    let changed = |account, after, limit, since| -> Result<Vec<(String, Revision)>> {
        let found = store.scan_since(&Scan { kind: RecordKind::Key, account, after, limit }, since)?;
        assert!(found.iter().all(|(_, record)| record.revision > since));
        let named =
            |(id, record): (RecordId, Record)| (String::from_utf8_lossy(&id.name).into_owned(), record.revision);
        Ok(found.into_iter().map(named).collect())
    };
    assert_eq!(changed(None, None, MAX_SCAN, first)?, []);
    assert_eq!(changed(None, None, usize::MAX, Revision(first.0 - 1))?.len(), MAX_SCAN);
    assert_eq!(changed(None, Some(number(MAX_SCAN)?), 10, Revision(0))?, [(format!("{:04}", MAX_SCAN + 1), first)]);

    // The first, one in the middle, and the last; and one that is deleted.
    let places = [0, MAX_SCAN / 2, MAX_SCAN + 1];
    let mut expected = Vec::new();
    for place in places.into_iter().rev() {
        let revision = put(&*store, &number(place)?, Some(first), b"second")?;
        expected.insert(0, (format!("{place:04}"), revision));
    }
    delete(&*store, &number(1)?, first)?;
    put(&*store, &id(RecordKind::Alias, "000000000002", "alias")?, None, b"of another kind")?;
    let other = put(&*store, &id(RecordKind::Key, "000000000003", "other")?, None, b"of another account")?;
    assert_eq!(changed(Some(number(0)?.account), None, 10, first)?, expected);
    assert_eq!(changed(Some(number(0)?.account), None, 2, first)?, expected[..2]);
    assert_eq!(changed(Some(number(0)?.account), Some(number(0)?), 10, first)?, expected[1..]);
    expected.push(("other".to_owned(), other));
    assert_eq!(changed(None, None, 10, first)?, expected);
    assert_eq!(changed(None, Some(number(places[1])?), 10, first)?, expected[2..]);
    assert_eq!(changed(None, None, 10, Revision(other.0 - 1))?, expected[3..]);
    assert_eq!(changed(None, None, 10, other)?, []);
    Ok(())
}

fn names_and_bodies_are_any_bytes(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let longest = vec![0xFF; LONGEST_NAME];
    let names: [&[u8]; 9] = [b"\0", b"\0\0", b"\0\x01", b"%2F", b"../..", b"A", b"a", b"\x80", &longest];
    let of = |name: &[u8]| Ok::<_, Error>(RecordId { name: name.to_vec(), ..key("")? });
    let bodies = [vec![], vec![0], b"\xFF\0\n".to_vec(), vec![0xA5; 1 << 20]];
    for (number, name) in names.iter().rev().enumerate() {
        put(&*store, &of(name)?, None, &bodies[number % bodies.len()])?;
    }
    for (number, name) in names.iter().rev().enumerate() {
        let record = store.get(&of(name)?)?.expect("just written");
        assert!(record.body[..] == bodies[number % bodies.len()], "the body of {name:?} differs");
    }
    let mut after = None;
    for name in names {
        let found = store.scan(&Scan { kind: RecordKind::Key, account: None, after, limit: 1 })?;
        assert_eq!(found.iter().map(|(id, _)| &id.name[..]).collect::<Vec<_>>(), [name], "names are sorted by bytes");
        after = Some(of(name)?);
    }
    Ok(())
}

fn every_kind_is_a_space_of_its_own(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let of = |kind: RecordKind| id(kind, "000000000001", "name");
    for &kind in RecordKind::ALL {
        put(&*store, &of(kind)?, None, &[kind.code()])?;
    }
    for &kind in RecordKind::ALL {
        let found = store.scan(&Scan { kind, account: None, after: None, limit: 10 })?;
        let found: Vec<_> = found.iter().map(|(id, record)| (id, &record.body[..])).collect();
        assert_eq!(found, [(&of(kind)?, &[kind.code()][..])]);
    }
    Ok(())
}

/// Every commit changes this record, and no commit includes it in its expectations.
fn what_a_commit_read_it_may_change(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let head = key("head")?;
    for number in 1..=3_u8 {
        let revision = store.commit(&[], &mut |pending| {
            let before = pending.get(&head)?;
            assert_eq!(before.map(|record| record.body.to_vec()), (number > 1).then(|| vec![number - 1]));
            Ok(vec![Change { id: head.clone(), body: Some(vec![number]) }])
        })?;
        assert_eq!(store.get(&head)?.map(|record| record.revision), Some(revision));
    }
    let other = key("other")?;
    let refusal = store.commit(&[], &mut |pending| {
        pending.get(&head)?;
        Ok(vec![Change { id: other.clone(), body: Some(vec![1]) }])
    });
    assert!(matches!(refusal, Err(CommitError::Failed(_))), "the read returned another record");
    let gone = store.commit(&[], &mut |pending| {
        pending.get(&head)?;
        Ok(vec![Change { id: head.clone(), body: None }])
    })?;
    assert_eq!((store.get(&head)?, store.revision()?), (None, gone));
    Ok(())
}

/// The hint names records that the writer reads, does not read, or that are missing, in any order
/// and repeatedly.
fn a_hint_only_hints(make: Make<'_>) -> Result<()> {
    let store = make()?;
    let (a, b, head) = (key("a")?, key("b")?, key("head")?);
    let absent = |id: &RecordId| Expectation { id: id.clone(), revision: None };
    let all = [head.clone(), b.clone(), a.clone(), head.clone()];
    for number in 1..=3_u8 {
        for hint in [&all[..], &all[1..3], &[]] {
            let mut announced = None;
            let before = store.get(&head)?;
            let revision = store.commit_prefetching(&[], hint, &mut |pending| {
                announced = Some(pending.revision());
                assert_eq!(pending.get(&head)?, before, "a read returns the state just before the commit");
                assert_eq!(pending.get(&b)?, None);
                Ok(vec![Change { id: head.clone(), body: Some(vec![number]) }])
            })?;
            assert_eq!((announced, store.revision()?), (Some(revision), revision));
            assert_eq!(store.get(&head)?.map(|record| record.revision), Some(revision));
        }
    }
    let last = store.revision()?;
    let unnamed = store.commit_prefetching(&[absent(&a)], &all, &mut |pending| {
        pending.get(&b)?;
        Ok(vec![Change { id: head.clone(), body: Some(vec![9]) }])
    });
    assert!(matches!(unnamed, Err(CommitError::Failed(_))), "a record of the hint is not a record that was read");
    let mut called = false;
    let unmet = store.commit_prefetching(&[absent(&head)], &all, &mut |_| {
        called = true;
        Ok(Vec::new())
    });
    assert!(matches!(unmet, Err(CommitError::Conflict(id)) if id == head) && !called);
    assert_eq!(store.revision()?, last, "a failed commit has no effect");
    let unrelated = store
        .commit_prefetching(&[absent(&a)], &all, &mut |_| Ok(vec![Change { id: a.clone(), body: Some(vec![1]) }]))?;
    assert_eq!(store.get(&a)?.map(|record| record.revision), Some(unrelated));
    Ok(())
}

fn records_read_together_are_of_one_moment(make: Make<'_>) -> Result<()> {
    const COMMITS: u64 = 50;
    let store: Arc<dyn KeyStore> = make()?.into();
    let (a, b) = (key("a")?, key("b")?);
    let write = |number: u64| {
        store.commit(&[], &mut |pending| {
            let both = [&a, &b];
            both.iter().try_for_each(|id| pending.get(id).map(drop))?;
            Ok(both.map(|id| Change { id: id.clone(), body: Some(number.to_be_bytes().to_vec()) }).to_vec())
        })
    };
    write(0)?;
    assert_eq!(store.get_all(&[])?, []);
    let there = store.get_all(&[key("c")?, b.clone(), key("c")?])?;
    assert_eq!(there.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=COMMITS).try_for_each(|number| write(number).map(drop)));
        while !writer.is_finished() {
            let read = store.get_all(&[a.clone(), b.clone()]).expect("readable");
            let [Some(one), Some(other)] = &read[..] else { panic!("both records exist") };
            assert_eq!((one.revision, &one.body), (other.revision, &other.body));
        }
        writer.join().expect("the thread does not panic")
    })?;
    Ok(())
}

fn no_concurrent_update_is_lost(make: Make<'_>) -> Result<()> {
    let store: Arc<dyn KeyStore> = make()?.into();
    count_up(&[Arc::clone(&store), store])
}

/// Increments a counter from two threads per handle. Each increment is conditional on the revision
/// that the thread read.
fn count_up(handles: &[Arc<dyn KeyStore>]) -> Result<()> {
    const UPDATES: u64 = 50;
    let counter = key("counter")?;
    put(&*handles[0], &counter, None, &0u64.to_be_bytes())?;
    let count = |store: &dyn KeyStore| {
        let mut done = 0;
        while done < UPDATES {
            // A handle may observe another handle's commit late.
            let Some(record) = store.get(&counter).expect("readable") else { continue };
            let value = u64::from_be_bytes(record.body[..].try_into().expect("eight bytes"));
            match put(store, &counter, Some(record.revision), &(value + 1).to_be_bytes()) {
                Ok(_) => done += 1,
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Failed(error)) => panic!("{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        for store in handles.iter().chain(handles) {
            let count = &count;
            scope.spawn(move || count(&**store));
        }
    });
    let mut counted = 0;
    handles[0].commit(&[], &mut |pending| {
        let record = pending.get(&counter)?.expect("never deleted");
        counted = u64::from_be_bytes(record.body[..].try_into().expect("eight bytes"));
        Ok(Vec::new())
    })?;
    assert_eq!(
        counted,
        2 * UPDATES * u64::try_from(handles.len()).expect("the number of handles is small"),
        "updates were lost"
    );
    Ok(())
}
