//! Encrypted Parquet files under keys of a KMS.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "tokio")]
mod asynchronous;
mod pyarrow;
mod refusals;
mod rotation;
mod support;
mod tables;
