//! Histories of concurrent changes and uses of a key by several handles, each with connections of
//! its own.
//!
//! Changes are linearizable: some order of them, in which none comes before one that had ended
//! before it began, explains all answers. `STRONGROOM_HISTORIES` sets the number of histories, which
//! the package `tests/support/histories` then checks. Without it, a few histories are recorded, and
//! only the final state and the uses are checked.
//!
//! Uses may rely on a state that is older, within a bound: none succeeds that began later than the
//! bound after a key was disabled.

use std::env;
use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeyId, KeyState};
use strongroom::request::{EncryptRequest, IncludeKeyMaterial};
use strongroom::seal::RootKey;
use strongroom::{ErrorKind, Kms, Result};

use crate::support::postgres::{self, Schema};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// The default number of histories.
const HISTORIES: usize = 3;

const CLIENTS: usize = 4;
const CALLS_PER_CLIENT: usize = 6;

/// The default bound on the age of the state that a use relies on, and time for the call.
const BOUND: Duration = Duration::from_millis(1_500);

/// A call and its end.
struct Event {
    client: usize,
    operation: &'static str,
    begun: Instant,
    ended: Instant,
    answer: String,
}

#[test]
fn changes_by_several_handles_are_linearizable() -> TestResult {
    let Some(server) = postgres::shared("postgres::histories::changes_by_several_handles_are_linearizable") else {
        return Ok(());
    };
    let checked = env::var_os("STRONGROOM_HISTORIES").is_some();
    let histories: usize = env::var("STRONGROOM_HISTORIES").map_or(Ok(HISTORIES), |text| text.parse())?;
    let schema = Schema::create(server)?;
    let handles = (0..CLIENTS)
        .map(|_| Kms::builder().store(schema.open()?, RootKey::from_bytes(&[7; 32])).build())
        .collect::<Result<Vec<_>>>()?;
    let mut text = String::new();
    for _ in 0..histories {
        record(&schema, &handles, &mut text)?;
    }
    if checked {
        assert!(!is_linearizable(WRONG)?, "a rotation of a disabled key is noticed");
        assert!(is_linearizable(&text)?, "{text}");
    }
    Ok(())
}

/// A history in which a key rotates after it was disabled.
const WRONG: &str = "key wrong\ncall 0 disable\ndone 0 changed\ncall 1 rotate\ndone 1 changed\n";

/// Records the history of one key.
fn record(schema: &Schema, handles: &[Kms], text: &mut String) -> TestResult {
    let key = handles[0].create_key(Default::default())?.key_id();
    let events = Mutex::new(Vec::new());
    thread::scope(|scope| -> TestResult {
        let clients: Vec<_> = handles
            .iter()
            .enumerate()
            .map(|(client, kms)| {
                let events = &events;
                scope.spawn(move || -> Result<()> {
                    let mut choices = [0; CALLS_PER_CLIENT];
                    CryptoBackend::default().random().fill(&mut choices)?;
                    for choice in choices {
                        if let Some(event) = call(kms, client, key, choice) {
                            events.lock().expect("no thread panicked").push(event);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().expect("no thread panicked")?;
        }
        Ok(())
    })?;
    let mut events = events.into_inner()?;
    // A new handle reads the latest state.
    let fresh = Kms::builder().store(schema.open()?, RootKey::from_bytes(&[7; 32])).build()?;
    let begun = Instant::now();
    let rotations = fresh.key_rotations(key, IncludeKeyMaterial::RotationsOnly).count();
    let state = if fresh.describe_key(key)?.state() == KeyState::Disabled { "disabled" } else { "enabled" };
    let answer = format!("state {state} {rotations}");
    events.push(Event { client: CLIENTS, operation: "inspect", begun, ended: Instant::now(), answer });

    let rotated = events.iter().filter(|event| event.operation == "rotate").count();
    assert_eq!(rotations, rotated, "a rotation was lost or done twice");
    check_uses(&events);
    write_history(key, &events, text)?;
    Ok(())
}

/// Returns `None` for a refusal, which had no effect, and may rely on an older state.
fn call(kms: &Kms, client: usize, key: KeyId, choice: u8) -> Option<Event> {
    let begun = Instant::now();
    let (operation, result) = match choice % 5 {
        0 => ("disable", kms.disable_key(key)),
        1 | 2 => ("enable", kms.enable_key(key)),
        3 => ("rotate", kms.rotate_key_on_demand(key).map(drop)),
        _ => ("encrypt", kms.encrypt(EncryptRequest::new(key, b"text")).map(drop)),
    };
    let ended = Instant::now();
    match result {
        Ok(()) => Some(Event { client, operation, begun, ended, answer: "changed".to_owned() }),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Disabled | ErrorKind::Conflict), "{operation}: {error:?}");
            None
        }
    }
}

/// Checks that no use succeeded that began later than the bound after the last change had disabled
/// the key.
fn check_uses(events: &[Event]) {
    for used in events.iter().filter(|event| event.operation == "encrypt") {
        let disabled = events.iter().filter(|event| event.operation == "disable" && event.ended + BOUND < used.begun);
        for disabled in disabled {
            let enabled = events
                .iter()
                .any(|event| event.operation == "enable" && event.ended > disabled.begun && event.begun < used.ended);
            assert!(enabled, "a key encrypts {:?} after it was disabled", used.begun - disabled.ended);
        }
    }
}

/// Writes calls and answers of changes in the order of time.
fn write_history(key: KeyId, events: &[Event], text: &mut String) -> std::fmt::Result {
    writeln!(text, "key {key}")?;
    let mut lines = Vec::new();
    for event in events.iter().filter(|event| event.operation != "encrypt") {
        lines.push((event.begun, format!("call {} {}", event.client, event.operation)));
        lines.push((event.ended, format!("done {} {}", event.client, event.answer)));
    }
    lines.sort_by_key(|(instant, _)| *instant);
    lines.iter().try_for_each(|(_, line)| writeln!(text, "{line}"))
}

/// Runs the package that searches for an order.
fn is_linearizable(text: &str) -> Result<bool, Box<dyn std::error::Error>> {
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
