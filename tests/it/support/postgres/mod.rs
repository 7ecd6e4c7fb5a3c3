//! PostgreSQL servers in temporary folders, and a proxy in front of one.
//!
//! A [`Server`] listens on loopback only. It belongs to an unprivileged user, because PostgreSQL
//! refuses to run as root, and it ends with the test or with the process of the tests, however that
//! ends. [`shared`] is one server for all tests that stop none; each creates its own [`Database`].

mod cluster;
mod installation;
mod proxy;
mod schema;
mod server;
mod supervisor;
mod tls;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{error, thread};

pub(crate) use self::cluster::Cluster;
pub(crate) use self::proxy::{Admission, Direction, Fault, Message, Proxy};
pub(crate) use self::schema::Schema;
pub(crate) use self::server::{OnDisk, Server, psql};
pub(crate) use self::tls::Certificate;
use crate::support::external_tools;

type Result<T, E = Box<dyn error::Error>> = std::result::Result<T, E>;

/// The superuser of every server.
pub(crate) const SUPERUSER: &str = "postgres";

/// The time within which even a busy machine does everything that it usually does immediately. A
/// transaction whose client has vanished no longer blocks others either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the server that tests share, which none of them may stop. If PostgreSQL is missing, the
/// test is reported as skipped.
pub(crate) fn shared(test: &str) -> Option<&'static Server> {
    static SHARED: OnceLock<Server> = OnceLock::new();
    is_installed(test)?;
    Some(SHARED.get_or_init(|| Server::start(&[]).unwrap_or_else(|error| panic!("{error}"))))
}

/// Starts a server with these settings, for one test.
pub(crate) fn own(test: &str, settings: &[(&str, &str)]) -> Option<Server> {
    is_installed(test)?;
    Some(Server::start(settings).unwrap_or_else(|error| panic!("{test}: {error}")))
}

/// Starts a server with a small disk of this size in bytes, for one test. If this process may not
/// mount one, the test is reported as skipped.
pub(crate) fn with_disk(test: &str, size: u64, on_disk: OnDisk, settings: &[(&str, &str)]) -> Option<Server> {
    is_installed(test)?;
    let server = Server::start_with_disk(size, on_disk, settings).unwrap_or_else(|error| panic!("{test}: {error}"));
    if server.is_none() {
        external_tools::not_run(test, "only root may mount a disk");
    }
    server
}

/// Starts a primary and its synchronous standby, for one test.
pub(crate) fn cluster(test: &str) -> Option<Cluster> {
    is_installed(test)?;
    Some(Cluster::start().unwrap_or_else(|error| panic!("{test}: {error}")))
}

/// Returns `None`, and reports the test as skipped, if PostgreSQL is missing.
pub(crate) fn is_installed(test: &str) -> Option<()> {
    if let Err(reason) = installation::found() {
        external_tools::missing(test, reason);
        return None;
    }
    Some(())
}

/// An empty database, dropped at the end of its test.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl<'a> Database<'a> {
    /// Creates a database.
    pub(crate) fn create(server: &'a Server) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.sql(SUPERUSER, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { server, name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL with which the superuser connects.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Executes SQL statements as the superuser, and returns the rows that they print.
    pub(crate) fn sql(&self, statements: &str) -> Result<String> {
        self.server.sql(&self.name, statements)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A test may have stopped its server.
        let dropped = self.server.sql(SUPERUSER, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        if let Err(error) = dropped
            && self.server.is_running()
            && !thread::panicking()
        {
            panic!("{error}");
        }
    }
}
