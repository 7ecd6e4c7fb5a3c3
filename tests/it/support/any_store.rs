//! Stores for tests that hold on every store: in memory, unless `STRONGROOM_TEST_STORE` is `sqlite:`
//! and a folder, or the URL of a database.

use std::env;
use std::sync::Arc;

use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{Kms, KmsBuilder, Result};

/// The environment variable that selects the store.
pub(crate) const VARIABLE: &str = "STRONGROOM_TEST_STORE";

/// Returns a new, empty store.
pub(crate) fn new() -> Result<Arc<dyn KeyStore>> {
    match env::var(VARIABLE) {
        Ok(place) => durable(&place),
        Err(_) => Ok(Arc::new(MemoryStore::new(&CryptoBackend::default())?)),
    }
}

/// Returns a builder with a new store.
pub(crate) fn builder() -> KmsBuilder {
    if env::var_os(VARIABLE).is_none() {
        return Kms::builder();
    }
    Kms::builder().store(new().expect("a store can be created"), RootKey::from_bytes(&[7; 32]))
}

/// Returns a KMS with a new store.
pub(crate) fn kms() -> Result<Kms> {
    builder().build()
}

fn durable(place: &str) -> Result<Arc<dyn KeyStore>> {
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
    use std::time::Duration;

    use strongroom::Result;
    use strongroom::crypto::CryptoBackend;
    use strongroom::store::{KeyStore, SqliteOptions, SqliteStore};

    pub(super) fn create(folder: &str) -> Result<Arc<dyn KeyStore>> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("{}.strongroom", NUMBER.fetch_add(1, Ordering::Relaxed));
        let options = SqliteOptions::default().staleness(Duration::ZERO);
        Ok(Arc::new(SqliteStore::open_with(Path::new(folder).join(name), &CryptoBackend::default(), options)?))
    }
}

#[cfg(all(feature = "postgres", unix))]
mod postgres {
    use std::sync::Arc;

    use strongroom::Result;
    use strongroom::store::KeyStore;

    use crate::support::postgres::Schema;

    pub(super) fn create(url: &str) -> Result<Arc<dyn KeyStore>> {
        Ok(Arc::new(Schema::create_at(url)?.open()?))
    }
}
