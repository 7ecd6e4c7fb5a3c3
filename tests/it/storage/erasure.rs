//! Deletion is erasure: remains of a deleted key in the files of a store, and deleted keys in
//! restored backups.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use strongroom::crypto::CryptoBackend;
use strongroom::export::ApplyDeletionsReport;
use strongroom::key::{DeletionWindow, KeyId};
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind, SqliteStore};
use strongroom::{Error, ErrorKind, Kms, ManualClock, Timestamp};
use tempfile::TempDir;

use crate::support::hooked_store::HookedStore;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The number of bytes of a sealed body to search for, regardless of page boundaries.
const PIECE: usize = 24;

/// The start time of every test.
const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

struct Home {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Home {
    fn new() -> std::io::Result<Self> {
        let clock = Arc::new(ManualClock::new(START));
        Ok(Self { folder: tempfile::tempdir()?, clock })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> strongroom::Result<(Kms, Arc<SqliteStore>)> {
        let store = Arc::new(SqliteStore::open(self.path(name), &CryptoBackend::default())?);
        let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
        let builder = builder.clock(Arc::clone(&self.clock)).clock_tolerance(std::time::Duration::MAX);
        Ok((builder.allow_insecure_test_keys().build()?, store))
    }
}

/// Returns the sealed body of a key's record, as stored in the file.
fn sealed_body(path: &Path, key: KeyId) -> rusqlite::Result<Vec<u8>> {
    let query = "SELECT body FROM record WHERE kind = 1 AND name = ?1";
    Connection::open(path)?.query_row(query, [key.as_bytes()], |row| row.get(0))
}

/// Returns `true` if any piece of the bytes is in the store or its log.
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

/// Deletes a key after its waiting period has passed.
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
    assert!(is_left(&path, &before)?, "the log must contain the data for this test to be meaningful");
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
    let unconfirmed = restored.apply_deletions(&deletions, &[])?;
    assert_eq!(
        (unconfirmed.deleted.len(), unconfirmed.unconfirmed),
        (0, vec![doomed.arn().clone()]),
        "the key is enabled"
    );
    let stranger = [doomed.arn().clone(), restored.describe_key(kept)?.arn().clone()];
    let refused = restored.apply_deletions(&deletions, &stranger).expect_err("one is not on the list");
    assert_eq!(refused.kind(), ErrorKind::Validation);
    restored.describe_key(doomed.key_id())?;
    assert_eq!(restored.apply_deletions(&deletions, &[doomed.arn().clone()])?.deleted, [doomed.arn().clone()]);
    for gone in [restored.describe_key(doomed.key_id()), restored.describe_key("alias/doomed")] {
        assert_eq!(gone.expect_err("deleted").kind(), ErrorKind::NotFound);
    }
    assert!(restored.decrypt(DecryptRequest::new(&sealed)).is_err());
    assert!(!is_left(&home.path("monday"), &body)?);
    restored.describe_key(kept)?;

