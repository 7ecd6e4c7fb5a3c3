//! Programs that we did not write.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Returns a Python with boto3, from `STRONGROOM_PYTHON`. If it is not set, the test is skipped,
/// unless `STRONGROOM_REQUIRE` says that nothing may be skipped.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    match env::var_os("STRONGROOM_PYTHON") {
        Some(python) => Some(python.into()),
        None if env::var("STRONGROOM_REQUIRE").is_ok_and(|required| required == "all") => {
            panic!("{test}: STRONGROOM_PYTHON is not set")
        }
        None => {
            eprintln!("{test}: skipped, because STRONGROOM_PYTHON does not name a python that has boto3");
            None
        }
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
