//! Tests of the KMS that run in memory run again on the durable stores.

use std::process::Output;

use crate::support::any_store::VARIABLE;
use crate::support::child_process::{fast_folder, run_tests};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Areas whose stores come from `support::any_store`.
const AREAS: [&str; 9] = [
    "access::accounts::",
    "access::grants::",
    "access::policies::",
    "audit::after_commit::",
    "kms::aliased_keys::",
    "kms::clock_jumps::",
    "kms::iterators::",
    "kms::keys::",
    "kms::rotation::",
];

fn check(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && !text.contains("ok. 0 passed"), "{text}");
}

#[cfg(feature = "sqlite")]
#[test]
fn tests_of_the_kms_hold_on_sqlite() -> TestResult {
    let folder = fast_folder()?;
    let place = format!("sqlite:{}", folder.path().display());
    check(&run_tests(&AREAS, (VARIABLE, &place))?);
    Ok(())
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn tests_of_the_kms_hold_on_postgres() -> TestResult {
    use crate::support::postgres::{Database, shared};

    let Some(server) = shared("storage::every_store::tests_of_the_kms_hold_on_postgres") else { return Ok(()) };
    let database = Database::create(server)?;
    check(&run_tests(&AREAS, (VARIABLE, &database.url()))?);
    Ok(())
}
