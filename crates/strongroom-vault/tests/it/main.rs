//! Tests of the package: root keys, providers, outages, runtimes, and migrations.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod formats;
mod hvac;
mod keyring;
mod kills;
mod manual;
mod outages;
mod provider;
mod root_keys;
mod runtimes;
mod support;
