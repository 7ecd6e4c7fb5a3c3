//! Uploads in parts: of every length, awaited in every order, and with a failure of each step.

use std::sync::Arc;

use futures_util::future::join_all;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use strongroom::objects::EncryptedStore;

use crate::support::{Fault, Faulty, TestResult, keyring, lock, plaintext, run};

const MIB: usize = 1 << 20;

fn store(below: &Arc<Faulty>) -> TestResult<EncryptedStore<Arc<Faulty>>> {
    Ok(EncryptedStore::new(Arc::clone(below), "bucket", keyring())?)
}

/// Uploads parts of these lengths, and awaits them in an order.
async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    lengths: &[usize],
    order: &[usize],
) -> object_store::Result<Vec<u8>> {
    let bytes = plaintext(lengths.iter().sum());
    let mut upload = store.put_multipart(path).await?;
    let uploaded = upload_with(&mut upload, &bytes, lengths, order).await;
    match uploaded {
        Ok(()) => upload.complete().await.map(|_| bytes),
        Err(error) => {
            upload.abort().await?;
            Err(error)
        }
    }
}

async fn upload_with(
    upload: &mut Box<dyn MultipartUpload>,
    bytes: &[u8],
    lengths: &[usize],
    order: &[usize],
) -> object_store::Result<()> {
    let (mut rest, mut parts) = (bytes, Vec::new());
    for length in lengths {
        let (part, after) = rest.split_at(*length);
        parts.push(Some(upload.put_part(part.to_vec().into())));
        rest = after;
    }
    for index in order {
        if let Some(part) = parts[*index].take() {
            part.await?;
        }
    }
    Ok(())
}

