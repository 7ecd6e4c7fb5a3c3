//! Every kind of range, of objects of every size around a frame, in frames of several lengths.

use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use strongroom::objects::EncryptedStore;

use crate::support::{Faulty, TestResult, in_memory, keyring, plaintext, range_options, run};

/// Sizes around the first frames.
fn sizes(frame: usize) -> Vec<usize> {
    let around = (1..=3).flat_map(|count| [count * frame - 1, count * frame, count * frame + 1]);
    [0, 1].into_iter().chain(around).collect()
}

#[test]
fn every_range_returns_what_a_plain_store_returns() -> TestResult {
    run(async {
        for frame in [16_u32, 100, 4_096] {
            let below = Arc::new(InMemory::new());
            let builder = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring());
            let (store, plain) = (builder.frame_length(frame).build()?, InMemory::new());
            let frame = usize::try_from(frame)?;
            for size in sizes(frame) {
                let (path, bytes) = (Path::from(format!("{frame}/{size}")), plaintext(size));
                store.put(&path, bytes.clone().into()).await?;
                plain.put(&path, bytes.into()).await?;
                let mut points = vec![0, 1, frame - 1, frame, frame + 1, 2 * frame, size / 2, size.max(1) - 1, size];
                points.extend([size + 1, size + frame]);
                let points: Vec<u64> = points.into_iter().map(|point| u64::try_from(point).unwrap_or(0)).collect();
                let bounded = points.iter().flat_map(|start| points.iter().map(move |end| *start..*end));
                let ranges = bounded.map(GetRange::Bounded);
                let ranges = ranges.chain(points.iter().copied().map(GetRange::Offset));
                for range in ranges.chain(points.iter().copied().map(GetRange::Suffix)) {
                    let (ours, theirs) = (
                        store.get_opts(&path, range_options(range.clone())).await,
                        plain.get_opts(&path, range_options(range.clone())).await,
                    );
                    let (ours, theirs) = match (ours, theirs) {
                        (Ok(ours), Ok(theirs)) => (ours, theirs),
                        (ours, theirs) => {
                            assert_eq!(ours.is_ok(), theirs.is_ok(), "{size} bytes in frames of {frame}: {range:?}");
                            continue;
                        }
                    };
                    assert_eq!((ours.range.clone(), ours.meta.size), (theirs.range.clone(), theirs.meta.size));
                    assert_eq!(ours.bytes().await?, theirs.bytes().await?, "{size} in {frame}: {range:?}");
                }
            }
        }
        Ok(())
    })
}

#[test]
fn a_range_far_from_the_header_needs_two_requests_of_its_own_frames() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?;
        let (path, bytes) = (Path::from("large"), plaintext(3 << 20));
        store.put(&path, bytes.clone().into()).await?;
        below.take_read();

        // One byte in frame 40, of 64 KiB.
        let start = 40 * 65_536 + 5;
        assert_eq!(store.get_range(&path, start..start + 1).await?, bytes[usize::try_from(start)?..][..1]);
        let mut read = below.take_read();
        read.sort_by_key(|range| range.start);
        let frame = 2_048 + 40 * 65_568;
        assert_eq!(read, [0..2_048, frame..frame + 65_568 + 40]);

        // Near the header, in one request.
        assert_eq!(store.get_range(&path, 70_000..70_010).await?, bytes[70_000..70_010]);
        assert_eq!(below.take_read(), std::slice::from_ref(&(0..2_048 + 2 * 65_568 + 40)));

        // The end: the size is known after the first request.
        let found = store.get_opts(&path, range_options(GetRange::Suffix(10))).await?;
        assert_eq!(found.bytes().await?, bytes[(3 << 20) - 10..]);
        let read = below.take_read();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].end - read[1].start, 65_536 + 40, "only the final frame");
        Ok(())
    })
}

#[test]
fn several_ranges_share_the_header() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?;
        let (path, bytes) = (Path::from("large"), plaintext(8 << 20));
        store.put(&path, bytes.clone().into()).await?;
        below.take_read();
        let ranges = [7 << 20..(7 << 20) + 100, 10..20, 0..1, 100..300_000, 5 << 20..(5 << 20) + 1];
        let found = store.get_ranges(&path, &ranges).await?;
        for (range, found) in ranges.iter().zip(&found) {
            assert_eq!(found, &bytes[usize::try_from(range.start)?..usize::try_from(range.end)?]);
        }
        let read = below.take_read();
        assert_eq!(read.iter().filter(|range| range.start == 0).count(), 1);
        assert_eq!(read.len(), 4, "the header, and three groups of ranges");
        assert!(store.get_ranges(&path, &[]).await?.is_empty());
        let outside = 9 << 20..10 << 20;
        assert!(store.get_ranges(&path, std::slice::from_ref(&outside)).await.is_err());
        Ok(())
    })
}

