//! Tests of the KMS that run in memory run again on the durable stores.
//!
//! On PostgreSQL, only those in which several processes meet, a commit is interrupted or refused, or a
//! list is long: to a store, every other change is a commit of some bytes, as on SQLite.
//! `STRONGROOM_EVERY_STORE=all` runs all of them there too.

use std::process::Output;

use crate::support::any_store::VARIABLE;
use crate::support::child_process::{fast_folder, run_tests};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Areas whose stores come from `support::any_store`.
const AREAS: [&str; 17] = [
    "access::grants::",
    "audit::after_commit::",
    "audit::ambiguous_commits::",
    "audit::chain_state::",
    "hsm::custom_key_store_failures::",
    "kms::aliased_keys::",
    "kms::clock_jumps::",
    "kms::closing::",
    "kms::iterators::",
    "kms::keys::",
    "kms::metering::",
    "kms::rotation::",
    "kms::several_hosts::",
    "parameters::concurrency::creation_and_deletion",
    "parameters::concurrency::no_put_is_lost",
    "parameters::versions::",
    "root_key::rotation::",
];

/// More of these areas, by default only for SQLite.
const MORE_AREAS: [&str; 12] = [
    "access::accounts::",
    "access::policies::",
    "audit::events::",
    "audit::failed_calls::",
    "audit::trail_files::",
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

/// Runs more tests at a time than the test runner would: they wait for their stores.
fn run(place: &str, more: &[&str]) -> std::io::Result<Output> {
    let skipped = IN_MEMORY.iter().flat_map(|name| ["--skip", name]);
    let words: Vec<_> = AREAS.iter().chain(more).copied().chain(skipped).collect();
    run_tests(&words, &[(VARIABLE, place), ("RUST_TEST_THREADS", "8")])
}

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
    check(&run(&place, &MORE_AREAS)?);
    Ok(())
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn tests_of_the_kms_hold_on_postgres() -> TestResult {
    use crate::support::postgres::{Database, shared};

    let Some(server) = shared("storage::every_store::tests_of_the_kms_hold_on_postgres") else { return Ok(()) };
    let database = Database::create(server)?;
    let all = std::env::var_os("STRONGROOM_EVERY_STORE").is_some_and(|value| value == "all");
    check(&run(&database.url(), if all { &MORE_AREAS } else { &[] })?);
    Ok(())
}
