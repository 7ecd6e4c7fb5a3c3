//! Writing and reading messages, in memory and in streams.

#[cfg(feature = "tokio")]
mod async_io;
mod branch_keys;
mod check_order;
mod file_example;
#[cfg(all(feature = "aws-lc-rs", feature = "conformance"))]
mod hierarchical_keyring;
mod in_memory;
mod io_errors;
mod key_sources;
mod kms_context_keyring;
mod kms_keyring;
mod nonconforming_writers;
mod reader_equivalence;
mod reader_finish;
mod streaming;
mod suites;
mod unwrap_failures;
mod vectors;
