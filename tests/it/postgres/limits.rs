//! A server that accepts only so many connections.

use std::thread;
use std::time::{Duration, Instant};

use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, StoreError};
use strongroom::{Error, ErrorKind, Result};

use super::outcome::{counter, increment};
use crate::support::postgres::{self, SUPERUSER, Server};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Returns the reason of an error of a store.
pub(super) fn reason(error: &Error) -> &StoreError {
    assert_eq!(error.kind(), ErrorKind::Store, "{error:?}");
    error.downcast_ref().unwrap_or_else(|| panic!("{error:?} has no reason"))
}

/// Repeats a call until it succeeds, for a limited time.
pub(super) fn recovered<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match call() {
            Err(error) if begun.elapsed() > Duration::from_secs(60) => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}

/// Creates a role that may use a store, and returns its options.
fn role(server: &Server, attributes: &str) -> TestResult<PostgresOptions> {
    let owner = PostgresOptions::new(&server.url(SUPERUSER))?;
    PostgresStore::create_schema(&owner)?;
    server.sql(SUPERUSER, &format!("CREATE ROLE app LOGIN {attributes}"))?;
    PostgresStore::grant_access(&owner, "app")?;
    Ok(PostgresOptions::new(&server.url(SUPERUSER).replace(&format!("//{SUPERUSER}@"), "//app@"))?)
}

fn assert_too_many(error: &Error) {
    assert!(matches!(reason(error), StoreError::TooManyConnections(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("nothing was changed: close some, or raise its max_connections"), "{text}");
    assert!(text.contains("SQLSTATE 53300"), "{text}");
}

#[test]
fn a_limit_of_connections_is_reported_and_can_be_raised() -> TestResult {
    let test = "postgres::limits::a_limit_of_connections_is_reported_and_can_be_raised";
    let Some(server) = postgres::own(test, &[("max_connections", "12"), ("superuser_reserved_connections", "3")])
    else {
        return Ok(());
    };
    let options = role(&server, "CONNECTION LIMIT 1")?;
    // The connection that proves the revision is the only one.
    let store = PostgresStore::open(&options)?;
    for _ in 0..3 {
        assert_too_many(&store.get_all(&[counter()]).expect_err("a second connection"));
        assert_too_many(&increment(&store).expect_err("a second connection"));
        assert_too_many(&PostgresStore::open(&options).expect_err("a second connection"));
    }
    // With two connections, reads work, and commits have none. A connection that was refused counts
    // until the process of the server has ended.
    server.sql(SUPERUSER, "ALTER ROLE app CONNECTION LIMIT 2")?;
    recovered(|| store.get_all(&[counter()]))?;
    assert_too_many(&increment(&store).expect_err("a third connection"));
    store.get_all(&[counter()])?;
    server.sql(SUPERUSER, "ALTER ROLE app CONNECTION LIMIT -1")?;
    let first = recovered(|| increment(&store))?;

    // The limit of the server applies to all roles except superusers.
    let mut others = Vec::new();
    let refused = loop {
        match PostgresStore::open(&options) {
            Ok(other) => others.push(other),
            Err(error) => break error,
        }
    };
    assert_too_many(&refused);
    assert!(!others.is_empty(), "the limit was not reached before");
    assert!(increment(&store)? > first, "open connections remain usable");
    others.clear();
    recovered(|| PostgresStore::open(&options))?;
    Ok(())
}
