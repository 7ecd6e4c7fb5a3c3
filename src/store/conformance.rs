//! The contract of [`KeyStore`] as a suite: every implementation runs the same bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Change, CommitError, Expectation, KeyStore, MAX_SCAN, RecordId, RecordKind, Revision, Scan};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;

type Body = fn(Make<'_>) -> Result<()>;
type Make<'a> = &'a dyn Fn() -> Result<Box<dyn KeyStore>>;

/// Runs the whole suite, each body on an empty store.
pub(crate) fn run(make: impl Fn() -> Result<Box<dyn KeyStore>>) -> Result<()> {
    let bodies: [(&str, Body); 9] = [
        ("a commit is visible whole", a_commit_is_visible_whole),
        ("an unmet expectation changes nothing", an_unmet_expectation_changes_nothing),
        ("a failed writer changes nothing", a_failed_writer_changes_nothing),
        ("a change needs an expectation", a_change_needs_an_expectation),
        ("a revision never comes twice", a_revision_never_comes_twice),
        ("a scan is ordered, bounded and of one account", a_scan_is_ordered_and_bounded),
        ("what a commit read it may change", what_a_commit_read_it_may_change),
        ("records that are read together are of one moment", records_read_together_are_of_one_moment),
        ("no concurrent update is lost", no_concurrent_update_is_lost),
    ];
    for (name, body) in bodies {
        println!("store: {name}");
        body(&make)?;
    }
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
        assert!(!called, "bodies must not be sealed for a commit that does not happen");
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
    assert_eq!(scan(account, Some(key("bb")?), 10)?, ["c"], "the starting record may be gone");
    assert_eq!(scan(None, None, 10)?, ["a", "b", "c", "z"]);
    for number in 0..MAX_SCAN {
        put(&*store, &id(RecordKind::Key, "000000000003", &number.to_string())?, None, b"x")?;
    }
    assert_eq!(scan(None, None, usize::MAX)?.len(), MAX_SCAN);
    Ok(())
}

/// A record that every commit changes, and that no commit expects at a revision.
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
    assert!(matches!(refusal, Err(CommitError::Failed(_))), "it read another record");
    let gone = store.commit(&[], &mut |pending| {
        pending.get(&head)?;
        Ok(vec![Change { id: head.clone(), body: None }])
    })?;
    assert_eq!((store.get(&head)?, store.revision()?), (None, gone));
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
            let [Some(one), Some(other)] = &read[..] else { panic!("both are there") };
            assert_eq!((one.revision, &one.body), (other.revision, &other.body));
        }
        writer.join().expect("it does not panic")
    })?;
    Ok(())
}

fn no_concurrent_update_is_lost(make: Make<'_>) -> Result<()> {
    const THREADS: u64 = 4;
    const UPDATES: u64 = 50;
    let store: Arc<dyn KeyStore> = make()?.into();
    let counter = key("counter")?;
    put(&*store, &counter, None, &0u64.to_be_bytes())?;
    let conflicts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut done = 0;
                while done < UPDATES {
                    let record = store.get(&counter).expect("readable").expect("never deleted");
                    let value = u64::from_be_bytes(record.body[..].try_into().expect("eight bytes"));
                    match put(&*store, &counter, Some(record.revision), &(value + 1).to_be_bytes()) {
                        Ok(_) => done += 1,
                        Err(CommitError::Conflict(_)) => _ = conflicts.fetch_add(1, Ordering::Relaxed),
                        Err(CommitError::Failed(error)) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let record = store.get(&counter)?.expect("never deleted");
    assert_eq!(record.body[..], (THREADS * UPDATES).to_be_bytes());
    Ok(())
}
