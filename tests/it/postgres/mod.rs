//! The store in PostgreSQL: servers that fail, and networks that do.

#[cfg(all(feature = "conformance", feature = "postgres"))]
mod contract;
mod network;
mod servers;
