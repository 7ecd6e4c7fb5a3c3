//! This test binary, run again as a child that works on a store.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use tempfile::TempDir;

/// Tells a child where its store is.
pub(crate) const STORE: &str = "STRONGROOM_CRASH_STORE";

/// A folder in memory where there is one: neither the end of a process nor a fault that the library makes up needs a disk,
/// and thousands of runs would wait for it.
pub(crate) fn fast_folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

pub(crate) fn child(name: &str, path: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(this_program()?);
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(STORE, path);
    Ok(command)
}

/// This program. Where there is such a name, one that leads to it also after its file was replaced, as a build beside it does.
fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from(format!("/proc/{}/exe", process::id()));
    if running.exists() { Ok(running) } else { env::current_exe() }
}

/// What a child said, without a last line that was cut off.
pub(crate) fn whole_lines(text: &str) -> Vec<String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    // The first thing that it says stands on the line on which the test runner names it.
    let said = |line: &str| {
        line.strip_prefix("test ").and_then(|named| named.split_once(" ... ")).map_or(line, |(_, said)| said).to_owned()
    };
    whole.lines().map(said).collect()
}
