//! The bound on stale state: a change takes effect everywhere within it, also after a promotion that
//! the old primary does not notice.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom::identity::AccountId;
use strongroom::key::KeyId;
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{Change, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision, StoreError};
use strongroom::{Error, ErrorKind, Kms};

use crate::support::postgres::{self, Database, PATIENCE, SUPERUSER, Server};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const BOUND: Duration = Duration::from_millis(500);

fn options(url: &str) -> strongroom::Result<PostgresOptions> {
    Ok(PostgresOptions::new(url)?.max_staleness(BOUND).timeout(Duration::from_secs(2)))
}

fn increment(store: &PostgresStore) -> Result<Revision, Error> {
    let id = RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"counter".to_vec() };
    let revision = store.commit(&[], &mut |pending| {
        let before = pending.get(&id)?.map_or(0, |record| record.body[0]);
        Ok(vec![Change { id: id.clone(), body: Some(vec![before + 1]) }])
    });
    Ok(revision?)
}

fn kms(store: PostgresStore) -> strongroom::Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()
}

fn encrypt(kms: &Kms, key: KeyId) -> Result<(), Error> {
    kms.encrypt(EncryptRequest::new(key, b"text")).map(drop)
}

/// Repeats `attempt` until it returns a value, for a limited time.
fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_fenced(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Fenced { limit, .. }) if *limit == BOUND)
}

/// Every commit of the server takes 100 ms, and so does every fence.
#[test]
fn callers_do_not_wait_for_the_renewal() -> TestResult {
    let slow = [("commit_delay", "100000"), ("commit_siblings", "0")];
    let Some(server) = postgres::own("postgres::freshness::callers_do_not_wait_for_the_renewal", &slow) else {
        return Ok(());
    };
    let options = options(&server.url(SUPERUSER))?;
    PostgresStore::create_schema(&options)?;
    let (one, two) = (PostgresStore::open(&options)?, PostgresStore::open(&options)?);
    let begun = Instant::now();
    increment(&one)?;
    assert!(begun.elapsed() >= Duration::from_millis(95), "commits are slow");

    wait_for("a time without calls that wait", || {
        let (calls, late) = late_calls(&two).expect("the server answers");
        println!("{late} of {calls} calls waited");
        (calls > 100 && late <= 2).then_some(())
    });

    let revision = increment(&one)?;
    assert_eq!(one.revision()?, revision, "a commit is visible to its own process immediately");
    wait_for("the change is observed", || (two.revision().ok()? >= revision).then_some(()));
    Ok(())
}

/// Returns the number of calls in six times the bound, during which the proof is renewed at least as
/// often, and of those that took long. On a busy machine, a call may be late for another reason.
fn late_calls(store: &PostgresStore) -> strongroom::Result<(u32, u32)> {
    let (begun, mut calls, mut late) = (Instant::now(), 0, 0);
    while begun.elapsed() < 6 * BOUND {
        let called = Instant::now();
        store.revision()?;
        late += u32::from(called.elapsed() > Duration::from_millis(50));
        calls += 1;
        thread::sleep(Duration::from_millis(1));
    }
    Ok((calls, late))
}

#[test]
fn a_bound_of_zero_shows_every_commit_immediately() -> TestResult {
    let Some(server) = postgres::shared("postgres::freshness::a_bound_of_zero_shows_every_commit_immediately") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?.max_staleness(Duration::ZERO);
    PostgresStore::create_schema(&options)?;
    let (one, two) = (PostgresStore::open(&options)?, PostgresStore::open(&options)?);
    for _ in 0..20 {
        let revision = increment(&one)?;
        assert_eq!(two.revision()?, revision);
    }
    Ok(())
}

