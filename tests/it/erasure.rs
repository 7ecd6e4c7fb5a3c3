//! Deletion is erasure: what is left of a deleted key in the files of a store, and what a backup brings back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{DecryptRequest, DeletionWindow, EncryptRequest, ErrorKind, KeyId, Kms, ManualClock, Timestamp};
use tempfile::TempDir;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Bytes of a sealed body that are looked for, wherever a page boundary has cut it.
const PIECE: usize = 24;

struct Home {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Home {
    fn new() -> std::io::Result<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_800_000_000_000)));
        Ok(Self { folder: tempfile::tempdir()?, clock })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> strongroom::Result<(Kms, Arc<SqliteStore>)> {
        let store = Arc::new(SqliteStore::open(self.path(name), &CryptoBackend::default())?);
        let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
        Ok((builder.clock(Arc::clone(&self.clock)).clock_tolerance(std::time::Duration::MAX).build()?, store))
    }
}

/// The sealed body of a key's record, as it lies in the file.
fn sealed_body(path: &Path, key: KeyId) -> rusqlite::Result<Vec<u8>> {
    let query = "SELECT body FROM record WHERE kind = 1 AND name = ?1";
    Connection::open(path)?.query_row(query, [key.as_bytes()], |row| row.get(0))
}

/// Whether any piece of the bytes is in the store or its log.
fn is_left(path: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = if Path::new(&name).exists() { fs::read(name)? } else { Vec::new() };
        if bytes.chunks_exact(PIECE).any(|piece| file.windows(PIECE).any(|window| window == piece)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lets the waiting period of a key pass, and has it deleted.
fn delete(home: &Home, kms: &Kms, key: KeyId) -> strongroom::Result<()> {
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    home.clock.advance_days(7);
    let report = kms.run_maintenance()?;
    assert!(report.deleted.len() == 1 && report.not_scrubbed.is_none(), "{report:?}");
    Ok(())
}

#[test]
fn nothing_is_left_of_the_material_of_a_deleted_key_on_the_disk() -> TestResult {
    let home = Home::new()?;
    let (kms, _store) = home.open("keys")?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.rotate_key_on_demand(key)?;
    let path = home.path("keys");
    let before = sealed_body(&path, key)?;
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    let after = sealed_body(&path, key)?;
    kms.cancel_key_deletion(key)?;
    assert!(is_left(&path, &before)?, "the log has it, or this test would show nothing");
    delete(&home, &kms, key)?;
    assert!(!is_left(&path, &before)? && !is_left(&path, &after)?);
    drop(kms);
    assert!(!is_left(&path, &before)? && !is_left(&path, &after)?);
    Ok(())
}

#[test]
fn a_backup_keeps_what_is_deleted_later_until_the_deletions_are_applied_to_it() -> TestResult {
    let home = Home::new()?;
    let (kms, store) = home.open("keys")?;
    let doomed = kms.create_key(Default::default())?;
    kms.create_alias("alias/doomed", doomed.key_id())?;
    let kept = kms.create_key(Default::default())?.key_id();
    let sealed = kms.encrypt(EncryptRequest::new(doomed.key_id(), b"text"))?.ciphertext_blob;
    let body = sealed_body(&home.path("keys"), doomed.key_id())?;
    store.back_up(home.path("monday"))?;
    delete(&home, &kms, doomed.key_id())?;
    let deletions = kms.export_deletions()?;
    drop(kms);

    assert!(is_left(&home.path("monday"), &body)?);
    let (restored, _) = home.open("monday")?;
    assert_eq!(restored.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"text");
    assert_eq!(restored.apply_deletions(&deletions)?, [doomed.arn().clone()]);
    for gone in [restored.describe_key(doomed.key_id()), restored.describe_key("alias/doomed")] {
        assert_eq!(gone.expect_err("deleted").kind(), ErrorKind::NotFound);
    }
    assert!(restored.decrypt(DecryptRequest::new(&sealed)).is_err());
    assert!(!is_left(&home.path("monday"), &body)?);
    restored.describe_key(kept)?;

    // The second time there is nothing to do, and the restored store tells of the same deletions.
    assert!(restored.apply_deletions(&deletions)?.is_empty());
    assert_eq!(restored.export_deletions()?, deletions);
    Ok(())
}

#[test]
fn deletions_of_keys_that_a_backup_never_had_are_noted_in_it() -> TestResult {
    let home = Home::new()?;
    let (kms, store) = home.open("keys")?;
    store.back_up(home.path("monday"))?;
    let key = kms.create_key(Default::default())?.key_id();
    delete(&home, &kms, key)?;
    let deletions = kms.export_deletions()?;
    drop(kms);
    let (restored, _) = home.open("monday")?;
    assert!(restored.apply_deletions(&deletions)?.is_empty());
    assert_eq!(restored.export_deletions()?, deletions);
    let seeded = restored.create_insecure_test_key(key, Default::default(), &[&[1; 32]]);
    assert_eq!(seeded.expect_err("deleted elsewhere").kind(), ErrorKind::InvalidState);
    Ok(())
}

#[test]
fn a_list_of_deletions_that_was_altered_or_is_of_another_store_deletes_nothing() -> TestResult {
    let home = Home::new()?;
    let (kms, _) = home.open("keys")?;
    let key = kms.create_key(Default::default())?.key_id();
    delete(&home, &kms, key)?;
    let list = kms.export_deletions()?;
    for at in 0..list.len() {
        let mut altered = list.clone();
        altered[at] ^= 1;
        assert_eq!(kms.apply_deletions(&altered).expect_err("altered").kind(), ErrorKind::Validation, "byte {at}");
        assert_eq!(kms.apply_deletions(&list[..at]).expect_err("cut off").kind(), ErrorKind::Validation);
    }
    let (other, _) = home.open("other")?;
    assert_eq!(other.apply_deletions(&list).expect_err("another store").kind(), ErrorKind::Validation);
    Ok(())
}
