//! Every fault at every message that operations of a `Kms` cause.
//!
//! After each fault the state is read over connections without faults. A change that was
//! acknowledged took effect once. One that was refused took no effect, and only an ambiguous answer
//! leaves both open. The audit trail states the actual result of every change as soon as the network
//! works again, and so does the next change.
//!
//! `STRONGROOM_MESSAGE_FAULTS=all` injects every fault at every message, and not only at some.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use strongroom::audit::{FileTrail, MemoryTrail, Outcome};
use strongroom::key::{DeletionWindow, KeyId, KeyState, OnDemandRotationLimit};
use strongroom::request::IncludeKeyMaterial;
use strongroom::seal::RootKey;
use strongroom::store::{CommitError, KeyStore, PostgresStore, StoreError};
use strongroom::{Error, ErrorKind, Kms, KmsBuilder, KmsLimits, Result};
use tempfile::TempDir;

use super::message_faults::{begins_commit, tests_all};
use crate::support::child_process::fast_folder;
use crate::support::postgres::{self, Admission, Direction, Fault, PATIENCE, Proxy, SUPERUSER, Schema, Server};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The deadline of a request, and of connecting.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The time in which every operation ends, which consists of several requests, and in which a process
/// recovers on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

/// More messages than any operation sends.
const MOST_MESSAGES: usize = 1_000;

/// A process behind a proxy, with a trail, and another one without faults.
struct World {
    schema: Schema,
    proxy: Proxy,
    direct: Arc<PostgresStore>,
    witness: Kms,
    kms: Kms,
    trail: Trail,
    /// A key that is always enabled.
    other: KeyId,
}

/// A key that changes, and the name of its alias.
struct Subject {
    key: KeyId,
    alias: String,
}

impl World {
    fn new(server: &Server, trail: Trail, max_staleness: Duration) -> TestResult<Self> {
        let (schema, proxy) = (Schema::create(server)?, Proxy::start(server.port())?);
        let direct = Arc::new(PostgresStore::open(&schema.options()?.max_staleness(Duration::ZERO))?);
        let witness = builder(Arc::clone(&direct)).build()?;
        let options = schema.options_at(&proxy.url(schema.url()))?.timeout(TIMEOUT).connect_timeout(TIMEOUT);
        let store = PostgresStore::open(&options.max_staleness(max_staleness))?;
        let kms = trail.attach(builder(store)).build()?;
        let other = create(&kms)?;
        Ok(Self { schema, proxy, direct, witness, kms, trail, other })
    }

    fn subject(&self) -> Result<Subject> {
        let key = create(&self.kms)?;
        Ok(Subject { key, alias: format!("alias/{key}") })
    }

    /// Waits until all transactions have ended.
    fn settle(&self, what: &str) {
        let begun = Instant::now();
        while let Err(error) = self.with_lock(|| {}) {
            assert!(begun.elapsed() < PATIENCE, "{what}: the store is still locked: {error:?}");
            // A server whose client vanished in the middle of a batch waits for the end of that.
            self.proxy.heal();
        }
    }

    /// Does something while no other transaction holds the lock of the store.
    fn with_lock(&self, work: impl FnOnce()) -> Result<(), CommitError> {
        let mut work = Some(work);
        let refused = self.direct.commit(&[], &mut |_| {
            work.take().expect("called once")();
            Err(Error::new(ErrorKind::Internal, "nothing to change"))
        });
        match refused {
            Err(CommitError::Failed(error)) if error.kind() == ErrorKind::Internal => Ok(()),
            result => result.map(drop),
        }
    }

