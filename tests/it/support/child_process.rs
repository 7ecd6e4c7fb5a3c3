//! Runs this test binary again as a child that works on a store.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};

use tempfile::TempDir;

/// The environment variable with the path of the child's store.
pub(crate) const STORE: &str = "STRONGROOM_CRASH_STORE";

/// Creates a temporary folder, in memory if possible. Neither a killed process nor a simulated
/// fault requires a disk, which would slow down thousands of runs.
pub(crate) fn fast_folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// Returns the command that runs the test `name`, which is otherwise ignored, as a child on a
/// store.
pub(crate) fn child(name: &str, path: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(this_program()?);
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(STORE, path);
    Ok(command)
}

/// Returns `true` in a process that runs only the test `name`. Otherwise starts such a process,
/// requires it to succeed, and returns `false`.
///
/// For tests that fork. The child of a fork is a copy of one thread, and a lock that another thread
/// holds stays locked in it: for example SQLite's lock for memory, while another test uses SQLite.
pub(crate) fn is_alone(name: &str) -> std::io::Result<bool> {
    const ALONE: &str = "STRONGROOM_TEST_ALONE";
    if env::var_os(ALONE).is_some_and(|running| running == name) {
        return Ok(true);
    }
    let arguments = [name, "--exact", "--nocapture", "--test-threads=1"];
    let output = Command::new(this_program()?).args(arguments).env(ALONE, name).output()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{name} failed in a process of its own:\n{text}");
    Ok(false)
}

/// Runs all tests whose names contain one of the words, in a process of their own.
pub(crate) fn run_tests(words: &[&str], variables: &[(&str, &str)]) -> std::io::Result<Output> {
    Command::new(this_program()?).args(words).envs(variables.iter().copied()).output()
}

/// Returns the path of this program. On Linux, the path remains valid when a build replaces the
/// file.
fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from(format!("/proc/{}/exe", process::id()));
    if running.exists() { Ok(running) } else { env::current_exe() }
}

/// Returns the lines that a child printed, without a truncated last line.
pub(crate) fn whole_lines(text: &str) -> Vec<String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    // The test runner prints the name of the test on the same line, before the first output of the
    // child.
    let said = |line: &str| {
        line.strip_prefix("test ").and_then(|named| named.split_once(" ... ")).map_or(line, |(_, said)| said).to_owned()
    };
    whole.lines().map(said).collect()
}
