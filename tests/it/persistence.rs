//! Keys in a file: opened again, shared, deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{
    CreateKeyRequest, DecryptRequest, DeletionWindow, EncryptRequest, ErrorKind, Kms, ManualClock, Timestamp,
};
use tempfile::TempDir;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("keys.strongroom")
}

#[test]
fn keys_are_there_when_the_store_is_opened_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let kms = Kms::open(path_in(&folder), root())?;
    let key = kms.create_key(CreateKeyRequest::default().description("kept"))?;
    kms.create_alias("alias/kept", key.key_id())?;
    let sealed = kms.encrypt(EncryptRequest::new("alias/kept", b"text"))?;
    kms.rotate_key_on_demand(key.key_id())?;
    drop(kms);

    let kms = Kms::open(path_in(&folder), root())?;
    assert_eq!(kms.describe_key("alias/kept")?.description().as_str(), "kept");
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?.plaintext.expose_secret(), b"text");
    Ok(())
}

#[test]
fn another_root_key_is_refused_and_changes_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    drop(Kms::open(path_in(&folder), root())?);
    let before = fs::read(path_in(&folder))?;
    let other = RootKey::from_bytes(&[8; 32]);
    assert_eq!(Kms::open(path_in(&folder), other).expect_err("refused").kind(), ErrorKind::RootKey);
    assert_eq!(fs::read(path_in(&folder))?, before);
    Ok(())
}

#[test]
fn a_change_by_one_kms_is_seen_by_another_over_the_same_file() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Kms::open(path_in(&folder), root())?, Kms::open(path_in(&folder), root())?);
    let key = one.create_key(Default::default())?;
    let encrypt = || other.encrypt(EncryptRequest::new(key.key_id(), b"text"));
    encrypt()?;
    one.disable_key(key.key_id())?;
    std::thread::sleep(Duration::from_millis(10)); // the bound that `SqliteOptions::staleness` states
    assert_eq!(encrypt().expect_err("disabled").kind(), ErrorKind::Disabled);
    Ok(())
}

#[test]
fn nothing_is_left_of_a_deleted_key_on_the_disk() -> TestResult {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let store = SqliteStore::open(path_in(&folder), &CryptoBackend::default())?;
    let kms = Kms::builder().store(store, root()).clock(Arc::clone(&clock)).build()?;
    let key = kms.create_key(Default::default())?;
    // Its id is the name of its record, and its record is all that holds its material.
    let id = uuid_bytes(&key.key_id().to_string());
    kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    assert!(holds(&folder, &id)?);
    clock.advance_days(30);
    let report = kms.run_maintenance()?;
    assert!(report.deleted.len() == 1 && report.not_scrubbed.is_none(), "{report:?}");
    assert!(!holds(&folder, &id)?);
    Ok(())
}

fn uuid_bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace('-', "")).expect("hexadecimal digits")
}

/// Whether the store or its log holds the bytes.
fn holds(folder: &TempDir, wanted: &[u8]) -> std::io::Result<bool> {
    for ending in ["", "-wal"] {
        let mut name = path_in(folder).into_os_string();
        name.push(ending);
        let bytes = if Path::new(&name).exists() { fs::read(name)? } else { Vec::new() };
        if bytes.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}
