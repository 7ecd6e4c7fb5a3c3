//! Commits whose answer is lost are settled with the server that had them, or with its successor.

use std::thread;
use std::time::{Duration, Instant};

use strongroom::Error;
use strongroom::identity::AccountId;
use strongroom::store::{Change, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision, StoreError};

use crate::support::postgres::{self, PATIENCE, SUPERUSER, Server};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The deadline of a commit, and of settling it, where a test waits until it has passed.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// The deadline where something happens before that also on a busy machine. A test may wait until one
/// of these has passed, but not two.
const LONG: Duration = Duration::from_secs(6);

fn open(server: &Server, timeout: Duration) -> strongroom::Result<PostgresStore> {
    let options = PostgresOptions::new(&server.url(SUPERUSER))?.timeout(timeout);
    PostgresStore::create_schema(&options)?;
    PostgresStore::open(&options)
}

pub(super) fn counter() -> RecordId {
    RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"counter".to_vec() }
}

pub(super) fn increment(store: &PostgresStore) -> Result<Revision, Error> {
    let id = counter();
    let revision = store.commit(&[], &mut |pending| {
        let before = pending.get(&id)?.map_or(0, |record| record.body[0]);
        Ok(vec![Change { id: id.clone(), body: Some(vec![before + 1]) }])
    });
    Ok(revision?)
}

/// Returns the counter according to a server itself.
fn counted(server: &Server) -> Result<u8, Box<dyn std::error::Error>> {
    let sql = format!("SELECT get_byte(body, 0) FROM strongroom.record WHERE name = '\\x{}'", hex::encode(b"counter"));
    Ok(server.sql(SUPERUSER, &sql)?.trim().parse()?)
}

