//! The official client for Python: it reads what strongroom writes, and the reverse.
//!
//! Its S3 is moto, in its process. Its KMS is [`strongroom::wire`], so that both sides use the same
//! keys.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{FormatVersion, MIN_PART_BYTES, ObjectCipher};
use strongroom::{EncryptionContext, Kms, wire};

use super::support::{LENGTHS, Pairs, RSA, TestResult, VERSIONS, World, Wrap, pairs_of, plaintext, read};
use crate::support::external_tools;

const STRICT: &str = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";
const LENIENT: &str = "REQUIRE_ENCRYPT_ALLOW_DECRYPT";

/// The official client, in a process that runs for the duration of the test.
struct Peer {
    kms: Kms,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(test: &str, kms: &Kms) -> Option<Self> {
        let what = "a python that has amazon-s3-encryption-client-python and moto";
        let python = external_tools::tool(test, "STRONGROOM_S3_PYTHON", what)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/s3_peer.py");
        let mut command = Command::new(&python);
        command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Self { kms: kms.clone(), child, requests, answers };
        println!("{test}: against {}", peer.ask(&json!({"do": "version"})).expect("an answer")["version"]);
        Some(peer)
    }

    fn write(&mut self, line: &Value) {
        writeln!(self.requests.as_mut().expect("open until dropped"), "{line}").expect("the peer listens");
    }

    /// Sends a request, and answers the requests of the peer to its KMS.
    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        self.write(request);
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).expect("the peer answers") > 0, "the peer ended");
            let answer: Value = serde_json::from_str(&line).expect("the peer writes JSON");
            if let Some(operation) = answer["operation"].as_str() {
                let reply = wire::call(&self.kms, operation, answer["body"].as_str().expect("a text").as_bytes());
                self.write(&json!({"status": reply.status(), "body": Base64::encode_string(reply.body())}));
            } else if let Some(error) = answer["error"].as_str() {
                return Err(error.to_owned());
            } else {
                return Ok(answer);
            }
        }
    }

    /// Encrypts with the official client. Returns the content and the metadata of the object.
    fn put(
        &mut self,
        version: FormatVersion,
        key: &Value,
        context: &EncryptionContext,
        parts: &[&[u8]],
    ) -> Result<(Vec<u8>, Pairs), String> {
        let version = if version == FormatVersion::V3 { 3 } else { 2 };
        let parts: Vec<String> = parts.iter().map(hex::encode).collect();
        let request = json!({"do": "put", "version": version, "key": key, "context": context, "parts": parts});
        let answer = self.ask(&request)?;
        let pairs: BTreeMap<String, String> = serde_json::from_value(answer["metadata"].clone()).expect("a map");
        Ok((bytes(&answer["body"]), pairs.into_iter().collect()))
    }

    /// Decrypts with the official client.
    fn get(
        &mut self,
        policy: &str,
        key: &Value,
        context: &EncryptionContext,
        object: &Stored,
    ) -> Result<Vec<u8>, String> {
        let metadata: BTreeMap<&str, &str> = object.pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let request = json!({"do": "get", "policy": policy, "key": key, "context": context, "metadata": metadata,
            "body": hex::encode(&object.body), "file": object.file, "legacy": object.is_legacy, "parts": object.parts});
        self.ask(&request).map(|answer| bytes(&answer["plaintext"]))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The peer ends when its input ends.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hexadecimal")
}

/// An object in the S3 of the peer.
#[derive(Clone, Default)]
struct Stored {
    body: Vec<u8>,
    pairs: Pairs,
    file: Option<String>,
    is_legacy: bool,
    /// The length of its parts, for a multipart upload.
    parts: Option<usize>,
}

/// The key of a kind, for the peer.
fn peer_key(world: &World, wrap: Wrap) -> Value {
    match wrap {
        Wrap::Kms => json!(world.kms.describe_key(world.keys[0]).expect("a key").arn().to_string()),
        Wrap::Aes => json!({"aes": hex::encode([0; 32])}),
        Wrap::Rsa => json!({"rsa": hex::encode(RSA[0].expose_secret())}),
    }
}

