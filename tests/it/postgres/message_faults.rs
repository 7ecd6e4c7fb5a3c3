//! Every fault at every message of a commit, of a read and of opening a store.
//!
//! After each fault the state is read over a connection without faults. A commit that was
//! acknowledged took effect once. One that was refused took no effect, neither then nor later.
//! Only an ambiguous answer leaves both open. Every call ends in time, and the store works again
//! as soon as the network does.
//!
//! `STRONGROOM_MESSAGE_FAULTS=all` injects every fault at every message, and not only at some.

use std::env;
use std::error::Error as _;
use std::time::{Duration, Instant};

use strongroom::identity::AccountId;
use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, PostgresStore, Record, RecordId, RecordKind, Revision, Scan, StoreError,
};
use strongroom::{Error, ErrorKind, Result};

use crate::support::postgres::{self, Admission, Direction, Fault, Message, PATIENCE, Proxy, Schema, Server};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// The deadline of a request, and of connecting.
const TIMEOUT: Duration = Duration::from_millis(300);

/// The time in which every call ends: connecting, a request, and the question for its outcome, also
/// on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

/// More messages than any call sends.
const MOST_MESSAGES: usize = 400;

/// A store behind a proxy, and the same store without.
struct World {
    schema: Schema,
    proxy: Proxy,
    direct: PostgresStore,
    counter: RecordId,
}

impl World {
    fn new(server: &Server) -> Result<Self, Box<dyn std::error::Error>> {
        let schema = Schema::create(server)?;
        let (proxy, direct) = (Proxy::start(server.port())?, schema.open()?);
        let counter = RecordId { kind: RecordKind::Key, account: AccountId::default(), name: b"counter".to_vec() };
        let absent = Expectation { id: counter.clone(), revision: None };
        direct.commit(&[absent], &mut |_| Ok(vec![change(&counter, 0)])).map_err(Error::from)?;
        Ok(Self { schema, proxy, direct, counter })
    }

    /// Opens the store through the proxy.
    fn open(&self) -> Result<PostgresStore> {
        let options = self.schema.options_at(&self.proxy.url(self.schema.url()))?;
        PostgresStore::open(&options.timeout(TIMEOUT).connect_timeout(TIMEOUT))
    }

    /// Returns the counter after all transactions have ended, and checks that each step has a
    /// record of its own.
    fn state(&self, what: &str) -> Result<(u64, Record)> {
        let begun = Instant::now();
        // Takes the lock of the store.
        while let Err(error) = self.direct.commit(&[], &mut |_| Ok(Vec::new())) {
            assert!(begun.elapsed() < PATIENCE, "{what}: the store is still locked: {error:?}");
            // A server whose client vanished in the middle of a batch waits for the end of that.
            // This proxy answers the keepalive probes that end the wait in a real network.
            self.proxy.heal();
        }
        let record = self.direct.get(&self.counter)?.expect("never deleted");
        let count = u64::from_be_bytes(record.body[..].try_into().expect("eight bytes"));
        let scan = Scan { kind: RecordKind::Alias, account: None, after: None, limit: 1_000 };
        let steps = self.direct.scan(&scan)?;
        let counted = u64::try_from(steps.len()).expect("a small number");
        assert_eq!(counted, count.min(1_000), "{what}: a commit is visible only in full");
        Ok((count, record))
    }
}

fn change(id: &RecordId, count: u64) -> Change {
    Change { id: id.clone(), body: Some(count.to_be_bytes().to_vec()) }
}

/// Adds one to the counter, and a record for the step.
fn step(store: &dyn KeyStore, counter: &RecordId, at: (u64, Revision)) -> Result<Revision, CommitError> {
    let (count, revision) = at;
    let id = RecordId { kind: RecordKind::Alias, name: count.to_be_bytes().to_vec(), ..counter.clone() };
    let expected =
        [Expectation { id: counter.clone(), revision: Some(revision) }, Expectation { id: id.clone(), revision: None }];
    store.commit_prefetching(&expected, std::slice::from_ref(counter), &mut |pending| {
        pending.get(counter)?;
        Ok(vec![change(counter, count + 1), change(&id, count)])
    })
}