#[test]
fn invalid_ranges_beside_valid_ones_are_errors_as_in_a_plain_store() -> TestResult {
    run(async {
        let ((store, _), plain) = (in_memory()?, InMemory::new());
        let path = Path::from("short");
        store.put(&path, plaintext(500).into()).await?;
        plain.put(&path, plaintext(500).into()).await?;
        let inverted = std::ops::Range { start: 10, end: 5 };
        for ranges in [[0..10, 1_000..1_010], [0..100, inverted], [0..10, 500..501], [0..10, 20..20]] {
            assert!(plain.get_ranges(&path, &ranges).await.is_err(), "{ranges:?}");
            assert!(store.get_ranges(&path, &ranges).await.is_err(), "{ranges:?}");
        }
        let ranges = [0..10, 490..1_000];
        assert_eq!(store.get_ranges(&path, &ranges).await?, plain.get_ranges(&path, &ranges).await?);
        Ok(())
    })
}

#[test]
fn listings_and_heads_tell_the_size_of_the_plaintext_without_opening() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring()).frame_length(64).build()?;
        for size in sizes(64) {
            store.put(&Path::from(format!("a/{size}")), plaintext(size).into()).await?;
            let mut upload = store.put_multipart(&Path::from(format!("b/{size}"))).await?;
            upload.put_part(plaintext(size).into()).await?;
            upload.complete().await?;
        }
        below.take_read();
        let listed: Vec<_> = store.list(None).try_collect().await?;
        assert_eq!(listed.len(), 2 * sizes(64).len());
        let delimited = store.list_with_delimiter(Some(&Path::from("b"))).await?.objects;
        let after: Vec<_> = store.list_with_offset(None, &Path::from("a/9")).try_collect().await?;
        for meta in listed.iter().chain(&delimited).chain(&after) {
            let expected: u64 = meta.location.filename().unwrap_or_default().parse()?;
            assert_eq!(meta.size, expected);
            assert_eq!(store.head(&meta.location).await?.size, expected);
        }
        assert!(below.take_read().is_empty(), "no object was read");
        Ok(())
    })
}

#[test]
fn a_foreign_object_is_listed_with_its_stored_size_and_not_read() -> TestResult {
    run(async {
        let (store, below) = in_memory()?;
        let path = Path::from("foreign");
        below.put(&path, PutPayload::from_static(b"not encrypted")).await?;
        let listed: Vec<_> = store.list(None).try_collect().await?;
        assert_eq!(listed[0].size, 13);
        assert!(store.head(&path).await.is_err());
        assert!(store.get(&path).await.is_err());
        assert!(store.get_range(&path, 0..3).await.is_err());
        Ok(())
    })
}

#[test]
fn a_range_of_one_version_is_returned_although_others_replace_the_object() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?;
        let path = Path::from("busy");
        let version = |number: u8| vec![number; 1 << 20];
        store.put(&path, version(0).into()).await?;
        // The sealed form of the next version, so that the hook needs no runtime.
        store.put(&Path::from("busy"), version(1).into()).await?;
        let next = crate::support::stored(&below.below, &path).await?;
        store.put(&path, version(0).into()).await?;

        // Replaces the object before the second request of the read.
        let replaced = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (counter, target) = (Arc::clone(&replaced), below.below.clone());
        *crate::support::lock(&below.before_read) = Some(Box::new(move |path, _| {
            if counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                let put = target.put(path, next.clone().into());
                let _ = futures_util::FutureExt::now_or_never(put);
            }
        }));
        let found = store.get_range(&path, 600_000..600_004).await?;
        assert_eq!(found, vec![1; 4], "the read starts again with the new version");
        assert!(replaced.load(std::sync::atomic::Ordering::SeqCst) >= 4);
        Ok(())
    })
}

#[test]
fn preconditions_hold_for_ranges() -> TestResult {
    run(async {
        let (store, _) = in_memory()?;
        let path = Path::from("tagged");
        store.put(&path, plaintext(1 << 20).into()).await?;
        let tag = store.head(&path).await?.e_tag.ok_or("a tag")?;
        let far = || range_options(900_000..900_010);
        assert!(store.get_opts(&path, far().with_if_match(Some(tag.clone()))).await.is_ok());
        let other = store.get_opts(&path, far().with_if_match(Some("\"other\""))).await;
        assert!(matches!(other, Err(object_store::Error::Precondition { .. })));
        let unchanged = store.get_opts(&path, far().with_if_none_match(Some(tag))).await;
        assert!(matches!(unchanged, Err(object_store::Error::NotModified { .. })));
        let missing =
            store.get_opts(&Path::from("missing"), GetOptions::new().with_range(Some(900_000..900_001))).await;
        assert!(matches!(missing, Err(object_store::Error::NotFound { .. })));
        Ok(())
    })
}
