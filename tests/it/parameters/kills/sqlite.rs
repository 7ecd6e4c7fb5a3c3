//! Processes on a store in a file.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom::Result;
use strongroom::crypto::CryptoBackend;
use strongroom::store::{KeyStore, SqliteOptions, SqliteStore};

use super::worker::work;
use super::{open, run, trail_in};
use crate::parameters::TestResult;
use crate::support::child_process::{STORE, child, fast_folder};

const CHILD: &str = "parameters::kills::sqlite::works_until_killed";
/// The path of the store.
const FILE: &str = "STRONGROOM_PARAMETERS_FILE";

fn open_file(path: &Path) -> Result<Arc<dyn KeyStore>> {
    // With many writers on few processors, one of them may wait for a long time.
    let options = SqliteOptions::default().busy_timeout(Duration::from_secs(120));
    Ok(Arc::new(SqliteStore::open_with(path, &CryptoBackend::default(), options)?))
}

#[test]
fn kills_lose_and_double_nothing() -> TestResult {
    let home = fast_folder()?;
    let path = home.path().join("keys.strongroom");
    run(&|| open_file(&path), &|folder| {
        let mut command = child(CHILD, folder)?;
        command.env(FILE, &path);
        Ok(command)
    })
}

#[test]
#[ignore = "run only as the child process of a test"]
fn works_until_killed() -> TestResult {
    let folder = PathBuf::from(env::var_os(STORE).ok_or("run only by a test")?);
    let file = env::var_os(FILE).ok_or("run only by a test")?;
    work(&open(open_file(Path::new(&file))?, &trail_in(&folder))?)
}
