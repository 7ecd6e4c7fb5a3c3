#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | contains |
//! |---|---|
//! | `client` | [`ParquetKms`] |
//! | `async_client` | `AsyncParquetKms` (with the feature `tokio`) |
//! | `error` | [`error_inside`], [`is_retryable`] |

#[cfg(feature = "tokio")]
mod async_client;
mod client;
mod error;

#[cfg(feature = "tokio")]
pub use async_client::AsyncParquetKms;
pub use client::{MAX_WRAPPED_KEY_LENGTH, ParquetKms};
pub use error::{error_inside, is_retryable};
