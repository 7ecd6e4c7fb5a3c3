//! A server whose disk is full.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use strongroom::key::KeyId;
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{PostgresOptions, PostgresStore, StoreError};
use strongroom::{Error, Kms, Result};

use super::limits::{reason, recovered};
use crate::support::postgres::{self, OnDisk, SUPERUSER};

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// More changes than fit into the space that a full disk leaves within files.
const MOST_CHANGES: usize = 5_000;

fn kms(options: &PostgresOptions) -> Result<Kms> {
    Kms::builder().store(PostgresStore::open(options)?, RootKey::from_bytes(&[7; 32])).build()
}

/// Fills a disk. It has space again once the file is removed.
fn fill(file: &Path) -> std::io::Result<()> {
    let mut filler = File::create(file)?;
    for length in [1 << 16, 1 << 12, 1] {
        loop {
            match filler.write(&vec![0; length]) {
                Ok(_) => {}
                Err(error) if error.kind() == IoErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Creates keys until the store refuses one. Returns those that it acknowledged, and the error.
fn create_until_refused(kms: &Kms, keys: &mut Vec<KeyId>) -> Error {
    for _ in 0..MOST_CHANGES {
        match kms.create_key(Default::default()) {
            Ok(created) => keys.push(created.key_id()),
            Err(error) => return error,
        }
    }
    panic!("the disk is not full");
}

/// Checks that exactly these keys exist and can be used, and `open` more at most.
fn check(kms: &Kms, keys: &[KeyId], open: usize) -> Result<()> {
    for key in keys {
        kms.encrypt(EncryptRequest::new(*key, b"text"))?;
    }
    let found = kms.keys().count();
    assert!((keys.len()..=keys.len() + open).contains(&found), "{found} keys, and {} are acknowledged", keys.len());
    let report = kms.verify_store(|_| {})?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

#[test]
fn a_full_disk_of_the_tables_is_reported_and_loses_nothing() -> TestResult {
    let test = "postgres::full_disks::a_full_disk_of_the_tables_is_reported_and_loses_nothing";
    let Some(server) = postgres::with_disk(test, 24 << 20, OnDisk::Tables, &[]) else { return Ok(()) };
    let place = server.folder().join("disk/tables");
    server.sql(SUPERUSER, &format!("CREATE TABLESPACE small LOCATION '{}'", place.display()))?;
    server.sql(SUPERUSER, "CREATE DATABASE keys TABLESPACE small")?;
    let options = PostgresOptions::new(&server.url("keys"))?;
    PostgresStore::create_schema(&options)?;
    let (one, mut keys, filler) = (kms(&options)?, Vec::new(), server.disk().join("filler"));
    for _ in 0..2 {
        fill(&filler)?;
        for _ in 0..3 {
            let error = create_until_refused(&one, &mut keys);
            assert!(matches!(reason(&error), StoreError::Full(_)), "{error:?}");
            assert!(error.to_string().contains("nothing was changed: free some space"), "{error}");
        }
        // Existing keys remain usable, also in a new process.
        check(&one, &keys, 0)?;
        check(&kms(&options)?, &keys, 0)?;
        fs::remove_file(&filler)?;
        keys.push(one.create_key(Default::default())?.key_id());
    }
    check(&kms(&options)?, &keys, 0).map_err(Into::into)
}

/// PostgreSQL stops if it cannot write its log, and starts only once there is space.
#[test]
fn a_full_disk_of_the_log_stops_the_server_and_loses_nothing() -> TestResult {
    let test = "postgres::full_disks::a_full_disk_of_the_log_stops_the_server_and_loses_nothing";
    // Few segments exist in advance.
    let settings = [("min_wal_size", "2MB"), ("wal_recycle", "off")];
    let Some(server) = postgres::with_disk(test, 24 << 20, OnDisk::Log, &settings) else { return Ok(()) };
    let options = PostgresOptions::new(&server.url(SUPERUSER))?.timeout(Duration::from_secs(1));
    PostgresStore::create_schema(&options)?;
    let (one, mut keys, mut open) = (kms(&options)?, Vec::new(), 0);
    let filler = server.disk().join("filler");
    for _ in 0..2 {
        fill(&filler)?;
        let error = create_until_refused(&one, &mut keys);
        match reason(&error) {
            StoreError::Ambiguous(_) => open += 1,
            // The renewal of the proof may be the first to fail.
            StoreError::Unreachable(_) | StoreError::Full(_) | StoreError::Fenced { .. } => {}
            other => panic!("{other:?}"),
        }
        let refused = one.create_key(Default::default()).expect_err("the server is down");
        assert!(matches!(reason(&refused), StoreError::Unreachable(_) | StoreError::Fenced { .. }), "{refused:?}");
        assert!(server.log().contains("No space left on device"), "{}", server.log());
        server.stop()?;
        fs::remove_file(&filler)?;
        server.start_again()?;
        check(&kms(&options)?, &keys, open)?;
        keys.push(recovered(|| one.create_key(Default::default()))?.key_id());
    }
    check(&kms(&options)?, &keys, open)?;
    Ok(())
}
