//! Sweeps: which keys are current, for every kind of keyring, with caches, and by age.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use strongroom::crypto::{CryptoBackend, KeyPairKind};
use strongroom::envelope::{
    BranchKeyStore, CachingMaterialsManager, HierarchicalKeyring, KmsBranchKeyWrapper, KmsContextKeyring, KmsKeyring,
    MultiKeyring, RawEcdhKeyring,
};
use strongroom::objects::{EncryptedStore, ObjectSweep, PathBinding};
use strongroom::store::MemoryStore;
use strongroom::{Clock, EncryptionContext, Error, ErrorKind, Kms, ManualClock, SystemClock, Timestamp};

use crate::support::{TestResult, in_memory, plaintext, run};

/// Returns the numbers of current and changed objects.
async fn swept(sweep: ObjectSweep<Arc<InMemory>>) -> TestResult<(u64, u64)> {
    let report = sweep.run().await?;
    assert!(report.is_complete(), "{report:?}");
    Ok((report.current(), report.changed()))
}

#[test]
fn ecdh_keys_are_compared_by_what_is_constant() -> TestResult {
    run(async {
        let backend = CryptoBackend::default();
        let new = || backend.key_pairs().generate(KeyPairKind::EccP256, backend.random());
        let (sender, other_sender, recipient, other_recipient) = (new()?, new()?, new()?, new()?);
        let below = Arc::new(InMemory::new());
        let path = Path::from("object");
        let store = |keyring| EncryptedStore::new(Arc::clone(&below), "bucket", keyring);

        // With a new sender for each message. The private key is needed only to read.
        let ephemeral = |pair: &dyn strongroom::crypto::PrivateKey| RawEcdhKeyring::ephemeral(&pair.public_key_der());
        let discovery = RawEcdhKeyring::discovery(recipient.to_pkcs8()?.expose_secret())?;
        let reader = store(MultiKeyring::new(discovery))?;
        let writer = store(MultiKeyring::new(ephemeral(&*recipient)?))?;
        writer.put(&path, "1".into()).await?;
        assert_eq!(swept(ObjectSweep::new(&writer).read_with(&reader)).await?, (1, 0));
        let moved = store(MultiKeyring::new(ephemeral(&*other_recipient)?))?;
        assert_eq!(swept(ObjectSweep::new(&moved).read_with(&reader)).await?, (0, 1));
        assert_eq!(swept(ObjectSweep::new(&moved).read_with(&reader)).await?, (1, 0));

        // Between two key pairs, of which either may be replaced.
        let between = |one: &dyn strongroom::crypto::PrivateKey, other: &dyn strongroom::crypto::PrivateKey| {
            let keyring = RawEcdhKeyring::static_keys(one.to_pkcs8()?.expose_secret(), &other.public_key_der())?;
            Ok::<_, Error>(MultiKeyring::new(keyring))
        };
        let first = store(between(&*sender, &*recipient)?)?;
        first.put(&path, "1".into()).await?;
        assert_eq!(swept(ObjectSweep::new(&first)).await?, (1, 0));
        let second = store(between(&*other_sender, &*recipient)?)?;
        assert_eq!(swept(ObjectSweep::new(&second).read_with(&first)).await?, (0, 1));
        let third = store(between(&*other_sender, &*other_recipient)?)?;
        assert_eq!(swept(ObjectSweep::new(&third).read_with(&second)).await?, (0, 1));
        assert_eq!(swept(ObjectSweep::new(&third)).await?, (1, 0));
        Ok(())
    })
}

#[test]
fn a_rotated_branch_key_makes_objects_old() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
        let keys = BranchKeyStore::new(MemoryStore::new(&Default::default())?, "branch-keys", wrapper)?;
        let id = keys.create_branch_key(&EncryptionContext::new())?;
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let keyring = HierarchicalKeyring::new(&keys, &id, Duration::from_secs(600))?.with_clock(Arc::clone(&clock));
        let store = EncryptedStore::new(Arc::new(InMemory::new()), "bucket", keyring)?;
        for name in ["a", "b"] {
            store.put(&Path::from(name), "1".into()).await?;
        }
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (2, 0));
        keys.rotate(&id)?;
        clock.advance_days(1); // the time to live of the old version ends
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (0, 2));
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (2, 0));
        Ok(())
    })
}

