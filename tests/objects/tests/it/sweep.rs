//! Sweeps: the objects that change, concurrent writers, and stores without conditional writes.

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions};
use strongroom::envelope::KmsKeyring;
use strongroom::objects::{EncryptedStore, ObjectSweep, PathBinding};
use strongroom::request::CreateKeyRequest;
use strongroom::{EncryptionContext, ErrorKind, Kms};

use crate::support::{Faulty, TestResult, keyring, keyring_named, kind, lock, plaintext, refusal, run, stored};

#[test]
fn a_rotation_and_a_moved_alias_make_objects_old() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let first = kms.create_key(CreateKeyRequest::default().alias("alias/reports"))?.key_id();
        let below = Arc::new(InMemory::new());
        let store = EncryptedStore::new(Arc::clone(&below), "reports", KmsKeyring::new(&kms, "alias/reports")?)?;
        let names = ["a/1", "a/2", "b/1"];
        for name in names {
            store.put(&Path::from(name), plaintext(100).into()).await?;
        }
        let sweep = ObjectSweep::new(&store);
        assert_eq!(sweep.run().await?.current(), 3);

        kms.rotate_key_on_demand(first)?;
        assert_eq!(sweep.clone().dry_run().run().await?.changed(), 3);
        let part = sweep.clone().prefix(Path::from("a")).run().await?;
        assert_eq!((part.examined(), part.changed(), part.last()), (2, 2, Some(&Path::from("a/2"))));
        let rest = sweep.clone().start_after(Path::from("a/2")).run().await?;
        assert_eq!((rest.examined(), rest.changed(), rest.is_complete()), (1, 1, true));
        assert_eq!(sweep.run().await?.current(), 3);

        let second = kms.create_key(Default::default())?.key_id();
        kms.update_alias("alias/reports", second)?;
        let old = EncryptedStore::new(below, "reports", KmsKeyring::new(&kms, first)?)?;
        assert_eq!(sweep.read_with(&old).run().await?.changed(), 3);
        kms.disable_key(first)?;
        for name in names {
            assert_eq!(store.get(&Path::from(name)).await?.bytes().await?, plaintext(100));
        }
        Ok(())
    })
}

#[test]
fn another_keyring_and_other_lengths_are_written() -> TestResult {
    run(async {
        let below = Arc::new(InMemory::new());
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2025"))?;
        let attributes = Attributes::from_iter([(Attribute::ContentType, "text/csv")]);
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        old.put_opts(&Path::from("a"), plaintext(1_000).into(), options).await?;
        old.put(&Path::from("foreign"), "1".into()).await?;
        below.put(&Path::from("foreign"), "not encrypted".into()).await?;

        let new = EncryptedStore::builder(Arc::clone(&below), "other", keyring_named("2026"));
        let new = new.header_length(400).frame_length(64).build()?;
        let sweep = ObjectSweep::new(&new).read_with(&old);
        let report = sweep.run().await?;
        assert_eq!((report.changed(), report.failed(), report.is_complete()), (1, 1, false));
        let (path, error) = &report.failures()[0];
        assert_eq!((path, kind(error)), (&Path::from("foreign"), Some(ErrorKind::InvalidMessage)));
        let found = new.get(&Path::from("a")).await?;
        assert_eq!(found.attributes, attributes);
        assert_eq!(found.bytes().await?, plaintext(1_000));
        assert!(refusal(&old, &Path::from("a")).await.is_some());
        assert_eq!(below.get(&Path::from("foreign")).await?.bytes().await?, "not encrypted");
        assert_eq!(sweep.run().await?.current(), 1);
        Ok(())
    })
}

