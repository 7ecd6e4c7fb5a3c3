//! Settings that a role or a database has for the sessions of other programs: a store works as
//! without them, or refuses to open.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, RecordKind, Revision, Scan, StoreError};
use strongroom::{Kms, Result};

use super::bounds::PATIENT;
use super::message_faults::tests_all;
use super::outcome::{counter, increment};
use crate::support::child_process::child;
use crate::support::external_tools::not_run;
use crate::support::postgres::{self, Admission, Database, Fault, Message, Proxy, SUPERUSER, Schema, Server};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A store, and a role that uses it.
struct World<'a> {
    database: Database<'a>,
    options: PostgresOptions,
    role: String,
}

impl<'a> World<'a> {
    fn new(server: &'a Server) -> TestResult<Self> {
        let database = Database::create(server)?;
        let owner = PostgresOptions::new(&database.url())?;
        PostgresStore::create_schema(&owner)?;
        let role = format!("role_of_{}", database.name());
        database.sql(&format!("CREATE ROLE {role} LOGIN"))?;
        PostgresStore::grant_access(&owner, &role)?;
        let options = PostgresOptions::new(&database.url().replace(&format!("//{SUPERUSER}@"), &format!("//{role}@")))?;
        Ok(Self { database, options, role })
    }

    /// Sets these settings, and no others, for later sessions of the role.
    fn set(&self, settings: &[(&str, &str)]) -> TestResult {
        self.database.sql(&format!("ALTER ROLE {} RESET ALL", self.role))?;
        for (name, value) in settings {
            self.database.sql(&format!("ALTER ROLE {} SET {name} = '{value}'", self.role))?;
        }
        Ok(())
    }

    /// Returns the ports of all connections of stores.
    fn connections(&self) -> TestResult<Vec<u16>> {
        let ports = "SELECT client_port FROM pg_stat_activity WHERE application_name = 'strongroom' \
                     AND datname = current_database() ORDER BY client_port";
        Ok(self.database.sql(ports)?.lines().map(str::parse).collect::<std::result::Result<_, _>>()?)
    }

    /// Executes `work` while no other transaction can read a record.
    fn while_locked<T>(&self, work: impl FnOnce() -> T) -> TestResult<T> {
        thread::scope(|scope| {
            let lock = "BEGIN; LOCK TABLE strongroom.record; SELECT pg_sleep(0.4); COMMIT";
            let holder = scope.spawn(|| self.database.sql(lock).map_err(|error| error.to_string()));
            let is_held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                           AND datname = current_database()";
            while self.database.sql(is_held)? == "0" && !holder.is_finished() {
                thread::sleep(Duration::from_millis(2));
            }
            let result = work();
            holder.join().expect("no panic")?;
            Ok(result)
        })
    }
}

#[test]
fn settings_of_the_role_do_not_affect_a_store() -> TestResult {
    let Some(server) = postgres::shared("postgres::sessions::settings_of_the_role_do_not_affect_a_store") else {
        return Ok(());
    };
    let world = World::new(server)?;
    let short = "50ms";
    let all: [&[(&str, &str)]; 6] = [
        &[("statement_timeout", short)],
        &[("lock_timeout", short)],
        &[("idle_in_transaction_session_timeout", "1ms"), ("idle_session_timeout", "1s")],
        &[("default_transaction_isolation", "serializable")],
        &[("default_transaction_isolation", "repeatable read"), ("default_transaction_deferrable", "on")],
        &[("client_min_messages", "error"), ("search_path", "nowhere"), ("enable_indexscan", "off")],
    ];
    for (number, settings) in all.into_iter().enumerate() {
        world.set(settings)?;
        let store = PostgresStore::open(&world.options)?;
        let check = || -> Result<()> {
            let before = store.revision()?;
            assert_eq!(increment(&store)?, Revision(before.0 + 1), "{settings:?}");
            assert_eq!(store.get(&counter())?.map(|record| record.revision), Some(Revision(before.0 + 1)));
            let scan = Scan { kind: RecordKind::Store, account: None, after: None, limit: 10 };
            assert_eq!(store.scan(&scan)?.len(), 1);
            assert!(store.check_structure()?.is_empty());
            Ok(())
        };
        check().map_err(|error| format!("{settings:?}: {error:?}"))?;
        if settings.iter().any(|(name, _)| *name == "idle_session_timeout") {
            let connections = world.connections()?;
            thread::sleep(Duration::from_millis(1_300));
            assert_eq!(world.connections()?, connections, "idle connections stay open");
        }
        let waited = world.while_locked(|| store.get(&counter()).and_then(|_| check()))?;
        waited.map_err(|error| format!("{settings:?}, with a wait: {error:?}"))?;
        // Two processes that change the same record one after the other, and concurrently.
        let other = PostgresStore::open(&world.options)?;
        thread::scope(|scope| {
            let threads =
                [&store, &other].map(|store| scope.spawn(move || (0..5).try_for_each(|_| increment(store).map(drop))));
            threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panicked"))
        })?;
        let expected = u8::try_from((number + 1) * 12)?;
        assert_eq!(store.get(&counter())?.expect("present").body[0], expected, "{settings:?}: nothing is lost");
    }
    Ok(())
}

#[test]
fn a_role_that_may_only_read_is_refused_with_the_reason() -> TestResult {
    let Some(server) = postgres::shared("postgres::sessions::a_role_that_may_only_read_is_refused_with_the_reason")
    else {
        return Ok(());
    };
    let world = World::new(server)?;
    let open = PostgresStore::open(&world.options)?;
    increment(&open)?;
    world.set(&[("default_transaction_read_only", "on")])?;
    let refused = PostgresStore::open(&world.options).expect_err("the role may not write");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::Unreachable(_))), "{refused:?}");
    assert!(refused.to_string().contains("default_transaction_read_only is on"), "{refused}");
    increment(&open)?;
    world.set(&[])?;
    increment(&PostgresStore::open(&world.options)?)?;
    Ok(())
}