    /// Returns the state of the store. All transactions must have ended.
    fn state(&self, step: Step, Subject { key, alias }: &Subject) -> Result<State> {
        let target = match self.witness.describe_key(alias) {
            Ok(described) => Some(described.key_id()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let keys = if step == Step::CreateKey { self.witness.keys().count() } else { 0 };
        let described = self.witness.describe_key(*key)?;
        let rotations = self.witness.key_rotations(*key, IncludeKeyMaterial::RotationsOnly);
        Ok(State { keys, key: described.state(), rotations: rotations.count(), target })
    }

    /// Once the network works, so does the `Kms`, as soon as a proof that was overdue is repeated.
    fn recover(&self, what: &str) -> Result<()> {
        self.proxy.heal();
        let begun = Instant::now();
        loop {
            match self.kms.update_key_description(self.other, what) {
                Ok(()) => return Ok(()),
                Err(error) => assert!(begun.elapsed() < BOUND, "{what}: the process does not recover: {error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn builder(store: impl KeyStore + 'static) -> KmsBuilder {
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1_000_000), ..KmsLimits::default() };
    Kms::builder().limits(limits).store(store, RootKey::from_bytes(&[7; 32]))
}

fn create(kms: &Kms) -> Result<KeyId> {
    Ok(kms.create_key(Default::default())?.key_id())
}

/// The state of the store, as far as steps change it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    keys: usize,
    key: KeyState,
    rotations: usize,
    /// The key that the alias names.
    target: Option<KeyId>,
}

/// A change, by the name that the trail has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    CreateKey,
    DisableKey,
    EnableKey,
    RotateKeyOnDemand,
    ScheduleKeyDeletion,
    CancelKeyDeletion,
    CreateAlias,
    UpdateAlias,
    DeleteAlias,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::CreateKey,
        Self::DisableKey,
        Self::EnableKey,
        Self::RotateKeyOnDemand,
        Self::ScheduleKeyDeletion,
        Self::CancelKeyDeletion,
        Self::CreateAlias,
        Self::UpdateAlias,
        Self::DeleteAlias,
    ];

    /// Makes the step possible.
    fn prepare(self, World { kms, other, .. }: &World, Subject { key, alias }: &Subject, now: &State) -> Result<()> {
        match (self, now.key) {
            (Self::EnableKey, KeyState::Enabled) => kms.disable_key(*key)?,
            (Self::CancelKeyDeletion, KeyState::PendingDeletion) | (Self::EnableKey, _) => {}
            (Self::CancelKeyDeletion, _) => {
                kms.schedule_key_deletion(*key, DeletionWindow::default())?;
            }
            (_, KeyState::Enabled) => {}
            (_, KeyState::PendingDeletion) => {
                kms.cancel_key_deletion(*key)?;
                kms.enable_key(*key)?;
            }
            _ => kms.enable_key(*key)?,
        }
        match (self, now.target) {
            (Self::CreateAlias, Some(_)) => kms.delete_alias(alias),
            (Self::UpdateAlias | Self::DeleteAlias, None) => kms.create_alias(alias, *key),
            (Self::UpdateAlias, Some(target)) if target == *other => kms.update_alias(alias, *key),
            _ => Ok(()),
        }
    }

    fn take(self, World { kms, other, .. }: &World, Subject { key, alias }: &Subject) -> Result<()> {
        match self {
            Self::CreateKey => create(kms).map(drop),
            Self::DisableKey => kms.disable_key(*key),
            Self::EnableKey => kms.enable_key(*key),
            Self::RotateKeyOnDemand => kms.rotate_key_on_demand(*key).map(drop),
            Self::ScheduleKeyDeletion => kms.schedule_key_deletion(*key, DeletionWindow::default()).map(drop),
            Self::CancelKeyDeletion => kms.cancel_key_deletion(*key).map(drop),
            Self::CreateAlias => kms.create_alias(alias, *key),
            Self::UpdateAlias => kms.update_alias(alias, *other),
            Self::DeleteAlias => kms.delete_alias(alias),
        }
    }

    /// Returns `true` if `after` is the state after the step, and `false` if it is that before it.
    fn was_applied(self, what: &str, (world, subject): (&World, &Subject), before: &State, after: &State) -> bool {
        if after == before {
            return false;
        }
        let mut expected = before.clone();
        match self {
            Self::CreateKey => expected.keys += 1,
            Self::DisableKey | Self::CancelKeyDeletion => expected.key = KeyState::Disabled,
            Self::EnableKey => expected.key = KeyState::Enabled,
            Self::RotateKeyOnDemand => expected.rotations += 1,
            Self::ScheduleKeyDeletion => expected.key = KeyState::PendingDeletion,
            Self::CreateAlias => expected.target = Some(subject.key),
            Self::UpdateAlias => expected.target = Some(world.other),
            Self::DeleteAlias => expected.target = None,
        }
        assert_eq!(*after, expected, "{what}: a change is applied once and in full");
        true
    }
}

/// An audit trail. Only that in files has a chain, whose commits follow each other.
enum Trail {
    /// The folder, and the part of each file that was read.
    Files(TempDir, Mutex<BTreeMap<PathBuf, u64>>),
    /// The number of events that were read.
    Memory(Arc<MemoryTrail>, AtomicUsize),
}

/// The records of a trail about a change.
#[derive(Debug, Default)]
struct Recorded {
    event: String,
    /// The outcomes of its events, and the results of reconciliations.
    results: Vec<String>,
}

impl Recorded {
    /// Returns `None` if the result is not known yet.
    fn took_effect(&self) -> Option<bool> {
        match self.results.last().map(String::as_str) {
            Some("success" | "committed") => Some(true),
            Some("failure" | "not committed") => Some(false),
            _ => None,
        }
    }
}

impl Trail {
    fn in_files() -> TestResult<Self> {
        Ok(Self::Files(fast_folder()?, Mutex::default()))
    }

