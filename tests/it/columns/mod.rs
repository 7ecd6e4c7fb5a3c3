//! Encrypted columns.

mod binding;
mod blind_index;
mod caching;
#[cfg(all(feature = "columns-tokio-postgres", feature = "postgres", unix))]
mod postgres;
mod reference;
#[cfg(feature = "columns-rusqlite")]
mod sqlite;
mod support;
#[cfg(all(feature = "columns-rusqlite", feature = "sqlite"))]
mod sweep;
mod tenants;
mod values;
