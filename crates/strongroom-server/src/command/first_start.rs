//! The first access key of a new store.

use strongroom::identity::Principal;
use strongroom::seal::PrivateFile;

use super::opening::{Opened, Store};
use crate::credentials::{AccessKeys, IssueOptions, issue};
use crate::error::{Error, Result};

/// The suffix of the file with the first access key.
const PROFILE: &str = ".aws";

/// The access keys at the start, and the file with the first one if it exists.
pub(super) struct Start {
    pub(super) keys: AccessKeys,
    pub(super) profile: Option<std::path::PathBuf>,
}

/// Loads the access keys. For a new store, creates one for the root of the account, and writes it to
/// a file for AWS clients, so that no secret appears on the terminal or in a log.
pub(super) fn prepare(opened: &mut Opened, profile: Option<&std::path::Path>) -> Result<Start> {
    let path = profile.map_or_else(|| opened.companion(PROFILE), std::path::Path::to_path_buf);
    let is_memory = opened.store == Store::Memory;
    if !opened.is_new || (opened.credentials.path().exists() && !is_memory) {
        let keys = opened.credentials.load(&opened.kms)?;
        if keys.is_empty() {
            let file = opened.credentials.path().display();
            let hint = "create one with `strongroom-server credentials create`, and send SIGHUP";
            opened.notes.push(format!("there are no access keys in {file}: {hint}"));
        }
        return Ok(Start { keys, profile: Some(path).filter(|path| path.exists()) });
    }
    if is_memory {
        // The secrets of an earlier store in memory cannot be decrypted.
        opened.credentials.clear()?;
    }
    let root = Principal::root(opened.kms.principal().account());
    let issued = issue(&opened.kms, &opened.credentials, &root, &IssueOptions::default())?;
    let file = PrivateFile::new(&path);
    let written = file.lock().and_then(|locked| locked.replace(issued.expose_profile("default").as_bytes()));
    written.map_err(|error| Error::new(format!("cannot write {}", path.display())).with_source(error))?;
    opened.notes.push(format!("created an access key for {root} in {}", path.display()));
    Ok(Start { keys: opened.credentials.load(&opened.kms)?, profile: Some(path) })
}
