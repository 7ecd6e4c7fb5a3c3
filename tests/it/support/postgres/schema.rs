//! A store in a schema of its own, so that tests can share a database.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom::Result;
use strongroom::store::{PostgresOptions, PostgresStore};

use super::{SUPERUSER, Server};

/// The place of a store.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    url: String,
    name: String,
}

impl Schema {
    /// Creates the tables of a store.
    pub(crate) fn create(server: &Server) -> Result<Self> {
        Self::create_at(&server.url(SUPERUSER))
    }

    /// Creates the tables of a store in the database with this URL.
    pub(crate) fn create_at(url: &str) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Processes of tests may share a server.
        let schema = Self::existing(url, &format!("store_{}_{number}", std::process::id()));
        PostgresStore::create_schema(&schema.options()?)?;
        Ok(schema)
    }

    /// Returns the place of a store that exists.
    pub(crate) fn existing(url: &str, name: &str) -> Self {
        Self { url: url.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn options(&self) -> Result<PostgresOptions> {
        self.options_at(&self.url)
    }

    /// Returns the options with which the store is reached through another URL.
    pub(crate) fn options_at(&self, url: &str) -> Result<PostgresOptions> {
        Ok(PostgresOptions::new(url)?.schema(&self.name))
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Result<PostgresStore> {
        PostgresStore::open(&self.options()?)
    }
}