#[test]
fn the_key_may_depend_on_the_path() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let keys = [kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id()];
        let keyring = KmsContextKeyring::new(&kms, move |context| match context.get("path") {
            Some(path) if path.starts_with("eu/") => Ok(keys[0]),
            Some(path) if path.starts_with("us/") => Ok(keys[1]),
            _ => Err(Error::new(ErrorKind::Validation, "no key for this path")),
        });
        let store = EncryptedStore::new(Arc::new(InMemory::new()), "bucket", keyring)?;
        for name in ["eu/a", "us/a", "us/b"] {
            store.put(&Path::from(name), "1".into()).await?;
        }
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (3, 0));
        kms.rotate_key_on_demand(keys[1])?;
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (1, 2));
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (3, 0));
        Ok(())
    })
}

#[test]
fn a_cached_data_key_under_the_old_key_is_not_used() -> TestResult {
    run(async {
        for binding in [PathBinding::Context, PathBinding::Header, PathBinding::Movable] {
            let kms = Kms::in_memory()?;
            let key = kms.create_key(Default::default())?.key_id();
            let hour = Duration::from_secs(3_600);
            let manager = CachingMaterialsManager::builder(KmsKeyring::new(&kms, key)?, hour).build()?;
            let cache = manager.cache().clone();
            let store = EncryptedStore::builder(Arc::new(InMemory::new()), "bucket", manager);
            let store = store.path_binding(binding).build()?;
            let lengths = [100, 3 << 20];
            for length in lengths {
                store.put(&Path::from(format!("{length}")), plaintext(length).into()).await?;
            }
            kms.rotate_key_on_demand(key)?;
            assert_eq!(swept(ObjectSweep::new(&store)).await?, (0, 2), "{binding:?}");
            assert_eq!(swept(ObjectSweep::new(&store)).await?, (2, 0), "{binding:?}");
            for length in lengths {
                let found = store.get(&Path::from(format!("{length}"))).await?.bytes().await?;
                assert!(found == plaintext(length), "{binding:?}");
            }

            // Data keys of the cache that are current are shared.
            cache.clear();
            kms.rotate_key_on_demand(key)?;
            let before = cache.statistics().misses();
            assert_eq!(swept(ObjectSweep::new(&store)).await?, (0, 2), "{binding:?}");
            let written = cache.statistics().misses() - before;
            // Each of the two objects is read under a separate data key.
            assert_eq!(written, if binding == PathBinding::Context { 2 } else { 3 }, "{binding:?}");
        }
        Ok(())
    })
}

#[test]
fn objects_before_an_instant_are_encrypted_again_whatever_their_key_is() -> TestResult {
    run(async {
        let (store, _) = in_memory()?;
        for name in ["a", "b", "c"] {
            store.put(&Path::from(name), "1".into()).await?;
        }
        let newest = store.head(&Path::from("c")).await?.last_modified.timestamp_millis();
        let instant = Timestamp::from_unix_millis(newest + 1);
        while SystemClock.now() <= instant {
            std::thread::yield_now();
        }
        let forced = ObjectSweep::new(&store).force_older_than(instant);
        assert_eq!(swept(ObjectSweep::new(&store)).await?, (3, 0));
        assert_eq!(swept(forced.clone().dry_run()).await?, (0, 3));
        // A sweep that was interrupted is repeated.
        assert_eq!(swept(forced.clone().start_after(Path::from("a"))).await?, (0, 2));
        assert_eq!(swept(forced.clone()).await?, (2, 1));
        assert_eq!(swept(forced).await?, (3, 0));
        assert_eq!(store.get(&Path::from("a")).await?.bytes().await?, "1");
        Ok(())
    })
}
