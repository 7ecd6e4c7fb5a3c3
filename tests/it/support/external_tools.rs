//! External software that some tests require.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Returns the path of a tool from the environment variable with this name.
///
/// If the tool is missing, the test is reported as skipped. With `STRONGROOM_REQUIRE=all`, it fails
/// instead.
pub(crate) fn tool(test: &str, variable: &str, what: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    missing(test, &format!("{variable} is not set to {what}; ./test.sh sets it"));
    None
}

/// Like [`tool`], but if the variable is not set, also accepts a program on the path whose
/// `version` output starts with one of `versions`.
pub(crate) fn tool_on_path(test: &str, variable: &str, program: &str, versions: &[&str]) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let printed = Command::new(program).arg("version").output().map_or(Vec::new(), |output| output.stdout);
    if versions.iter().any(|version| printed.starts_with(version.as_bytes())) {
        return Some(PathBuf::from(program));
    }
    missing(test, &format!("{program} is not {}, and {variable} is not set to one", versions.join(" or ")));
    None
}

/// Reports a test as skipped, or fails it if `STRONGROOM_REQUIRE=all`.
pub(crate) fn missing(test: &str, reason: &str) {
    assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "{test}: {reason}");
    not_run(test, reason);
}

/// Reports a test as skipped, because it needs what no program can install.
pub(crate) fn not_run(test: &str, reason: &str) {
    // Do not use `println`, because the test runner hides its output for passing tests.
    let _ = writeln!(std::io::stderr(), "not run: {test} ({reason})");
}
