//! Several processes meter one store, and each use is counted exactly once.

use std::path::Path;
use std::process::Command;

use strongroom::identity::AccountId;
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::{Kms, Result};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Marks a metering process, and sets the store that it works on.
const STORE: &str = "STRONGROOM_METERED_STORE";
const ALIAS: &str = "alias/metered";
const REQUESTS: u64 = 120;

fn open(path: &Path) -> Result<Kms> {
    Kms::open(path, RootKey::from_bytes(&[7; 32]))
}

fn requests(kms: &Kms) -> Result<u64> {
    Ok(kms.metered_keys(AccountId::default())?.iter().map(|key| key.requests).sum())
}

#[test]
fn the_process_that_is_metered() -> TestResult {
    let Some(path) = std::env::var_os(STORE) else { return Ok(()) };
    let kms = open(Path::new(&path))?;
    for round in 0..REQUESTS {
        kms.encrypt(EncryptRequest::new(ALIAS, b"x"))?;
        if round % 40 == 0 {
            requests(&kms)?; // hands over what was counted so far
        }
    }
    Ok(())
}

#[test]
fn processes_on_one_store_add_up_to_all_that_they_did() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("keys");
    let kms = open(&path)?;
    let key = kms.create_key(Default::default())?;
    kms.create_alias(ALIAS, key.key_id())?;
    let before = requests(&kms)?;
    let child = || {
        Command::new(std::env::current_exe()?)
            .args(["--exact", "process::metering::the_process_that_is_metered"])
            .env(STORE, &path)
            .spawn()
    };
    let children = [child()?, child()?, child()?];
    for _ in 0..REQUESTS {
        kms.encrypt(EncryptRequest::new(ALIAS, b"x"))?;
        assert!(requests(&kms)? >= before);
    }
    for mut child in children {
        assert!(child.wait()?.success());
    }
    assert_eq!(requests(&kms)?, before + 4 * REQUESTS);
    drop(kms);
    assert_eq!(requests(&open(&path)?)?, before + 4 * REQUESTS);
    Ok(())
}
