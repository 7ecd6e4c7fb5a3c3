//! A file-backed key store: reopening, a wrong root key, moving the root key, backup and restore,
//! and replaying deletions after a restore.
//!
//! `cargo run --example persistent`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use strongroom::crypto::CryptoBackend;
use strongroom::key::DeletionWindow;
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, SystemClock};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let [path, backup, root_key, next_root_key] =
        ["keys.strongroom", "monday.strongroom", "root.key", "next-root.key"].map(|name| folder.path().join(name));
    RootKey::generate_file(&root_key)?;
    println!("1. A root key in a file. In production, keep it apart from the store: without it, the store is lost.");

    let kms = Kms::open(&path, RootKey::from_file(&root_key)?)?;
    println!("2. A new store with two keys, each of which encrypts a message.");
    let invoice = encrypt(&kms, "alias/invoices", b"paid in full")?;
    let draft = encrypt(&kms, "alias/drafts", b"not for long")?;
    kms.close()?;
    println!("3. The KMS is closed. The store is a file of {} bytes.", fs::metadata(&path)?.len());

    let kms = Kms::open(&path, RootKey::from_file(&root_key)?)?;
    assert_eq!(decrypt(&kms, &invoice)?, b"paid in full");
    println!("4. Reopened, it decrypts the earlier messages.");

    let refusal = Kms::open(&path, RootKey::from_bytes(&[0; 32])).expect_err("the root key is wrong");
    assert_eq!(refusal.kind(), ErrorKind::RootKey);
    println!("5. Another root key is rejected:\n   {refusal}");

    SqliteStore::open(&path, &CryptoBackend::default())?.back_up(&backup)?;
    println!("6. A backup, written while the KMS is in use: {} bytes.", fs::metadata(&backup)?.len());

    RootKey::generate_file(&next_root_key)?;
    let rotation = kms.move_root_key(RootKey::from_file(&next_root_key)?)?;
    kms.close()?;
    assert!(Kms::open(&path, RootKey::from_file(&root_key)?).is_err());
    println!("7. The root key was moved to another file as version {}:", rotation.version());
    println!(
        "   {} records were sealed again. The old file is kept, because the backup requires it.",
        rotation.resealed()
    );

    let deletions = delete_drafts(&path, RootKey::from_file(&next_root_key)?)?;
    println!("8. The key of the drafts was deleted, and the list of deletions was saved with the backup.");

    remove(&path)?;
    fs::rename(&backup, &path)?;
    let kms = Kms::open(&path, RootKey::from_file(&root_key)?)?;
    assert_eq!(decrypt(&kms, &draft)?, b"not for long");
    println!("9. The store was lost and replaced by the backup: the deleted key is back.");

    // The backup contains no sign that the key was to be deleted, so its deletion is confirmed by
    // name.
    let unconfirmed = kms.apply_deletions(&deletions, &[])?.unconfirmed;
    assert_eq!(kms.apply_deletions(&deletions, &unconfirmed)?.deleted.len(), 1);
    assert_eq!(kms.describe_key("alias/drafts").expect_err("deleted").kind(), ErrorKind::NotFound);
    assert!(decrypt(&kms, &draft).is_err());
    assert_eq!(decrypt(&kms, &invoice)?, b"paid in full");
    assert!(kms.verify_store(|_| {})?.is_intact());
    println!("10. The list of deletions was applied: the key is permanently deleted, and all other keys exist.");
    Ok(())
}

/// Creates a key with an alias, and encrypts a text under it.
fn encrypt(kms: &Kms, alias: &str, text: &[u8]) -> strongroom::Result<Vec<u8>> {
    kms.create_key(CreateKeyRequest::default().alias(alias))?;
    Ok(kms.encrypt(EncryptRequest::new(alias, text))?.ciphertext_blob)
}

fn decrypt(kms: &Kms, sealed: &[u8]) -> strongroom::Result<Vec<u8>> {
    Ok(kms.decrypt(DecryptRequest::new(sealed))?.plaintext.expose_secret().to_vec())
}

/// Schedules a key for deletion, lets the waiting period pass on a manual clock, and returns the
/// list of deletions.
fn delete_drafts(path: &Path, root_key: RootKey) -> strongroom::Result<Vec<u8>> {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let kms = Kms::builder().clock(Arc::clone(&clock)).open(path, root_key)?;
    let drafts = kms.describe_key("alias/drafts")?;
    kms.schedule_key_deletion(drafts.key_id(), DeletionWindow::MIN)?;
    clock.advance_days(8);
    // After the clock jumps, nothing is destroyed until someone who knows the time confirms it.
    kms.confirm_clock(clock.now())?;
    let report = kms.run_maintenance()?;
    assert_eq!(report.deleted, [drafts.arn().clone()]);
    kms.export_deletions()
}

/// Removes a store with its log. A remaining log would be replayed into the file that replaces the
/// store.
fn remove(path: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
