//! Stores with many keys, in a SQLite file.

use std::error::Error;
use std::path::{Path, PathBuf};

use strongroom::Kms;
use strongroom::key::KeyId;
use strongroom::seal::RootKey;
use tempfile::TempDir;

/// Creates a store with keys. Uses a memory-backed folder if one exists, where no write waits for a
/// disk.
pub(crate) fn fill(keys: usize) -> Result<(TempDir, PathBuf, Vec<KeyId>), Box<dyn Error>> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let path = folder.path().join("keys.strongroom");
    let kms = Kms::open(&path, root())?;
    let ids = (0..keys).map(|_| kms.create_key(Default::default()).map(|key| key.key_id()));
    let ids = ids.collect::<strongroom::Result<_>>()?;
    kms.close()?;
    Ok((folder, path, ids))
}

pub(crate) fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}
