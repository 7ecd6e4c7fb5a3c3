//! Options for opening a store in a database.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Config;

use crate::error::{Error, ErrorKind, Result};

/// Settings of a [`PostgresStore`](super::PostgresStore).
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    pub(super) schema: String,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) staleness: Duration,
    pub(super) connections: usize,
}

impl PostgresOptions {
    /// Returns the options for a connection string of PostgreSQL.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the connection string is malformed.
    pub fn new(conninfo: &str) -> Result<Self> {
        let config = conninfo.parse().map_err(|error: tokio_postgres::Error| {
            Error::new(ErrorKind::Validation, "the connection string is malformed").with_source(error)
        })?;
        Ok(Self {
            config,
            schema: "strongroom".into(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            staleness: Duration::from_millis(10),
            connections: 4,
        })
    }

    /// Sets the schema of the tables, by default `strongroom`.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Sets how long a request to the server may take, by default 5 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum delay before a change by another process is observed, by default 10 ms.
    #[must_use]
    pub const fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// Sets the maximum number of connections for reading, at least one and by default four.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }
}

/// Shows no password.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Checked options.
pub(super) type Settings = PostgresOptions;

impl Settings {
    /// Returns the name of the schema as SQL.
    pub(super) fn quoted_schema(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }
}
