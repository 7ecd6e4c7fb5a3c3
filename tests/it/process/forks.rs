//! Children of `fork` do not use resources that their parent has opened or reserved.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use strongroom::audit::FileTrail;
use strongroom::crypto::{CryptoBackend, CryptoError, LockedRng, SecureRandom};
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore, SqliteStore, StoreError};
use strongroom::{Error, ErrorKind, Kms};
use strongroom_pkcs11_faults::in_child;

use crate::support::child_process::is_alone;
use crate::support::sqlite_store::{call_everything, used_store};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn is_forked(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Forked(_)))
}

#[test]
fn a_file_that_the_parent_opened_is_refused_and_can_be_opened_by_the_child() -> TestResult {
    if !is_alone("process::forks::a_file_that_the_parent_opened_is_refused_and_can_be_opened_by_the_child")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let kms = Kms::builder().store(SqliteStore::open(&path, &CryptoBackend::default())?, root()).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let encrypt = |kms: &Kms| kms.encrypt(EncryptRequest::new(key, b"data"));
    encrypt(&kms)?;
    let child = || {
        let reads = encrypt(&kms).is_err_and(|error| is_forked(&error));
        let writes = kms.create_key(Default::default()).is_err_and(|error| is_forked(&error));
        // Dropping an object in a child does not close it in the parent.
        drop(kms.clone());
        let own = Kms::open(&path, root()).and_then(|own| encrypt(&own)).is_ok();
        i32::from(reads) + 2 * i32::from(writes) + 4 * i32::from(own)
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 7, "1: reading is refused; 2: writing is; 4: its own works");
    encrypt(&kms)?;
    kms.create_key(Default::default())?;
    drop(kms);
    assert!(Kms::open(&path, root())?.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn every_path_to_the_file_is_refused_in_a_child() -> TestResult {
    if !is_alone("process::forks::every_path_to_the_file_is_refused_in_a_child")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let store = used_store(&path)?;
    let child = |store: SqliteStore| {
        let results = call_everything(&store, &folder.path().join("copy"));
        drop(store);
        results.iter().position(|result| !result.as_ref().is_err_and(is_forked))
    };
    let mut store = Some(store);
    let refused = in_child(AssertUnwindSafe(|| {
        let allowed = store.take().and_then(child);
        allowed.map_or(0, |index| i32::try_from(index + 1).unwrap_or(i32::MAX))
    }));
    assert_eq!(refused, 0, "the number of the first call that was not refused");
    let store = store.ok_or("the parent still has its store")?;
    store.commit(&[], &mut |_| Ok(Vec::new())).map_err(Error::from)?;
    assert!(store.check_structure()?.is_empty());
    Ok(())
}

#[test]
fn a_child_does_not_repeat_the_random_bytes_of_its_parent() -> TestResult {
    if !is_alone("process::forks::a_child_does_not_repeat_the_random_bytes_of_its_parent")? {
        return Ok(());
    }
    let rng = CryptoBackend::default().rng();
    let (own, shared) = (LockedRng::new(rng), LockedRng::assume_fork_safe(rng));
    let kms = Kms::builder().backend(CryptoBackend::default().with_rng(rng)).build()?;
    let child = || {
        let mut bytes = [7; 32];
        let refused = own.fill(&mut bytes) == Err(CryptoError::RandomForked) && bytes == [0; 32];
        let allowed = shared.fill(&mut bytes).is_ok();
        let error = kms.create_key(Default::default()).err();
        let kms_refused = error.is_some_and(|error| error.downcast_ref() == Some(&CryptoError::RandomForked));
        i32::from(refused) + 2 * i32::from(allowed) + 4 * i32::from(kms_refused)
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 7);
    own.fill(&mut [0; 32])?;
    kms.create_key(Default::default())?;
    Ok(())
}

#[test]
fn a_child_does_not_write_into_the_audit_chain_of_its_parent() -> TestResult {
    if !is_alone("process::forks::a_child_does_not_write_into_the_audit_chain_of_its_parent")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let open = || Kms::builder().store(Arc::clone(&store), root()).audit(FileTrail::new(folder.path())).build();
    let kms = open()?;
    let key = kms.create_key(Default::default())?.key_id();
    let mut inherited = Some(kms);
    let child = || {
        // Dropped at the end, without the lock of the chain that the parent holds.
        let Some(kms) = inherited.take() else { return 0 };
        let refused = kms.describe_key(key).is_err_and(|error| error.kind() == ErrorKind::Audit);
        i32::from(refused) + 2 * i32::from(kms.create_key(Default::default()).is_err())
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 3);
    assert_eq!(open()?.audit_chains()?.len(), 2, "the chain of the parent is still locked");
    let kms = inherited.ok_or("the parent still has it")?;
    kms.describe_key(key)?;
    assert!(kms.verify_audit_trail(folder.path())?.is_intact());
    Ok(())
}
