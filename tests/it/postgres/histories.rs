//! Histories of concurrent changes and uses of a key by several processes, some of which are killed.
//!
//! Changes are linearizable: some order of them, in which none comes before one that had ended
//! before it began, explains all answers. `STRONGROOM_HISTORIES` sets the number of histories, which
//! the package `tests/support/histories` then checks. Without it, a few histories are recorded, and
//! only the final state, refusals and uses are checked.
//!
//! Uses and refusals may rely on a state that is older, within the bound of the store. Every time is
//! that of a clock that all processes of the machine share.

use std::env;
use std::fmt::Write;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
use strongroom::key::{KeyId, KeyState, OnDemandRotationLimit};
use strongroom::request::{EncryptRequest, IncludeKeyMaterial};
use strongroom::seal::RootKey;
use strongroom::store::{PostgresStore, StoreError};
use strongroom::{ErrorKind, Kms, KmsLimits, Result};

use super::kills::{SCHEMA, URL};
use crate::support::child_process::child;
use crate::support::postgres::{self, Schema};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The default number of histories. A process is killed in every second one.
const HISTORIES: usize = 4;

const PROCESSES: usize = 3;
const CLIENTS_PER_PROCESS: usize = 2;
const CALLS_PER_CLIENT: usize = 8;

/// The bound on the age of the state that a use relies on. A history takes several times as long.
const BOUND: Duration = Duration::from_millis(30);

const CHILD: &str = "postgres::histories::calls_as_told";

/// Tells a child the number of its first client.
const FIRST_CLIENT: &str = "STRONGROOM_TEST_FIRST_CLIENT";

#[test]
fn changes_by_several_processes_are_linearizable() -> TestResult {
    let Some(server) = postgres::shared("postgres::histories::changes_by_several_processes_are_linearizable") else {
        return Ok(());
    };
    let checked = env::var_os("STRONGROOM_HISTORIES").is_some();
    let histories: usize = env::var("STRONGROOM_HISTORIES").map_or(Ok(HISTORIES), |text| text.parse())?;
    let schema = Schema::create(server)?;
    let creator = open(&schema, CryptoBackend::default())?;
    let mut processes = (0..PROCESSES).map(|number| Process::start(&schema, number)).collect::<TestResult<Vec<_>>>()?;
    let (mut text, mut pending) = (String::new(), 0);
    for number in 0..histories {
        let key = creator.create_key(Default::default())?.key_id();
        let killed = (number % 2 == 1).then_some(number / 2 % PROCESSES);
        let mut events = record(&mut processes, key, killed)?;
        pending += events.iter().filter(|event| event.ended.is_none()).count();
        // A new handle reads the latest state.
        events.extend(inspect(&open(&schema, CryptoBackend::default())?, key)?);
        check(&events);
        // A history is linearizable if its part for each object is.
        write_history(key, &events, &["disable", "enable", "rotate", "inspect"], &mut text)?;
        write_history(key, &events, &["claim", "release", "resolve"], &mut text)?;
        if let Some(killed) = killed {
            processes[killed] = Process::start(&schema, killed)?;
        }
    }
    println!("{histories} histories of {PROCESSES} processes, in which kills cut off {pending} calls");
    if checked {
        for wrong in WRONG {
            assert!(!is_linearizable(wrong)?, "{wrong} is noticed");
        }
        assert!(is_linearizable(CUT_OFF)?, "a call without an answer may have taken effect, or not");
        assert!(is_linearizable(&text)?, "{text}");
    }
    Ok(())
}

/// A key rotates after it was disabled, is rotated without effect, and has an alias that two calls
/// have created.
const WRONG: [&str; 3] = [
    "key 1\ncall 0 disable\ndone 0 changed\ncall 1 rotate\ndone 1 changed\n",
    "key 2\ncall 0 rotate\ndone 0 changed\ncall 1 inspect\ndone 1 state enabled 0\n",
    "key 3\ncall 0 claim\ncall 1 claim\ndone 0 changed\ndone 1 changed\n",
];

const CUT_OFF: &str = "key 4\ncall 0 rotate\ncall 1 inspect\ndone 1 state enabled 1\n\
                       key 5\ncall 0 rotate\ncall 1 inspect\ndone 1 state enabled 0\n\
                       key 6\ncall 0 claim\ncall 1 resolve\ndone 1 alias claimed\n\
                       key 7\ncall 0 claim\ncall 1 resolve\ndone 1 alias free\n";

fn open(schema: &Schema, backend: CryptoBackend) -> Result<Kms> {
    let store = PostgresStore::open(&schema.options()?.max_staleness(BOUND))?;
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1_000), ..KmsLimits::default() };
    Kms::builder().backend(backend).limits(limits).store(store, RootKey::from_bytes(&[7; 32])).build()
}

/// The time that all processes of the machine share.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let nanoseconds = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(u64::try_from(time.tv_sec).expect("a time since the start"), nanoseconds)
}

/// A call and its end.
#[derive(Debug)]
struct Event {
    client: usize,
    operation: String,
    begun: Duration,
    /// Absent if the process was killed before.
    ended: Option<Duration>,
    answer: String,
}