    fn in_memory() -> Self {
        Self::Memory(Arc::default(), AtomicUsize::new(0))
    }

    fn attach(&self, kms: KmsBuilder) -> KmsBuilder {
        match self {
            Self::Files(folder, _) => kms.audit(FileTrail::new(folder.path())),
            Self::Memory(trail, _) => kms.audit(Arc::clone(trail)),
        }
    }

    /// Returns the records about each change since the last call.
    fn take_changes(&self) -> TestResult<BTreeMap<String, Recorded>> {
        match self {
            Self::Files(folder, read) => changes_in_files(folder.path(), &mut read.lock().expect("no thread panicked")),
            Self::Memory(trail, read) => {
                let (events, mut changes) = (trail.events(), BTreeMap::<_, Recorded>::new());
                let first = read.swap(events.len(), Ordering::Relaxed);
                for event in &events[first..] {
                    let Some(change) = event.change else { continue };
                    let recorded = changes.entry(change.to_string()).or_default();
                    recorded.event = event.action.to_string();
                    recorded.results.push(match event.outcome {
                        Outcome::Success => "success".to_owned(),
                        Outcome::Failure(_) => "failure".to_owned(),
                        _ => "open".to_owned(),
                    });
                }
                Ok(changes)
            }
        }
    }

    /// Checks that changes of these names took effect as often as expected. Only a trail without a
    /// chain leaves results open.
    fn check(&self, what: &str, expected: &BTreeMap<String, usize>) -> TestResult {
        let changes = self.take_changes()?;
        let count = |name: &str, result| {
            changes.values().filter(|change| change.event == name && change.took_effect() == result).count()
        };
        for (name, times) in expected {
            let (done, open) = (count(name, Some(true)), count(name, None));
            assert!(open == 0 || matches!(self, Self::Memory(..)), "{what}: a result is open: {changes:?}");
            assert!((done..=done + open).contains(times), "{what}: the trail states another result: {changes:?}");
        }
        Ok(())
    }
}

/// Returns the records about each change that were appended to the files of a trail.
fn changes_in_files(folder: &Path, read: &mut BTreeMap<PathBuf, u64>) -> TestResult<BTreeMap<String, Recorded>> {
    let mut changes = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let (mut file, mut text) = (File::open(&path)?, String::new());
        let from = read.entry(path).or_default();
        file.seek(SeekFrom::Start(*from))?;
        *from += u64::try_from(file.read_to_string(&mut text)?)?;
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let (event, reconciled) = (&line["event"], &line["reconciled"]);
            let Some(change) = event["change"].as_str().or(reconciled["change"].as_str()) else { continue };
            let recorded: &mut Recorded = changes.entry(change.to_owned()).or_default();
            if let Some(name) = event["eventName"].as_str() {
                recorded.event = name.to_owned();
            }
            let result = event["outcome"].as_str().or(reconciled["result"].as_str());
            recorded.results.push(result.ok_or("a result")?.to_owned());
        }
    }
    Ok(changes)
}

