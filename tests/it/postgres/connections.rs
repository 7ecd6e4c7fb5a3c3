//! Connections: several servers, TLS, passwords, deadlines, and servers that close connections.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use strongroom::identity::AccountId;
use strongroom::store::{Change, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision, StoreError};
use strongroom::{Error, ErrorKind, SecretBytes};
use tokio_postgres::NoTls;

use super::bounds::{PATIENT, while_holding};
use crate::support::postgres::{self, Database, SUPERUSER, Server};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Adds one to a number in a record.
fn increment(store: &PostgresStore) -> Result<Revision, Error> {
    let id = RecordId { kind: RecordKind::Store, account: AccountId::default(), name: b"counter".to_vec() };
    let revision = store.commit(&[], &mut |pending| {
        let before = pending.get(&id)?.map_or(0, |record| record.body[0]);
        Ok(vec![Change { id: id.clone(), body: Some(vec![before + 1]) }])
    });
    Ok(revision?)
}

fn conninfo(server: &Server, hosts: &str, ports: &str, database: &Database<'_>) -> String {
    let own = server.port();
    format!("host={hosts} port={} user={SUPERUSER} dbname={}", ports.replace("OWN", &own.to_string()), database.name())
}

#[test]
fn the_first_server_that_answers_is_used() -> TestResult {
    let Some(server) = postgres::shared("postgres::connections::the_first_server_that_answers_is_used") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    PostgresStore::create_schema(&PostgresOptions::new(&database.url())?)?;
    // The first never answers, the second refuses connections.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let ports = format!("{},{closed},OWN", silent.local_addr()?.port());
    let options = PostgresOptions::new(&conninfo(server, "127.0.0.1,127.0.0.1,localhost", &ports, &database))?;
    let begun = Instant::now();
    let store = PostgresStore::open(&options.connect_timeout(Duration::from_secs(300)))?;
    assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
    increment(&store)?;

    let nobody =
        conninfo(server, "127.0.0.1,127.0.0.1", &format!("{},{closed}", silent.local_addr()?.port()), &database);
    let options = PostgresOptions::new(&nobody)?.connect_timeout(Duration::from_millis(700));
    let refused = PostgresStore::open(&options).expect_err("nobody answers");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::Unreachable(_))), "{refused}");
    let text = refused.to_string();
    assert!(text.contains("no answer within 700ms") && text.contains("refused"), "{text}");
    Ok(())
}

#[test]
fn a_standby_is_passed_over() -> TestResult {
    let Some(cluster) = postgres::cluster("postgres::connections::a_standby_is_passed_over") else { return Ok(()) };
    let database = Database::create(cluster.primary())?;
    PostgresStore::create_schema(&PostgresOptions::new(&database.url())?)?;
    let standby = cluster.standby().port();
    let both = conninfo(cluster.primary(), "127.0.0.1,127.0.0.1", &format!("{standby},OWN"), &database);
    increment(&PostgresStore::open(&PostgresOptions::new(&both)?)?)?;
    let alone = conninfo(cluster.primary(), "127.0.0.1", &standby.to_string(), &database);
    let refused = PostgresStore::open(&PostgresOptions::new(&alone)?).expect_err("a standby accepts no writes");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::Unreachable(_))), "{refused}");
    assert!(refused.to_string().contains("does not allow writes"), "{refused}");
    Ok(())
}