impl Event {
    fn is_refused(&self) -> bool {
        self.answer == "refused"
    }
}

/// A child process, which calls operations of a key on request.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(schema: &Schema, number: usize) -> TestResult<Self> {
        let mut command = child(CHILD, Path::new(""))?;
        command.env(URL, schema.url()).env(SCHEMA, schema.name());
        command.env(FIRST_CLIENT, (number * CLIENTS_PER_PROCESS).to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().ok_or("a pipe")?);
        thread::spawn(move || output.lines().map_while(io::Result::ok).try_for_each(|line| sender.send(line)));
        let process = Self { child, lines };
        // The test runner has begun the first line, and may have printed others.
        while !process.lines.recv()?.ends_with("ready") {}
        Ok(process)
    }

    fn begin(&mut self, key: KeyId) -> TestResult {
        let input = self.child.stdin.as_mut().ok_or("a pipe")?;
        Ok(input.write_all(format!("{key}\n").as_bytes())?)
    }

    /// Returns what its clients have called.
    fn finish(&self) -> TestResult<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        for line in self.lines.iter().take_while(|line| line != "finished") {
            let words: Vec<&str> = line.split(' ').collect();
            let [step, client, time, text] = words[..] else { return Err(line.into()) };
            let (client, time) = (client.parse()?, Duration::from_nanos(time.parse()?));
            match step {
                "call" => events.push(Event {
                    client,
                    operation: text.to_owned(),
                    begun: time,
                    ended: None,
                    answer: String::new(),
                }),
                _ => {
                    let event = events.iter_mut().rfind(|event| event.client == client).ok_or("a call")?;
                    (event.ended, event.answer) = (Some(time), text.to_owned());
                }
            }
        }
        Ok(events)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Records the history of one key, in which a process may be killed.
fn record(processes: &mut [Process], key: KeyId, killed: Option<usize>) -> TestResult<Vec<Event>> {
    for process in &mut *processes {
        process.begin(key)?;
    }
    if let Some(killed) = killed {
        let mut pause = [0];
        CryptoBackend::default().random().fill(&mut pause)?;
        thread::sleep(Duration::from_millis(u64::from(pause[0]) / 2));
        processes[killed].child.kill()?;
    }
    let mut events = Vec::new();
    for process in processes {
        events.extend(process.finish()?);
    }
    Ok(events)
}

/// Reads the state of the key, and then its alias.
fn inspect(kms: &Kms, key: KeyId) -> Result<[Event; 2]> {
    let client = PROCESSES * CLIENTS_PER_PROCESS;
    let event = |operation: &str, begun, answer| Event {
        client,
        operation: operation.to_owned(),
        begun,
        ended: Some(now()),
        answer,
    };
    let begun = now();
    let rotations = kms.key_rotations(key, IncludeKeyMaterial::RotationsOnly).count();
    let state = if kms.describe_key(key)?.state() == KeyState::Disabled { "disabled" } else { "enabled" };
    let inspected = event("inspect", begun, format!("state {state} {rotations}"));
    let begun = now();
    let alias = if kms.describe_key(alias(key)).is_ok() { "claimed" } else { "free" };
    Ok([inspected, event("resolve", begun, format!("alias {alias}"))])
}

fn alias(key: KeyId) -> String {
    format!("alias/{key}")
}

#[test]
#[ignore = "run only as the child process of a test"]
fn calls_as_told() -> TestResult {
    let schema = Schema::existing(&env::var(URL)?, &env::var(SCHEMA)?);
    let first: usize = env::var(FIRST_CLIENT)?.parse()?;
    let kms = open(&schema, RUST_CRYPTO)?;
    say("ready");
    for line in io::stdin().lines() {
        let key = KeyId::parse(&line?)?;
        thread::scope(|scope| {
            let kms = &kms;
            let clients: Vec<_> = (first..first + CLIENTS_PER_PROCESS)
                .map(|client| scope.spawn(move || call_all(kms, client, key)))
                .collect();
            clients.into_iter().try_for_each(|client| client.join().expect("no thread panicked"))
        })?;
        say("finished");
    }
    Ok(())
}

