//! A backup of files into an object store: encrypted uploads in parts, listings with true sizes, a part
//! of a large file, re-encryption after a rotation, and an exchanged object that is rejected.
//!
//! The store is a local folder. Replace it by S3, Azure or Google Cloud of the crate `object_store`.
//!
//!     cargo run --features object_store --example object_backup

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use strongroom::envelope::KmsKeyring;
use strongroom::objects::{EncryptedStore, ObjectSweep, error_inside};
use strongroom::request::CreateKeyRequest;
use strongroom::{ErrorKind, Kms};

/// The length of the parts of an upload, in bytes.
const PART: usize = 8 << 20;

/// The number of parts that are encrypted and uploaded at the same time.
const PARTS_IN_FLIGHT: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (source, target) = (tempfile::tempdir()?, tempfile::tempdir()?);
    write_files(source.path())?;

    let kms = Kms::in_memory()?; // `Kms::open` keeps the keys in a file
    let key = kms.create_key(CreateKeyRequest::default().alias("alias/backup"))?.key_id();
    let folder = Arc::new(LocalFileSystem::new_with_prefix(target.path())?);
    let backup = EncryptedStore::new(Arc::clone(&folder), "backup", KmsKeyring::new(&kms, "alias/backup")?)?;

    for entry in fs::read_dir(source.path())? {
        let entry = entry?;
        let path = Path::from(format!("monday/{}", entry.file_name().to_string_lossy()));
        upload(&backup, &path, &entry.path()).await?;
    }
    let mut objects: Vec<_> = backup.list(Some(&Path::from("monday"))).try_collect().await?;
    objects.sort_by(|one, other| one.location.cmp(&other.location));
    for object in &objects {
        let stored = folder.head(&object.location).await?.size;
        println!("{}: {} bytes, stored as {stored}", object.location, object.size);
        assert_eq!(backup.stored_size(object.size), Some(stored));
    }

    // A part of a large file: only its frames are read and decrypted.
    let large = Path::from("monday/disk.img");
    let part = backup.get_range(&large, 20_000_000..20_000_016).await?;
    let expected = fs::read(source.path().join("disk.img"))?;
    assert_eq!(part, expected[20_000_000..20_000_016]);
    println!("read 16 bytes in the middle of {large}");

    // After a rotation, the sweep encrypts all objects under the new version of the key. A folder has no
    // conditional writes, and here no other program writes to it.
    kms.rotate_key_on_demand(key)?;
    let sweep = ObjectSweep::new(&backup).prefix(Path::from("monday"));
    let preview = sweep.clone().dry_run().run().await?;
    let report = sweep.clone().allow_unconditional_replacement().run().await?;
    assert_eq!((preview.changed(), report.changed(), report.is_complete()), (3, 3, true));
    assert_eq!(sweep.run().await?.current(), 3);
    println!("re-encrypted {} objects after the rotation", report.changed());

    for object in &objects {
        restore(&backup, &object.location, source.path()).await?;
    }
    println!("restored {} files, which are unchanged", objects.len());

    // An attacker with write access to the folder can delete objects, but cannot exchange them.
    folder.copy(&Path::from("monday/notes.txt"), &Path::from("monday/settings.txt")).await?;
    let refused = backup.get(&Path::from("monday/settings.txt")).await.err().ok_or("an exchanged object")?;
    assert_eq!(error_inside(&refused).map(strongroom::Error::kind), Some(ErrorKind::ContextMismatch));
    println!("rejected an object that was exchanged");
    Ok(())
}

/// Uploads a file in parts. Neither its plaintext nor the object is completely in memory.
async fn upload(store: &dyn ObjectStore, path: &Path, file: &FilePath) -> Result<(), Box<dyn Error>> {
    let mut upload = WriteMultipart::new_with_chunk_size(store.put_multipart(path).await?, PART);
    let (mut file, mut buffer) = (File::open(file)?, vec![0; 1 << 20]);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        upload.wait_for_capacity(PARTS_IN_FLIGHT).await?;
        upload.write(&buffer[..length]);
    }
    upload.finish().await?;
    Ok(())
}

/// Compares an object with the file that it is a backup of.
async fn restore(store: &dyn ObjectStore, path: &Path, folder: &FilePath) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(folder.join(path.filename().ok_or("a name")?))?;
    let mut stream = store.get(path).await?.into_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        let mut expected = vec![0; piece.len()];
        file.read_exact(&mut expected)?;
        assert!(piece == expected, "{path}");
    }
    assert_eq!(file.read(&mut [0])?, 0, "the file has no more bytes than the object");
    Ok(())
}

/// Writes the files to be backed up.
fn write_files(folder: &FilePath) -> std::io::Result<()> {
    fs::write(folder.join("notes.txt"), "call back")?;
    fs::write(folder.join("settings.txt"), "theme = dark\n")?;
    let image: Vec<u8> = (0_u32..6_000_000).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.join("disk.img"), image)
}