/// The client for Python rejects contexts outside ASCII.
fn contexts(wrap: Wrap) -> Vec<EncryptionContext> {
    super::support::contexts(wrap)
        .into_iter()
        .filter(|context| context.iter().all(|(name, _)| name.is_ascii()))
        .collect()
}

/// Moves the pairs of an object into an instruction file, as the clients that write such files do.
fn move_into_file(pairs: Pairs) -> (Pairs, String) {
    let stays = |name: &str| ["x-amz-c", "x-amz-d", "x-amz-i"].contains(&name);
    let (object, file): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| stays(name));
    (object, json!(file.into_iter().collect::<BTreeMap<_, _>>()).to_string())
}

/// The client for Python always names the wrapping algorithm of a KMS key, also with a custom keyring.
fn as_raw(pairs: Pairs, wrap: Wrap) -> Pairs {
    let (name, code) = match wrap {
        Wrap::Kms => return pairs,
        Wrap::Aes => ("AES/GCM", "02"),
        Wrap::Rsa => ("RSA-OAEP-SHA1", "22"),
    };
    let rename = |(pair, value): (String, String)| match pair.as_str() {
        "x-amz-w" => (pair, code.to_owned()),
        "x-amz-wrap-alg" => (pair, name.to_owned()),
        "x-amz-t" => ("x-amz-m".to_owned(), value),
        _ => (pair, value),
    };
    pairs.into_iter().map(rename).collect()
}

