//! Tests of the server: signatures against botocore, credentials, and requests over sockets.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod credentials;
mod http;
#[cfg(unix)]
mod manual;
#[cfg(target_os = "linux")]
mod packaging;
#[cfg(unix)]
mod program;
mod signature;
mod support;
