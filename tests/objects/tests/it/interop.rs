//! A stored object is a message that the official Encryption SDK decrypts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path as FilePath;
use std::process::{Command, Stdio};

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};
use strongroom::objects::{EncryptedStore, PathBinding};

use crate::suite::python;
use crate::support::{TestResult, keyring, plaintext, run, stored};

/// Asks the SDK for Python to decrypt messages, with its master keys and with its keyrings.
fn decrypt(python: &FilePath, messages: &[Vec<u8>]) -> TestResult<Vec<Value>> {
    let script = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../interop/esdk_peer.py");
    let mut command = Command::new(python);
    command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let requests: String = messages
        .iter()
        .flat_map(|message| [false, true].map(|keyring| (message, keyring)))
        .map(|(message, keyring)| {
            let request = json!({
                "do": "decrypt", "key": hex::encode([7; 32]), "namespace": "objects", "name": "key 1",
                "ciphertext": hex::encode(message), "keyring": keyring,
            });
            format!("{request}\n")
        })
        .collect();
    let mut input = child.stdin.take().ok_or("a pipe")?;
    // On a thread, because the answers fill the other pipe at the same time.
    let writer = std::thread::spawn(move || input.write_all(requests.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer panicked")??;
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn the_official_sdk_decrypts_stored_objects() -> TestResult {
    let Some(python) = python("the_official_sdk_decrypts_stored_objects") else { return Ok(()) };
    let mut expected = Vec::new();
    let messages = run(async {
        let mut messages = Vec::new();
        for binding in [PathBinding::Context, PathBinding::Header, PathBinding::Movable] {
            let store = EncryptedStore::builder(InMemory::new(), "bucket", keyring());
            let store = store.path_binding(binding).frame_length(4_096).build()?;
            for size in [0, 1, 4_096, 10_000] {
                let (path, bytes) = (Path::from(format!("2026/{size} é")), plaintext(size));
                let mut context = BTreeMap::from([("bucket", "bucket".to_owned())]);
                if binding == PathBinding::Context {
                    context.insert("path", path.to_string());
                }
                store.put(&path, bytes.clone().into()).await?;
                messages.push(stored(store.inner(), &path).await?);
                // With an empty final frame, if the size is a multiple of the length of a frame.
                let mut upload = store.put_multipart(&path).await?;
                upload.put_part(bytes.clone().into()).await?;
                upload.complete().await?;
                messages.push(stored(store.inner(), &path).await?);
                expected.extend([(bytes.clone(), context.clone()), (bytes, context)]);
            }
        }
        // Above the smallest part, so that full frames are followed by an empty one.
        let store = EncryptedStore::new(InMemory::new(), "bucket", keyring())?;
        let (path, bytes) = (Path::from("parts"), plaintext(5 << 20));
        let mut upload = store.put_multipart(&path).await?;
        upload.put_part(bytes.clone().into()).await?;
        upload.complete().await?;
        messages.push(stored(store.inner(), &path).await?);
        expected.push((bytes, BTreeMap::from([("bucket", "bucket".to_owned()), ("path", "parts".to_owned())])));
        Ok::<_, Box<dyn std::error::Error>>(messages)
    })?;
    let answers = decrypt(&python, &messages)?;
    assert_eq!(answers.len(), 2 * expected.len());
    for (index, answer) in answers.iter().enumerate() {
        let (bytes, context) = &expected[index / 2];
        assert!(answer["plaintext"] == hex::encode(bytes), "message {index}: {}", answer["error"]);
        assert_eq!(answer["context"], json!(context), "message {index}");
    }
    Ok(())
}
