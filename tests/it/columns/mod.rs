//! Encrypted columns.

mod binding;
mod blind_index;
mod caching;
#[cfg(all(feature = "columns-tokio-postgres", feature = "postgres", unix))]
mod postgres;
#[cfg(all(
    feature = "columns-rusqlite",
    feature = "columns-tokio-postgres",
    feature = "postgres",
    feature = "sqlite",
    unix
))]
mod postgres_shredding;
#[cfg(all(feature = "columns-tokio-postgres", feature = "postgres", unix))]
mod postgres_sweep;
mod properties;
mod reference;
#[cfg(all(feature = "columns-rusqlite", feature = "sqlite"))]
mod shredding;
#[cfg(feature = "columns-rusqlite")]
mod sqlite;
mod support;
#[cfg(all(feature = "columns-rusqlite", feature = "sqlite"))]
mod sweep;
#[cfg(all(feature = "columns-rusqlite", feature = "sqlite"))]
mod sweep_kills;
#[cfg(all(feature = "columns-rusqlite", feature = "sqlite"))]
mod sweep_tables;
mod tenants;
mod values;