/// The number of answers of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    done: usize,
    refused: usize,
    ambiguous: usize,
}

impl Answers {
    /// Records the answer to a change, and checks it.
    fn add(&mut self, what: &str, answer: Result<()>, was_applied: bool) {
        let Err(error) = answer else {
            self.done += 1;
            assert!(was_applied, "{what}: an acknowledged change is lost");
            return;
        };
        assert_eq!(error.kind(), ErrorKind::Store, "{what}, applied: {was_applied}: {error:?}");
        match error.downcast_ref::<StoreError>() {
            Some(reason) if reason.is_ambiguous() => self.ambiguous += 1,
            Some(_) => {
                self.refused += 1;
                assert!(!was_applied, "{what}: a refused change took effect: {error:?}");
            }
            None => panic!("{what}: {error:?} has no reason"),
        }
    }

    fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.ambiguous += other.ambiguous;
    }

    fn total(&self) -> usize {
        self.done + self.refused + self.ambiguous
    }
}

/// A fault and the message that it hits.
#[derive(Clone, Copy, Debug)]
enum Planned {
    Nothing,
    /// A fault at one of the messages in a direction.
    At {
        fault: Fault,
        direction: Direction,
        nth: usize,
    },
    /// The connection is lost when a transaction begins, and so is every later one. The transaction
    /// has written nothing, so that its changes are certainly refused.
    NoTransaction,
}

impl Planned {
    /// Injects the fault. If it is at one of all messages, it hits one that is sent once a condition
    /// holds.
    fn inject(self, proxy: &Proxy, holds: impl Fn() -> bool + Send + 'static) {
        match self {
            Self::Nothing => {}
            Self::At { fault, direction, nth } => {
                proxy.inject(fault, nth, Admission::Accepted, move |message| message.direction == direction && holds());
            }
            Self::NoTransaction => proxy.inject(Fault::CutBefore, 0, Admission::Refused, begins_commit),
        }
    }
}

/// Calls `work` with every fault at every message, until it causes no more messages. Unless every
/// message is tested, with one of `every` faults at one of the first `messages`, chosen by `offset`.
fn with_faults(
    offset: usize,
    every: usize,
    messages: usize,
    mut work: impl FnMut(Planned) -> TestResult<bool>,
) -> TestResult {
    let directions = [Direction::ToServer, Direction::ToClient];
    let kinds = directions.into_iter().flat_map(|direction| Fault::ALL.map(|fault| (fault, direction)));
    for (number, (fault, direction)) in kinds.enumerate() {
        let number = number + offset;
        if tests_all() {
            let mut nth = 0;
            while work(Planned::At { fault, direction, nth })? {
                nth += 1;
                assert!(nth < MOST_MESSAGES, "{fault:?}: the operation causes messages without end");
            }
        } else if number.is_multiple_of(every) {
            work(Planned::At { fault, direction, nth: (number * 7) % messages })?;
        }
    }
    Ok(())
}

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    assert!(begun.elapsed() < BOUND, "{what}: the operation took {:?}", begun.elapsed());
    result
}

/// The number of messages that an operation causes in each direction, at least.
const FEWEST_MESSAGES: usize = 18;