fn say(line: &str) {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

fn call_all(kms: &Kms, client: usize, key: KeyId) -> Result<()> {
    let mut choices = [[0; 2]; CALLS_PER_CLIENT];
    CryptoBackend::default().random().fill(choices.as_flattened_mut())?;
    for [choice, pause] in choices {
        thread::sleep(Duration::from_micros(u64::from(pause) * 100));
        let (operation, call): (_, &dyn Fn() -> Result<()>) = match choice % 8 {
            0 => ("disable", &|| kms.disable_key(key)),
            1 | 2 => ("enable", &|| kms.enable_key(key)),
            3 => ("rotate", &|| kms.rotate_key_on_demand(key).map(drop)),
            4 => ("claim", &|| kms.create_alias(alias(key), key)),
            5 => ("release", &|| kms.delete_alias(alias(key))),
            _ => ("encrypt", &|| kms.encrypt(EncryptRequest::new(key, b"text")).map(drop)),
        };
        say(&format!("call {client} {} {operation}", now().as_nanos()));
        let result = call();
        let ended = now();
        let answer = match &result {
            Ok(()) => "changed",
            Err(error) => {
                let expected = match operation {
                    "claim" => ErrorKind::AlreadyExists,
                    "release" => ErrorKind::NotFound,
                    _ => ErrorKind::Disabled,
                };
                // Too many other changes came in between, or the busy machine was late with a proof.
                let is_late = matches!(error.downcast_ref(), Some(StoreError::Fenced { .. }));
                let is_expected = error.kind() == expected || error.kind() == ErrorKind::Conflict || is_late;
                assert!(is_expected, "{operation}: {error:?}");
                if error.kind() == expected { "refused" } else { "given-up" }
            }
        };
        say(&format!("done {client} {} {answer}", ended.as_nanos()));
    }
    Ok(())
}

/// Two operations, each of which ends what the other begins.
#[derive(Clone, Copy)]
struct Pair {
    begins: &'static str,
    ends: &'static str,
    is_initial: bool,
}

const DISABLED: Pair = Pair { begins: "disable", ends: "enable", is_initial: false };
const ENABLED: Pair = Pair { begins: "enable", ends: "disable", is_initial: true };
const CLAIMED: Pair = Pair { begins: "claim", ends: "release", is_initial: false };
const FREE: Pair = Pair { begins: "release", ends: "claim", is_initial: true };

impl Pair {
    /// Returns `true` if some order of the events allows the state at some time from `from` to
    /// `until`.
    fn was_possible(self, events: &[Event], from: Duration, until: Duration) -> bool {
        let changed = |operation: &'static str| {
            events.iter().filter(move |event| {
                event.operation == operation && (event.answer == "changed" || event.ended.is_none())
            })
        };
        let ends_after = |begun: Option<Duration>| {
            changed(self.ends)
                .any(|end| begun.is_none_or(|begun| end.begun > begun) && end.ended.is_some_and(|ended| ended < from))
        };
        let is_lasting = |event: &Event| match event.ended {
            Some(ended) => !ends_after(Some(ended)),
            // It may take effect at any time.
            None => true,
        };
        (self.is_initial && !ends_after(None))
            || changed(self.begins).any(|event| event.begun <= until && is_lasting(event))
    }
}

/// Checks that uses and refusals rely on a state within the bound, and that the last two events show
/// every acknowledged change.
fn check(events: &[Event]) {
    for event in events {
        let Some(ended) = event.ended else { continue };
        let state = match (&*event.operation, event.is_refused()) {
            ("encrypt", false) => ENABLED,
            ("encrypt" | "rotate", true) => DISABLED,
            ("claim", true) => CLAIMED,
            ("release", true) => FREE,
            _ => continue,
        };
        let oldest = event.begun.saturating_sub(BOUND);
        assert!(state.was_possible(events, oldest, ended), "{event:?} relies on a state that is too old: {events:#?}");
    }
    let [.., inspected, resolved] = events else { panic!("the final state is missing") };
    let ["state", state, rotations] = inspected.answer.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{inspected:?}")
    };
    let states = [
        (inspected, if state == "disabled" { DISABLED } else { ENABLED }),
        (resolved, if resolved.answer == "alias claimed" { CLAIMED } else { FREE }),
    ];
    for (last, pair) in states {
        assert!(
            pair.was_possible(events, last.begun, last.ended.unwrap_or(last.begun)),
            "a change was lost: {events:#?}"
        );
    }
    let rotations: usize = rotations.parse().expect("a number");
    let rotated =
        |answer: &str| events.iter().filter(|event| event.operation == "rotate" && event.answer == answer).count();
    let possible = rotated("changed")..=rotated("changed") + rotated("");
    assert!(possible.contains(&rotations), "a rotation was lost or done twice: {events:#?}");
}

/// Writes the calls and answers of some operations in the order of time. Refused calls had no
/// effect.
fn write_history(key: KeyId, events: &[Event], operations: &[&str], text: &mut String) -> std::fmt::Result {
    writeln!(text, "key {key}")?;
    let mut lines = Vec::new();
    for event in events.iter().filter(|event| operations.contains(&&*event.operation)) {
        if event.answer == "refused" || event.answer == "given-up" {
            continue;
        }
        lines.push((event.begun, format!("call {} {}", event.client, event.operation)));
        lines.extend(event.ended.map(|ended| (ended, format!("done {} {}", event.client, event.answer))));
    }
    lines.sort_by_key(|(time, _)| *time);
    lines.iter().try_for_each(|(_, line)| writeln!(text, "{line}"))
}

/// Runs the package that searches for an order.
fn is_linearizable(text: &str) -> TestResult<bool> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/histories/Cargo.toml");
    let mut checker = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("histories"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    checker.stdin.take().ok_or("a pipe")?.write_all(text.as_bytes())?;
    let output = checker.wait_with_output()?;
    let report = String::from_utf8(output.stdout)?;
    println!("{report}");
    assert!(report.contains("linearizable"), "the package of the checker runs");
    Ok(output.status.success())
}
