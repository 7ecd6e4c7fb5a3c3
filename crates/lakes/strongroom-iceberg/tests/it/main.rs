//! Encrypted Iceberg tables under keys of a KMS.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod boto3;
mod refusals;
mod rotation;
mod support;
mod tables;