/// Takes steps at the same time while a fault is injected, and checks the answers, the state and the
/// trail. Returns `true` if the fault hit a message.
fn take_with_fault(
    world: &World,
    members: &[(Step, Subject)],
    planned: Planned,
    answers: &mut Answers,
) -> TestResult<bool> {
    let steps: Vec<_> = members.iter().map(|(step, _)| *step).collect();
    let what = format!("{steps:?} with {planned:?}");
    let states = || -> Result<Vec<State>> {
        world.settle(&what);
        members.iter().map(|(step, subject)| world.state(*step, subject)).collect()
    };
    let before = states()?;
    world.trail.take_changes()?;
    world.proxy.take_trace();
    let hits = world.proxy.hits();
    let results = match members {
        [(step, subject)] => {
            planned.inject(&world.proxy, || true);
            vec![in_time(&what, || step.take(world, subject))]
        }
        _ => take_together(&what, world, members, planned),
    };
    let is_hit = world.proxy.hits() > hits;
    let after = states()?;
    let mut expected = BTreeMap::new();
    for (number, (result, (step, subject))) in results.into_iter().zip(members).enumerate() {
        let was_applied = step.was_applied(&what, (world, subject), &before[number], &after[number]);
        answers.add(&what, result, was_applied);
        *expected.entry(format!("{step:?}")).or_default() += usize::from(was_applied);
    }
    world.recover(&what)?;
    world.trail.check(&what, &expected)?;
    for ((step, subject), after) in members.iter().zip(&after) {
        let prepared = step.prepare(world, subject, after);
        prepared.map_err(|error| format!("{what}: {error}\n{:?}", world.proxy.take_trace()))?;
    }
    Ok(is_hit)
}

