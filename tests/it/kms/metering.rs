//! The key usage that is counted, and the usage that is not.

use std::sync::Arc;
use std::time::Duration;

use strongroom::identity::AccountId;
use strongroom::key::{DeletionWindow, KeyManager, Operation};
use strongroom::request::{EncryptRequest, GenerateDataKeyRequest, ReEncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::KeyStore;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store::{self, Place};
use crate::support::kms::{kind, with_key};

fn requests(kms: &Kms) -> Result<Vec<(KeyManager, u64)>> {
    Ok(kms.metered_keys(AccountId::default())?.iter().map(|key| (key.manager, key.requests)).collect())
}

#[test]
fn customer_managed_keys_are_metered_by_requests_and_time_service_managed_by_requests_owned_not() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = any_store::builder().clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let s3 = kms.as_service("s3")?;
    let owned = s3.create_key(Default::default())?.key_id();
    clock.advance_days(10);
    kms.encrypt(EncryptRequest::new(key, b"x"))?;
    s3.on_behalf_of(&kms)?.generate_data_key(GenerateDataKeyRequest::new("alias/aws/s3"))?;
    s3.encrypt(EncryptRequest::new(owned, b"x"))?;
    let mut metered = kms.metered_keys(AccountId::default())?;
    metered.sort_by_key(|key| key.manager);
    let seen: Vec<_> = metered.iter().map(|key| (key.manager, key.requests, key.key_time)).collect();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    assert_eq!(seen, [(KeyManager::Customer, 1, Some(days(10))), (KeyManager::Service, 1, None)]);
    assert!(kms.metered_keys(AccountId::SERVICES)?.is_empty());
    kms.reset_metering(AccountId::default())?;
    clock.advance_days(1);
    let mut metered = kms.metered_keys(AccountId::default())?;
    metered.sort_by_key(|key| key.manager);
    assert_eq!((metered[0].requests, metered[0].key_time), (0, Some(days(1))));
    Ok(())
}

#[test]
fn what_succeeds_counts_once_and_what_is_refused_or_tried_does_not() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.describe_key(key)?;
    kms.disable_key(key)?;
    kms.encrypt(EncryptRequest::new(key, b"x")).expect_err("the key is disabled");
    kms.enable_key(key)?;
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x").dry_run())), ErrorKind::DryRun);
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(requests(&kms)?, [(KeyManager::Customer, 4)]);
    let other = kms.create_key(Default::default())?.key_id();
    kms.re_encrypt(ReEncryptRequest::new(&blob, other))?;
    let mut seen: Vec<_> = requests(&kms)?.into_iter().map(|(_, count)| count).collect();
    seen.sort_unstable();
    assert_eq!(seen, [1, 5], "both keys of a re-encryption");
    Ok(())
}

#[test]
fn no_request_of_many_threads_is_lost() -> Result<()> {
    let (kms, key) = with_key()?;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..200 {
                    kms.encrypt(EncryptRequest::new(key, b"x")).expect("a blob");
                    if round % 50 == 0 {
                        kms.metered_keys(AccountId::default()).expect("the figures");
                    }
                }
            });
        }
    });
    assert_eq!(requests(&kms)?, [(KeyManager::Customer, 1_600)]);
    Ok(())
}

#[test]
fn no_request_of_several_hosts_is_lost() -> Result<()> {
    let place = Place::new()?;
    let open = || Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])).build();
    let hosts = [open()?, open()?, open()?];
    let key = hosts[0].create_key(Default::default())?.key_id();
    std::thread::scope(|scope| {
        for host in hosts.iter().chain(&hosts) {
            scope.spawn(move || {
                for round in 0..60 {
                    host.encrypt(EncryptRequest::new(key, b"x")).expect("a blob");
                    if round % 20 == 0 {
                        host.metered_keys(AccountId::default()).expect("the figures");
                    }
                }
            });
        }
    });
    let [first, second, third] = hosts;
    // Either writes what a host has counted.
    first.run_maintenance()?;
    second.close()?;
    drop(third);
    assert_eq!(requests(&first)?, [(KeyManager::Customer, 360)]);
    // A reset by another host takes effect here.
    open()?.reset_metering(AccountId::default())?;
    first.encrypt(EncryptRequest::new(key, b"x"))?;
    assert_eq!(requests(&open()?)?, [(KeyManager::Customer, 0)], "not written yet");
    assert_eq!(requests(&first)?, [(KeyManager::Customer, 1)]);
    assert_eq!(requests(&open()?)?, [(KeyManager::Customer, 1)]);
    Ok(())
}

#[test]
fn figures_outlive_a_proper_end_and_go_with_their_key() -> Result<()> {
    let place = Place::new()?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(5)));
    let open = || {
        let root = RootKey::from_bytes(&[7; 32]);
        Kms::builder().store(place.open()?, root).clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()
    };
    let key = {
        let kms = open()?;
        let key = kms.create_key(Default::default())?.key_id();
        kms.encrypt(EncryptRequest::new(key, b"x"))?;
        key
    };
    let kms = open()?;
    assert_eq!(requests(&kms)?, [(KeyManager::Customer, 1)]);
    let usage = kms.get_key_last_usage(key)?;
    assert_eq!((usage.key_creation_date, usage.tracking_start_date), (clock.now(), clock.now()));
    let last = usage.last_usage;
    assert_eq!(last.map(|last| (last.operation, last.time.unix_millis())), Some((Operation::Encrypt, 5)));
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert!(requests(&kms)?.is_empty());
    let report = kms.verify_store(|_| {})?;
    assert!(report.is_intact(), "{:?}", report.problems());
    Ok(())
}

#[test]
fn the_use_of_many_keys_is_added_in_one_commit() -> Result<()> {
    let place = Place::new()?;
    let store = place.open()?;
    let open = || Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])).build();
    let kms = open()?;
    let keys = (0..300).map(|_| Ok(kms.create_key(Default::default())?.key_id())).collect::<Result<Vec<_>>>()?;
    let use_all = |kms: &Kms| keys.iter().try_for_each(|key| kms.encrypt(EncryptRequest::new(*key, b"x")).map(drop));
    let commits = |act: &mut dyn FnMut() -> Result<()>| -> Result<u64> {
        let before = store.revision()?;
        act()?;
        Ok(store.revision()?.0 - before.0)
    };
    use_all(&kms)?;
    assert_eq!(commits(&mut || kms.metered_keys(AccountId::default()).map(drop))?, 1);
    assert_eq!(commits(&mut || kms.metered_keys(AccountId::default()).map(drop))?, 0, "nothing was used since");
    use_all(&kms)?;
    assert_eq!(commits(&mut || kms.run_maintenance().map(drop))?, 1);
    assert_eq!(commits(&mut || kms.reset_metering(AccountId::default()))?, 1);
    use_all(&kms)?;
    let before = store.revision()?;
    drop(kms);
    assert_eq!(store.revision()?.0, before.0 + 1, "the end of a process");
    assert!(requests(&open()?)?.iter().all(|(_, count)| *count == 1));
    Ok(())
}

#[test]
fn only_the_authority_reads_and_resets_the_meter() -> Result<()> {
    let kms = any_store::kms()?;
    let root = kms.as_principal(kms.principal().clone())?;
    assert_eq!(kind(root.metered_keys(AccountId::default())), ErrorKind::AccessDenied);
    assert_eq!(kind(root.reset_metering(AccountId::default())), ErrorKind::AccessDenied);
    Ok(())
}
