//! Bounds of the store itself: the length of a body, the size of a group of commits, and the number
//! of connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom::identity::AccountId;
use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision, Scan,
    StoreError,
};
use strongroom::{Error, Result};

use crate::support::postgres::{self, Database, Proxy};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The length of the longest body that a store reads, in bytes.
const LONGEST: usize = 64 << 20;

/// The maximum number of commits that share a transaction.
const MAX_MEMBERS: usize = 32;

/// A deadline that even a busy machine meets.
pub(super) const PATIENT: Duration = Duration::from_secs(60);

fn id(name: &str) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.as_bytes().to_vec() }
}

fn create(store: &PostgresStore, name: &str) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id(name), revision: None }], &mut |_| {
        Ok(vec![Change { id: id(name), body: Some(b"body".to_vec()) }])
    })
}

fn options(database: &Database<'_>) -> Result<PostgresOptions> {
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    Ok(options)
}

/// Executes statements in another session, and holds their locks while `work` runs.
pub(super) fn while_holding<T>(database: &Database<'_>, statements: &str, work: impl FnOnce() -> T) -> TestResult<T> {
    const SLEEPING: &str = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let held = database.sql(&format!("BEGIN; {statements}; SELECT pg_sleep(600)"));
            held.expect_err("canceled").to_string()
        });
        while database.sql(&format!("SELECT count(*) {SLEEPING}"))? == "0" {
            assert!(!holder.is_finished(), "{:?}", holder.join());
            thread::sleep(Duration::from_millis(5));
        }
        let result = work();
        database.sql(&format!("SELECT pg_cancel_backend(pid) {SLEEPING}"))?;
        let canceled = holder.join().expect("no panic");
        assert!(canceled.contains("canceling statement"), "{canceled}");
        Ok(result)
    })
}

/// The proxy admits no message that is longer than the longest body, so an error that names the
/// body shows that the server did not send it.
#[test]
fn a_body_beyond_the_limit_is_damage_and_is_not_sent() -> TestResult {
    let Some(server) = postgres::shared("postgres::bounds::a_body_beyond_the_limit_is_damage_and_is_not_sent") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = options(&database)?.timeout(PATIENT);
    let direct = PostgresStore::open(&options)?;
    create(&direct, "short").map_err(Error::from)?;
    for (name, length) in [("longest", LONGEST), ("longer", LONGEST + 1)] {
        database.sql(&format!(
            "INSERT INTO strongroom.record VALUES (1, '000000000000', '{name}', 1, decode(repeat('00', {length}), 'hex'))"
        ))?;
    }
    assert_eq!(direct.get(&id("longest"))?.map(|record| record.body.len()), Some(LONGEST));

    let proxy = Proxy::start(server.port())?;
    let store = PostgresStore::open(&PostgresOptions::new(&proxy.url(&database.url()))?.timeout(PATIENT))?;
    let scan = Scan { kind: RecordKind::Key, account: None, after: Some(id("longer")), limit: 1 };
    assert!(store.scan(&scan).is_err_and(|error| !is_damage(&error)), "the longest body does not pass the proxy");
    let first = Scan { kind: RecordKind::Key, account: None, after: None, limit: 1 };
    let prefetched = store.commit_prefetching(&[], &[id("longer")], &mut |_| Ok(Vec::new()));
    let read = store.commit(&[], &mut |pending| {
        pending.get(&id("longer"))?;
        Ok(Vec::new())
    });
    for refused in [
        store.get(&id("longer")).map(drop),
        store.get_all(&[id("short"), id("longer")]).map(drop),
        store.scan(&first).map(drop),
        prefetched.map(drop).map_err(Error::from),
        read.map(drop).map_err(Error::from),
    ] {
        let error = refused.expect_err("the body is too long");
        assert!(is_damage(&error), "{error}");
    }
    // Nothing else is affected.
    assert!(store.get(&id("short"))?.is_some());
    create(&store, "another").map_err(Error::from)?;
    Ok(())
}

