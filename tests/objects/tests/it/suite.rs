//! The test suite of the crate `object_store`, over memory, a folder, and a server of S3.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::integration::{
    copy_if_not_exists, copy_rename_nonexistent_object, get_nonexistent_object, get_opts,
    list_uses_directories_correctly, list_with_delimiter, list_with_offset_exclusivity, multipart_out_of_order,
    multipart_race_condition, put_get_attributes, put_get_delete_list, put_opts, rename_and_copy, stream_get,
};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutOptions, TagSet};
use strongroom::objects::{EncryptedStore, PathBinding};

use crate::support::{TestResult, keyring, plaintext, run};

const BINDINGS: [PathBinding; 3] = [PathBinding::Context, PathBinding::Header, PathBinding::Movable];

fn encrypted<T: ObjectStore>(below: T, binding: PathBinding) -> TestResult<EncryptedStore<T>> {
    Ok(EncryptedStore::builder(below, "objects", keyring()).path_binding(binding).build()?)
}

/// The tests that every store passes.
async fn common(store: &dyn ObjectStore) {
    put_get_delete_list(store).await;
    list_with_offset_exclusivity(store).await;
    get_opts(store).await;
    list_uses_directories_correctly(store).await;
    list_with_delimiter(store).await;
    rename_and_copy(store).await;
    stream_get(store).await;
    multipart_out_of_order(store).await;
    let missing = get_nonexistent_object(store, None).await;
    assert!(matches!(missing, Err(object_store::Error::NotFound { .. })), "{missing:?}");
}

#[test]
fn memory_passes_the_suite() -> TestResult {
    run(async {
        for binding in BINDINGS {
            let store = encrypted(InMemory::new(), binding)?;
            common(&store).await;
            copy_if_not_exists(&store).await;
            copy_rename_nonexistent_object(&store).await;
            put_opts(&store, true).await;
            put_get_attributes(&store).await;
            multipart_race_condition(&store, true).await;
        }
        Ok(())
    })
}

#[test]
fn a_folder_passes_the_suite() -> TestResult {
    run(async {
        for binding in BINDINGS {
            let folder = tempfile::tempdir()?;
            let store = encrypted(LocalFileSystem::new_with_prefix(folder.path())?, binding)?;
            common(&store).await;
            copy_if_not_exists(&store).await;
            copy_rename_nonexistent_object(&store).await;
            put_opts(&store, false).await;
            assert!(!contains(folder.path(), b"arbitrary data")?, "no plaintext is in a file");
        }
        Ok(())
    })
}

/// Returns `true` if a file in the folder contains these bytes.
fn contains(folder: &FilePath, bytes: &[u8]) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match path.is_dir() {
            true => contains(&path, bytes)?,
            false => std::fs::read(&path)?.windows(bytes.len()).any(|window| window == bytes),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_server_of_s3_passes_the_suite() -> TestResult {
    let Some(server) = Server::start("a_server_of_s3_passes_the_suite")? else { return Ok(()) };
    run(async {
        for binding in BINDINGS {
            let store = encrypted(server.bucket()?, binding)?;
            common(&store).await;
            put_opts(&store, true).await;
            put_get_attributes(&store).await;
            multipart_race_condition(&store, true).await;
            if binding != PathBinding::Movable {
                // A copy of this store is a conditional write, and not a conditional copy by the server.
                copy_if_not_exists(&store).await;
                copy_rename_nonexistent_object(&store).await;
            }
        }
        Ok(())
    })
}

#[test]
fn a_server_of_s3_accepts_every_length_of_part() -> TestResult {
    let Some(server) = Server::start("a_server_of_s3_accepts_every_length_of_part")? else { return Ok(()) };
    run(async {
        let below = Arc::new(server.bucket()?);
        let store = encrypted(Arc::clone(&below), PathBinding::Header)?;
        let path = Path::from("object");
        for lengths in [&[3][..], &[5 << 20], &[5 << 20, 5 << 20, 5 << 20], &[(5 << 20) + 1, 6 << 20, 1], &[1, 2, 3]] {
            let bytes = plaintext(lengths.iter().sum());
            let mut upload = store.put_multipart(&path).await?;
            let mut rest = &bytes[..];
            for length in lengths {
                let (part, after) = rest.split_at(*length);
                upload.put_part(part.to_vec().into()).await?;
                rest = after;
            }
            upload.complete().await?;
            assert!(store.get(&path).await?.bytes().await? == bytes, "{lengths:?}");
            let start = u64::try_from(bytes.len() / 2)?;
            assert_eq!(store.get_range(&path, start..start + 1).await?, bytes[bytes.len() / 2..][..1]);
        }
        let mut tags = TagSet::default();
        tags.push("class", "archive");
        store.put_opts(&path, "1".into(), PutOptions { tags, ..PutOptions::default() }).await?;
        assert_eq!(store.get(&path).await?.bytes().await?, "1");
        Ok(())
    })
}

/// A server of S3 on loopback, which ends with this value.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a server, if there is a Python that has one.
    pub(crate) fn start(test: &str) -> TestResult<Option<Self>> {
        let Some(python) = python(test) else { return Ok(None) };
        let script = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers/s3_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("a pipe")?).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| "the server of S3 did not start: is moto installed?");
        match port {
            Ok(port) => Ok(Some(Self { child, port })),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    pub(crate) fn bucket(&self) -> TestResult<AmazonS3> {
        let builder = AmazonS3Builder::new().with_endpoint(format!("http://127.0.0.1:{}", self.port));
        let builder = builder.with_allow_http(true).with_bucket_name("objects").with_region("us-east-1");
        Ok(builder.with_access_key_id("test").with_secret_access_key("test").build()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the Python of the tests. If there is none, the test is skipped, unless `STRONGROOM_REQUIRE`
/// says that nothing may be skipped.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("STRONGROOM_PYTHON").filter(|path| !path.is_empty()) {
        return Some(python.into());
    }
    let is_required = std::env::var("STRONGROOM_REQUIRE").is_ok_and(|required| required == "all");
    assert!(!is_required, "{test}: STRONGROOM_PYTHON is not set");
    // Do not use `println`, because the test runner hides its output for passing tests.
    let _ = writeln!(std::io::stderr(), "not run: {test} (STRONGROOM_PYTHON is not set; ./test.sh sets it)");
    None
}
