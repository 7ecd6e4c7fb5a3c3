//! Programs that we did not write.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Returns a Python with boto3, from `STRONGROOM_PYTHON`. If it is not set, the test is skipped,
/// unless `STRONGROOM_REQUIRE` says that nothing may be skipped.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    program(test, "STRONGROOM_PYTHON", "a python that has boto3")
}

/// Returns a Node.js for which the packages of `tests/interop` are installed, from
/// `STRONGROOM_NODE`, like [`python`].
pub(crate) fn node(test: &str) -> Option<PathBuf> {
    program(test, "STRONGROOM_NODE", "a node for which tests/interop/node_modules is installed")
}

fn program(test: &str, variable: &str, what: &str) -> Option<PathBuf> {
    match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(program) => Some(program.into()),
        None => {
            missing(test, &format!("{variable} is not set to {what}; ./test.sh sets it"));
            None
        }
    }
}

/// Reports a test that is skipped because a program is missing. The test fails instead if
/// `STRONGROOM_REQUIRE` says that nothing may be skipped.
pub(crate) fn missing(test: &str, reason: &str) {
    let is_required = env::var("STRONGROOM_REQUIRE").is_ok_and(|required| required == "all");
    assert!(!is_required, "{test}: {reason}");
    not_run(test, reason);
}

/// Reports a test that is skipped. The test runner hides the output of `eprintln` for passing tests.
pub(crate) fn not_run(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "not run: {test} ({reason})");
}

/// Returns a path in the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Returns the command that runs a script of this package or of `tests/interop` in an interpreter.
pub(crate) fn script(interpreter: &Path, path: &Path, environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(path).env("PYTHONUTF8", "1").env("NODE_NO_WARNINGS", "1");
    command.env("NODE_PATH", in_repository("tests/interop/node_modules"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// A script that answers each line of JSON with another.
pub(crate) struct Conversation {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Conversation {
    /// Starts a script of the folder `peers`.
    pub(crate) fn start(interpreter: &Path, name: &str, environment: &[(&str, String)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers").join(name);
        let mut command = script(interpreter, &path, environment);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, requests, answers }
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        let length = self.answers.read_line(&mut line).unwrap();
        assert!(length > 0, "the peer ended at {request}");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        drop(self.requests.take());
        self.child.wait().ok();
    }
}

/// Runs a script of the folder `peers` with this standard input, and returns its standard output.
pub(crate) fn run(python: &PathBuf, script: &str, input: &str, environment: &[(&str, &str)]) -> String {
    try_run(python, script, input, environment).unwrap_or_else(|| panic!("{script} failed"))
}

/// Runs a script like [`run`], and returns `None` if it fails.
pub(crate) fn try_run(python: &PathBuf, script: &str, input: &str, environment: &[(&str, &str)]) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers").join(script);
    let mut child = Command::new(python)
        .arg(path)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}
