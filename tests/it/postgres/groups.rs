//! Commits of several threads that share a transaction.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom::identity::AccountId;
use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision,
};
use strongroom::{Error, ErrorKind};

use super::bounds::{PATIENT, while_holding};
use crate::support::postgres::{self, Database, Server};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const THREADS: usize = 12;

fn id(name: &str) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.as_bytes().to_vec() }
}

fn create(store: &PostgresStore, name: &str) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id(name), revision: None }], &mut |pending| {
        Ok(vec![Change { id: id(name), body: Some(pending.revision().0.to_be_bytes().to_vec()) }])
    })
}

/// Calls `work` in threads while another session holds the lock of the store, so that their commits
/// wait together.
fn while_locked<T: Send>(
    database: &Database<'_>,
    work: impl Fn(usize) -> T + Sync,
) -> Result<Vec<T>, Box<dyn std::error::Error>> {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads = while_holding(database, "SELECT FROM strongroom.store FOR UPDATE", || {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (work, begun) = (&work, &begun);
                    scope.spawn(move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                        work(number)
                    })
                })
                .collect();
            while begun.load(Ordering::SeqCst) < THREADS {
                thread::sleep(Duration::from_millis(5));
            }
            // Until all of them wait.
            thread::sleep(Duration::from_millis(300));
            threads
        })?;
        Ok(threads.into_iter().map(|thread| thread.join().expect("no panic")).collect())
    })
}

fn store(database: &Database<'_>) -> strongroom::Result<PostgresStore> {
    let options = PostgresOptions::new(&database.url())?.timeout(PATIENT);
    PostgresStore::create_schema(&options)?;
    PostgresStore::open(&options)
}

#[test]
fn commits_that_wait_share_a_transaction_and_keep_their_revisions() -> TestResult {
    let test = "postgres::groups::commits_that_wait_share_a_transaction_and_keep_their_revisions";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let started = Instant::now();
    loop {
        // The first two threads begin a group each, which the others are too late for.
        let transactions = transactions_of_commits_that_wait(server)?;
        if (1..=4).contains(&transactions) {
            return Ok(());
        }
        // On a busy machine, some threads may begin to wait too late.
        assert!(started.elapsed() < PATIENT, "{transactions} transactions");
    }
}

/// Commits in several threads that wait together as far as possible. Returns the number of
/// transactions.
fn transactions_of_commits_that_wait(server: &Server) -> Result<usize, Box<dyn std::error::Error>> {
    let database = Database::create(server)?;
    let store = store(&database)?;
    let revisions = while_locked(&database, |number| create(&store, &format!("key {number}")))?;
    let revisions: Vec<u64> =
        revisions.into_iter().map(|revision| Ok(revision.map_err(Error::from)?.0)).collect::<Result<_, Error>>()?;
    let last = u64::try_from(THREADS)?;
    assert_eq!(revisions.iter().copied().collect::<BTreeSet<_>>(), (1..=last).collect());
    assert_eq!(store.revision()?, Revision(last));
    for (number, revision) in revisions.iter().enumerate() {
        let record = store.get(&id(&format!("key {number}")))?.expect("created");
        assert_eq!((record.revision.0, &record.body[..]), (*revision, &revision.to_be_bytes()[..]));
    }
    Ok(database.sql("SELECT count(DISTINCT xmin::text) FROM strongroom.record")?.parse()?)
}

#[test]
fn a_commit_of_a_group_sees_the_commits_before_it() -> TestResult {
    let Some(server) = postgres::shared("postgres::groups::a_commit_of_a_group_sees_the_commits_before_it") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let store = store(&database)?;
    // All create the same record, and all add to a counter that they do not expect.
    let results = while_locked(&database, |number| {
        let conflict = create(&store, "same");
        let counter = id("counter");
        let counted = store.commit_prefetching(&[], &[counter.clone()][..number % 2], &mut |pending| {
            let before = pending.get(&counter)?;
            let count = before.as_ref().map_or(0, |record| record.body[0]);
            assert!(before.is_none_or(|record| record.revision < pending.revision()));
            Ok(vec![Change { id: counter.clone(), body: (count < 5).then(|| vec![count + 1]) }])
        });
        (conflict, counted)
    })?;
    let created = results.iter().filter(|(created, _)| created.is_ok()).count();
    assert_eq!(created, 1);
    for (created, counted) in &results {
        assert!(matches!(created, Ok(_) | Err(CommitError::Conflict(_))));
        assert!(counted.is_ok());
    }
    // The sixth deletes the counter, and the next begins again.
    let count = store.get(&id("counter"))?.map_or(0, |record| usize::from(record.body[0]));
    assert_eq!(count, THREADS % 6);
    assert_eq!(store.revision()?.0, u64::try_from(THREADS + 1)?);
    Ok(())
}

#[test]
fn a_failure_of_one_commit_does_not_affect_its_group() -> TestResult {
    let Some(server) = postgres::shared("postgres::groups::a_failure_of_one_commit_does_not_affect_its_group") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let store = store(&database)?;
    let results = while_locked(&database, |number| match number % 4 {
        0 => {
            let failed = store.commit(&[], &mut |_| Err(Error::new(ErrorKind::Internal, "sealing failed")));
            assert!(matches!(failed, Err(CommitError::Failed(error)) if error.kind() == ErrorKind::Internal));
            None
        }
        1 => {
            let panicked = catch_unwind(AssertUnwindSafe(|| store.commit(&[], &mut |_| panic!("in a writer"))));
            assert!(panicked.is_err());
            None
        }
        2 => {
            let unnamed = store.commit(&[], &mut |_| Ok(vec![Change { id: id("unnamed"), body: Some(vec![1]) }]));
            assert!(matches!(unnamed, Err(CommitError::Failed(_))));
            None
        }
        _ => Some(create(&store, &format!("key {number}"))),
    })?;
    let committed: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(committed.len(), THREADS / 4);
    assert!(committed.iter().all(Result::is_ok), "{committed:?}");
    assert_eq!(store.revision()?.0, u64::try_from(THREADS / 4)?);
    assert_eq!(store.get(&id("unnamed"))?, None);
    create(&store, "afterwards").map_err(Error::from)?;
    Ok(())
}

#[test]
fn commits_without_a_common_wait_are_not_lost() -> TestResult {
    let Some(server) = postgres::shared("postgres::groups::commits_without_a_common_wait_are_not_lost") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let store = store(&database)?;
    const COMMITS: usize = 40;
    thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..COMMITS {
                    create(store, &format!("{thread}/{number}")).expect("no failure");
                }
            });
        }
    });
    assert_eq!(store.revision()?.0, u64::try_from(8 * COMMITS)?);
    assert_eq!(database.sql("SELECT count(*), count(DISTINCT revision) FROM strongroom.record")?, "320|320");
    Ok(())
}
