//! Memory: how much of it reads, uploads, copies and sweeps use, and that no plaintext remains in what
//! they free.

mod discarding;

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use discarding::Discarding;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use strongroom::SecretBytes;
use strongroom::envelope::RawAesKeyring;
use strongroom::objects::{EncryptedStore, ObjectSweep};
use strongroom_test_support::{MARKER, MARKER_LENGTH, Witness};
use tokio::runtime::Runtime;

#[global_allocator]
static MEMORY: Witness = Witness::new();

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

const MIB: usize = 1 << 20;

fn store(below: &Arc<Discarding>, key: &str) -> TestResult<EncryptedStore<Arc<Discarding>>> {
    let keyring = RawAesKeyring::new("memory", key, SecretBytes::copy_from_slice(&[7; 32]))?;
    Ok(EncryptedStore::new(Arc::clone(below), "bucket", keyring)?)
}

/// Returns bytes that consist of the marker, so that every piece of them contains it.
fn marked(length: usize) -> Bytes {
    MARKER.iter().copied().cycle().take(length / MARKER_LENGTH * MARKER_LENGTH).collect::<Vec<_>>().into()
}

/// One test, because it counts the bytes of the process.
#[test]
fn memory_is_bounded_and_plaintext_is_wiped() -> TestResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    streams_are_bounded(&runtime)?;
    copies_and_sweeps_are_wiped(&runtime)
}

/// The limits are far below the length of the object, and do not depend on it.
fn streams_are_bounded(runtime: &Runtime) -> TestResult {
    let below = Arc::new(Discarding::default());
    let (old, new) = (store(&below, "2025")?, store(&below, "2026")?);
    let (path, length) = (Path::from("large"), 160 * MIB);
    let bytes = Bytes::from(vec![1; length]);
    runtime.block_on(old.put(&path, bytes.clone().into()))?;
    below.discard_parts();
    let peak_of = |work: BoxFuture<'_, TestResult>| {
        let (result, peak) = MEMORY.peak_above_start(|| runtime.block_on(work));
        result.map(|()| peak)
    };

    // Each of four tasks has a batch of ciphertext and one of plaintext.
    let read = peak_of(Box::pin(async {
        let mut stream = old.get(&path).await?.into_stream();
        let mut received = 0;
        while let Some(piece) = stream.next().await {
            received += piece?.len();
        }
        assert_eq!(received, length);
        Ok(())
    }))?;
    assert!(read < 20 * MIB, "{read}");

    // A part, encrypted.
    let upload = peak_of(Box::pin(async {
        let mut upload = old.put_multipart(&Path::from("upload")).await?;
        for start in (0..length).step_by(8 * MIB) {
            upload.put_part(PutPayload::from(bytes.slice(start..start + 8 * MIB))).await?;
        }
        upload.complete().await?;
        Ok(())
    }))?;
    assert!(upload < 20 * MIB, "{upload}");

    // Three parts of 8 MiB and the one that is collected, as plaintext and encrypted, and the read.
    let copy = peak_of(Box::pin(async { Ok(old.copy(&path, &Path::from("copy")).await?) }))?;
    assert!(copy < 90 * MIB, "{copy}");

    let sweep = ObjectSweep::new(&new).read_with(&old).max_in_memory(1 << 20).allow_unconditional_replacement();
    let sweep = peak_of(Box::pin(async {
        let report = sweep.run().await?;
        assert_eq!(report.changed(), 1, "{report:?}");
        Ok(())
    }))?;
    assert!(sweep < 90 * MIB, "{sweep}");
    eprintln!("read {read}, upload {upload}, copy {copy}, sweep {sweep}");
    Ok(())
}

fn copies_and_sweeps_are_wiped(runtime: &Runtime) -> TestResult {
    let below = Arc::new(Discarding::default());
    let (old, new) = (store(&below, "2025")?, store(&below, "2026")?);
    let (small, large) = (Path::from("small"), Path::from("large"));
    let plaintexts = [marked(200_000), marked(17 * MIB)];
    runtime.block_on(async {
        old.put(&small, plaintexts[0].clone().into()).await?;
        old.put(&large, plaintexts[1].clone().into()).await
    })?;
    let unwiped = |what: &str, work: &mut dyn FnMut() -> object_store::Result<()>| {
        let (result, unwiped) = MEMORY.unwiped_in(work);
        assert_eq!(unwiped, 0, "{what}");
        result
    };
    for path in [&small, &large] {
        unwiped("a copy", &mut || runtime.block_on(old.copy(path, &Path::from("copy"))))?;
        unwiped("a conditional copy", &mut || {
            runtime.block_on(old.copy_if_not_exists(path, &Path::from(format!("{path} again"))))
        })?;
    }
    // A copy that fails half-way.
    below.fail_reads_after(9 * MIB);
    unwiped("a failed copy", &mut || {
        assert!(runtime.block_on(old.copy(&large, &Path::from("failed"))).is_err());
        Ok(())
    })?;
    below.fail_reads_after(usize::MAX);

    for in_memory in [1 << 30, 1 << 10] {
        let sweep = ObjectSweep::new(&new).read_with(&old).max_in_memory(in_memory).allow_unconditional_replacement();
        let mut changed = 0;
        unwiped("a sweep", &mut || {
            changed = runtime.block_on(sweep.run())?.changed();
            Ok(())
        })?;
        assert!(changed > 0);
        runtime.block_on(async {
            old.put(&small, plaintexts[0].clone().into()).await?;
            old.put(&large, plaintexts[1].clone().into()).await
        })?;
    }
    // A read leaves its plaintext to the caller, and this caller does not wipe it.
    let (result, found) =
        MEMORY.unwiped_in(|| runtime.block_on(async { old.get(&small).await?.bytes().await.map(drop) }));
    result?;
    assert!(found > 0, "the allocator finds what is not wiped");
    Ok(())
}