/// Returns the reason, which every error of a store states.
fn reason<'a>(error: &'a Error, what: &str) -> &'a StoreError {
    assert_eq!(error.kind(), ErrorKind::Store, "{what}: {error}");
    error.downcast_ref().unwrap_or_else(|| panic!("{what}: {error} has no reason: {:?}", error.source()))
}

/// Calls `work` with every fault at every message that it causes, until it causes no more. Unless
/// every message is tested, `step` is the number of messages from one to the next, and four times
/// that for faults that only a deadline reveals.
fn with_every_fault(
    proxy: &Proxy,
    directions: &[Direction],
    step: usize,
    mut work: impl FnMut(&str) -> TestResult,
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut runs = 0;
    let tests_all = tests_all();
    for direction in directions.iter().copied() {
        for (number, fault) in Fault::ALL.into_iter().enumerate() {
            let is_silent = matches!(fault, Fault::BlackHole | Fault::HalfOpenToClient | Fault::HalfOpenToServer);
            let step = if tests_all { 1 } else { step * if is_silent { 4 } else { 1 } };
            let mut nth = number % step;
            loop {
                proxy.take_trace();
                let before = proxy.hits();
                proxy.inject(fault, nth, Admission::Accepted, move |message| message.direction == direction);
                let result = work(&format!("{fault:?} at message {nth} {direction:?}"));
                proxy.heal();
                result.map_err(|error| format!("{error}\n{:?}", proxy.take_trace()))?;
                if proxy.hits() == before {
                    break;
                }
                runs += 1;
                nth += step;
                assert!(nth < MOST_MESSAGES, "{fault:?}: the calls cause messages without end");
            }
        }
    }
    Ok(runs)
}

/// Returns `true` if every fault is injected at every message.
pub(super) fn tests_all() -> bool {
    env::var_os("STRONGROOM_MESSAGE_FAULTS").is_some_and(|value| value == "all")
}

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    assert!(begun.elapsed() < BOUND, "{what}: the call took {:?}", begun.elapsed());
    result
}

fn commits_with_faults(test: &str, direction: Direction) -> TestResult {
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let world = World::new(server)?;
    let store = world.open()?;
    let (mut acknowledged, mut refused, mut ambiguous) = (0, 0, 0);
    let runs = with_every_fault(&world.proxy, &[direction], 1, |what| {
        let (before, record) = world.state(what)?;
        let result = in_time(what, || step(&store, &world.counter, (before, record.revision)));
        let (after, now) = world.state(what)?;
        let applied = after - before;
        match result {
            Ok(revision) => {
                acknowledged += 1;
                assert_eq!((applied, now.revision), (1, revision), "{what}: an acknowledged commit is lost");
            }
            Err(CommitError::Conflict(id)) => panic!("{what}: {id:?} was changed by no one else"),
            Err(CommitError::Failed(error)) => match reason(&error, what) {
                StoreError::Ambiguous(_) => {
                    ambiguous += 1;
                    assert!(applied <= 1, "{what}: a commit was applied twice");
                }
                _ => {
                    refused += 1;
                    assert_eq!(applied, 0, "{what}: a refused commit took effect: {error}");
                }
            },
        }
        world.proxy.heal();
        recovers(what, || {
            // A call that was late may have taken effect.
            let (count, record) = world.state(what)?;
            Ok(step(&store, &world.counter, (count, record.revision))?)
        })?;
        Ok(())
    })?;
    println!("{runs} faults: {acknowledged} acknowledged, {refused} refused, {ambiguous} ambiguous");
    assert!(runs > Fault::ALL.len(), "{runs} faults");
    refuses_what_certainly_has_no_effect(&world, &store)
}

/// Returns `true` for the request that begins the transaction of a commit and takes the lock of the
/// store.
pub(super) fn begins_commit(message: &Message) -> bool {
    let (is_sent, text) = (message.direction == Direction::ToServer, message.text.as_str());
    is_sent && text.starts_with("BEGIN") && text.ends_with("FOR NO KEY UPDATE")
}