/// Takes steps in threads that all wait for the lock of the store, so that their commits share
/// transactions. The fault hits a message after the lock is released.
fn take_together(what: &str, world: &World, members: &[(Step, Subject)], planned: Planned) -> Vec<Result<()>> {
    let (is_released, (locked, has_locked)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let (release, released) = mpsc::channel::<()>();
    let flag = Arc::clone(&is_released);
    planned.inject(&world.proxy, move || flag.load(Ordering::SeqCst));
    thread::scope(|scope| {
        let holder = scope.spawn(move || {
            world.with_lock(|| {
                locked.send(()).expect("the test waits");
                // The other end is dropped.
                let _ = released.recv();
            })
        });
        has_locked.recv().expect("the lock is free");
        let threads: Vec<_> = members
            .iter()
            .map(|(step, subject)| scope.spawn(move || in_time(what, || step.take(world, subject))))
            .collect();
        thread::sleep(Duration::from_millis(60));
        is_released.store(true, Ordering::SeqCst);
        drop(release);
        holder.join().expect("no thread panicked").expect("no fault");
        threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect()
    })
}

/// Takes steps without a fault and with one that certainly refuses some, so that no answer is missing
/// by chance.
fn take_for_certain(world: &World, members: &[(Step, Subject)], answers: &mut Answers) -> TestResult {
    let begun = Instant::now();
    loop {
        let mut without_fault = Answers::default();
        take_with_fault(world, members, Planned::Nothing, &mut without_fault)?;
        answers.merge(without_fault);
        // On a busy machine, the deadline of a request may pass.
        if without_fault.done == members.len() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the steps are not taken without a fault: {without_fault:?}");
    }
    // On a busy machine, the deadline of a read before the transaction may pass.
    let mut refused = Answers::default();
    while !take_with_fault(world, members, Planned::NoTransaction, &mut refused)? {
        assert!(begun.elapsed() < PATIENCE, "no transaction begins: {refused:?}");
        answers.merge(std::mem::take(&mut refused));
    }
    assert!(refused.refused > 0, "a change whose transaction does not begin is refused: {refused:?}");
    answers.merge(refused);
    Ok(())
}

fn step_with_faults(server: &Server, number: usize, step: Step) -> TestResult<Answers> {
    let world = World::new(server, Trail::in_files()?, Duration::ZERO)?;
    let members = [(step, world.subject()?)];
    let (step, subject) = &members[0];
    step.prepare(&world, subject, &world.state(*step, subject)?)?;
    let mut answers = Answers::default();
    take_for_certain(&world, &members, &mut answers)?;
    with_faults(number * 5, 4, FEWEST_MESSAGES, |planned| take_with_fault(&world, &members, planned, &mut answers))?;
    check_trail_and_store(world)?;
    Ok(answers)
}

/// Checks the whole trail and the whole store after the process has ended.
fn check_trail_and_store(World { witness, kms, trail, .. }: World) -> TestResult {
    kms.close()?;
    if let Trail::Files(folder, _) = trail {
        let report = witness.verify_audit_trail(folder.path())?;
        assert!(report.is_intact() && report.records() > 0, "{report}");
        assert!(report.chains.iter().all(|chain| chain.unfinished.is_empty()), "{report:?}");
    }
    let report = witness.verify_store(|_| {})?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

#[test]
fn operations_survive_every_fault_at_every_message() -> TestResult {
    let test = "postgres::operation_faults::operations_survive_every_fault_at_every_message";
    let Some(server) = postgres::own(test, &[("max_connections", "400")]) else { return Ok(()) };
    let steps: Vec<_> = Step::ALL.into_iter().enumerate().collect();
    let mut answers = Answers::default();
    let run =
        |(number, step): &(usize, Step)| step_with_faults(&server, *number, *step).map_err(|error| error.to_string());
    // They mostly wait.
    for some in steps.chunks(5) {
        thread::scope(|scope| -> TestResult {
            let threads: Vec<_> = some.iter().map(|step| scope.spawn(move || run(step))).collect();
            for thread in threads {
                answers.merge(thread.join().expect("no thread panicked")?);
            }
            Ok(())
        })?;
    }
    println!("{} changes, most of them with faults: {answers:?}", answers.total());
    Ok(())
}

/// Returns `true` if changes share a transaction when they wait together. On a busy machine, they may
/// begin to wait too late.
fn shares_transactions(
    server: &Server,
    world: &World,
    members: &[(Step, Subject)],
    answers: &mut Answers,
) -> TestResult<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let revision = world.direct.revision()?.0;
        take_with_fault(world, members, Planned::Nothing, answers)?;
        let shared = format!(
            "SELECT count(DISTINCT revision) > count(DISTINCT xmin::text) FROM {}.record WHERE revision > {revision}",
            world.schema.name()
        );
        if server.sql(SUPERUSER, &shared)? == "t" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Another process holds the lock of the store while the changes wait for it.
#[test]
fn a_group_of_changes_survives_every_fault_at_every_message() -> TestResult {
    let test = "postgres::operation_faults::a_group_of_changes_survives_every_fault_at_every_message";
    let Some(server) = postgres::own(test, &[]) else { return Ok(()) };
    let world = World::new(&server, Trail::in_memory(), Duration::from_millis(200))?;
    let steps =
        [Step::RotateKeyOnDemand, Step::DisableKey, Step::CreateKey, Step::CreateAlias, Step::RotateKeyOnDemand];
    let members = steps.into_iter().map(|step| Ok((step, world.subject()?))).collect::<Result<Vec<_>>>()?;
    let mut answers = Answers::default();
    assert!(shares_transactions(&server, &world, &members, &mut answers)?, "some changes share a transaction");
    take_for_certain(&world, &members, &mut answers)?;
    let mut runs = 0;
    with_faults(1, 2, 3 * FEWEST_MESSAGES, |planned| {
        runs += 1;
        take_with_fault(&world, &members, planned, &mut answers)
    })?;
    check_trail_and_store(world)?;
    println!("{runs} faults in groups of {} changes: {answers:?}", steps.len());
    Ok(())
}
