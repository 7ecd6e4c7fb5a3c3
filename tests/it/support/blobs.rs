//! Ciphertext blobs: the second implementation in Python, and the outcome of a vector.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;
use strongroom::EncryptionContext;
use strongroom::blob::{BlobError, BlobPrefix, Scheme};

use crate::support::external_tools;
use crate::support::vectors::{self, Vector};

/// Opens the body of a blob, given the prefix, the canonical context, and the body.
pub(crate) type Open<'a> = &'a dyn Fn(&[u8], &[u8], &[u8]) -> Option<Vec<u8>>;

/// Returns the cases of a scheme.
pub(crate) fn of_scheme(scheme: Scheme) -> Vec<Vector> {
    let number = if scheme == Scheme::Committing { "1" } else { "2" };
    let mut vectors = vectors::in_folders(&["blob"]);
    vectors.retain(|vector| vector.field("scheme") == number);
    assert!(vectors.len() > 20, "{} files of scheme {number}", vectors.len());
    vectors
}

/// Returns the outcome of a case: the plaintext, or the name of the check that rejects it.
pub(crate) fn verdict(vector: &Vector, open: Open<'_>) -> Result<Vec<u8>, String> {
    let blob = vector.bytes("blob");
    let (prefix, body) = BlobPrefix::parse(&blob).map_err(|error| {
        let name = match error {
            BlobError::TooLong { .. } => "TooLong",
            BlobError::TooShort { .. } => "TooShort",
            BlobError::Version { .. } => "Version",
            BlobError::Scheme { .. } => "Scheme",
            other => panic!("{}: {other}", vector.file),
        };
        name.to_owned()
    })?;
    let pairs: BTreeMap<String, String> = serde_json::from_str(vector.field("context")).expect("pairs in JSON");
    let context: EncryptionContext = pairs.into_iter().collect();
    let context = context.to_canonical_bytes().expect("short enough");
    open(&prefix.to_bytes(), &context, body).ok_or_else(|| "InvalidCiphertext".to_owned())
}

/// Runs the script with requests as its input and returns the lines of its output. Returns `None`
/// if Python is not available.
pub(crate) fn reference(test: &str, command: &str, requests: &[Value]) -> Option<Vec<String>> {
    let python = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has cryptography")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/blob_reference.py");
    let input: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut child = Command::new(python)
        .args([script, command])
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Write from another thread, because the script responds before it has read all input.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the script exits");
    assert!(output.status.success(), "the script failed: {}", output.status);
    writer.join().expect("the writer does not panic").expect("the script reads all of its input");
    Some(String::from_utf8(output.stdout).expect("ASCII").lines().map(str::to_owned).collect())
}
