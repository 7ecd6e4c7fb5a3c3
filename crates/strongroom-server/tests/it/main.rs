//! Tests of the server: signatures against botocore, credentials, and requests over sockets.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod credentials;
mod http;
mod signature;
mod support;
