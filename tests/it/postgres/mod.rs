//! The store in PostgreSQL: servers that fail, and networks that do.

mod connections;
#[cfg(feature = "conformance")]
mod contract;
mod groups;
mod message_faults;
mod network;
mod servers;
mod tables;
