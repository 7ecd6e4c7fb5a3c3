//! Children of `fork`: what their parent has opened or reserved, they do not use.

use std::panic::AssertUnwindSafe;

use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::{MemoryStore, SqliteStore, StoreError};
use strongroom::{EncryptRequest, Error, ErrorKind, Kms};
use strongroom_pkcs11_faults::in_child;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn is_forked(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Forked(_)))
}

#[test]
fn a_file_that_the_parent_opened_is_refused_and_can_be_opened_by_the_child() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let kms = Kms::builder().store(SqliteStore::open(&path, &CryptoBackend::default())?, root()).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let encrypt = |kms: &Kms| kms.encrypt(EncryptRequest::new(key, b"data"));
    encrypt(&kms)?;
    let child = || {
        let reads = encrypt(&kms).is_err_and(|error| is_forked(&error));
        let writes = kms.create_key(Default::default()).is_err_and(|error| is_forked(&error));
        // What is dropped in a child is not closed under the parent.
        drop(kms.clone());
        let own = Kms::open(&path, root()).and_then(|own| encrypt(&own)).is_ok();
        i32::from(reads) + 2 * i32::from(writes) + 4 * i32::from(own)
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 7, "1: reading is refused; 2: writing is; 4: its own works");
    encrypt(&kms)?;
    kms.create_key(Default::default())?;
    drop(kms);
    assert!(Kms::open(&path, root())?.verify_store(|_| {})?.is_sound());
    Ok(())
}

#[test]
fn a_child_does_not_write_into_the_audit_chain_of_its_parent() -> TestResult {
    let folder = tempfile::tempdir()?;
    let trail = FileTrail::new(folder.path());
    let kms = Kms::builder().store(MemoryStore::new(&CryptoBackend::default())?, root()).audit(trail).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let child = || {
        let refused = kms.describe_key(key).is_err_and(|error| error.kind() == ErrorKind::Audit);
        i32::from(refused) + 2 * i32::from(kms.create_key(Default::default()).is_err())
    };
    assert_eq!(in_child(AssertUnwindSafe(child)), 3);
    kms.describe_key(key)?;
    assert!(kms.verify_audit_trail(folder.path())?.is_intact());
    Ok(())
}
