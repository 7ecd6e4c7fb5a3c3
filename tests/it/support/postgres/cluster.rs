//! A primary with a synchronous standby.

use super::server::Server;
use super::{Result, SUPERUSER};

/// The name by which the primary knows the standby.
const STANDBY: &str = "standby";

/// A primary and a standby. A commit of the primary returns when it is durable on both.
#[derive(Debug)]
pub(crate) struct Cluster {
    primary: Server,
    standby: Server,
}

impl Cluster {
    /// Starts both from the same initial data, so that the standby needs no base backup.
    pub(super) fn start() -> Result<Self> {
        let primary = Server::create(&[("wal_keep_size", "256MB"), ("synchronous_standby_names", STANDBY)])?;
        let source = format!("host=127.0.0.1 port={} user={SUPERUSER} application_name={STANDBY}", primary.port());
        let standby = Server::create(&[("primary_conninfo", &source), ("wal_retrieve_retry_interval", "100ms")])?;
        standby.create_file("standby.signal")?;
        primary.start_again()?;
        standby.start_again()?;
        let cluster = Self { primary, standby };
        cluster.wait_until_synchronous()?;
        Ok(cluster)
    }

    pub(crate) fn primary(&self) -> &Server {
        &self.primary
    }

    pub(crate) fn standby(&self) -> &Server {
        &self.standby
    }

    /// Waits until commits of the primary wait for the standby.
    pub(crate) fn wait_until_synchronous(&self) -> Result<()> {
        self.primary.wait_for("SELECT sync_state FROM pg_stat_replication", "sync")
    }

    /// Makes the standby a primary. The old primary runs on, and its commits wait forever.
    pub(crate) fn promote(&self) -> Result<()> {
        self.standby.sql(SUPERUSER, "SELECT pg_promote(true, 30)").map(drop)
    }
}
