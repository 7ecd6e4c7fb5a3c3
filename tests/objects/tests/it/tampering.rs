//! Objects that were altered, truncated, extended, exchanged or replaced are rejected with typed errors.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetRange, ObjectStore, ObjectStoreExt};
use strongroom::envelope::RawAesKeyring;
use strongroom::message::MessageError;
use strongroom::objects::{EncryptedStore, error_inside};
use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};

use crate::support::{TestResult, in_memory, keyring, kind, plaintext, range_options, refusal, run, stored};

fn small() -> TestResult<(EncryptedStore<Arc<InMemory>>, Arc<InMemory>)> {
    let below = Arc::new(InMemory::new());
    let builder = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring());
    Ok((builder.header_length(300).frame_length(32).build()?, below))
}

#[test]
fn every_flipped_byte_is_noticed_by_the_read_that_touches_it() -> TestResult {
    run(async {
        let (store, below) = small()?;
        let path = Path::from("object");
        store.put(&path, plaintext(100).into()).await?;
        let original = stored(&*below, &path).await?;
        for position in 0..original.len() {
            let mut altered = original.clone();
            altered[position] ^= 1;
            below.put(&path, altered.into()).await?;
            let error = refusal(&store, &path).await;
            let expected = [
                ErrorKind::InvalidMessage,
                ErrorKind::NoDataKeyUnwrapped,
                ErrorKind::ContextMismatch,
                ErrorKind::MessagePolicy,
            ];
            assert!(error.is_some_and(|kind| expected.contains(&kind)), "byte {position}: {error:?}");

            // A range fails exactly if the byte is in the header or in one of its frames.
            let touched = position < 300 || (300 + 64..300 + 128).contains(&position);
            let range = store.get_range(&path, 32..64).await;
            assert_eq!(range.is_err(), touched, "byte {position}: {range:?}");
        }
        Ok(())
    })
}

#[test]
fn a_truncated_or_extended_object_is_rejected_at_every_length() -> TestResult {
    run(async {
        for size in [0, 1, 31, 32, 33, 64, 96, 100] {
            let (store, below) = small()?;
            let path = Path::from("object");
            store.put(&path, plaintext(size).into()).await?;
            let original = stored(&*below, &path).await?;
            for length in (0..original.len()).chain(original.len() + 1..original.len() + 140) {
                let mut changed = original.clone();
                changed.resize(length, 0);
                below.put(&path, changed.into()).await?;
                assert_eq!(refusal(&store, &path).await, Some(ErrorKind::InvalidMessage), "{size}: {length}");
                let last = store.get_opts(&path, range_options(GetRange::Suffix(1))).await;
                let last = match last {
                    Ok(found) => found.bytes().await.err(),
                    Err(error) => Some(error),
                };
                assert!(last.is_some(), "{size}: {length}: the end is authenticated");
            }
        }
        Ok(())
    })
}

#[test]
fn frames_cannot_be_removed_exchanged_or_repeated() -> TestResult {
    run(async {
        let (store, below) = small()?;
        let path = Path::from("object");
        store.put(&path, plaintext(32 * 4).into()).await?;
        let original = stored(&*below, &path).await?;
        let frame = |index: usize| original[300 + 64 * index..300 + 64 * (index + 1)].to_vec();
        let end = original[300 + 64 * 3..].to_vec();
        let forms = [
            [frame(0), frame(2), frame(1), end.clone()],
            [frame(1), frame(1), frame(2), end.clone()],
            [frame(0), frame(1), Vec::new(), end.clone()],
            [Vec::new(), frame(1), frame(2), end],
        ];
        for frames in forms {
            below.put(&path, [original[..300].to_vec(), frames.concat()].concat().into()).await?;
            assert_eq!(refusal(&store, &path).await, Some(ErrorKind::InvalidMessage));
        }
        Ok(())
    })
}

#[test]
fn a_final_frame_in_place_of_the_end_of_another_version_is_rejected() -> TestResult {
    run(async {
        let (store, below) = small()?;
        let path = Path::from("object");
        store.put(&path, plaintext(100).into()).await?;
        let long = stored(&*below, &path).await?;
        store.put(&path, plaintext(4).into()).await?;
        let short = stored(&*below, &path).await?;
        // The header of one version, and the frames of another of the same object.
        below.put(&path, [&long[..300], &short[300..]].concat().into()).await?;
        assert_eq!(refusal(&store, &path).await, Some(ErrorKind::InvalidMessage));
        Ok(())
    })
}

#[test]
fn messages_that_are_not_objects_are_rejected() -> TestResult {
    run(async {
        let (store, below) = in_memory()?;
        let path = Path::from("object");
        let context = EncryptionContext::from([("bucket", "bucket"), ("path", "object")]);
        let envelope = Envelope::new(keyring());
        for length in [0, 10_000] {
            below.put(&path, envelope.encrypt(&vec![1; length], &context)?.into()).await?;
            assert_eq!(refusal(&store, &path).await, Some(ErrorKind::InvalidMessage));
        }
        below.put(&path, vec![0; 10_000].into()).await?;
        let error = store.get(&path).await.err().ok_or("an error")?;
        let inside = error_inside(&error).ok_or("an error of this crate")?;
        assert_eq!(inside.downcast_ref(), Some(&MessageError::UnsupportedVersion(0)));
        assert!(error.to_string().contains("object"), "{error}");
        Ok(())
    })
}

#[test]
fn an_object_with_other_lengths_is_rejected_and_named() -> TestResult {
    run(async {
        let (store, below) = small()?;
        let path = Path::from("object");
        store.put(&path, plaintext(100_000).into()).await?;
        for (header, frame) in [(300, 64), (301, 32), (2_048, 65_536)] {
            let other = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring());
            let other = other.header_length(header).frame_length(frame).build()?;
            let error = other.get(&path).await.err().ok_or("an error")?;
            assert_eq!(kind(&error), Some(ErrorKind::InvalidMessage), "{error}");
        }
        Ok(())
    })
}

#[test]
fn keys_that_cannot_unwrap_are_named_as_the_reason() -> TestResult {
    run(async {
        let (store, below) = in_memory()?;
        let path = Path::from("object");
        store.put(&path, plaintext(10).into()).await?;
        let other = RawAesKeyring::new("objects", "key 1", SecretBytes::copy_from_slice(&[8; 32]))?;
        let other = EncryptedStore::new(below, "bucket", other)?;
        assert_eq!(refusal(&other, &path).await, Some(ErrorKind::NoDataKeyUnwrapped));
        Ok(())
    })
}

#[test]
fn a_header_that_is_too_short_for_the_keys_is_an_error_that_says_so() -> TestResult {
    run(async {
        let store = EncryptedStore::builder(InMemory::new(), "bucket", keyring()).header_length(256).build()?;
        store.put(&Path::from("short"), "fits".into()).await?;
        let long = Path::from("long".repeat(60));
        let error = store.put(&long, "does not fit".into()).await.err().ok_or("an error")?;
        assert_eq!(kind(&error), Some(ErrorKind::Validation));
        assert!(error.to_string().contains("needs more than the 256 bytes"), "{error}");
        Ok(())
    })
}