/// The connection is lost when a transaction begins, and there is no other one.
fn refuses_what_certainly_has_no_effect(world: &World, store: &PostgresStore) -> TestResult {
    let what = "without a transaction";
    let (before, record) = world.state(what)?;
    world.proxy.inject(Fault::CutBefore, 0, Admission::Refused, begins_commit);
    match step(store, &world.counter, (before, record.revision)) {
        Err(CommitError::Failed(error)) => assert!(!reason(&error, what).is_ambiguous(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.state(what)?, (before, record), "a refused commit took effect");
    Ok(())
}

/// Once the network works, the store does, after at most one call per connection of its pool. On a
/// busy machine, the deadline of others may pass.
fn recovers<T>(what: &str, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let (begun, mut failures, mut late) = (Instant::now(), Vec::new(), 0);
    while failures.len() < 2 && begun.elapsed() < PATIENCE {
        match call() {
            Ok(done) => return Ok(done),
            // All connections of which nothing is heard have been closed.
            Err(error) if error.to_string().contains("no answer within") => late += 1,
            Err(error) => failures.push(error.to_string()),
        }
    }
    panic!("{what}: the store does not recover: {failures:?}, and {late} calls were late")
}

#[test]
fn commits_survive_every_fault_at_every_message_to_the_server() -> TestResult {
    let test = "postgres::message_faults::commits_survive_every_fault_at_every_message_to_the_server";
    commits_with_faults(test, Direction::ToServer)
}

#[test]
fn commits_survive_every_fault_at_every_message_of_the_server() -> TestResult {
    let test = "postgres::message_faults::commits_survive_every_fault_at_every_message_of_the_server";
    commits_with_faults(test, Direction::ToClient)
}

/// Waits until a proof succeeds. After one that failed, reads are rejected until then once the bound
/// has passed, which it may on a busy machine.
fn wait_for_proof(store: &PostgresStore) {
    let begun = Instant::now();
    while let Err(error) = store.revision() {
        assert!(begun.elapsed() < PATIENCE, "no proof: {error}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn reads_are_right_or_fail_at_every_message() -> TestResult {
    let Some(server) = postgres::shared("postgres::message_faults::reads_are_right_or_fail_at_every_message") else {
        return Ok(());
    };
    let world = World::new(server)?;
    let store = world.open()?;
    let (count, record) = world.state("before")?;
    step(&world.direct, &world.counter, (count, record.revision)).map_err(Error::from)?;
    let (revision, record) = (world.direct.revision()?, world.direct.get(&world.counter)?);
    let begun = Instant::now();
    while store.revision().ok() != Some(revision) {
        assert!(begun.elapsed() < PATIENCE, "the store observes no change");
        std::thread::sleep(Duration::from_millis(5));
    }
    let scan = Scan { kind: RecordKind::Key, account: None, after: None, limit: 10 };
    let all = world.direct.scan(&scan)?;
    with_every_fault(&world.proxy, &[Direction::ToServer, Direction::ToClient], 2, |what| {
        let missing = RecordId { name: b"missing".to_vec(), ..world.counter.clone() };
        let ids = [missing, world.counter.clone()];
        match in_time(what, || store.get_all(&ids)) {
            Ok(found) => assert_eq!(found, [None, record.clone()], "{what}"),
            Err(error) => drop(reason(&error, what)),
        }
        match in_time(what, || store.scan(&scan)) {
            Ok(found) => assert_eq!(found, all, "{what}"),
            Err(error) => drop(reason(&error, what)),
        }
        match in_time(what, || store.revision()) {
            Ok(found) => assert_eq!(found, revision, "{what}"),
            Err(error) => drop(reason(&error, what)),
        }
        Ok(())
    })?;
    wait_for_proof(&store);
    assert_eq!(recovers("afterwards", || store.get(&world.counter))?, record);
    Ok(())
}

#[test]
fn opening_a_store_succeeds_or_fails_at_every_message() -> TestResult {
    let Some(server) = postgres::shared("postgres::message_faults::opening_a_store_succeeds_or_fails_at_every_message")
    else {
        return Ok(());
    };
    let world = World::new(server)?;
    let record = world.direct.get(&world.counter)?;
    with_every_fault(&world.proxy, &[Direction::ToServer, Direction::ToClient], 12, |what| {
        match in_time(what, || world.open()) {
            Ok(store) => {
                assert_eq!(store.id(), world.direct.id(), "{what}");
                world.proxy.heal();
                wait_for_proof(&store);
                assert_eq!(recovers(what, || store.get(&world.counter))?, record);
                store.close()?;
            }
            Err(error) => drop(reason(&error, what)),
        }
        Ok(())
    })?;
    Ok(())
}
