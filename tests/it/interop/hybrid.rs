//! A second implementation of HPKE with hybrid key pairs, in JavaScript, wraps data keys for
//! `RawHybridKeyring` and unwraps its data keys.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use strongroom::crypto::RUST_CRYPTO;
use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, HybridKem, Keyring, RawHybridKeyring};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
use strongroom::{EncryptionContext, Result};

use crate::support::external_tools;

/// The number of bytes before the encapsulated key: version and mechanism.
const HEAD: usize = 3;

fn answers(node: &Path, requests: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/hpke_peer.mjs");
    let mut command = Command::new(node);
    let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js starts");
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the script runs");
    writer.join().expect("no thread panicked").expect("the script reads its input");
    let lines = String::from_utf8(output.stdout).expect("JSON");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn javascript_unwraps_and_wraps_hybrid_data_keys() -> Result<()> {
    let test = "javascript_unwraps_and_wraps_hybrid_data_keys";
    let what = "a node for which tests/interop/node_modules is installed";
    let Some(node) = external_tools::tool(test, "STRONGROOM_NODE", what) else { return Ok(()) };
    let context = EncryptionContext::from([("purpose", "comparison"), ("language", "JavaScript")]);
    let mut requests = Vec::new();
    let mut cases = Vec::new();
    for kem in HybridKem::ALL {
        for name in ["archive", "another name"] {
            let private = kem.generate(&RUST_CRYPTO)?;
            let keyring = RawHybridKeyring::with_private_key(name, kem, &private)?.with_backend(RUST_CRYPTO);
            let mut materials = EncryptionMaterials::new(AlgorithmSuite::default(), context.clone(), RUST_CRYPTO)?;
            keyring.on_encrypt(&mut materials)?;
            let data_key = hex::encode(materials.data_key().expect("a data key").expose_secret());
            let common = json!({
                "kem": kem.hpke_id(),
                "private": hex::encode(private.expose_secret()),
                "public": hex::encode(keyring.public_key()),
                "info": hex::encode(format!("strongroom hybrid data key v1{name}")),
                "aad": hex::encode(materials.canonical_context()),
            });
            let with = |member: &str, value: String| {
                let mut request = common.clone();
                request[member] = value.into();
                request
            };
            let wrapped = materials.encrypted_data_keys()[0].ciphertext();
            let mut altered = wrapped[HEAD..].to_vec();
            altered[1_000] ^= 1;
            requests.push(with("sealed", hex::encode(&wrapped[HEAD..])));
            requests.push(with("sealed", hex::encode(altered)));
            requests.push(with("plaintext", data_key.clone()));
            cases.push((kem, name, keyring, data_key));
        }
    }
    let answers = answers(&node, &requests);
    assert_eq!(answers.len(), requests.len(), "{answers:?}");
    for ((kem, name, keyring, data_key), answers) in cases.iter().zip(answers.chunks(3)) {
        assert_eq!(answers[0], json!({"plaintext": data_key}), "{kem}");
        assert!(answers[1]["error"].is_string(), "{kem}: an altered data key was unwrapped");
        let sealed = hex::decode(answers[2]["sealed"].as_str().unwrap_or_else(|| panic!("{kem}: {}", answers[2])));
        let [high, low] = kem.hpke_id().to_be_bytes();
        let wrapped = [&[1, high, low][..], &sealed.expect("hexadecimal")].concat();
        let wrapped = EncryptedDataKey::new("strongroom-hybrid", name.as_bytes(), wrapped);
        let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), context.clone(), RUST_CRYPTO)?;
        keyring.on_decrypt(&mut materials, &[wrapped])?;
        assert_eq!(hex::encode(materials.data_key().expect("a data key").expose_secret()), *data_key, "{kem}");
    }
    Ok(())
}
