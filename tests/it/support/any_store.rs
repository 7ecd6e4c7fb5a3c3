//! Stores for tests that hold on every store: in memory, unless `STRONGROOM_TEST_STORE` is `sqlite:`
//! and a folder, or the URL of a database.

use std::sync::Arc;
use std::time::Duration;
use std::{env, fmt};

use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{Kms, KmsBuilder, Result};

/// The environment variable that selects the store.
pub(crate) const VARIABLE: &str = "STRONGROOM_TEST_STORE";

/// Opens a store with a bound on the age of its reads, or with the default bound.
type Open = dyn Fn(Option<Duration>) -> Result<Arc<dyn KeyStore>> + Send + Sync;

/// The place of a store that several processes share.
#[derive(Clone)]
pub(crate) struct Place(Arc<Open>);

impl Place {
    /// Returns the place of a new, empty store.
    pub(crate) fn new() -> Result<Self> {
        if let Ok(place) = env::var(VARIABLE) {
            return Ok(Self(durable(&place)?));
        }
        let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
        Ok(Self(Arc::new(move |_| Ok(Arc::clone(&store)))))
    }

    /// Opens the store as another process would: in a file or a database, with connections of its
    /// own. Changes through other handles are observed immediately.
    pub(crate) fn open(&self) -> Result<Arc<dyn KeyStore>> {
        (self.0)(Some(Duration::ZERO))
    }

    /// Opens the store as the only process would: reads may be as old as by default. A database is
    /// then asked for its revision a hundred times less often.
    pub(crate) fn open_alone(&self) -> Result<Arc<dyn KeyStore>> {
        (self.0)(None)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// Returns `true` if new stores are in memory, where a commit costs next to nothing.
pub(crate) fn is_in_memory() -> bool {
    env::var_os(VARIABLE).is_none()
}

/// Returns a new, empty store.
pub(crate) fn new() -> Result<Arc<dyn KeyStore>> {
    (Place::new()?.0)(None)
}

/// Returns a builder with a new store.
pub(crate) fn builder() -> KmsBuilder {
    if is_in_memory() {
        return Kms::builder();
    }
    Kms::builder().store(new().expect("a store can be created"), RootKey::from_bytes(&[7; 32]))
}

/// Returns a KMS with a new store.
pub(crate) fn kms() -> Result<Kms> {
    builder().build()
}

fn durable(place: &str) -> Result<Arc<Open>> {
    #[cfg(feature = "sqlite")]
    if let Some(folder) = place.strip_prefix("sqlite:") {
        return sqlite::create(folder);
    }
    #[cfg(all(feature = "postgres", unix))]
    if place.starts_with("postgres:") {
        return postgres::create(place);
    }
    panic!("{VARIABLE}={place} names no store")
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use strongroom::Result;
    use strongroom::crypto::CryptoBackend;
    use strongroom::store::{SqliteOptions, SqliteStore};

    use super::Open;

    pub(super) fn create(folder: &str) -> Result<Arc<Open>> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let path = Path::new(folder).join(format!("{}.strongroom", NUMBER.fetch_add(1, Ordering::Relaxed)));
        Ok(Arc::new(move |bound| {
            let options = SqliteOptions::default();
            let options = bound.map_or(options, |bound| options.staleness(bound));
            Ok(Arc::new(SqliteStore::open_with(&path, &CryptoBackend::default(), options)?))
        }))
    }
}

#[cfg(all(feature = "postgres", unix))]
mod postgres {
    use std::sync::Arc;

    use strongroom::Result;
    use strongroom::store::PostgresStore;

    use super::Open;
    use crate::support::postgres::Schema;

    pub(super) fn create(url: &str) -> Result<Arc<Open>> {
        let default = Schema::create_at(url)?.options()?;
        Ok(Arc::new(move |bound| {
            let options = bound.map_or_else(|| default.clone(), |bound| default.clone().max_staleness(bound));
            Ok(Arc::new(PostgresStore::open(&options)?))
        }))
    }
}
