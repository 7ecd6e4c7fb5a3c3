//! The store in PostgreSQL: servers that fail, and networks that do.

#[cfg(feature = "postgres")]
mod connections;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod contract;
#[cfg(feature = "conformance")]
mod contract;
#[cfg(feature = "postgres")]
mod groups;
mod message_faults;
mod network;
mod servers;
#[cfg(feature = "postgres")]
mod tables;
