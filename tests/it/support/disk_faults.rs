//! Fault injection between a child and its files. The library (`tests/support/disk_faults`) is
//! built once and loaded into children.

use std::num::TryFromIntError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, io};

use crate::support::child_process::whole_lines;
use crate::support::external_tools;

/// Kinds of faults, and the number of calls from one fault to the next unless every call is tested.
pub(crate) const KINDS: [(&str, usize); 10] = [
    ("kill", 5),
    ("torn", 9),
    ("power", 3),
    ("power_random", 7),
    ("short", 17),
    ("eio", 9),
    ("enospc", 13),
    ("enospc_once", 17),
    ("short_enospc", 17),
    ("erofs", 13),
];

/// A fault to inject into a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    /// The number of the call, counted from 1.
    pub(crate) at: u64,
    pub(crate) seed: u64,
}

impl Fault {
    /// Returns `true` if data that was not synchronized is lost.
    pub(crate) fn cuts_power(&self) -> bool {
        matches!(self.kind, "power" | "power_random")
    }

    /// Returns `true` if the fault ends the process.
    pub(crate) fn ends_the_process(&self) -> bool {
        matches!(self.kind, "kill" | "torn") || self.cuts_power()
    }

    /// Returns `true` if only one call fails.
    pub(crate) fn is_over_at_once(&self) -> bool {
        matches!(self.kind, "short" | "eio" | "enospc_once")
    }
}

/// Returns faults of every kind for a child that makes `calls` calls. If
/// `STRONGROOM_DISK_FAULTS=all`, there is one at each call; otherwise, they are `thinning` times as
/// far apart as in [`KINDS`].
pub(crate) fn faults(calls: usize, thinning: usize) -> Result<Vec<Fault>, TryFromIntError> {
    let calls = u64::try_from(calls)?;
    let all = env::var_os("STRONGROOM_DISK_FAULTS").is_some_and(|value| value == "all");
    let at_calls = |(kind, step): (&'static str, usize)| {
        let calls = (1..=calls).step_by(if all { 1 } else { step * thinning });
        calls.map(move |at| Fault { kind, at, seed: at })
    };
    Ok(KINDS.into_iter().flat_map(at_calls).collect())
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) acknowledged: Vec<String>,
    /// Rejected changes, with the reason.
    pub(crate) refused: Vec<String>,
    /// `true` if the child finished its work.
    pub(crate) finished: bool,
    /// All counted calls, in order.
    pub(crate) calls: Vec<String>,
}

pub(crate) struct Shim(PathBuf);

/// Returns the library and builds it if necessary. Returns `None` if it cannot be built here, which
/// is reported as a skipped test.
pub(crate) fn built(test: &str) -> Option<Shim> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(build) {
        Ok(path) => Some(Shim(path.clone())),
        Err(reason) => {
            external_tools::missing(test, reason);
            None
        }
    }
}

fn build() -> Result<PathBuf, String> {
    if !cfg!(target_os = "linux") {
        return Err("LD_PRELOAD is for Linux".to_owned());
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk_faults/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk_faults");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(target.join("debug/libstrongroom_disk_faults.so"))
}

impl Shim {
    /// Runs a child and injects a fault into its calls to the files of a store.
    pub(crate) fn run(&self, command: &mut Command, store: &Path, fault: Fault) -> io::Result<Run> {
        let log = store.with_extension("calls");
        let output = command
            .env("LD_PRELOAD", &self.0)
            .env("DISK_FAULT_FILES", store)
            .env("DISK_FAULT_KIND", fault.kind)
            .env("DISK_FAULT_AT", fault.at.to_string())
            .env("DISK_FAULT_SEED", fault.seed.to_string())
            .env("DISK_FAULT_LOG", &log)
            .output()?;
        let lines = whole_lines(&String::from_utf8_lossy(&output.stdout));
        let beginning =
            |word: &str| lines.iter().filter(|line| line.starts_with(word)).cloned().collect::<Vec<String>>();
        let finished = lines.iter().any(|line| line == "end");
        // The child is killed or completes its work; it never panics.
        let killed = output.status.code().is_none();
        assert!(killed != finished, "{fault:?}: {lines:?}\n{}", String::from_utf8_lossy(&output.stderr));
        let calls = fs::read_to_string(&log)?.lines().map(str::to_owned).collect();
        fs::remove_file(&log)?;
        Ok(Run { acknowledged: beginning("done "), refused: beginning("refused "), finished, calls })
    }
}

/// Checks that a child with a fault ended as expected.
pub(crate) fn check_ending(fault: &Fault, run: &Run, what: &str) {
    assert_eq!(run.finished, !fault.ends_the_process(), "{what}: {run:?}");
    let most_refused = match fault.kind {
        // SQLite writes the rest after a short write, so no change is rejected.
        "short" => 0,
        // Only the change in which the fault occurs.
        "eio" | "enospc_once" => 1,
        _ if fault.ends_the_process() => 0,
        _ => usize::MAX,
    };
    assert!(run.refused.len() <= most_refused, "{what}: {run:?}");
}
