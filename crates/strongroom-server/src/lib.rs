#![forbid(unsafe_code)]
//! A server for the AWS KMS API on the keys of a strongroom store.
//!
//! The program `strongroom-server` is a thin shell around this library, which tests and other
//! programs may use to serve a [`Kms`](strongroom::Kms) in their own process.
//!
//! | module | contains |
//! |---|---|
//! | [`http`] | the HTTP server with its limits |
//! | [`signature`] | verification of Signature Version 4 |
//! | [`credentials`] | access keys, and the file that contains them |
//! | [`tls`], [`metrics`], [`reload`] | certificates, the page for Prometheus, values that are replaced at run time |

#[doc(hidden)]
pub mod command;
pub mod credentials;
#[cfg(unix)]
mod descriptors;
#[cfg(not(unix))]
#[path = "descriptors_elsewhere.rs"]
mod descriptors;
mod error;
pub mod http;
pub mod metrics;
mod refusals;
pub mod reload;
pub mod signature;
mod sts;
pub mod tls;

pub use error::{Error, Result};
