//! Tests of the package: messages exchanged with other SDKs, outages, and runtimes.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod keyring;
mod kills;
mod manual;
mod outages;
mod provider;
mod root_keys;
mod runtimes;
mod support;