#[test]
fn plaintext_is_never_a_fallback_on_a_network() -> TestResult {
    let refused = |text: &str| PostgresStore::open(&PostgresOptions::new(text)?);
    for text in [
        "host=192.0.2.1 user=a",
        "host=192.0.2.1 user=a sslmode=prefer",
        "host=127.0.0.1,db.example user=a",
        "host=127.0.0.1 user=a sslmode=require",
        "host=localhost hostaddr=192.0.2.1 user=a",
    ] {
        let error = refused(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Validation, "{text}: {error}");
        assert!(error.to_string().contains("PostgresOptions::tls"), "{error}");
    }
    let contradiction = PostgresOptions::new("host=192.0.2.1 user=a sslmode=disable")?.tls(NoTls);
    assert_eq!(PostgresStore::open(&contradiction).map(drop).map_err(|error| error.kind()), Err(ErrorKind::Validation));

    let Some(server) = postgres::shared("postgres::connections::plaintext_is_never_a_fallback_on_a_network") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    // This server has no TLS.
    let options = PostgresOptions::new(&format!("{}?sslmode=require", database.url()))?.tls(NoTls);
    let error = PostgresStore::create_schema(&options).expect_err("no TLS");
    assert!(matches!(error.downcast_ref(), Some(StoreError::Unreachable(_))), "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");
    PostgresStore::create_schema(&PostgresOptions::new(&database.url())?)?;
    Ok(())
}

#[test]
fn a_password_can_change_while_the_store_is_open() -> TestResult {
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("hba");
    fs::write(&rules, format!("host all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"))?;
    open_to_all(folder.path(), &rules)?;
    let setting = [("hba_file", rules.to_str().expect("UTF-8"))];
    let Some(server) = postgres::own("postgres::connections::a_password_can_change_while_the_store_is_open", &setting)
    else {
        return Ok(());
    };
    server.sql(SUPERUSER, "CREATE ROLE app LOGIN PASSWORD 'first'")?;
    let owner = PostgresOptions::new(&server.url(SUPERUSER))?;
    PostgresStore::create_schema(&owner)?;
    PostgresStore::grant_access(&owner, "app")?;
    let app = PostgresOptions::new(&server.url(SUPERUSER).replace(&format!("//{SUPERUSER}@"), "//app@"))?;
    for wrong in [app.clone(), app.clone().password("wrong")] {
        let refused = PostgresStore::open(&wrong).expect_err("a wrong password");
        assert!(!refused.to_string().contains("wrong"), "{refused}");
        assert!(
            matches!(refused.downcast_ref(), Some(StoreError::AccessDenied(_) | StoreError::Unreachable(_))),
            "{refused}"
        );
    }
    PostgresStore::open(&app.clone().password("first"))?;

    let (asked, current) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new("first")));
    let (counter, password) = (Arc::clone(&asked), Arc::clone(&current));
    let store = PostgresStore::open(&app.password_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(SecretBytes::copy_from_slice(password.lock().expect("no panic").as_bytes()))
    }))?;
    increment(&store)?;
    *current.lock().expect("no panic") = "second";
    server.sql(SUPERUSER, "ALTER ROLE app PASSWORD 'second'")?;
    let before = asked.load(Ordering::Relaxed);
    end_connections(&server, "app")?;
    repeated(|| increment(&store))?;
    assert!(asked.load(Ordering::Relaxed) > before);
    Ok(())
}

/// Lets the user of the server read a file.
fn open_to_all(folder: &std::path::Path, file: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

fn end_connections(server: &Server, role: &str) -> TestResult {
    server
        .sql(SUPERUSER, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"))?;
    Ok(())
}

/// Repeats a call as long as the server ends its connection.
fn repeated<T>(call: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match call() {
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Unreachable(_))) => {
                assert!(begun.elapsed() < PATIENT, "{error}");
            }
            done => return done,
        }
    }
}

#[test]
fn connections_that_the_server_closed_are_replaced() -> TestResult {
    let test = "postgres::connections::connections_that_the_server_closed_are_replaced";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    for round in 1..=20 {
        // The server ends connections with a delay, which can be in the middle of a commit or of a
        // proof. These then have no effect.
        assert_eq!(repeated(|| increment(&store))?, Revision(round));
        assert_eq!(repeated(|| store.revision())?, Revision(round));
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strongroom' \
                     AND datname = current_database()";
        database.sql(ended)?;
    }
    store.close()?;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'strongroom' \
                AND datname = current_database()";
    let begun = Instant::now();
    while database.sql(open)? != "0" {
        assert!(begun.elapsed() < PATIENT, "connections remain");
        thread::sleep(Duration::from_millis(10));
    }
    let closed = store.revision().expect_err("closed");
    assert!(matches!(closed.downcast_ref(), Some(StoreError::Closed(_))), "{closed}");
    assert!(store.close().is_ok());
    Ok(())
}