#[test]
fn a_timeout_may_exceed_what_the_server_accepts() -> TestResult {
    let Some(server) = postgres::shared("postgres::sessions::a_timeout_may_exceed_what_the_server_accepts") else {
        return Ok(());
    };
    let world = World::new(server)?;
    let store = PostgresStore::open(&world.options.clone().timeout(Duration::MAX))?;
    assert_eq!(increment(&store)?, Revision(1));
    assert!(store.get(&counter())?.is_some());
    Ok(())
}

/// The server would write the log 10 s later.
#[test]
fn commits_of_a_role_with_asynchronous_commits_survive_a_crash() -> TestResult {
    let test = "postgres::sessions::commits_of_a_role_with_asynchronous_commits_survive_a_crash";
    let Some(server) = postgres::own(test, &[("wal_writer_delay", "10s")]) else { return Ok(()) };
    server.sql(SUPERUSER, "ALTER ROLE postgres SET synchronous_commit = off")?;
    let options = PostgresOptions::new(&server.url(SUPERUSER))?;
    PostgresStore::create_schema(&options)?;
    let kms = Kms::builder().store(PostgresStore::open(&options)?, RootKey::from_bytes(&[7; 32])).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.disable_key(key)?;
    server.kill()?;
    server.start_again()?;
    let kms = Kms::builder().store(PostgresStore::open(&options)?, RootKey::from_bytes(&[7; 32])).build()?;
    assert!(!kms.describe_key(key)?.is_enabled());
    Ok(())
}

/// Nothing else reveals a client whose network has failed. The system shows the time until it probes
/// a connection, in hundredths of a second, and whether it will.
#[cfg(target_os = "linux")]
#[test]
fn both_ends_of_an_idle_connection_probe_each_other() -> TestResult {
    let Some(server) = postgres::shared("postgres::sessions::both_ends_of_an_idle_connection_probe_each_other") else {
        return Ok(());
    };
    let world = World::new(server)?;
    let store = PostgresStore::open(&world.options.clone().max_staleness(Duration::from_secs(60)))?;
    increment(&store)?;
    store.get(&counter())?;
    let clients = world.connections()?;
    assert_eq!(clients.len(), 3, "one for proofs, one for reads, and one for commits");
    for client in clients {
        for (from, to) in [(server.port(), client), (client, server.port())] {
            let begun = Instant::now();
            while !probes_soon(&fs::read_to_string("/proc/net/tcp")?, from, to) {
                assert!(begun.elapsed() < PATIENT, "no probe from port {from} to port {to}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    Ok(())
}

/// Returns `true` if the socket between two ports sends a probe within 10 s.
#[cfg(target_os = "linux")]
fn probes_soon(table: &str, from: u16, to: u16) -> bool {
    const KEEPALIVE: &str = "02";
    let has_port = |address: &str, port: u16| address.ends_with(&format!(":{port:04X}"));
    table.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, _, _, timer, ..] = columns[..] else { return false };
        let Some((kind, left)) = timer.split_once(':') else { return false };
        let is_soon = u64::from_str_radix(left, 16).is_ok_and(|left| left <= 1_000);
        has_port(local, from) && has_port(remote, to) && kind == KEEPALIVE && is_soon
    })
}

/// The server releases the lock of a client whose network has failed within a batch of messages. The
/// child has a separate network, which it can disconnect. Part of the long run, because it takes half
/// a minute.
#[test]
fn a_client_without_a_network_loses_the_lock() -> TestResult {
    const TEST: &str = "postgres::sessions::a_client_without_a_network_loses_the_lock";
    if !tests_all() {
        return Ok(());
    }
    let own_network = ["-n", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];
    if !Command::new("unshare").args(own_network).arg("true").output().is_ok_and(|tried| tried.status.success()) {
        not_run(TEST, "only root may create a network");
        return Ok(());
    }
    let work = child("postgres::sessions::loses_its_network_within_a_batch", Path::new(""))?;
    let output = Command::new("unshare").args(own_network).arg(work.get_program()).args(work.get_args()).output()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    Ok(())
}

#[test]
#[ignore = "run only as the child process of a test, in a network of its own"]
fn loses_its_network_within_a_batch() -> TestResult {
    let server = postgres::own("", &[]).ok_or("PostgreSQL is installed")?;
    let (schema, proxy) = (Schema::create(&server)?, Proxy::start(server.port())?);
    let direct = schema.open()?;
    let options = schema.options_at(&proxy.url(schema.url()))?.timeout(Duration::from_secs(1));
    let store = PostgresStore::open(&options)?;
    increment(&store)?;
    // The server has the parameters of the write, and never receives the request to execute it.
    let is_write = |message: &Message| message.tag == 'E' && message.text.contains("INSERT INTO");
    proxy.inject(Fault::BlackHole, 0, Admission::Accepted, is_write);
    increment(&store).expect_err("the network fails");
    assert_eq!(proxy.hits(), 1);
    increment(&direct).expect_err("the lock is held");
    let switch = |state| Command::new("ip").args(["link", "set", "lo", state]).status();
    assert!(switch("down")?.success());
    thread::sleep(Duration::from_secs(27));
    assert!(switch("up")?.success());
    // The first call may find that its connections are lost, too.
    let begun = Instant::now();
    while let Err(error) = increment(&direct) {
        assert!(begun.elapsed() < PATIENT, "the lock is still held: {error}");
    }
    Ok(())
}
