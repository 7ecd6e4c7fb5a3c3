//! A server that is killed at random moments, while several processes work on its store.
//!
//! Each process reports the answer to every change, and makes at least one between two kills.
//! Afterwards, changes that were acknowledged are present once, refused ones are absent, and the
//! store is intact. `STRONGROOM_SERVER_KILLS` sets the number of kills.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
use strongroom::key::{KeyId, KeyState, OnDemandRotationLimit};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, IncludeKeyMaterial};
use strongroom::seal::RootKey;
use strongroom::store::{PostgresStore, StoreError};
use strongroom::{ErrorKind, Kms, KmsLimits, Result};

use crate::support::child_process::child;
use crate::support::postgres::{self, Schema};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The default number of kills. `STRONGROOM_SERVER_KILLS` overrides it.
const KILLS: usize = 6;

const PROCESSES: usize = 4;

/// The time in which every process changes something after a restart.
const PATIENCE: Duration = Duration::from_secs(60);
const THREADS_PER_PROCESS: usize = 2;

const CHILD: &str = "postgres::kills::works_until_told_to_end";

/// Tells the children where the store is.
pub(super) const URL: &str = "STRONGROOM_TEST_URL";
pub(super) const SCHEMA: &str = "STRONGROOM_TEST_SCHEMA";

#[test]
fn what_was_acknowledged_survives_kills_of_the_server() -> TestResult {
    let Some(server) = postgres::own("postgres::kills::what_was_acknowledged_survives_kills_of_the_server", &[]) else {
        return Ok(());
    };
    let kills: usize = env::var("STRONGROOM_SERVER_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    let schema = Schema::create(&server)?;
    drop(open(&schema, CryptoBackend::default())?);
    let workers = (0..PROCESSES).map(|_| Worker::start(&schema)).collect::<io::Result<Vec<_>>>()?;
    for kill in 0..kills {
        let before: Vec<_> = workers.iter().map(Worker::changes).collect();
        let begun = Instant::now();
        while workers.iter().zip(&before).any(|(worker, before)| worker.changes() == *before) {
            assert!(begun.elapsed() < PATIENCE, "every process continues: {before:?}");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(random_pause()?);
        server.kill()?;
        if kill == 0 {
            // No change succeeds now, so that at least one is certainly interrupted.
            let begun = Instant::now();
            while workers.iter().all(|worker| worker.interruptions() == 0) {
                assert!(begun.elapsed() < PATIENCE, "a change is interrupted");
                thread::sleep(Duration::from_millis(5));
            }
        }
        server.start_again()?;
    }
    let lines = workers.into_iter().map(Worker::end).collect::<TestResult<Vec<_>>>()?.concat();
    check(&open(&schema, CryptoBackend::default())?, &lines, kills)
}

/// A child process and its output.
struct Worker {
    child: Child,
    /// The number of changes that were acknowledged.
    changes: Arc<AtomicUsize>,
    /// The number of other answers.
    interruptions: Arc<AtomicUsize>,
    /// Reads continuously, because a process that says more than fits into a pipe waits.
    reader: JoinHandle<Vec<String>>,
}

impl Worker {
    fn start(schema: &Schema) -> io::Result<Self> {
        let mut command = child(CHILD, Path::new(""))?;
        command.env(URL, schema.url()).env(SCHEMA, schema.name());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (changes, interruptions) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, interrupted) = (Arc::clone(&changes), Arc::clone(&interruptions));
        let reader = thread::spawn(move || {
            let mut answers = Vec::new();
            for line in output.lines().map_while(io::Result::ok) {
                // The test runner has begun the first line.
                let Some(start) = line.find("answer ") else { continue };
                let counter = if line[start..].starts_with("answer Done ") { &done } else { &interrupted };
                counter.fetch_add(1, Ordering::Relaxed);
                answers.push(line[start..].to_owned());
            }
            answers
        });
        Ok(Self { child, changes, interruptions, reader })
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    fn interruptions(&self) -> usize {
        self.interruptions.load(Ordering::Relaxed)
    }

    /// Ends the process, and returns its answers.
    fn end(mut self) -> TestResult<Vec<String>> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        assert!(status.success(), "a process failed");
        Ok(self.reader.join().expect("no thread panicked"))
    }
}

fn random_pause() -> Result<Duration> {
    let mut bytes = [0];
    CryptoBackend::default().random().fill(&mut bytes)?;
    Ok(Duration::from_millis(u64::from(bytes[0])))
}

fn open(schema: &Schema, backend: CryptoBackend) -> Result<Kms> {
    // A store that was unreachable tries again after this time.
    let store = PostgresStore::open(&schema.options()?.max_staleness(Duration::from_millis(100)))?;
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1_000_000), ..KmsLimits::default() };
    Kms::builder().backend(backend).limits(limits).store(store, RootKey::from_bytes(&[7; 32])).build()
}

