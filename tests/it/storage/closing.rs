//! A store in a file that is closed, with and without other users of the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, thread};

use strongroom::audit::{Durability, FileTrail};
use strongroom::crypto::CryptoBackend;
use strongroom::identity::AccountId;
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, SqliteStore, StoreError};
use strongroom::{Error, ErrorKind, Kms};

use crate::support::child_process::is_alone;
use crate::support::kms::kind;
use crate::support::races::{NAMES, race_for_keys};
use crate::support::sqlite_store::{call_everything, used_store};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

/// Returns the log and its index.
fn log_files(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}

fn is_closed(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Closed(_)))
}

#[test]
fn only_the_main_file_remains_while_clones_of_the_handle_exist() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (path, trail) = (folder.path().join("keys"), folder.path().join("trail"));
    let open = || {
        let trail = FileTrail::new(&trail).durability(Durability::Buffered);
        Kms::builder().audit(trail).open(&path, root())
    };
    let kms = open()?;
    let key = kms.create_key(CreateKeyRequest::default().alias("alias/a"))?.key_id();
    for _ in 0..3 {
        kms.encrypt(EncryptRequest::new(key, b"data"))?;
    }
    assert!(log_files(&path).iter().all(|file| file.exists()));
    let clone = kms.clone();
    kms.close()?;
    assert!(log_files(&path).iter().all(|file| !file.exists()));
    let main = fs::read(&path)?;
    assert_eq!(kind(clone.describe_key(key)), ErrorKind::Closed);

    // The main file alone is the complete store.
    let copy = folder.path().join("copy");
    fs::write(&copy, &main)?;
    let again = open()?;
    assert_eq!(again.audit_chains()?.len(), 1, "the chain was released");
    let metered = again.metered_keys(AccountId::default())?;
    assert_eq!(metered.iter().map(|key| key.requests).sum::<u64>(), 3);
    assert!(again.verify_audit_trail(&trail)?.is_intact() && again.verify_store(|_| {})?.is_intact());
    again.close()?;
    drop((kms, clone, again));
    assert_eq!(Kms::open(&copy, root())?.describe_key("alias/a")?.key_id(), key);
    Ok(())
}

#[test]
fn other_users_of_the_file_are_not_affected() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let (first, second) = (Kms::open(&path, root())?, Kms::open(&path, root())?);
    let key = first.create_key(Default::default())?.key_id();
    second.describe_key(key)?;
    first.close()?;
    assert!(log_files(&path).iter().all(|file| file.exists()), "the second one uses them");
    let late = second.create_key(Default::default())?.key_id();
    second.encrypt(EncryptRequest::new(key, b"data"))?;
    drop(first);
    second.create_key(Default::default())?;
    second.close()?;
    let third = Kms::open(&path, root())?;
    third.describe_key(late)?;
    assert!(third.keys().count() == 3 && third.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn every_path_to_a_closed_store_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let store = used_store(&path)?;
    store.close()?;
    let results = call_everything(&store, &folder.path().join("copy"));
    assert!(results.iter().all(|result| result.as_ref().is_err_and(is_closed)), "{results:?}");
    store.close()?;
    drop(store);
    assert_eq!(SqliteStore::open(&path, &CryptoBackend::default())?.revision()?.0, 1);
    Ok(())
}

#[test]
fn a_store_that_is_shared_is_closed_for_both_and_threads_end_with_an_error() -> TestResult {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(folder.path().join("keys"), &CryptoBackend::default())?);
    let build = || Kms::builder().store(Arc::clone(&store), root()).build();
    let (first, second) = (build()?, build()?);
    let key = second.create_key(Default::default())?.key_id();
    second.encrypt(EncryptRequest::new(key, b"data"))?;
    let errors: Vec<Error> = thread::scope(|scope| {
        let work = || {
            loop {
                let done = second.create_key(Default::default()).and_then(|_| second.describe_key(key));
                if let Err(error) = done {
                    return error;
                }
            }
        };
        let threads = [scope.spawn(work), scope.spawn(work), scope.spawn(work)];
        first.close()?;
        Ok::<_, Error>(threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect())
    })?;
    assert!(errors.iter().all(is_closed), "{errors:?}");
    // The loss is reported: the second one can no longer write its counts.
    assert!(second.close().is_err_and(|error| is_closed(&error)));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_truncated_log_is_reported_and_not_copied() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let kms = Kms::open(&path, root())?;
    kms.create_key(Default::default())?;
    let [log, _] = log_files(&path);
    let whole = fs::read(&log)?;
    fs::OpenOptions::new().write(true).open(&log)?.set_len(u64::try_from(whole.len() / 2)?)?;
    let before = fs::read(&path)?;
    let failed = kms.close().expect_err("the log is not complete");
    assert!(matches!(failed.downcast_ref(), Some(StoreError::LogLost(_))), "{failed}");
    drop(kms);
    assert!(fs::read(&path)? == before, "nothing of it is copied");
    // With the rest of the log, nothing is lost.
    fs::write(&log, whole)?;
    assert_eq!(Kms::open(&path, root())?.keys().count(), 1);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_child_of_fork_cannot_close_the_store_of_its_parent() -> TestResult {
    if !is_alone("storage::closing::a_child_of_fork_cannot_close_the_store_of_its_parent")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let kms = Kms::open(&path, root())?;
    let key = kms.create_key(Default::default())?.key_id();
    let child = || {
        let failed = kms.close().is_err_and(|error| matches!(error.downcast_ref(), Some(StoreError::Forked(_))));
        i32::from(failed) + 2 * i32::from(kind(kms.describe_key(key)) == ErrorKind::Closed)
    };
    assert_eq!(strongroom_pkcs11_faults::in_child(std::panic::AssertUnwindSafe(child)), 3);
    kms.encrypt(EncryptRequest::new(key, b"data"))?;
    kms.close()?;
    assert!(!log_files(&path)[0].exists());
    Ok(())
}

#[test]
fn two_kms_on_one_file_that_race_for_a_key_get_the_same_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let all = [Kms::open(&path, root())?, Kms::open(&path, root())?];
    let keys = race_for_keys(&all)?;
    assert!(keys.iter().all(|keys| keys.len() == 1), "{keys:?}");
    for kms in &all {
        let aliases: Vec<String> =
            kms.aliases().map(|alias| Ok(alias?.alias_name.to_string())).collect::<strongroom::Result<_>>()?;
        assert_eq!((kms.keys().count(), aliases), (NAMES.len(), NAMES.map(str::to_owned).to_vec()));
    }
    assert!(all[0].verify_store(|_| {})?.is_intact());
    Ok(())
}
