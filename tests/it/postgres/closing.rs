//! Closing a store while other threads use it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom::identity::AccountId;
use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision,
    StoreError,
};
use strongroom::{Error, Result};

use super::bounds::PATIENT;
use crate::support::postgres::{self, Admission, Database, Direction, Fault, Proxy};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn id(number: u64) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: number.to_be_bytes().to_vec() }
}

fn create(store: &PostgresStore, number: u64) -> Result<Revision> {
    let created: Result<_, CommitError> = store.commit(&[Expectation { id: id(number), revision: None }], &mut |_| {
        Ok(vec![Change { id: id(number), body: Some(b"body".to_vec()) }])
    });
    Ok(created?)
}

fn is_closed(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Closed(_)))
}

/// Each call either succeeds, or is rejected as one on a closed store and had no effect.
#[test]
fn calls_in_progress_are_completed_or_rejected() -> TestResult {
    let Some(server) = postgres::shared("postgres::closing::calls_in_progress_are_completed_or_rejected") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?.timeout(PATIENT);
    PostgresStore::create_schema(&options)?;
    let (next, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    for round in 0..12 {
        // With a bound of zero, every call waits for a proof.
        let options = if round % 2 == 0 { options.clone() } else { options.clone().max_staleness(Duration::ZERO) };
        let store = PostgresStore::open(&options.connections(2))?;
        let begun = AtomicU64::new(0);
        thread::scope(|scope| -> TestResult {
            let work = |number: u64| loop {
                begun.fetch_add(1, Ordering::SeqCst);
                let done = match number % 2 {
                    0 => create(&store, next.fetch_add(1, Ordering::SeqCst))
                        .map(|_| acknowledged.fetch_add(1, Ordering::SeqCst)),
                    _ => store.get(&id(0)).map(|_| 0),
                };
                if let Err(error) = done {
                    return error;
                }
            };
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || work(number))).collect();
            while begun.load(Ordering::SeqCst) < 100 + 7 * round {
                thread::yield_now();
            }
            let closing = Instant::now();
            store.close()?;
            assert!(closing.elapsed() < PATIENT, "{:?}", closing.elapsed());
            for thread in threads {
                let error = thread.join().expect("no panic");
                assert!(is_closed(&error), "{error}");
            }
            assert!(closing.elapsed() < PATIENT, "{:?}", closing.elapsed());
            Ok(())
        })?;
    }
    let records: u64 = database.sql("SELECT count(*) FROM strongroom.record")?.parse()?;
    assert_eq!(records, acknowledged.into_inner());
    Ok(())
}

/// The store cannot wait forever for a server that is silent, and must not guess.
#[test]
fn a_commit_that_loses_its_answer_while_the_store_is_closed_is_ambiguous() -> TestResult {
    let test = "postgres::closing::a_commit_that_loses_its_answer_while_the_store_is_closed_is_ambiguous";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let direct = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&direct)?;
    let proxy = Proxy::start(server.port())?;
    let options = PostgresOptions::new(&proxy.url(&database.url()))?.timeout(Duration::from_secs(3));
    // No proof becomes due during the test: it would be a commit, too.
    let store = PostgresStore::open(&options.max_staleness(Duration::from_secs(600)))?;
    create(&store, 0)?;
    proxy.inject(Fault::BlackHole, 0, Admission::Ignored, |message| {
        message.direction == Direction::ToClient && message.text == "COMMIT"
    });
    thread::scope(|scope| -> TestResult {
        let commit = scope.spawn(|| create(&store, 1));
        while proxy.hits() == 0 {
            assert!(!commit.is_finished());
            thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        // It waits for the commit, no longer than the deadline.
        if let Err(unfinished) = store.close() {
            assert!(matches!(unfinished.downcast_ref(), Some(StoreError::Unreachable(_))), "{unfinished}");
        }
        let lost = commit.join().expect("no panic").expect_err("the answer is lost");
        assert!(matches!(lost.downcast_ref(), Some(StoreError::Ambiguous(_))), "{lost}");
        assert!(lost.to_string().contains("the store was closed meanwhile"), "{lost}");
        assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
        Ok(())
    })?;
    assert!(is_closed(&store.revision().expect_err("closed")));
    assert!(PostgresStore::open(&direct)?.get(&id(1))?.is_some(), "it was committed");
    Ok(())
}
