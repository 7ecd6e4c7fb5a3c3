//! The store in PostgreSQL: servers that fail, and networks that do.

mod bounds;
mod closing;
mod connections;
#[cfg(feature = "conformance")]
mod contract;
#[cfg(feature = "postgres")]
mod forks;
mod freshness;
mod full_disks;
mod groups;
mod histories;
mod kills;
mod limits;
mod message_faults;
mod network;
mod operation_faults;
mod outcome;
mod servers;
mod sessions;
mod tables;
mod tls;
