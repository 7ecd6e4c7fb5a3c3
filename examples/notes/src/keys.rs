//! The KMS of the service: a store of keys and an audit trail in a folder.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use strongroom::audit::FileTrail;
use strongroom::seal::RootKey;
use strongroom::{Error, ErrorKind, Kms};

/// Opens the KMS, and creates it on the first start.
///
/// The root key opens all others. In production, keep it elsewhere: on another disk, in a token or
/// in the credentials of the service manager. Without it, every note is lost.
pub(crate) fn open(folder: &Path) -> strongroom::Result<Kms> {
    let failed = |error| Error::new(ErrorKind::Io, "cannot use the folder of the keys").with_source(error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let (root, store) = (folder.join("root.key"), folder.join("keys.strongroom"));
    // A new root key would not open the keys of an existing store.
    let root = match root.exists() || store.exists() {
        true => RootKey::from_file(&root)?,
        false => RootKey::generate_file(&root)?,
    };
    Kms::builder().audit(FileTrail::new(folder.join("audit"))).open(store, root)
}
