//! Keys of the KMS: contexts in the audit trail and policies, shared data keys, and disabled keys.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use strongroom::audit::MemoryTrail;
use strongroom::envelope::{CachingMaterialsManager, KmsKeyring};
use strongroom::objects::{EncryptedStore, PathBinding};
use strongroom::{ErrorKind, Kms};

use crate::support::{TestResult, plaintext, refusal, run};

#[test]
fn the_audit_trail_shows_the_path_of_every_object() -> TestResult {
    run(async {
        let trail = Arc::new(MemoryTrail::with_capacity(100));
        let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
        let keyring = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
        let store = EncryptedStore::new(InMemory::new(), "reports", keyring)?;
        store.put(&Path::from("2026/a.csv"), "1".into()).await?;
        store.get(&Path::from("2026/a.csv")).await?.bytes().await?;
        let shown = trail.events().iter().filter(|event| format!("{event:?}").contains("2026/a.csv")).count();
        assert_eq!(shown, 2, "GenerateDataKey and Decrypt");
        Ok(())
    })
}

#[test]
fn many_objects_share_a_data_key_within_limits() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let keyring = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
        let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(3_600)).max_messages(10);
        let manager = manager.max_bytes(1 << 20).build()?;
        let cache = manager.cache().clone();
        let store = EncryptedStore::builder(InMemory::new(), "reports", manager);
        let store = store.path_binding(PathBinding::Header).build()?;
        for number in 0..30 {
            store.put(&Path::from(format!("{number}")), plaintext(number).into()).await?;
        }
        assert_eq!(cache.statistics().misses(), 3, "one data key for ten objects");
        for number in 0..30 {
            let found = store.get(&Path::from(format!("{number}"))).await?.bytes().await?;
            assert_eq!(found, plaintext(number));
        }
        assert_eq!(cache.statistics().misses(), 6, "and one call for the objects of a data key");
        // Uploads in parts, of unknown length, have separate data keys.
        let mut upload = store.put_multipart(&Path::from("parts")).await?;
        upload.put_part(plaintext(100).into()).await?;
        upload.complete().await?;
        assert_eq!(cache.statistics().misses(), 6);
        assert_eq!(store.get(&Path::from("parts")).await?.bytes().await?, plaintext(100));
        Ok(())
    })
}

#[test]
fn a_disabled_key_refuses_reads_and_writes() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let key = kms.create_key(Default::default())?.key_id();
        let store = EncryptedStore::new(InMemory::new(), "reports", KmsKeyring::new(&kms, key)?)?;
        let path = Path::from("object");
        store.put(&path, "1".into()).await?;
        kms.disable_key(key)?;
        assert_eq!(refusal(&store, &path).await, Some(ErrorKind::NoDataKeyUnwrapped));
        assert!(store.put(&path, "2".into()).await.is_err());
        assert!(store.put_multipart(&path).await.is_err());
        assert_eq!(store.head(&path).await?.size, 1, "a size needs no key");
        kms.enable_key(key)?;
        assert_eq!(store.get(&path).await?.bytes().await?, "1");
        Ok(())
    })
}