#[test]
fn official_client_for_python_and_strongroom_read_each_other() -> TestResult {
    let world = World::new();
    let test = "official_client_for_python_and_strongroom_read_each_other";
    let Some(mut peer) = Peer::start(test, &world.kms) else { return Ok(()) };
    let mut compared = 0;
    for ((version, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let (key, reader) = (peer_key(&world, wrap), world.cipher(wrap, CommitmentPolicy::RequireEncryptAllowDecrypt));
        for (length, context) in LENGTHS.iter().flat_map(|length| contexts(wrap).into_iter().map(|c| (*length, c))) {
            let plaintext = plaintext(length);
            let name = format!("{version:?} {wrap:?} {length} {context:?}");
            // Theirs, as written and with an instruction file.
            let (body, pairs) =
                peer.put(version, &key, &context, &[&plaintext]).map_err(|error| format!("{name}: {error}"))?;
            let pairs = as_raw(pairs, wrap);
            assert_eq!(reader.decrypt(&body, &read(&pairs, None)?, &context)?, plaintext, "{name}");
            let (pairs, file) = move_into_file(pairs);
            assert_eq!(reader.decrypt(&body, &read(&pairs, Some(&file))?, &context)?, plaintext, "{name}");
            // Ours.
            for instruction_files in [false, true] {
                let builder = world.builder(wrap, policy);
                let writer = if instruction_files { builder.instruction_files() } else { builder }.build()?;
                let object = writer.encrypt(&plaintext, &context)?;
                let file = object.instruction_file().map(str::to_owned);
                let stored = Stored { pairs: pairs_of(&object), file, body: object.into_body(), ..Stored::default() };
                let opened = peer.get(LENIENT, &key, &context, &stored);
                assert_eq!(opened.as_ref(), Ok(&plaintext), "{name} {instruction_files}");
                let strict = peer.get(STRICT, &key, &context, &stored);
                assert_eq!(strict.is_ok(), version == FormatVersion::V3, "{name} {strict:?}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 2 * 6 * (2 + 1 + 1) * 2);
    Ok(())
}

#[test]
fn multipart_uploads_of_the_official_client_are_the_same_format() -> TestResult {
    let world = World::new();
    let test = "multipart_uploads_of_the_official_client_are_the_same_format";
    let Some(mut peer) = Peer::start(test, &world.kms) else { return Ok(()) };
    let (key, context) = (peer_key(&world, Wrap::Kms), contexts(Wrap::Kms).remove(1));
    let plaintext = plaintext(MIN_PART_BYTES + 100_001);
    for (version, policy) in VERSIONS {
        let cipher = world.cipher(Wrap::Kms, policy);
        let parts = plaintext.chunks(MIN_PART_BYTES).collect::<Vec<_>>();
        let (body, pairs) = peer.put(version, &key, &context, &parts)?;
        assert_eq!(cipher.decrypt(&body, &read(&pairs, None)?, &context)?, plaintext);
        let object = cipher.encrypt(&plaintext, &context)?;
        assert_eq!(object.parts(MIN_PART_BYTES)?.count(), 2);
        let pairs = pairs_of(&object);
        let stored = Stored { pairs, body: object.into_body(), parts: Some(MIN_PART_BYTES), ..Stored::default() };
        assert!(peer.get(LENIENT, &key, &context, &stored)? == plaintext);
    }
    Ok(())
}

#[test]
fn both_reject_altered_objects_and_other_contexts() -> TestResult {
    let world = World::new();
    let test = "both_reject_altered_objects_and_other_contexts";
    let Some(mut peer) = Peer::start(test, &world.kms) else { return Ok(()) };
    let (key, context) = (peer_key(&world, Wrap::Kms), contexts(Wrap::Kms).remove(1));
    for (_, policy) in VERSIONS {
        let (cipher, lenient) =
            (world.cipher(Wrap::Kms, policy), world.cipher(Wrap::Kms, CommitmentPolicy::RequireEncryptAllowDecrypt));
        let object = cipher.encrypt(b"text", &context)?;
        let other = cipher.encrypt(b"text", &context)?;
        let stored = Stored { pairs: pairs_of(&object), body: object.body().to_vec(), ..Stored::default() };
        assert_eq!(peer.get(LENIENT, &key, &context, &stored)?, b"text");
        let mut reject = |context: &EncryptionContext, stored: &Stored, what: &str| {
            let theirs = peer.get(LENIENT, &key, context, stored);
            assert!(theirs.is_err(), "{what}");
            let ours = read(&stored.pairs, None).map_err(strongroom::Error::from);
            assert!(ours.and_then(|metadata| lenient.decrypt(&stored.body, &metadata, context)).is_err(), "{what}");
        };
        reject(&EncryptionContext::new(), &stored, "no context");
        reject(&context.clone().with("more", ""), &stored, "a larger context");
        reject(&context, &Stored { pairs: pairs_of(&other), ..stored.clone() }, "other metadata");
        let mut altered = stored.clone();
        altered.body[1] ^= 1;
        reject(&context, &altered, "an altered body");
        altered.body.truncate(15);
        reject(&context, &altered, "a truncated body");
        let mixed = [("x-amz-key".to_owned(), "AAAA".to_owned())];
        reject(
            &context,
            &Stored { pairs: stored.pairs.iter().cloned().chain(mixed).collect(), ..stored.clone() },
            "mixed versions",
        );
    }
    Ok(())
}

/// Objects of the first version, which no client writes any more: the official client also reads
/// those of the test.
#[test]
fn old_objects_are_those_that_the_official_client_reads() -> TestResult {
    let world = World::new();
    let test = "old_objects_are_those_that_the_official_client_reads";
    let Some(mut peer) = Peer::start(test, &world.kms) else { return Ok(()) };
    let (key, none) = (peer_key(&world, Wrap::Kms), EncryptionContext::new());
    let reader = ObjectCipher::builder(world.key(Wrap::Kms, 0))
        .commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
        .accept_kms_without_algorithm()
        .accept_unauthenticated_cbc()
        .build()?;
    for (key_name, algorithm) in super::legacy::FORMS {
        let pairs = super::legacy::metadata(&world, key_name, algorithm, &super::legacy::IV);
        for length in LENGTHS {
            let body = super::legacy::encrypt_cbc(&plaintext(length));
            let stored = Stored { body, pairs: pairs.clone(), is_legacy: true, ..Stored::default() };
            assert_eq!(peer.get(LENIENT, &key, &none, &stored)?, plaintext(length));
            assert_eq!(reader.decrypt(&stored.body, &read(&pairs, None)?, &none)?, plaintext(length));
            let strict = Stored { is_legacy: false, ..stored };
            assert!(peer.get(LENIENT, &key, &none, &strict).is_err());
        }
    }
    Ok(())
}