fn wait_until(server: &Server, condition: &str) -> TestResult {
    let begun = Instant::now();
    while server.sql(SUPERUSER, &format!("SELECT count(*) > 0 FROM pg_stat_activity WHERE {condition}"))?.trim() != "t"
    {
        assert!(begun.elapsed() < PATIENCE, "no process with {condition}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

const COMMITTING: &str = "wait_event = 'SyncRep' AND query = 'COMMIT'";

fn without_replicas(server: &Server) -> TestResult {
    server.configure(&[("synchronous_standby_names", "")])?;
    server.reload()
}

/// The server waits for a replica that is down until it is told not to.
#[test]
fn a_commit_that_takes_effect_late_is_reported_as_committed() -> TestResult {
    let test = "postgres::outcome::a_commit_that_takes_effect_late_is_reported_as_committed";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let server = cluster.primary();
    let store = open(server, LONG)?;
    increment(&store)?;
    cluster.standby().stop()?;
    let done = thread::scope(|scope| {
        let commit = scope.spawn(|| increment(&store));
        wait_until(server, COMMITTING).expect("the commit waits for the replica");
        // After the deadline of the commit, and long before that of settling it.
        thread::sleep(LONG + Duration::from_millis(300));
        without_replicas(server).expect("the server reloads");
        commit.join().expect("no thread panicked")
    });
    assert_eq!(done?, Revision(2));
    assert_eq!((counted(server)?, store.revision()?), (2, Revision(2)), "the answer also renewed the bound");
    assert_eq!(increment(&store)?, Revision(3));
    Ok(())
}

#[test]
fn a_commit_that_stays_in_progress_is_ambiguous() -> TestResult {
    let test = "postgres::outcome::a_commit_that_stays_in_progress_is_ambiguous";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let server = cluster.primary();
    let store = open(server, TIMEOUT)?;
    increment(&store)?;
    cluster.standby().stop()?;
    let begun = Instant::now();
    let error = increment(&store).expect_err("no replica confirms the commit");
    assert!(matches!(error.downcast_ref(), Some(StoreError::Ambiguous(_))), "{error:?}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(counted(server)?, 1, "others do not see it yet");
    without_replicas(server)?;
    // It lands after all. The next commit is based on it.
    assert_eq!(increment(&open(server, PATIENCE)?)?, Revision(3));
    assert_eq!(counted(server)?, 3);
    Ok(())
}

/// The commit is stored on the primary only, and visible there. It may be lost with it.
#[test]
fn a_commit_that_only_the_primary_has_is_ambiguous_until_a_replica_has_it() -> TestResult {
    let test = "postgres::outcome::a_commit_that_only_the_primary_has_is_ambiguous_until_a_replica_has_it";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let server = cluster.primary();
    // An open commit ends with the deadline, and the other one as soon as the replica is back.
    for (released, timeout) in [(false, TIMEOUT), (true, PATIENCE)] {
        let store = open(server, timeout)?;
        increment(&store)?;
        let before = counted(server)?;
        cluster.standby().stop()?;
        let done = thread::scope(|scope| {
            let commit = scope.spawn(|| increment(&store));
            wait_until(server, COMMITTING).expect("the commit waits for the replica");
            let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {COMMITTING}");
            server.sql(SUPERUSER, &end).expect("the server answers");
            if released {
                cluster.standby().start_again().expect("the standby starts");
            }
            commit.join().expect("no thread panicked")
        });
        // The process of the server may need a moment to end.
        let begun = Instant::now();
        while counted(server)? == before {
            assert!(begun.elapsed() < PATIENCE, "the primary shows it");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(counted(server)?, before + 1);
        match done {
            Ok(_) => assert!(released, "no replica has the commit"),
            Err(error) => {
                assert!(!released, "{error:?}");
                assert!(matches!(error.downcast_ref(), Some(StoreError::Ambiguous(_))), "{error:?}");
                cluster.standby().start_again()?;
            }
        }
        cluster.wait_until_synchronous()?;
    }
    Ok(())
}

/// A constraint that is checked at the end of the transaction takes forever.
fn delay_commits(server: &Server) -> TestResult {
    server.sql(
        SUPERUSER,
        "CREATE FUNCTION public.delay() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER delay AFTER UPDATE ON strongroom.store DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION public.delay()",
    )?;
    Ok(())
}

#[test]
fn a_commit_that_was_cut_off_is_reported_as_not_committed() -> TestResult {
    let Some(server) = postgres::own("postgres::outcome::a_commit_that_was_cut_off_is_reported_as_not_committed", &[])
    else {
        return Ok(());
    };
    let store = open(&server, PATIENCE)?;
    increment(&store)?;
    delay_commits(&server)?;
    for is_killed in [false, true] {
        let error = thread::scope(|scope| {
            let commit = scope.spawn(|| increment(&store));
            wait_until(&server, "wait_event = 'PgSleep'").expect("the commit is delayed");
            if is_killed {
                server.kill().expect("the server is killed");
                server.start_again().expect("the server starts");
            } else {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
                server.sql(SUPERUSER, end).expect("the server answers");
            }
            commit.join().expect("no thread panicked").expect_err("the commit was cut off")
        });
        assert!(matches!(error.downcast_ref(), Some(StoreError::Unreachable(_))), "{is_killed}: {error:?}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(counted(&server)?, 1);
    }
    server.sql(SUPERUSER, "DROP TRIGGER delay ON strongroom.store")?;
    assert_eq!(increment(&store)?, Revision(2));
    Ok(())
}

/// The standby no longer receives anything, is promoted, and the old primary is left running with
/// the commit in progress.
#[test]
fn a_commit_that_a_promotion_lost_is_reported_as_not_committed() -> TestResult {
    let test = "postgres::outcome::a_commit_that_a_promotion_lost_is_reported_as_not_committed";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let (old, new) = (cluster.primary(), cluster.standby());
    let both =
        format!("host=127.0.0.1,127.0.0.1 port={},{} user={SUPERUSER} dbname={SUPERUSER}", old.port(), new.port());
    let options = PostgresOptions::new(&both)?.timeout(LONG).max_staleness(Duration::from_millis(300));
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    increment(&store)?;
    new.configure(&[("primary_conninfo", "")])?;
    new.reload()?;
    let begun = Instant::now();
    while !old.sql(SUPERUSER, "SELECT pid FROM pg_stat_replication")?.trim().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the standby is disconnected");
        thread::sleep(Duration::from_millis(10));
    }
    let error = thread::scope(|scope| {
        let commit = scope.spawn(|| increment(&store));
        wait_until(old, COMMITTING).expect("the commit waits for the replica");
        cluster.promote().expect("the standby is promoted");
        commit.join().expect("no thread panicked").expect_err("the commit was lost")
    });
    assert!(matches!(error.downcast_ref(), Some(StoreError::Unreachable(_))), "{error:?}");
    assert_eq!(counted(new)?, 1);
    assert_eq!(increment(&store)?, Revision(2), "the store has followed the promotion");
    assert_eq!((counted(new)?, counted(old)?), (2, 1));
    Ok(())
}
