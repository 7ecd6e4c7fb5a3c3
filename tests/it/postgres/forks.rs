//! A child of `fork` does not use the connections of its parent.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, StoreError};
use strongroom_pkcs11_faults::in_child;

use crate::support::child_process::is_alone;
use crate::support::postgres::{self, Database};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn a_child_is_refused_and_can_open_the_store_itself() -> TestResult {
    let test = "postgres::forks::a_child_is_refused_and_can_open_the_store_itself";
    if !is_alone(test)? {
        return Ok(());
    }
    let Some(server) = postgres::own(test, &[]) else { return Ok(()) };
    let database = Database::create(&server)?;
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    let store = Arc::new(PostgresStore::open(&options)?);
    let commit = |store: &PostgresStore| Ok::<_, strongroom::Error>(store.commit(&[], &mut |_| Ok(Vec::new()))?);
    commit(&store)?;
    store.revision()?;
    let is_refused = |result: strongroom::Result<()>| {
        result.is_err_and(|error| matches!(error.downcast_ref(), Some(StoreError::Forked(_))))
    };
    let mut inherited = Some(Arc::clone(&store));
    let child = || {
        let reads = is_refused(store.revision().map(drop));
        let writes = is_refused(commit(&store).map(drop));
        let closes = is_refused(store.close());
        let own = PostgresStore::open(&options).and_then(|own| commit(&own)).is_ok();
        // The child ends without the second reference, so this drops the store.
        drop(inherited.take());
        i32::from(reads) + 2 * i32::from(writes) + 4 * i32::from(closes) + 8 * i32::from(own)
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 15, "1: reading; 2: writing; 4: closing; 8: its own store");
    assert_eq!(commit(&store)?, store.revision()?);
    assert_eq!(store.revision()?.0, 3);
    Ok(())
}