    // The second call has nothing to do, and the restored store exports the same deletions.
    assert_eq!(restored.apply_deletions(&deletions, &[])?, ApplyDeletionsReport::default());
    assert_eq!(listed(&restored.export_deletions()?), listed(&deletions));
    Ok(())
}

/// Returns the keys and deletion times in a list of deletions.
fn listed(list: &[u8]) -> &[u8] {
    &list[33..list.len() - 32]
}

#[test]
fn a_pending_deletion_in_a_backup_is_completed_without_a_confirmation() -> TestResult {
    let home = Home::new()?;
    let (kms, store) = home.open("keys")?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    store.back_up(home.path("monday"))?;
    home.clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    let deletions = kms.export_deletions()?;
    let (restored, _) = home.open("monday")?;
    let applied = restored.apply_deletions(&deletions, &[])?;
    assert_eq!((applied.deleted.len(), applied.unconfirmed.len()), (1, 0));
    Ok(())
}

#[test]
fn a_waiting_period_that_ends_later_in_a_backup_asks_for_a_confirmation() -> TestResult {
    let home = Home::new()?;
    let (kms, store) = home.open("keys")?;
    let key = kms.create_key(Default::default())?.key_id();
    kms.schedule_key_deletion(key, DeletionWindow::from_days(30)?)?;
    store.back_up(home.path("monday"))?;
    kms.cancel_key_deletion(key)?;
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    home.clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    let deletions = kms.export_deletions()?;
    home.clock.advance_days(24);
    let (restored, _) = home.open("monday")?;
    let applied = restored.apply_deletions(&deletions, &[])?;
    assert_eq!((applied.deleted.len(), applied.unconfirmed.len()), (0, 1));
    Ok(())
}

#[test]
fn the_list_of_a_diverged_copy_deletes_no_key_that_is_not_confirmed() -> TestResult {
    let home = Home::new()?;
    let (production, store) = home.open("keys")?;
    let make = || production.create_key(Default::default()).map(|key| key.arn().clone());
    let (enabled, disabled, pending, cancelled) = (make()?, make()?, make()?, make()?);
    production.disable_key(&disabled)?;
    for key in [&pending, &cancelled] {
        production.schedule_key_deletion(key, DeletionWindow::MIN)?;
    }
    store.back_up(home.path("copy"))?;
    let (copy, copy_store) = home.open("copy")?;
    for key in [&enabled, &disabled] {
        copy.schedule_key_deletion(key, DeletionWindow::MIN)?;
    }
    home.clock.advance_days(7);
    assert_eq!(copy.run_maintenance()?.deleted.len(), 4);

    // Production changes as well: one window is restarted, and one deletion is cancelled.
    home.clock.set(START);
    for key in [&pending, &cancelled] {
        production.cancel_key_deletion(key)?;
    }
    production.schedule_key_deletion(&pending, DeletionWindow::from_days(30)?)?;
    home.clock.advance_days(8);
    let list = copy.export_deletions()?;
    let applied = production.apply_deletions(&list, &[])?;
    assert_eq!((applied.deleted.len(), applied.unconfirmed.len()), (0, 4));
    for key in [&enabled, &disabled, &pending, &cancelled] {
        production.describe_key(key)?;
    }

    // Once production has more commits than the copy, not even an expired window confirms a
    // deletion.
    home.clock.advance_days(23);
    while store.revision()? <= copy_store.revision()? {
        production.create_key(Default::default())?;
    }
    let applied = production.apply_deletions(&list, &[])?;
    assert_eq!((applied.deleted.len(), applied.unconfirmed.len()), (0, 4));
    Ok(())
}

#[test]
fn a_store_that_fails_ends_the_application_of_a_list() -> TestResult {
    let home = Home::new()?;
    let (kms, store) = home.open("keys")?;
    let keys = [kms.create_key(Default::default())?, kms.create_key(Default::default())?];
    store.back_up(home.path("monday"))?;
    for key in &keys {
        delete(&home, &kms, key.key_id())?;
    }
    let deletions = kms.export_deletions()?;
    let store = HookedStore::new(Arc::new(SqliteStore::open(home.path("monday"), &CryptoBackend::default())?));
    let restored = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build()?;
    store.before_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    let confirmed = keys.each_ref().map(|key| key.arn().clone());
    let failed = restored.apply_deletions(&deletions, &confirmed).expect_err("the store reported a failure");
    assert_eq!(failed.kind(), ErrorKind::Store);
    for key in &keys {
        restored.describe_key(key.key_id())?;
    }
    assert_eq!(restored.apply_deletions(&deletions, &confirmed)?.deleted.len(), 2);
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
    assert_eq!(restored.apply_deletions(&deletions, &[])?, ApplyDeletionsReport::default());
    assert_eq!(listed(&restored.export_deletions()?), listed(&deletions));
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
        assert_eq!(kms.apply_deletions(&altered, &[]).expect_err("altered").kind(), ErrorKind::Validation, "byte {at}");
        assert_eq!(kms.apply_deletions(&list[..at], &[]).expect_err("cut off").kind(), ErrorKind::Validation);
    }
    let (other, _) = home.open("other")?;
    assert_eq!(other.apply_deletions(&list, &[]).expect_err("another store").kind(), ErrorKind::Validation);
    Ok(())
}