#[test]
fn parts_of_any_length_in_any_order_make_one_object() -> TestResult {
    run(async {
        let cases: [&[usize]; 10] = [
            &[],
            &[0],
            &[3],
            &[65_536],
            &[5 * MIB],
            &[5 * MIB, 5 * MIB, 1],
            &[5 * MIB + 1, 6 * MIB - 7, 100],
            &[100, 200, 65_536, 5 * MIB, 3],
            &[11 * MIB],
            &[MIB, MIB, MIB, MIB, MIB, MIB, MIB],
        ];
        for lengths in cases {
            let count = lengths.len();
            let forward: Vec<usize> = (0..count).collect();
            let backward: Vec<usize> = (0..count).rev().collect();
            let rotated: Vec<usize> = (0..count).map(|index| (index + 1) % count).collect();
            for order in [forward, backward, rotated] {
                let below = Faulty::new();
                let store = store(&below)?;
                let path = Path::from("object");
                let bytes = upload(&store, &path, lengths, &order).await?;
                assert!(store.get(&path).await?.bytes().await? == bytes, "{lengths:?} in the order {order:?}");
                assert_eq!(store.head(&path).await?.size, u64::try_from(bytes.len())?);
                // S3 rejects smaller parts, other than the last.
                let parts = std::mem::take(&mut *lock(&below.part_lengths));
                let (last, others) = parts.split_last().ok_or("at least one part")?;
                assert!(*last > 0 && others.iter().all(|length| *length >= 5 * MIB), "{lengths:?}: {parts:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn frames_of_any_length_fit_into_parts() -> TestResult {
    run(async {
        for frame in [1_000, 100_000, 7 << 20] {
            let below = Faulty::new();
            let builder = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring());
            let store = builder.frame_length(frame).build()?;
            let path = Path::from("object");
            let bytes = upload(&store, &path, &[5 * MIB, 5 * MIB, 6 * MIB + 5, 77], &[3, 1, 0, 2]).await?;
            assert!(store.get(&path).await?.bytes().await? == bytes, "{frame}");
            let parts = std::mem::take(&mut *lock(&below.part_lengths));
            assert!(parts[..parts.len() - 1].iter().all(|length| *length >= 5 * MIB), "{frame}: {parts:?}");
        }
        Ok(())
    })
}

#[test]
fn parts_are_encrypted_and_uploaded_concurrently() -> TestResult {
    run(async {
        let store = store(&Faulty::new())?;
        let path = Path::from("object");
        let bytes = plaintext(40 * MIB);
        let mut upload = store.put_multipart(&path).await?;
        let parts: Vec<_> = bytes.chunks(5 * MIB).map(|part| upload.put_part(part.to_vec().into())).collect();
        for result in join_all(parts.into_iter().map(tokio::spawn)).await {
            result??;
        }
        upload.complete().await?;
        assert!(store.get(&path).await?.bytes().await? == bytes);
        Ok(())
    })
}

#[test]
fn after_a_failure_of_any_step_the_old_object_remains_and_another_attempt_succeeds() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = store(&below)?;
        let path = Path::from("object");
        store.put(&path, "old".into()).await?;
        let lengths = [5 * MIB, 6 * MIB, 5 * MIB, 10];
        // The last part below consists of what remains at the end.
        for fault in [Fault::Part(0), Fault::Part(1), Fault::Part(2), Fault::Part(3), Fault::Complete] {
            below.set_fault(Some(fault));
            let mut upload = store.put_multipart(&path).await?;
            let bytes = plaintext(lengths.iter().sum());
            let parts = upload_with(&mut upload, &bytes, &lengths, &[2, 0, 1, 3]).await;
            let completed = upload.complete().await;
            assert!(completed.is_err(), "{fault:?}");
            assert_eq!(parts.is_err(), matches!(fault, Fault::Part(0..=2)), "{fault:?}");
            upload.abort().await?;
            assert!(upload.complete().await.is_err() && upload.abort().await.is_err(), "it has ended");
            assert_eq!(store.get(&path).await?.bytes().await?, "old", "{fault:?}");
            below.set_fault(None);
            let retried = Path::from("retried");
            let bytes = self::upload(&store, &retried, &lengths, &[3, 2, 1, 0]).await?;
            assert!(store.get(&retried).await?.bytes().await? == bytes);
        }
        Ok(())
    })
}

#[test]
fn an_abort_that_fails_can_be_repeated() -> TestResult {
    run(async {
        let below = Faulty::new();
        below.set_fault(Some(Fault::Abort));
        let mut upload = store(&below)?.put_multipart(&Path::from("object")).await?;
        assert!(upload.abort().await.is_err());
        upload.abort().await?;
        assert_eq!(below.aborts.load(std::sync::atomic::Ordering::SeqCst), 2);
        Ok(())
    })
}

/// Waits for a call until a request in it does not end, and no longer: the caller has a timeout.
async fn give_up<T>(below: &Faulty, call: impl Future<Output = T>) {
    tokio::select! {
        _ = call => panic!("the call has ended"),
        () = below.paused.notified() => {}
    }
}

#[test]
fn a_completion_that_was_given_up_is_resumed_or_aborted() -> TestResult {
    run(async {
        // While the last part is uploaded, and afterwards.
        for fault in [Fault::PartNeverEnds(1), Fault::CompleteNeverEnds] {
            for is_aborted in [false, true] {
                let below = Faulty::new();
                below.set_fault(Some(fault));
                let (store, path, bytes) = (store(&below)?, Path::from("object"), plaintext(6 * MIB));
                let mut upload = store.put_multipart(&path).await?;
                for part in bytes.chunks(5 * MIB) {
                    upload.put_part(part.to_vec().into()).await?;
                }
                give_up(&below, upload.complete()).await;
                let ended = if is_aborted {
                    upload.abort().await?;
                    assert_eq!(below.aborts.load(std::sync::atomic::Ordering::SeqCst), 1, "{fault:?}");
                    assert!(matches!(store.head(&path).await, Err(object_store::Error::NotFound { .. })));
                    upload.complete().await.is_err()
                } else {
                    below.resume();
                    upload.complete().await?;
                    assert!(store.get(&path).await?.bytes().await? == bytes, "{fault:?}");
                    assert_eq!(lock(&below.part_lengths).len(), 2, "no part is uploaded again");
                    upload.complete().await.is_err()
                };
                assert!(ended && upload.abort().await.is_err(), "{fault:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_abort_that_was_given_up_can_be_repeated() -> TestResult {
    run(async {
        let below = Faulty::new();
        below.set_fault(Some(Fault::AbortNeverEnds));
        let mut upload = store(&below)?.put_multipart(&Path::from("object")).await?;
        give_up(&below, upload.abort()).await;
        upload.abort().await?;
        assert_eq!(below.aborts.load(std::sync::atomic::Ordering::SeqCst), 2);
        Ok(())
    })
}

#[test]
fn an_upload_with_a_part_that_was_not_awaited_is_not_completed() -> TestResult {
    run(async {
        let store = store(&Faulty::new())?;
        let path = Path::from("object");
        let mut upload = store.put_multipart(&path).await?;
        let first = upload.put_part(plaintext(5 * MIB).into());
        drop(upload.put_part(plaintext(5 * MIB).into()));
        first.await?;
        assert!(upload.complete().await.is_err());
        upload.abort().await?;
        assert!(matches!(store.head(&path).await, Err(object_store::Error::NotFound { .. })));
        Ok(())
    })
}

#[test]
fn an_upload_works_without_a_runtime() -> TestResult {
    let below = Faulty::new();
    let store = store(&below)?;
    let bytes = futures_util::FutureExt::now_or_never(async {
        let bytes = upload(&store, &Path::from("object"), &[6 * MIB, 6 * MIB, 1], &[1, 2, 0]).await?;
        let found = store.get(&Path::from("object")).await?.bytes().await?;
        Ok::<_, object_store::Error>(found == bytes)
    });
    assert!(bytes.ok_or("memory never waits")??);
    Ok(())
}
