//! Objects are bound to bucket and path, copies and renames bind them again, and the explicit choice for
//! stores that move objects.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions};
use strongroom::objects::{EncryptedStore, PathBinding};
use strongroom::{EncryptionContext, ErrorKind};

use crate::support::{TestResult, keyring, plaintext, refusal, run, stored};

fn store(below: &Arc<InMemory>, binding: PathBinding) -> TestResult<EncryptedStore<Arc<InMemory>>> {
    Ok(EncryptedStore::builder(Arc::clone(below), "bucket", keyring()).path_binding(binding).build()?)
}

#[test]
fn exchanged_objects_are_rejected() -> TestResult {
    run(async {
        for binding in [PathBinding::Context, PathBinding::Header] {
            let below = Arc::new(InMemory::new());
            let store = store(&below, binding)?;
            let (one, other) = (Path::from("one"), Path::from("other"));
            store.put(&one, "1".into()).await?;
            below.copy(&one, &other).await?;
            assert_eq!(refusal(&store, &other).await, Some(ErrorKind::ContextMismatch), "{binding:?}");
            assert_eq!(refusal(&store, &one).await, None);
        }
        Ok(())
    })
}

#[test]
fn an_object_of_another_bucket_or_context_is_rejected() -> TestResult {
    run(async {
        for binding in [PathBinding::Context, PathBinding::Header, PathBinding::Movable] {
            let below = Arc::new(InMemory::new());
            let path = Path::from("object");
            store(&below, binding)?.put(&path, "1".into()).await?;
            let builder = || EncryptedStore::builder(Arc::clone(&below), "bucket", keyring()).path_binding(binding);
            let other =
                EncryptedStore::builder(Arc::clone(&below), "other", keyring()).path_binding(binding).build()?;
            assert_eq!(refusal(&other, &path).await, Some(ErrorKind::ContextMismatch), "{binding:?}");
            let tenant = builder().context(&EncryptionContext::from([("tenant", "7")])).build()?;
            assert_eq!(refusal(&tenant, &path).await, Some(ErrorKind::ContextMismatch), "{binding:?}");
            assert_eq!(refusal(&builder().build()?, &path).await, None);
        }
        Ok(())
    })
}

#[test]
fn the_table_of_bindings_that_a_store_accepts() -> TestResult {
    use PathBinding::{Context, Header, Movable};
    run(async {
        for written in [Context, Header, Movable] {
            for read in [Context, Header, Movable] {
                let below = Arc::new(InMemory::new());
                let (path, moved) = (Path::from("object"), Path::from("moved"));
                store(&below, written)?.put(&path, "1".into()).await?;
                below.copy(&path, &moved).await?;
                let reader = store(&below, read)?;
                let in_place = refusal(&reader, &path).await;
                assert_eq!(in_place.is_none(), written != Movable || read == Movable, "{written:?} by {read:?}");
                assert_eq!(refusal(&reader, &moved).await.is_none(), read == Movable, "{written:?} by {read:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn copies_and_renames_are_readable_in_their_place() -> TestResult {
    run(async {
        for binding in [PathBinding::Context, PathBinding::Header, PathBinding::Movable] {
            // The second is copied in parts.
            for size in [10, (16 << 20) + 70_000] {
                let below = Arc::new(InMemory::new());
                let store = store(&below, binding)?;
                let path = |name: &str| Path::from(name);
                let attributes = Attributes::from_iter([(Attribute::ContentType, "text/csv")]);
                let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
                let bytes = plaintext(size);
                store.put_opts(&path("a"), bytes.clone().into(), options).await?;

                store.copy(&path("a"), &path("b")).await?;
                store.copy_if_not_exists(&path("a"), &path("c")).await?;
                let exists = store.copy_if_not_exists(&path("a"), &path("c")).await;
                assert!(matches!(exists, Err(object_store::Error::AlreadyExists { .. })), "{exists:?}");
                store.rename(&path("b"), &path("d")).await?;
                store.rename_if_not_exists(&path("c"), &path("e")).await?;
                let exists = store.rename_if_not_exists(&path("d"), &path("e")).await;
                assert!(matches!(exists, Err(object_store::Error::AlreadyExists { .. })), "{exists:?}");
                for name in ["a", "d", "e"] {
                    let found = store.get(&path(name)).await?;
                    assert_eq!(found.attributes, attributes);
                    assert!(found.bytes().await? == bytes, "{binding:?}, {size}: {name}");
                }
                for name in ["b", "c"] {
                    let missing = store.head(&path(name)).await;
                    assert!(matches!(missing, Err(object_store::Error::NotFound { .. })), "{missing:?}");
                }
                let names = futures_util::TryStreamExt::try_collect::<Vec<_>>(below.list(None)).await?;
                assert_eq!(names.len(), 3, "temporary objects are deleted");
                let same = stored(&*below, &path("a")).await? == stored(&*below, &path("d")).await?;
                assert_eq!(same, binding == PathBinding::Movable, "others are encrypted again");
            }
        }
        Ok(())
    })
}

#[test]
fn an_object_that_is_renamed_to_its_own_name_stays() -> TestResult {
    run(async {
        let store = store(&Arc::default(), PathBinding::Context)?;
        let path = Path::from("object");
        store.put(&path, "1".into()).await?;
        store.rename(&path, &path).await?;
        assert!(store.rename_if_not_exists(&path, &path).await.is_err());
        assert_eq!(store.get(&path).await?.bytes().await?, "1");
        assert!(store.rename(&Path::from("missing"), &Path::from("missing")).await.is_err());
        Ok(())
    })
}

#[test]
fn the_path_is_the_one_below_a_prefix() -> TestResult {
    run(async {
        let below = Arc::new(InMemory::new());
        let outside = PrefixStore::new(store(&below, PathBinding::Context)?, "tenant");
        outside.put(&Path::from("object"), "1".into()).await?;
        let direct = store(&below, PathBinding::Context)?;
        assert_eq!(refusal(&direct, &Path::from("tenant/object")).await, None);

        let inside = EncryptedStore::new(PrefixStore::new(Arc::clone(&below), "tenant"), "bucket", keyring())?;
        assert_eq!(refusal(&inside, &Path::from("object")).await, Some(ErrorKind::ContextMismatch));
        inside.put(&Path::from("object"), "2".into()).await?;
        assert_eq!(refusal(&direct, &Path::from("tenant/object")).await, Some(ErrorKind::ContextMismatch));
        Ok(())
    })
}
