//! File-backed keys: reopening and sharing.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{SqliteOptions, SqliteStore};
use strongroom::{ErrorKind, Kms};
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
    std::thread::sleep(Duration::from_millis(10)); // the default bound of `SqliteOptions::staleness`
    assert_eq!(encrypt().expect_err("disabled").kind(), ErrorKind::Disabled);
    Ok(())
}

/// The cached state of a key may be a minute old, and another handle has just changed it back.
#[test]
fn a_change_that_seems_to_be_in_effect_already_takes_effect() -> TestResult {
    let folder = tempfile::tempdir()?;
    let open = || {
        let options = SqliteOptions::default().staleness(Duration::from_secs(60));
        let store = SqliteStore::open_with(path_in(&folder), &CryptoBackend::default(), options)?;
        Kms::builder().store(store, root()).build()
    };
    let (one, two) = (open()?, open()?);
    let [key, other] = [one.create_key(Default::default())?.key_id(), one.create_key(Default::default())?.key_id()];
    one.create_alias("alias/current", key)?;
    one.disable_key(key)?;
    for _ in 0..2 {
        two.enable_key(key)?;
        two.update_alias("alias/current", other)?;
        one.disable_key(key)?;
        one.update_alias("alias/current", key)?;
        let found = open()?.describe_key("alias/current")?;
        assert_eq!((found.key_id(), found.is_enabled()), (key, false), "an acknowledged change has no effect");
    }
    Ok(())
}
