//! Conditional writes by many writers at once.

use std::sync::Arc;

use futures_util::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};

use crate::support::{TestResult, in_memory, run};

#[test]
fn of_writers_that_create_an_object_one_succeeds() -> TestResult {
    run(async {
        let (store, _) = in_memory()?;
        let path = Path::from("object");
        let writers = (0..16_u8).map(|number| {
            let (store, path) = (store.clone(), path.clone());
            tokio::spawn(async move { store.put_opts(&path, vec![number].into(), PutMode::Create.into()).await })
        });
        let results: Vec<_> = join_all(writers).await.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> = results.iter().enumerate().filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1);
        let losers = results.iter().filter(|result| matches!(result, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(losers.count(), 15);
        assert_eq!(store.get(&path).await?.bytes().await?, vec![u8::try_from(winners[0].0)?]);
        Ok(())
    })
}

#[test]
fn no_update_is_lost() -> TestResult {
    run(async {
        let (store, _) = in_memory()?;
        let path = Arc::new(Path::from("counter"));
        store.put(&path, "0".into()).await?;
        let writers = (0..4).map(|_| {
            let (store, path) = (store.clone(), Arc::clone(&path));
            tokio::spawn(async move {
                for _ in 0..25 {
                    loop {
                        let found = store.get(&path).await?;
                        let version =
                            UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
                        let text = String::from_utf8_lossy(&found.bytes().await?).into_owned();
                        let next = text.parse::<u32>().map_or(0, |number| number + 1).to_string();
                        match store.put_opts(&path, next.into(), PutMode::Update(version).into()).await {
                            Err(object_store::Error::Precondition { .. }) => {}
                            result => break result.map(drop)?,
                        }
                    }
                }
                Ok::<_, object_store::Error>(())
            })
        });
        for result in join_all(writers).await {
            result??;
        }
        assert_eq!(store.get(&path).await?.bytes().await?, "100");
        Ok(())
    })
}

#[test]
fn an_update_of_a_missing_object_is_refused() -> TestResult {
    run(async {
        let (store, _) = in_memory()?;
        let version = UpdateVersion { e_tag: Some("\"1\"".to_owned()), version: None };
        let refused = store.put_opts(&Path::from("missing"), "1".into(), PutMode::Update(version).into()).await;
        assert!(matches!(refused, Err(object_store::Error::Precondition { .. })), "{refused:?}");
        Ok(())
    })
}
