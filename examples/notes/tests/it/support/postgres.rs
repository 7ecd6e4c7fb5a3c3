//! A PostgreSQL server in a temporary folder, which ends with the process of the tests.

#[path = "../../../../../tests/it/support/postgres/installation.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
mod installation;
#[path = "../../../../../tests/it/support/postgres/server.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
mod server;
#[path = "../../../../../tests/it/support/postgres/supervisor.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
mod supervisor;

use std::error;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::server::Server;
use super::external_tools;

type Result<T, E = Box<dyn error::Error>> = std::result::Result<T, E>;

/// The superuser of every server.
const SUPERUSER: &str = "postgres";

/// Starts a server for one test. If PostgreSQL is missing, the test is reported as skipped.
pub(crate) fn start(test: &str) -> Option<Server> {
    if let Err(reason) = installation::found() {
        external_tools::missing(test, reason);
        return None;
    }
    Some(Server::start(&[]).unwrap_or_else(|error| panic!("{test}: {error}")))
}

/// Creates a database and returns its URL.
pub(crate) fn create_database(server: &Server) -> Result<String> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.sql(SUPERUSER, &format!("CREATE DATABASE {name}"))?;
    Ok(server.url(&name))
}
