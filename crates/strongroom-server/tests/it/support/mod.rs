//! Helpers of several areas.

pub(crate) mod certificate;
pub(crate) mod peer;
pub(crate) mod server;

// The servers that the tests of the library start.
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../../../tests/it/support/child_process.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
pub(crate) mod child_process;
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../../../tests/it/support/external_tools.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
pub(crate) mod external_tools;
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../../../tests/it/support/openssl.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
pub(crate) mod openssl;
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../../../tests/it/support/postgres/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests of the library use the rest")]
pub(crate) mod postgres;
