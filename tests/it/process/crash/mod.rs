//! The state left behind by a process that ends at any moment, a disk that fails at any call, and a
//! power cut.
//!
//! A child, which is this test binary run again, works on a store and reports each acknowledged
//! change on a pipe. Afterwards, everything that it reported must be present, and everything else
//! that is present must be intact.
//!
//! `STRONGROOM_CRASH_RUNS` sets how often two children are killed at a random moment. The default
//! is 60. `STRONGROOM_DISK_FAULTS=all` injects every kind of fault at every call, and not only at
//! some of them.

mod kills;
mod rotation;
mod work;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::child_process::{STORE, child, fast_folder, whole_lines};
use crate::support::disk_faults::{self, Fault, Run, Shim};
use crate::support::parallel;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Names of the two children in libtest.
const ENDLESS_CHILD: &str = "process::crash::works_until_killed";
const BOUNDED_CHILD: &str = "process::crash::works_to_the_end";

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("keys.strongroom")
}

#[test]
#[ignore = "run only as the child process of a crash test"]
fn works_until_killed() -> TestResult {
    work::without_end(Path::new(&env::var_os(STORE).ok_or("run only by a crash test")?))
}

#[test]
#[ignore = "run only as the child process of a crash test"]
fn works_to_the_end() -> TestResult {
    work::to_the_end(Path::new(&env::var_os(STORE).ok_or("run only by a crash test")?));
    Ok(())
}

/// A process whose files may not grow beyond a limit first gets short writes and then errors,
/// wherever the limit is: in the log, in the file, in the middle of a page. Unlike the faults
/// below, this needs no preloaded library.
#[cfg(unix)]
#[test]
fn what_was_acknowledged_survives_a_limit_on_the_size_of_files() -> TestResult {
    let mut total = 0;
    for blocks in [60, 97, 150, 333] {
        let folder = tempfile::tempdir()?;
        work::prepare(&path_in(&folder))?;
        // The signal is ignored, so that the write fails. Blocks have 512 or 1,024 bytes.
        let script = "trap '' XFSZ; ulimit -f $0; exec \"$@\"";
        let plain = child(ENDLESS_CHILD, &path_in(&folder))?;
        let output = Command::new("sh")
            .stdin(Stdio::null())
            .args(["-c", script, &blocks.to_string()])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env(STORE, path_in(&folder))
            .output()?;
        let (text, error) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(!output.status.success() && error.contains("kind: Store"), "{error}");
        let acknowledged: Vec<String> =
            whole_lines(&text).into_iter().filter(|line| line.starts_with("done ")).collect();
        total += acknowledged.len();
        work::check(&path_in(&folder), &acknowledged, &format!("{blocks} blocks"))?;
    }
    assert!(total > 0, "nothing was written before the limit");
    Ok(())
}

/// Results of the runs with one kind of fault.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    acknowledged: usize,
    refused: usize,
}

/// Runs the finite child with a fault, on a store that does not exist yet.
fn run(shim: &Shim, store: &Path, fault: Fault) -> std::io::Result<Run> {
    shim.run(&mut child(BOUNDED_CHILD, store)?, store, fault)
}

/// Injects every kind of fault at the calls of a child, from the first to the last.
#[test]
fn what_was_acknowledged_survives_every_fault_at_every_call() -> TestResult {
    let Some(shim) = disk_faults::built("process::crash::what_was_acknowledged_survives_every_fault_at_every_call")
    else {
        return Ok(());
    };
    let folder = fast_folder()?;
    let whole = run(&shim, &path_in(&folder), Fault { kind: "none", at: 0, seed: 0 })?;
    assert!(whole.finished && whole.refused.is_empty(), "{whole:?}");
    work::check(&path_in(&folder), &whole.acknowledged, "no fault")?;
    let calls = whole.calls.len();
    let runs = parallel::run(&disk_faults::faults(calls, 1)?, |fault| {
        let folder = fast_folder()?;
        let what = format!("{fault:?} of {calls} calls, {}", whole.calls[usize::try_from(fault.at)? - 1]);
        let run = run(&shim, &path_in(&folder), *fault)?;
        disk_faults::check_ending(fault, &run, &what);
        work::check(&path_in(&folder), &run.acknowledged, &what)?;
        Ok((fault.kind, run))
    })?;
    let mut tallies = BTreeMap::new();
    for (kind, run) in runs {
        let tally: &mut Tally = tallies.entry(kind).or_default();
        tally.runs += 1;
        tally.acknowledged += run.acknowledged.len();
        tally.refused += run.refused.len();
    }
    let runs: u64 = tallies.values().map(|tally| tally.runs).sum();
    println!(
        "a child performs {calls} calls; {runs} runs with a fault, after each of which all acknowledged changes \
         were present:"
    );
    for (kind, Tally { runs, acknowledged, refused }) in &tallies {
        println!("  {kind:12} {runs:4} runs, {acknowledged:5} changes acknowledged, {refused:4} refused");
    }
    Ok(())
}
