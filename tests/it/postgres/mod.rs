//! The store in PostgreSQL: servers that fail, and networks that do.

mod network;
mod servers;