#[test]
fn each_changed_setting_makes_objects_old() -> TestResult {
    run(async {
        let context = EncryptionContext::from([("tenant", "42")]);
        for setting in ["bucket", "context", "header binding", "movable binding", "header", "frame"] {
            let below = Arc::new(InMemory::new());
            let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?;
            let path = Path::from("a");
            old.put(&path, plaintext(100).into()).await?;
            let bucket = if setting == "bucket" { "other" } else { "bucket" };
            let new = EncryptedStore::builder(below, bucket, keyring());
            let new = match setting {
                "context" => new.context(&context),
                "header binding" => new.path_binding(PathBinding::Header),
                "movable binding" => new.path_binding(PathBinding::Movable),
                "header" => new.header_length(1_024),
                "frame" => new.frame_length(64),
                _ => new,
            };
            let new = new.build()?;
            let sweep = ObjectSweep::new(&new).read_with(&old);
            assert_eq!(sweep.run().await?.changed(), 1, "{setting}");
            assert_eq!(new.get(&path).await?.bytes().await?, plaintext(100), "{setting}");
            assert_eq!(sweep.run().await?.current(), 1, "{setting}");
        }
        Ok(())
    })
}

#[test]
fn a_write_during_the_sweep_is_kept() -> TestResult {
    run(async {
        let below = Faulty::new();
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2025"))?;
        let path = Path::from("busy");
        old.put(&path, "written by another program".into()).await?;
        let theirs = stored(&below.below, &path).await?;
        old.put(&path, "old".into()).await?;

        let new = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2026"))?;
        // Another program writes after the sweep has read the object, and before it replaces it.
        let target = below.below.clone();
        *lock(&below.before_write) = Some(Box::new(move |path, _| {
            let written = futures_util::FutureExt::now_or_never(target.put(path, theirs.clone().into()));
            assert!(written.is_some_and(|result| result.is_ok()));
        }));
        let sweep = ObjectSweep::new(&new).read_with(&old);
        let report = sweep.run().await?;
        assert_eq!((report.changed_by_others(), report.changed(), report.is_complete()), (1, 0, false));
        assert_eq!(old.get(&path).await?.bytes().await?, "written by another program");
        assert_eq!(sweep.run().await?.changed(), 1);
        assert_eq!(new.get(&path).await?.bytes().await?, "written by another program");
        Ok(())
    })
}

#[test]
fn sweeps_at_the_same_time_replace_each_object_once() -> TestResult {
    run(async {
        let below = Arc::new(InMemory::new());
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2025"))?;
        let new = EncryptedStore::new(below, "bucket", keyring_named("2026"))?;
        for number in 0..50 {
            old.put(&Path::from(format!("{number}")), vec![1; 1 << 16].into()).await?;
        }
        let tasks = [(); 3].map(|()| {
            let sweep = ObjectSweep::new(&new).read_with(&old);
            tokio::spawn(async move { sweep.run().await })
        });
        let (mut examined, mut changed) = (0, 0);
        for task in tasks {
            let report = task.await??;
            examined += report.examined();
            // The others find an object current, just replaced, or no longer under the old key.
            changed += report.changed();
        }
        assert_eq!((examined, changed), (150, 50));
        for number in 0..50 {
            assert!(new.get(&Path::from(format!("{number}"))).await?.bytes().await? == vec![1; 1 << 16]);
        }
        Ok(())
    })
}

