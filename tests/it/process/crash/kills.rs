//! Two processes that work on one store, repeatedly killed at random moments.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

use strongroom::crypto::CryptoBackend;

use super::{ENDLESS_CHILD, TestResult, path_in, work};
use crate::support::child_process::{child, fast_folder, whole_lines};
use crate::support::parallel;

/// Number of kills per store.
const KILLS_OF_A_STORE: usize = 10;

/// Default number of kills in a test. `STRONGROOM_CRASH_RUNS` overrides it.
const KILLS: usize = 60;

/// Two processes work on one file and are killed at a random moment, ten times per store.
///
/// After a kill, the test checks a copy of the files, so it repairs nothing for the next processes.
/// The log therefore keeps growing from kill to kill, until one of the processes checkpoints it.
#[test]
fn what_was_acknowledged_survives_a_kill_at_any_instant() -> TestResult {
    let kills: usize = env::var("STRONGROOM_CRASH_RUNS").map_or(Ok(KILLS), |text| text.parse())?;
    let lives: Vec<usize> =
        (0..kills).step_by(KILLS_OF_A_STORE).map(|first| KILLS_OF_A_STORE.min(kills - first)).collect();
    let acknowledged: usize = parallel::run(&lives, |kills| live(*kills))?.iter().sum();
    println!(
        "{kills} kills of two processes at random times, {} stores: {acknowledged} acknowledged changes, all present",
        lives.len()
    );
    assert!(acknowledged > 0, "the children never started to work");
    Ok(())
}

/// Runs one store through its kills. Returns the number of acknowledged changes.
fn live(kills: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let folder = fast_folder()?;
    let path = path_in(&folder);
    work::prepare(&path)?;
    let mut acknowledged = Vec::new();
    for kill in 1..=kills {
        // On a busy machine, a process may be killed before its first change. The first one is not.
        let latest = work_and_be_killed(&path, kill == 1)?;
        let copy = fast_folder()?;
        copy_files(&path, &path_in(&copy))?;
        work::check_latest(&path_in(&copy), &acknowledged, &latest, &format!("kill {kill} of a store"))?;
        acknowledged.extend(latest);
    }
    work::check(&path, &acknowledged, "all kills of a store")?;
    Ok(acknowledged.len())
}

/// Runs two processes until both are killed, and returns the acknowledged changes. If
/// `waits_for_change`, one of them has made a change before.
fn work_and_be_killed(path: &Path, waits_for_change: bool) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let [instant, opened] = random()?;
    let mut workers = [Worker::start(path)?, Worker::start(path)?];
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.go()?;
        // Usually one is already working while the other opens the store. Sometimes both open it.
        if number == 0 && (waits_for_change || opened % 4 != 0) {
            worker.wait_for("opened")?;
        }
    }
    if waits_for_change {
        workers[0].wait_for_change()?;
    }
    // Between 0 and 33 ms.
    thread::sleep(Duration::from_micros(u64::from(instant >> 1)));
    for worker in &mut workers {
        worker.process.kill()?;
    }
    let [first, second] = workers.map(Worker::last_words);
    Ok([first?, second?].concat())
}

fn random() -> strongroom::Result<[u16; 2]> {
    let mut bytes = [[0; 2]; 2];
    for bytes in &mut bytes {
        CryptoBackend::default().random().fill(bytes)?;
    }
    Ok(bytes.map(u16::from_be_bytes))
}

/// Copies the files of a store that no process has open.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for ending in ["", "-wal"] {
        let with_ending = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            name
        };
        match fs::copy(with_ending(from), with_ending(to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound || ending.is_empty() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A child that works until it is killed.
struct Worker {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The acknowledged changes that were already read.
    changes: Vec<String>,
}

impl Worker {
    /// Starts it, up to the point where it would open the store.
    fn start(path: &Path) -> io::Result<Self> {
        let mut process = child(ENDLESS_CHILD, path)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut worker = Self { process, input, output, changes: Vec::new() };
        worker.wait_for("ready")?;
        Ok(worker)
    }

    fn go(&mut self) -> io::Result<()> {
        self.input.write_all(b"go\n")
    }

    /// Waits until it prints a word.
    fn wait_for(&mut self, word: &str) -> io::Result<()> {
        let mut line = String::new();
        // The first word follows output of the test runner.
        while !line.trim_end().ends_with(word) {
            line.clear();
            assert!(self.output.read_line(&mut line)? > 0, "the child ended before it was {word}");
        }
        Ok(())
    }

    /// Waits until it acknowledges a change.
    fn wait_for_change(&mut self) -> io::Result<()> {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line)? > 0, "the child ended before it made a change");
        self.changes.push(line.trim_end().to_owned());
        Ok(())
    }

    /// Returns the changes that it had acknowledged when it was killed.
    fn last_words(mut self) -> io::Result<Vec<String>> {
        self.process.wait()?;
        let mut text = String::new();
        self.output.read_to_string(&mut text)?;
        let mut lines = [self.changes, whole_lines(&text)].concat();
        lines.retain(|line| line != "opened");
        assert!(lines.iter().all(|line| line.starts_with("done ")), "the child failed: {text}");
        Ok(lines)
    }
}