/// The answer to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Refused,
    /// It may have taken effect.
    Ambiguous,
}

fn answer_of<T>(result: &Result<T>) -> Answer {
    let Err(error) = result else { return Answer::Done };
    assert_eq!(error.kind(), ErrorKind::Store, "{error:?}");
    match error.downcast_ref() {
        Some(StoreError::Ambiguous(_)) => Answer::Ambiguous,
        Some(_) => Answer::Refused,
        None => panic!("an error of the store has a reason: {error:?}"),
    }
}

fn say(answer: Answer, what: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("answer {answer:?} {what}\n").as_bytes()).expect("the parent listens");
    if answer != Answer::Done {
        // The server is down.
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "run only as the child process of a test"]
fn works_until_told_to_end() -> TestResult {
    let schema = Schema::existing(&env::var(URL)?, &env::var(SCHEMA)?);
    let kms = open(&schema, RUST_CRYPTO)?;
    let ended = AtomicBool::new(false);
    let (kms, is_ended) = (&kms, || ended.load(Ordering::Relaxed));
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..THREADS_PER_PROCESS).map(|thread| scope.spawn(move || work(kms, thread, &is_ended))).collect();
        // The parent closes the pipe.
        let read = io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("no thread panicked");
        }
        read
    })?;
    Ok(())
}

fn work(kms: &Kms, thread: usize, is_ended: &impl Fn() -> bool) {
    for round in 0.. {
        if is_ended() {
            return;
        }
        let name = format!("{}-{thread}-{round}", std::process::id());
        let created = kms.create_key(CreateKeyRequest::default().description(name.as_str()));
        say(answer_of(&created), &format!("create {name}"));
        let Ok(created) = created else { continue };
        let key = created.key_id();
        for _ in 0..3 {
            say(answer_of(&kms.rotate_key_on_demand(key)), &format!("rotate {key}"));
        }
        let text = name.as_bytes();
        let sealed = kms.encrypt(EncryptRequest::new(key, text));
        if answer_of(&sealed) == Answer::Done
            && let Ok(sealed) = sealed
        {
            match kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob)) {
                Ok(opened) => assert_eq!(opened.plaintext.expose_secret(), text),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{error:?}"),
            }
        }
        let disabled = answer_of(&kms.disable_key(key));
        say(disabled, &format!("disable {key}"));
        let refused = kms.encrypt(EncryptRequest::new(key, text)).map_err(|error| error.kind());
        let allowed = [Err(ErrorKind::Disabled), Err(ErrorKind::Store)];
        let is_right = allowed.contains(&refused.as_ref().map(drop).map_err(|kind| *kind));
        assert!(disabled != Answer::Done || is_right, "a disabled key encrypts: {refused:?}");
    }
}

/// The number of changes of one object, by their answer.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    done: usize,
    refused: usize,
    ambiguous: usize,
}

impl Count {
    fn allows(self, present: usize) -> bool {
        (self.done..=self.done + self.ambiguous).contains(&present)
    }
}

fn check(kms: &Kms, lines: &[String], kills: usize) -> TestResult {
    let mut counts: BTreeMap<(&str, &str), Count> = BTreeMap::new();
    let mut total = Count::default();
    for line in lines {
        let [_, answer, change, object] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let count = counts.entry((change, object)).or_default();
        for count in [count, &mut total] {
            match answer {
                "Done" => count.done += 1,
                "Refused" => count.refused += 1,
                _ => count.ambiguous += 1,
            }
        }
    }
    let mut present: BTreeMap<String, usize> = BTreeMap::new();
    for key in kms.keys() {
        *present.entry(kms.describe_key(key?.key_id)?.description().to_string()).or_default() += 1;
    }
    for ((change, object), count) in &counts {
        let found = match *change {
            "create" => present.remove(*object).unwrap_or_default(),
            "rotate" => kms.key_rotations(KeyId::parse(object)?, IncludeKeyMaterial::RotationsOnly).count(),
            _ => usize::from(kms.describe_key(KeyId::parse(object)?)?.state() == KeyState::Disabled),
        };
        assert!(count.allows(found), "{change} {object}: found {found}, and the answers were {count:?}");
    }
    assert!(present.is_empty(), "keys that were never requested: {present:?}");
    let report = kms.verify_store(|_| {})?;
    assert!(report.is_intact(), "{report:?}");
    println!("{kills} kills of the server: {total:?}");
    let interrupted = total.refused + total.ambiguous;
    assert!(total.done >= kills * PROCESSES && (kills == 0 || interrupted > 0), "{total:?}");
    Ok(())
}
