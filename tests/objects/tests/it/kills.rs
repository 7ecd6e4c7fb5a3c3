//! Uploads and sweeps in processes that are killed leave the old or the new object, never a broken one.
//!
//! `STRONGROOM_OBJECT_KILLS` sets the number of kills.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path as FilePath, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use strongroom::objects::{EncryptedStore, ObjectSweep};

use crate::support::{TestResult, keyring_named, run};

const FOLDER: &str = "STRONGROOM_TEST_FOLDER";

/// Two parts, and a rest.
const LENGTH: usize = (11 << 20) + 5;

const OBJECTS: usize = 3;

fn store(folder: &FilePath, key: &str) -> TestResult<EncryptedStore<LocalFileSystem>> {
    Ok(EncryptedStore::new(LocalFileSystem::new_with_prefix(folder)?, "bucket", keyring_named(key))?)
}

fn path(number: usize) -> Path {
    Path::from(format!("object {number}"))
}

/// The child: replaces objects by uploads in parts and by single writes, and moves them between two
/// keys, until it is killed.
#[test]
#[ignore = "the child of the test below"]
fn child_that_writes_and_sweeps() -> TestResult {
    let folder = PathBuf::from(env::var_os(FOLDER).ok_or("a folder")?);
    run(async {
        let stores = [store(&folder, "2025")?, store(&folder, "2026")?];
        for version in 1_u8.. {
            for number in 0..OBJECTS {
                let new = &stores[usize::from(version) % 2];
                let bytes = vec![version.wrapping_mul(3); LENGTH];
                if number == 0 {
                    new.put(&path(number), bytes.into()).await?;
                } else {
                    let mut upload = new.put_multipart(&path(number)).await?;
                    for part in bytes.chunks(5 << 20) {
                        upload.put_part(PutPayload::from(part.to_vec())).await?;
                    }
                    upload.complete().await?;
                }
                say("written")?;
            }
            let (old, new) = (&stores[usize::from(version) % 2], &stores[usize::from(version + 1) % 2]);
            let sweep = ObjectSweep::new(new).read_with(old).allow_unconditional_replacement();
            // The second half of the sweeps replaces objects in parts.
            let sweep = if version % 4 < 2 { sweep } else { sweep.max_in_memory(1 << 20) };
            sweep.run().await?;
            say("swept")?;
            if version == u8::MAX {
                break;
            }
        }
        Ok(())
    })
}

fn say(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{text}")?;
    output.flush()
}

#[test]
fn a_killed_process_leaves_the_old_or_the_new_object() -> TestResult {
    let kills: u32 = env::var("STRONGROOM_OBJECT_KILLS").map_or(Ok(6), |text| text.parse())?;
    let memory = FilePath::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let stores = [store(folder.path(), "2025")?, store(folder.path(), "2026")?];
    run(async {
        for number in 0..OBJECTS {
            stores[0].put(&path(number), vec![0; LENGTH].into()).await?;
        }
        let mut step = Duration::from_millis(1);
        for kill in 0..kills {
            let running = PathBuf::from(format!("/proc/{}/exe", process::id()));
            let program = if running.exists() { running } else { env::current_exe()? };
            let mut child = Command::new(program)
                .args(["kills::child_that_writes_and_sweeps", "--exact", "--ignored", "--nocapture"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let mut lines = BufReader::new(child.stdout.take().ok_or("a pipe")?).lines();
            // A different step of the work each time, and an instant within it that depends on how long
            // the last one took.
            let mut started = Instant::now();
            for _ in 0..=kill % 7 {
                started = Instant::now();
                lines.next().ok_or("the child ended")??;
            }
            step = started.elapsed().max(step) / 2;
            let instant = Instant::now();
            while instant.elapsed() < step * (kill % 5) / 5 {
                std::thread::yield_now();
            }
            child.kill()?;
            child.wait()?;

            for number in 0..OBJECTS {
                let mut readable = Vec::new();
                for store in &stores {
                    if let Ok(found) = store.get(&path(number)).await {
                        readable.push(found.bytes().await?);
                    }
                }
                let [bytes] = &readable[..] else { return Err(format!("object {number} is broken").into()) };
                assert_eq!(bytes.len(), LENGTH);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "object {number} is of one version");
            }
        }
        // Nothing else is in the store, whatever was interrupted.
        let listed: Vec<_> = stores[0].list(None).map_ok(|meta| meta.location).try_collect().await?;
        assert_eq!(listed.len(), OBJECTS, "{listed:?}");
        for (old, new) in [(&stores[0], &stores[1]), (&stores[1], &stores[0])] {
            let sweep = ObjectSweep::new(new).read_with(old).allow_unconditional_replacement();
            let report = sweep.run().await?;
            assert!(report.is_complete(), "{report:?}");
        }
        Ok(())
    })
}
