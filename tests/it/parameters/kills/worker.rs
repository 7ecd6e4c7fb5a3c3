//! A process that changes parameters, and the handle with which a test starts, kills and ends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, io, process, thread};

use strongroom::parameters::{ParameterError, Parameters, PutParameterRequest};
use strongroom::{Error, Kms};

use super::report::Report;
use crate::parameters::TestResult;
use crate::support::child_process::whole_lines;

pub(super) const PROCESSES: usize = 4;
/// Parameters that all processes overwrite: a String and a SecureString.
pub(super) const SHARED: [&str; 2] = ["/shared/text", "/shared/secret"];
/// The number of names that all processes try to create.
pub(super) const RACES: usize = 7;

/// The number of the slot that a process fills. A process that is killed leaves it to the next.
const SLOT: &str = "STRONGROOM_PARAMETERS_SLOT";
/// Maximum time until a process on a busy machine reports a change.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn own_label(slot: usize) -> String {
    format!("slot-{slot}")
}

/// A running process.
pub(super) struct Worker {
    slot: usize,
    process: Child,
    change: mpsc::Receiver<()>,
    listener: thread::JoinHandle<io::Result<String>>,
}

impl Worker {
    pub(super) fn start(mut command: Command, slot: usize) -> io::Result<Self> {
        command.env(SLOT, slot.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (reports, change) = mpsc::sync_channel(1);
        let listener = thread::spawn(move || {
            let mut text = String::new();
            loop {
                let start = text.len();
                // A killed process may leave part of a line.
                if output.read_line(&mut text)? == 0 {
                    return Ok(text);
                }
                if text[start..].contains("put ") {
                    // There is room for one report, and only that one is waited for.
                    let _ = reports.try_send(());
                }
            }
        });
        Ok(Self { slot, process, change, listener })
    }

    pub(super) const fn slot(&self) -> usize {
        self.slot
    }

    /// Waits until the process has reported a change since the last wait, or has ended.
    pub(super) fn wait_for_change(&self) -> TestResult {
        match self.change.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("no change within {PATIENCE:?}").into()),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    /// Kills the process, and returns its report.
    pub(super) fn kill(mut self) -> TestResult<Report> {
        self.process.kill()?;
        self.process.wait()?;
        self.report()
    }

    /// Waits until the process has ended by itself, and returns its report.
    pub(super) fn end(mut self) -> TestResult<Report> {
        drop(self.process.stdin.take());
        assert!(self.process.wait()?.success(), "a process failed: {:?}", self.report());
        self.report()
    }

    fn report(self) -> TestResult<Report> {
        let text = self.listener.join().expect("no thread panicked")?;
        let lines: Vec<String> = whole_lines(&text).into_iter().filter(|line| is_answer(line)).collect();
        Report::parse(self.slot, &lines)
    }
}

/// Returns `true` for a line of the process itself. The others are those of the test runner.
fn is_answer(line: &str) -> bool {
    ["begin", "put", "label", "create", "delete", "failed"].contains(&line.split(' ').next().unwrap_or_default())
}

fn say(line: &str) {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

/// Returns what a change returned, or `None` if a concurrent change was the reason for its refusal.
fn done<T>(result: Result<T, Error>) -> Option<T> {
    let error = match result {
        Ok(done) => return Some(done),
        Err(error) => error,
    };
    match error.downcast_ref() {
        Some(
            ParameterError::TooManyUpdates { .. }
            | ParameterError::AlreadyExists { .. }
            | ParameterError::MaxVersionLimitExceeded { .. },
        ) => None,
        _ => {
            say(&format!("failed {error:?}"));
            process::exit(1)
        }
    }
}

/// Changes parameters until the parent closes the standard input.
pub(super) fn work(kms: &Kms) -> TestResult {
    let slot: usize = env::var(SLOT)?.parse()?;
    let (parameters, ended) = (Parameters::new(kms), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for round in 0_usize.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                for name in SHARED {
                    overwrite(&parameters, name, slot, round);
                }
                race(&parameters, round);
            }
        });
        let read = io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
        worker.join().expect("no thread panicked");
        read
    })?;
    Ok(())
}

/// Creates a version, and moves the label of the slot to the current one.
fn overwrite(parameters: &Parameters, name: &str, slot: usize, round: usize) {
    let id = format!("{}-{round}", process::id());
    let put = PutParameterRequest::new(name, id.as_str()).description(id.as_str()).overwrite();
    if let Some(put) = done(parameters.put(put)) {
        say(&format!("put {name} {} {id}", put.version));
        // It is retained unless a hundred others followed.
        if let Ok(found) = parameters.get(&format!("{name}:{}", put.version)) {
            assert_eq!(found.expose_value(), id);
        }
    }
    // Repeated until it succeeds, so that no label of a process that was killed blocks the others for
    // long, and so that the last label of each slot is known.
    let label = |label: String| {
        loop {
            if let Some(labeled) = done(parameters.label(name, None, [label.as_str()])) {
                return labeled.parameter_version;
            }
        }
    };
    say(&format!("label {name} {}", label(own_label(slot))));
    let passing = format!("passing-{slot}");
    let version = label(passing.clone());
    while done(parameters.unlabel(name, version, [passing.as_str()])).is_none() {}
}

/// Creates a parameter unless another process was first, and deletes every other one.
fn race(parameters: &Parameters, round: usize) {
    let (name, id) = (format!("/race/{}", round % RACES), format!("{}-{round}", process::id()));
    let create = PutParameterRequest::secure_string(name.as_str(), id.as_str()).description(id.as_str());
    if done(parameters.put(create)).is_none() {
        return;
    }
    say(&format!("create {name} {id}"));
    if round.is_multiple_of(2) {
        say(&format!("begin delete {id}"));
        if done(parameters.delete(&name)).is_some() {
            say(&format!("delete {id}"));
        }
    }
}
