//! Tests of the KMS that run in memory run again on the durable stores.
//!
//! On PostgreSQL, only those in which several processes meet, a commit is interrupted or refused, or a
//! list is long: to a store, every other change is a commit of some bytes, as on SQLite.
//! `STRONGROOM_EVERY_STORE=all` runs all of them there too.
//!
//! These are the longest tests. The test runner starts tests in the order of their names, and the name
//! of this area is among the first, so that no processor waits for them at the end.

#[cfg(feature = "sqlite")]
use std::iter;
use std::process::Output;

use crate::support::any_store::VARIABLE;
use crate::support::child_process::run_tests;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Areas whose stores come from `support::any_store`. On PostgreSQL, a process runs each of these
/// groups, which take about the same time.
const KEYS: [&str; 7] = [
    "kms::aliased_keys::",
    "kms::clock_jumps::",
    "kms::closing::",
    "kms::iterators::",
    "kms::keys::",
    "kms::metering::",
    "kms::rotation::",
];
const RECORDS: [&str; 10] = [
    "access::grants::",
    "audit::after_commit::",
    "audit::ambiguous_commits::",
    "audit::chain_state::",
    "envelope::branch_keys::",
    "hsm::custom_key_store_failures::",
    "kms::several_hosts::",
    "parameters::concurrency::creation_and_deletion",
    "parameters::concurrency::no_put_is_lost",
    "parameters::versions::",
];
const ROOT_KEY: [&str; 1] = ["root_key::rotation::"];

/// More of these areas, by default only for SQLite.
const MORE_AREAS: [&str; 13] = [
    "access::accounts::",
    "access::policies::",
    "audit::events::",
    "audit::failed_calls::",
    "audit::trail_files::",
    "envelope::hierarchical_keyring::",
    "hsm::custom_key_stores::",
    "import::key_material::",
    "import::key_transfer::",
    "kms::metrics::",
    "parameters::access::",
    "parameters::lists::",
    "root_key::sources::a_wrong_root_key",
];

/// Tests of these areas that are about cryptography or a great number of records, which takes most of
/// their time.
const IN_MEMORY: [&str; 7] = [
    "a_page_may_be_empty_and_the_list_goes_on",
    "an_asymmetric_or_hmac_key_keeps_its_first_material_for_ever",
    "both_backends_refuse_wrapped_material_alike",
    "damage_another_key_and_an_alteration_are_told_apart_and_change_nothing",
    "every_kind_of_material_comes_in_by_every_way_that_it_fits_and_by_no_other",
    "imported_material_gives_the_same_answers_as_outside",
    "what_is_not_material_of_the_key_is_refused_and_named",
];

fn run<'a>(place: &str, areas: impl IntoIterator<Item = &'a str>, threads: &str) -> std::io::Result<Output> {
    let skipped = IN_MEMORY.iter().flat_map(|name| ["--skip", name]);
    let words: Vec<_> = areas.into_iter().chain(skipped).collect();
    run_tests(&words, &[(VARIABLE, place), ("RUST_TEST_THREADS", threads)])
}

fn check(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && !text.contains("ok. 0 passed"), "{text}");
}

/// More tests at a time than the test runner would run: they wait for their stores.
#[cfg(feature = "sqlite")]
#[test]
fn tests_of_the_kms_hold_on_sqlite() -> TestResult {
    let folder = crate::support::child_process::fast_folder()?;
    let place = format!("sqlite:{}", folder.path().display());
    let areas = iter::empty().chain(KEYS).chain(RECORDS).chain(ROOT_KEY).chain(MORE_AREAS);
    check(&run(&place, areas, "8")?);
    Ok(())
}

#[cfg(all(feature = "postgres", unix))]
mod postgres {
    use super::{KEYS, MORE_AREAS, RECORDS, ROOT_KEY, TestResult, check, run};
    use crate::support::postgres::{Database, shared};

    fn hold(test: &str, areas: &[&str]) -> TestResult {
        let Some(server) = shared(&format!("all_stores::postgres::{test}")) else { return Ok(()) };
        let database = Database::create(server)?;
        check(&run(&database.url(), areas.iter().copied(), "4")?);
        Ok(())
    }

    #[test]
    fn tests_of_keys_hold() -> TestResult {
        hold("tests_of_keys_hold", &KEYS)
    }

    #[test]
    fn tests_of_records_hold() -> TestResult {
        let all = std::env::var_os("STRONGROOM_EVERY_STORE").is_some_and(|value| value == "all");
        let more: &[&str] = if all { &MORE_AREAS } else { &[] };
        hold("tests_of_records_hold", &[&RECORDS[..], more].concat())
    }

    #[test]
    fn tests_of_the_root_key_hold() -> TestResult {
        hold("tests_of_the_root_key_hold", &ROOT_KEY)
    }
}
