//! Stores of files, whose ranges are read at once: ranges of every kind, tampered files, and concurrent
//! writers.

use std::fs;
use std::sync::Arc;

use futures_util::future::join_all;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetRange, ObjectStore, ObjectStoreExt, PutMode};
use strongroom::ErrorKind;
use strongroom::objects::EncryptedStore;
use tempfile::TempDir;

use crate::support::{TestResult, keyring, kind, plaintext, range_options, run};

const FRAME: usize = 1_000;

/// Far enough from the header that the frames of a range are requested separately.
const FAR: usize = 150_000;

fn folder() -> TestResult<(EncryptedStore<LocalFileSystem>, TempDir)> {
    let folder = tempfile::tempdir()?;
    let files = LocalFileSystem::new_with_prefix(folder.path())?;
    let store = EncryptedStore::builder(files, "bucket", keyring()).frame_length(u32::try_from(FRAME)?).build()?;
    Ok((store, folder))
}

async fn read(store: &dyn ObjectStore, path: &Path, range: GetRange) -> object_store::Result<Vec<u8>> {
    Ok(store.get_opts(path, range_options(range)).await?.bytes().await?.to_vec())
}

#[test]
fn ranges_of_files_are_those_of_the_plaintext() -> TestResult {
    run(async {
        let (store, _folder) = folder()?;
        let path = Path::from("file");
        // Of several batches, with a final frame of any length.
        for size in [FAR + 1, FAR + FRAME, 3 << 20] {
            let bytes = plaintext(size);
            store.put(&path, bytes.clone().into()).await?;
            let starts = [0, 1, FAR - 1, FAR, size - FRAME - 1, size - 1];
            let lengths = [1, FRAME - 1, FRAME, FRAME + 1, 70_000, 2 << 20];
            for (start, length) in starts.into_iter().flat_map(|start| lengths.map(|length| (start, length))) {
                let (start, end) = (start.min(size - 1), (start + length).min(size));
                let [from, to] = [start, start + length].map(|position| u64::try_from(position).unwrap_or(0));
                let case = format!("{from}..{to} of {size}");
                assert!(read(&store, &path, GetRange::Bounded(from..to)).await? == bytes[start..end], "{case}");
                assert!(read(&store, &path, GetRange::Offset(from)).await? == bytes[start..], "{case}");
                let suffix = size - length.min(size);
                let last = u64::try_from(length)?;
                assert!(read(&store, &path, GetRange::Suffix(last)).await? == bytes[suffix..], "{case}");
            }
            let size = u64::try_from(size)?;
            assert!(read(&store, &path, GetRange::Bounded(size..size + 1)).await.is_err());
        }
        Ok(())
    })
}

#[test]
fn a_range_of_a_file_that_was_changed_is_rejected() -> TestResult {
    run(async {
        let (store, folder) = folder()?;
        let (path, file) = (Path::from("file"), folder.path().join("file"));
        store.put(&path, plaintext(FAR + 3 * FRAME + 10).into()).await?;
        let stored = fs::read(&file)?;
        let range = || {
            let start = u64::try_from(FAR).unwrap_or(0);
            GetRange::Bounded(start..start + 10)
        };
        let last = || GetRange::Suffix(10);
        let header = 2_048;
        let frame = header + FAR / FRAME * (FRAME + 32);
        // The position of a changed byte, and whether the range and the end are still readable.
        let cases = [
            (0, false, false),
            (header - 1, false, false),
            (header + 5, true, true),
            (frame - 1, true, true),
            (frame, false, true),
            (frame + 500, false, true),
            (frame + FRAME + 31, false, true),
            (frame + FRAME + 32, true, true),
            (stored.len() - 1, true, false),
        ];
        for (position, has_range, has_end) in cases {
            let mut changed = stored.clone();
            changed[position] ^= 1;
            fs::write(&file, changed)?;
            assert_eq!(read(&store, &path, range()).await.is_ok(), has_range, "{position}");
            assert_eq!(read(&store, &path, last()).await.is_ok(), has_end, "{position}");
        }
        // Frames of the same object in the place of others, and another length.
        let mut exchanged = stored.clone();
        exchanged.copy_within(frame - FRAME - 32..frame, frame);
        let longer = [&stored[..], &[0; 3]].concat();
        let shorter = stored[..stored.len() - FRAME - 32].to_vec();
        for (changed, has_range) in [(exchanged, false), (longer, true), (shorter, true)] {
            fs::write(&file, changed)?;
            assert_eq!(read(&store, &path, range()).await.is_ok(), has_range);
            let refused = read(&store, &path, GetRange::Offset(u64::try_from(FAR)?)).await.err().ok_or("an error")?;
            assert_eq!(kind(&refused), Some(ErrorKind::InvalidMessage));
        }
        Ok(())
    })
}

#[test]
fn of_writers_that_create_a_file_one_succeeds() -> TestResult {
    run(async {
        let (store, _folder) = folder()?;
        let (store, path) = (Arc::new(store), Path::from("file"));
        let writers = (0..16_u8).map(|number| {
            let (store, path) = (Arc::clone(&store), path.clone());
            let bytes = vec![number; 100_000];
            tokio::spawn(async move { store.put_opts(&path, bytes.into(), PutMode::Create.into()).await })
        });
        let results: Vec<_> = join_all(writers).await.into_iter().collect::<Result<_, _>>()?;
        let mut winners = results.iter().zip(0_u8..).filter(|(result, _)| result.is_ok());
        let (Some((_, winner)), None) = (winners.next(), winners.next()) else {
            return Err("one writer succeeds".into());
        };
        let losers = results.iter().filter(|result| matches!(result, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(losers.count(), 15);
        assert!(store.get(&path).await?.bytes().await? == vec![winner; 100_000]);
        Ok(())
    })
}