#[test]
fn large_objects_and_folders_need_a_choice() -> TestResult {
    run(async {
        let below = Arc::new(InMemory::new());
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2025"))?;
        let new = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2026"))?;
        let path = Path::from("large");
        let bytes = plaintext(9 << 20);
        old.put(&path, bytes.clone().into()).await?;
        let sweep = ObjectSweep::new(&new).read_with(&old).max_in_memory(1 << 20);
        let report = sweep.run().await?;
        assert_eq!((report.too_large(), report.large_objects(), report.is_complete()), (1, &[path.clone()][..], false));
        let report = sweep.allow_unconditional_replacement().run().await?;
        assert_eq!((report.changed(), report.is_complete()), (1, true));
        assert!(new.get(&path).await?.bytes().await? == bytes);
        let all: Vec<_> = futures_util::TryStreamExt::try_collect(below.list(None)).await?;
        assert_eq!(all.len(), 1, "no temporary object remains");

        let folder = tempfile::tempdir()?;
        let files = Arc::new(LocalFileSystem::new_with_prefix(folder.path())?);
        let old = EncryptedStore::new(Arc::clone(&files), "bucket", keyring_named("2025"))?;
        let new = EncryptedStore::new(Arc::clone(&files), "bucket", keyring_named("2026"))?;
        old.put(&Path::from("file"), "1".into()).await?;
        let sweep = ObjectSweep::new(&new).read_with(&old);
        let report = sweep.run().await?;
        assert_eq!(report.failed(), 1);
        assert!(matches!(report.failures()[0].1, object_store::Error::NotImplemented { .. }));
        assert_eq!(sweep.allow_unconditional_replacement().run().await?.changed(), 1);
        assert_eq!(new.get(&Path::from("file")).await?.bytes().await?, "1");
        Ok(())
    })
}

#[test]
fn a_large_object_is_replaced_in_its_place_unless_another_program_wrote_it() -> TestResult {
    run(async {
        let below = Faulty::new();
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2025"))?;
        let new = EncryptedStore::new(Arc::clone(&below), "bucket", keyring_named("2026"))?;
        let (path, bytes) = (Path::from("large"), plaintext(9 << 20));
        old.put(&path, "written by another program".into()).await?;
        let theirs = stored(&below.below, &path).await?;
        old.put(&path, bytes.clone().into()).await?;
        let sweep = ObjectSweep::new(&new).read_with(&old).max_in_memory(1 << 20).allow_unconditional_replacement();

        // After the parts were uploaded, and before the upload is completed.
        let (target, parts) = (below.below.clone(), Arc::clone(&below.part_lengths));
        *lock(&below.before_read) = Some(Box::new(move |path, _| {
            if !lock(&parts).is_empty() {
                let written = futures_util::FutureExt::now_or_never(target.put(path, theirs.clone().into()));
                assert!(written.is_some_and(|result| result.is_ok()));
            }
        }));
        let report = sweep.run().await?;
        assert_eq!((report.changed_by_others(), report.changed()), (1, 0));
        assert_eq!(below.aborts.load(std::sync::atomic::Ordering::SeqCst), 1);
        *lock(&below.before_read) = None;
        assert_eq!(old.get(&path).await?.bytes().await?, "written by another program");

        old.put(&path, bytes.clone().into()).await?;
        assert_eq!(sweep.run().await?.changed(), 1);
        assert!(new.get(&path).await?.bytes().await? == bytes);
        assert_eq!(*lock(&below.uploads), [path.clone(), path], "no other name is ever used");
        Ok(())
    })
}

#[test]
fn nothing_changes_if_no_new_data_key_can_be_made() -> TestResult {
    run(async {
        let kms = Kms::in_memory()?;
        let key = kms.create_key(Default::default())?.key_id();
        let below = Arc::new(InMemory::new());
        let old = EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?;
        old.put(&Path::from("a"), "1".into()).await?;
        kms.disable_key(key)?;
        let new = EncryptedStore::new(Arc::clone(&below), "bucket", KmsKeyring::new(&kms, key)?)?;
        let report = ObjectSweep::new(&new).read_with(&old).run().await?;
        assert_eq!((report.failed(), report.changed()), (1, 0), "the context is that of the object");
        let shared = EncryptedStore::builder(Arc::clone(&below), "bucket", KmsKeyring::new(&kms, key)?);
        let shared = shared.path_binding(PathBinding::Header).build()?;
        assert!(ObjectSweep::new(&shared).read_with(&old).run().await.is_err(), "the context is that of all");
        assert_eq!(old.get(&Path::from("a")).await?.bytes().await?, "1");
        Ok(())
    })
}
