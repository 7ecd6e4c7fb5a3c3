//! External software that some tests need.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// The path of a tool, from the environment variable that names it.
///
/// Without it the test does not run and says so, unless `STRONGROOM_REQUIRE=all` asks for every test: then it fails.
pub(crate) fn tool(test: &str, variable: &str, what: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    missing(test, &format!("{variable} is not set to {what}; ./test.sh does that"));
    None
}

/// As [`tool`], and without the variable a program on the path will do, if the `version` that it prints starts with
/// one of `versions`.
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

/// Says that a test does not run, or fails it if `STRONGROOM_REQUIRE=all` asks for every test.
pub(crate) fn missing(test: &str, reason: &str) {
    assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "{test}: {reason}");
    // Not by `println`, which the test runner keeps to itself where a test passes.
    let _ = writeln!(std::io::stderr(), "not run: {test} ({reason})");
}