fn is_damage(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Damaged(cause)) if cause.to_string().contains("too long"))
}

const THREADS: usize = 2 * MAX_MEMBERS;

#[test]
fn a_group_has_at_most_32_commits() -> TestResult {
    let Some(server) = postgres::shared("postgres::bounds::a_group_has_at_most_32_commits") else { return Ok(()) };
    let database = Database::create(server)?;
    let store = PostgresStore::open(&options(&database)?.timeout(PATIENT))?;
    let (started, mut round) = (Instant::now(), 0);
    loop {
        round += 1;
        commit_together(&database, &store, round)?;
        assert_eq!(store.revision()?.0, u64::try_from(round * THREADS)?);
        let sizes = "SELECT max(size) FROM (SELECT count(*) AS size FROM strongroom.record GROUP BY xmin::text) AS x";
        let largest: usize = database.sql(sizes)?.parse()?;
        assert!(largest <= MAX_MEMBERS, "{largest} commits share a transaction");
        // On a busy machine, some threads may come too late.
        if largest == MAX_MEMBERS {
            return Ok(());
        }
        assert!(started.elapsed() < PATIENT, "at most {largest} commits share a transaction");
    }
}

/// Creates a record in each of many threads, which wait together as far as possible.
fn commit_together(database: &Database<'_>, store: &PostgresStore, round: usize) -> TestResult {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| -> TestResult {
        let threads = while_holding(database, "SELECT FROM strongroom.store FOR UPDATE", || {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let begun = &begun;
                    scope.spawn(move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                        create(store, &format!("{round}/{number}"))
                    })
                })
                .collect();
            while begun.load(Ordering::SeqCst) < THREADS {
                thread::sleep(Duration::from_millis(5));
            }
            // Until all of them wait.
            thread::sleep(Duration::from_millis(500));
            threads
        })?;
        for thread in threads {
            thread.join().expect("no panic").map_err(Error::from)?;
        }
        Ok(())
    })
}

#[test]
fn callers_wait_for_a_connection_no_longer_than_their_deadline() -> TestResult {
    let test = "postgres::bounds::callers_wait_for_a_connection_no_longer_than_their_deadline";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let timeout = Duration::from_secs(1);
    let store = PostgresStore::open(&options(&database)?.timeout(timeout).connections(2))?;
    create(&store, "a").map_err(Error::from)?;
    let started = Instant::now();
    loop {
        let (exhausted, unanswered) = refusals_while_locked(&database, &store)?;
        assert!(store.get(&id("a"))?.is_some());
        // On a busy machine, a thread may begin to wait when others have given up.
        if exhausted > 0 && unanswered >= 2 {
            return Ok(());
        }
        let counts = format!("{exhausted} waited for a connection, {unanswered} for an answer");
        assert!(started.elapsed() < PATIENT, "{counts}");
    }
}

/// Returns how many of several threads did not get a connection in time, and how many no answer.
fn refusals_while_locked(database: &Database<'_>, store: &PostgresStore) -> TestResult<(usize, usize)> {
    let refusals = while_holding(database, "LOCK TABLE strongroom.record IN ACCESS EXCLUSIVE MODE", || {
        thread::scope(|scope| {
            let read = || {
                let begun = Instant::now();
                let refused = store.get(&id("a")).expect_err("the table is locked");
                assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
                refused
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        })
    })?;
    let (mut exhausted, mut unanswered) = (0, 0);
    for refused in refusals {
        match refused.downcast_ref() {
            Some(StoreError::Busy(_)) => {
                assert!(refused.to_string().contains("all connections of the store are in use"), "{refused}");
                exhausted += 1;
            }
            Some(StoreError::Unreachable(_)) => unanswered += 1,
            _ => panic!("{refused}"),
        }
    }
    Ok((exhausted, unanswered))
}
