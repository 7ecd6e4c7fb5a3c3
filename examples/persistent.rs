//! Keys that stay: a store in a file, opened again; a wrong root key; a backup and its restoration.
//!
//! `cargo run --example persistent`

use std::error::Error;
use std::path::Path;
use std::{fs, io};

use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{DecryptRequest, EncryptRequest, Kms};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys.strongroom");
    let root_key = folder.path().join("root.key");
    RootKey::generate_file(&root_key)?;
    println!("1. A root key in a file. In earnest it is kept apart from the store: without it the store is lost.");

    let sealed = {
        let kms = Kms::open(&path, RootKey::from_file(&root_key)?)?;
        let key = kms.create_key(Default::default())?;
        kms.create_alias("alias/invoices", key.key_id())?;
        println!("2. A new store, with a key in it: {}", key.arn());
        kms.encrypt(EncryptRequest::new("alias/invoices", b"paid in full"))?.ciphertext_blob
    };
    println!("3. The KMS is closed. What is left is a file of {} bytes.", fs::metadata(&path)?.len());

    let kms = Kms::open(&path, RootKey::from_file(&root_key)?)?;
    check(&kms, &sealed)?;
    println!("4. Opened again, it decrypts what was encrypted before.");

    match Kms::open(&path, RootKey::from_bytes(&[0; 32])) {
        Err(refusal) => println!("5. Another root key is refused:\n   {refusal}"),
        Ok(_) => return Err("a wrong root key was accepted".into()),
    }

    let backup = folder.path().join("monday.strongroom");
    SqliteStore::open(&path, &CryptoBackend::default())?.back_up(&backup)?;
    println!("6. A backup, written while the KMS goes on: {} bytes.", fs::metadata(&backup)?.len());

    drop(kms);
    remove(&path)?;
    fs::rename(&backup, &path)?;
    check(&Kms::open(&path, RootKey::from_file(&root_key)?)?, &sealed)?;
    println!("7. The store was lost, the backup put in its place, and nothing is missing.");
    Ok(())
}

fn check(kms: &Kms, sealed: &[u8]) -> Result<(), Box<dyn Error>> {
    let opened = kms.decrypt(DecryptRequest::new(sealed))?;
    if opened.plaintext.expose_secret() != b"paid in full" {
        return Err("the plaintext is not the one that was encrypted".into());
    }
    Ok(())
}

/// Removes a store with its log: a log that stays would be played into the file that takes the place.
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
