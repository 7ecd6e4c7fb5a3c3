//! The store in PostgreSQL: servers that fail, and networks that do.

mod connections;
#[cfg(feature = "conformance")]
mod contract;
#[cfg(feature = "postgres")]
mod freshness;
mod groups;
#[cfg(feature = "postgres")]
mod groups;
mod message_faults;
mod network;
#[cfg(feature = "postgres")]
mod outcome;
mod servers;
mod tables;