#[test]
fn a_commit_waits_for_the_lock_no_longer_than_its_deadline() -> TestResult {
    let test = "postgres::connections::a_commit_waits_for_the_lock_no_longer_than_its_deadline";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    // The server gives up after three seconds, and the store a second later.
    let options = PostgresOptions::new(&database.url())?.timeout(Duration::from_secs(4));
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    increment(&store)?;
    while_holding(&database, "SELECT FROM strongroom.store FOR UPDATE", || -> TestResult {
        let begun = Instant::now();
        let late = increment(&store).expect_err("the lock is held");
        assert!(matches!(late.downcast_ref(), Some(StoreError::Busy(_))), "{late}");
        assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
        assert_eq!(store.revision()?, Revision(1), "readers do not wait");
        Ok(())
    })??;
    assert_eq!(increment(&store)?, Revision(2));
    Ok(())
}

/// The server then commits, answers that it has, and warns. The role asks for no warnings.
#[test]
fn a_commit_that_stopped_waiting_for_its_replica_is_not_acknowledged() -> TestResult {
    let test = "postgres::connections::a_commit_that_stopped_waiting_for_its_replica_is_not_acknowledged";
    let Some(server) = postgres::own(test, &[]) else { return Ok(()) };
    let options = PostgresOptions::new(&server.url(SUPERUSER))?.timeout(Duration::from_secs(20));
    PostgresStore::create_schema(&options)?;
    server.sql(SUPERUSER, "ALTER ROLE postgres SET client_min_messages = error")?;
    let store = PostgresStore::open(&options)?;
    increment(&store)?;
    server.sql(SUPERUSER, "ALTER SYSTEM SET synchronous_standby_names = 'missing'")?;
    server.reload()?;
    thread::scope(|scope| -> TestResult {
        let commit = scope.spawn(|| increment(&store));
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while server.sql(SUPERUSER, cancel)?.is_empty() {
            assert!(!commit.is_finished(), "the commit did not wait");
            thread::sleep(Duration::from_millis(5));
        }
        let lost = commit.join().expect("no panic").expect_err("the replica has no such commit");
        assert!(matches!(lost.downcast_ref(), Some(StoreError::Ambiguous(_))), "{lost}");
        assert!(lost.to_string().contains("the server committed with a warning"), "{lost}");
        Ok(())
    })?;
    server.sql(SUPERUSER, "ALTER SYSTEM RESET synchronous_standby_names")?;
    server.reload()?;
    assert!(increment(&store)? > Revision(1));
    Ok(())
}

#[test]
fn a_store_can_be_used_inside_an_asynchronous_runtime() -> TestResult {
    let test = "postgres::connections::a_store_can_be_used_inside_an_asynchronous_runtime";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(async {
        PostgresStore::create_schema(&options)?;
        let store = PostgresStore::open(&options)?;
        assert_eq!(increment(&store)?, Revision(1));
        assert_eq!(store.revision()?, Revision(1));
        store.close()
    })?;
    Ok(())
}

#[test]
fn another_store_behind_the_same_address_is_refused() -> TestResult {
    let Some(server) = postgres::shared("postgres::connections::another_store_behind_the_same_address_is_refused")
    else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    increment(&store)?;
    database.sql("DROP SCHEMA strongroom CASCADE")?;
    PostgresStore::create_schema(&options)?;
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strongroom' \
         AND datname = current_database()",
    )?;
    let begun = Instant::now();
    let refused = loop {
        match store.revision() {
            Err(error) => break error,
            // The revision is known until the bound passes.
            Ok(_) => assert!(begun.elapsed() < PATIENT, "another store"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    for error in [increment(&store).expect_err("another store"), refused] {
        assert!(matches!(error.downcast_ref(), Some(StoreError::AnotherStore)), "{error}");
    }
    Ok(())
}