/// The cached state of a key may be a minute old, and another process has just changed it back.
#[test]
fn a_change_that_seems_to_be_in_effect_already_takes_effect() -> TestResult {
    let test = "postgres::freshness::a_change_that_seems_to_be_in_effect_already_takes_effect";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    // Stale state during an outage does not apply to changes.
    let options = PostgresOptions::new(&database.url())?.max_staleness(Duration::from_secs(60));
    let options = options.stale_if_error(Duration::from_secs(60));
    PostgresStore::create_schema(&options)?;
    let [one, two] = [kms(PostgresStore::open(&options)?)?, kms(PostgresStore::open(&options)?)?];
    let key = one.create_key(Default::default())?.key_id();
    let is_enabled = || Ok::<_, Error>(kms(PostgresStore::open(&options)?)?.describe_key(key)?.is_enabled());
    two.disable_key(key)?;
    one.disable_key(key)?;
    for _ in 0..3 {
        two.enable_key(key)?;
        one.disable_key(key)?;
        assert!(!is_enabled()?, "an acknowledged change has no effect");
        two.disable_key(key)?;
        one.enable_key(key)?;
        assert!(is_enabled()?, "an acknowledged change has no effect");
    }
    Ok(())
}

/// The standby is promoted, and the old primary is left running. It answers every read.
#[test]
fn a_key_that_was_disabled_after_a_promotion_is_not_used_after_the_bound() -> TestResult {
    let test = "postgres::freshness::a_key_that_was_disabled_after_a_promotion_is_not_used_after_the_bound";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let (old, new) = (cluster.primary(), cluster.standby());
    let both =
        format!("host=127.0.0.1,127.0.0.1 port={},{} user={SUPERUSER} dbname={SUPERUSER}", old.port(), new.port());
    PostgresStore::create_schema(&options(&both)?)?;
    let follows = kms(PostgresStore::open(&options(&both)?)?)?;
    let key = follows.create_key(Default::default())?.key_id();
    let stays = kms(PostgresStore::open(&options(&old.url(SUPERUSER))?)?)?;
    let lenient = options(&old.url(SUPERUSER))?.stale_if_error(Duration::from_secs(600));
    let lenient = kms(PostgresStore::open(&lenient)?)?;
    let all = [&follows, &stays, &lenient];
    all.iter().try_for_each(|kms| encrypt(kms, key))?;

    cluster.promote()?;
    let elsewhere = kms(PostgresStore::open(&options(&new.url(SUPERUSER))?)?)?;
    elsewhere.disable_key(key)?;
    let disabled = Instant::now();
    assert_eq!(old.sql(SUPERUSER, "SELECT pg_is_in_recovery()")?.trim(), "f", "the old primary notices nothing");

    let mut first = [None, None];
    while disabled.elapsed() < BOUND * 8 {
        for (kms, first) in [&follows, &stays].into_iter().zip(&mut first) {
            let begun = disabled.elapsed();
            if let Err(error) = encrypt(kms, key) {
                first.get_or_insert((disabled.elapsed(), error));
            } else {
                assert!(begun <= BOUND, "a disabled key was used {begun:?} after it was disabled");
                assert!(first.is_none(), "a disabled key was used again after {first:?}");
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    // The process that knows the new primary follows it. The other is rejected as long as it runs.
    wait_for("the promotion is followed", || {
        (encrypt(&follows, key).expect_err("disabled").kind() == ErrorKind::Disabled).then_some(())
    });
    let refused = encrypt(&stays, key).expect_err("the old primary cannot prove that it is the primary");
    assert!(refused.kind() == ErrorKind::Store && is_fenced(&refused), "{refused:?}");
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    encrypt(&lenient, key).expect("stale state was explicitly accepted");

    // The process that followed has the whole state of the new primary.
    follows.enable_key(key)?;
    encrypt(&follows, key)?;
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let waiting: u32 = old.sql(SUPERUSER, connections)?.trim().parse()?;
    assert!(waiting <= 3 * 3, "{waiting} processes of the old primary wait");
    Ok(())
}

#[test]
fn an_outage_is_reported_after_the_bound_and_ends_with_the_server() -> TestResult {
    let test = "postgres::freshness::an_outage_is_reported_after_the_bound_and_ends_with_the_server";
    let Some(server) = postgres::own(test, &[]) else { return Ok(()) };
    let options = options(&server.url(SUPERUSER))?;
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    let revision = increment(&store)?;
    for _ in 0..2 {
        server.kill()?;
        let error = wait_for("the outage is noticed", || store.revision().err());
        assert!(matches!(error.downcast_ref(), Some(StoreError::Unreachable(_))), "{error:?}");
        wait_for("later callers do not wait", || {
            let begun = Instant::now();
            store.revision().expect_err("the server is down");
            store.get_all(&[]).expect_err("no read is answered");
            (begun.elapsed() < Duration::from_millis(500)).then_some(())
        });
        server.start_again()?;
        assert_eq!(wait_for("the store recovers", || store.revision().ok()), revision);
    }
    // A restart within the bound is not noticed.
    increment(&store)?;
    Ok(())
}

#[test]
fn a_process_that_was_idle_waits_once_and_continues() -> TestResult {
    let Some(server) = postgres::shared("postgres::freshness::a_process_that_was_idle_waits_once_and_continues") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?.max_staleness(Duration::from_millis(10));
    PostgresStore::create_schema(&options)?;
    let (one, two) = (PostgresStore::open(&options)?, PostgresStore::open(&options)?);
    for _ in 0..3 {
        let revision = increment(&one)?;
        thread::sleep(Duration::from_millis(50));
        assert_eq!(two.revision()?, revision, "what is older than the bound is not used");
    }
    Ok(())
}

#[test]
fn a_store_that_went_back_is_reported() -> TestResult {
    let Some(server) = postgres::shared("postgres::freshness::a_store_that_went_back_is_reported") else {
        return Ok(());
    };
    // A lost commit is replaced by no other, by one with the same revision, or by several.
    for change in ["revision = revision - 1", "token = uuid_send(gen_random_uuid())"] {
        let database = Database::create(server)?;
        let options = options(&database.url())?;
        PostgresStore::create_schema(&options)?;
        let store = Arc::new(PostgresStore::open(&options)?);
        increment(&store)?;
        let last = increment(&store)?;
        database.sql(&format!("UPDATE strongroom.store SET {change}"))?;
        let error = wait_for("the loss is noticed", || store.revision().err());
        match error.downcast_ref() {
            Some(StoreError::RolledBack { from, to }) => assert_eq!((*from, *to), (last.0, last.0 - 1)),
            other => panic!("{other:?}"),
        }
        // Later commits do not hide it.
        increment(&PostgresStore::open(&options)?)?;
        increment(&PostgresStore::open(&options)?)?;
        thread::sleep(2 * BOUND);
        assert!(matches!(
            store
                .revision()
                .err()
                .and_then(|error| { error.downcast_ref().map(|error| matches!(error, StoreError::RolledBack { .. })) }),
            Some(true)
        ));
        assert!(PostgresStore::open(&options)?.revision()? >= last, "a new handle accepts the current state");
    }
    Ok(())
}

/// An administrator lets the server answer without its replica.
#[test]
fn a_commit_without_its_replica_proves_nothing() -> TestResult {
    let test = "postgres::freshness::a_commit_without_its_replica_proves_nothing";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let server: &Server = cluster.primary();
    PostgresStore::create_schema(&options(&server.url(SUPERUSER))?)?;
    let store = PostgresStore::open(&options(&server.url(SUPERUSER))?)?;
    cluster.standby().stop()?;
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let error = wait_for("the bound passes", || {
        server.sql(SUPERUSER, cancel).expect("the server answers");
        store.revision().err()
    });
    assert!(error.kind() == ErrorKind::Store, "{error:?}");
    for _ in 0..20 {
        server.sql(SUPERUSER, cancel)?;
        store.revision().expect_err("a fence that was cancelled proves nothing");
        thread::sleep(Duration::from_millis(50));
    }
    cluster.standby().start_again()?;
    cluster.wait_until_synchronous()?;
    wait_for("the store recovers", || store.revision().ok());
    Ok(())
}
