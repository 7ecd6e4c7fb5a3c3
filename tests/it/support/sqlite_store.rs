//! Every call that a `SqliteStore` accepts, for tests of stores that can no longer be used.

use std::path::Path;

use strongroom::crypto::CryptoBackend;
use strongroom::identity::AccountId;
use strongroom::store::{KeyStore, RecordId, RecordKind, Scan, SqliteStore};
use strongroom::{Error, Result};

fn record_id() -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: vec![1] }
}

/// Opens a store, reads from it, and commits once, so that its connections are in use.
pub(crate) fn used_store(path: &Path) -> Result<SqliteStore> {
    let store = SqliteStore::open(path, &CryptoBackend::default())?;
    store.get(&record_id())?;
    store.commit(&[], &mut |_| Ok(Vec::new())).map_err(Error::from)?;
    Ok(store)
}

/// Calls everything that accesses the file, and returns the results.
pub(crate) fn call_everything(store: &SqliteStore, copy: &Path) -> [Result<()>; 8] {
    let id = record_id();
    let scan = Scan { kind: RecordKind::Key, account: None, after: None, limit: 1 };
    [
        store.revision().map(drop),
        store.get(&id).map(drop),
        store.get_all(std::slice::from_ref(&id)).map(drop),
        store.scan(&scan).map(drop),
        store.commit(&[], &mut |_| Ok(Vec::new())).map(drop).map_err(Error::from),
        store.scrub(),
        store.check_structure().map(drop),
        store.back_up(copy),
    ]
}
