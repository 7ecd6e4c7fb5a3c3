//! The official Encryption SDK for Python opens what we write and writes what we open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Map, Value, json};
use strongroom::envelope::CommitmentPolicy::{
    ForbidEncryptAllowDecrypt, RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt,
};
use strongroom::envelope::{DefaultMaterialsManager, RequiredContextManager};
use strongroom::message::{AlgorithmSuite, KeyDerivation, SuiteSupport, inspect};
use strongroom::{EncryptionContext, Envelope, MultiKeyring, RawAesKeyring, SecretBytes};

use crate::{require, vectors};

/// The SDK in a process of its own, which lives as long as the test.
pub(crate) struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let python = require::tool(test, "STRONGROOM_PYTHON", "a python that has aws-encryption-sdk")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/esdk_peer.py");
        let mut command = Command::new(python);
        command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python starts");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Self { child, requests, answers };
        println!("{test}: against aws-encryption-sdk {}", peer.ask(&json!({"do": "version"}))["version"]);
        Some(peer)
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Map<String, Value> {
        writeln!(self.requests.as_mut().expect("open until dropped"), "{request}").expect("the peer listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the peer answers");
        match serde_json::from_str(&answer) {
            Ok(Value::Object(answer)) => answer,
            other => panic!("the peer answered {answer:?} ({other:?})"),
        }
    }

    /// The plaintext and the context, or what the peer complained of.
    fn decrypt(&mut self, key: &Key, ciphertext: &[u8]) -> Result<(Vec<u8>, EncryptionContext), String> {
        let answer = self.ask(&key.request(json!({"do": "decrypt", "ciphertext": hex::encode(ciphertext)})));
        failure(&answer)?;
        let context = answer["context"].as_object().expect("a map");
        let pairs = context.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text")));
        Ok((bytes(&answer["plaintext"]), pairs.collect()))
    }

    fn encrypt(
        &mut self,
        key: &Key,
        plaintext: &[u8],
        context: &EncryptionContext,
        frame_length: u32,
    ) -> Result<Vec<u8>, String> {
        let context: Map<_, _> = context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let plaintext = hex::encode(plaintext);
        let request =
            json!({"do": "encrypt", "plaintext": plaintext, "context": context, "frame_length": frame_length});
        let answer = self.ask(&key.request(request));
        failure(&answer)?;
        Ok(bytes(&answer["ciphertext"]))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The peer ends with its input.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

pub(crate) fn failure(answer: &Map<String, Value>) -> Result<(), String> {
    answer.get("error").map_or(Ok(()), |error| Err(error.to_string()))
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hexadecimal")
}

/// A raw AES key, and which of its two implementations the peer uses it with.
struct Key {
    namespace: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    keyring: bool,
}

impl Key {
    fn new(length: u8, keyring: bool) -> Self {
        Self { namespace: "laboratory", name: "key é 1", bytes: (1..=length).collect(), keyring }
    }

    fn request(&self, mut request: Value) -> Value {
        request["key"] = json!(hex::encode(&self.bytes));
        request["namespace"] = json!(self.namespace);
        request["name"] = json!(self.name);
        request["keyring"] = json!(self.keyring);
        request
    }

    fn raw_keyring(&self) -> RawAesKeyring {
        RawAesKeyring::new(self.namespace, self.name, SecretBytes::copy_of(&self.bytes)).expect("a keyring")
    }

    fn envelope(&self, frame_length: u32) -> Envelope {
        Envelope::builder(self.raw_keyring()).frame_length(frame_length).build().expect("an envelope")
    }
}

fn contexts() -> [EncryptionContext; 3] {
    [
        EncryptionContext::new(),
        EncryptionContext::from([("tenant", "42"), ("purpose", "backup"), ("empty", "")]),
        // By UTF-8 bytes U+FF61 comes first, by UTF-16 code units U+10000.
        EncryptionContext::from([("\u{10000}", "🔑"), ("\u{FF61}", "\u{10FFFF}"), ("ключ", "значение")]),
    ]
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Sizes around a frame length, and a mebibyte where that says something new: the length of the wrapping key has no part
/// in it, and in the shortest frames it takes the peer seconds.
fn sizes(frame_length: u32, key: &Key, context: &EncryptionContext) -> Vec<usize> {
    let frame = usize::try_from(frame_length).expect("small");
    let mut sizes = vec![0, 1, frame - 1, frame, frame + 1, 2 * frame];
    let first = !key.keyring && context.is_empty();
    if key.bytes.len() == 32 && (frame > 128 || first) {
        sizes.push(1 << 20);
    }
    sizes
}

#[test]
fn messages_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::start("messages_are_the_same_to_the_official_sdk") else { return };
    let (mut read_by_peer, mut written_by_peer) = (0, 0);
    for (length, keyring) in [(16, false), (24, false), (32, false), (16, true), (24, true), (32, true)] {
        let key = Key::new(length, keyring);
        for context in contexts() {
            for frame_length in [16, 128, 4096, 65_536] {
                for size in sizes(frame_length, &key, &context) {
                    let case = format!("key of {length} bytes, {context:?}, {size} bytes in frames of {frame_length}");
                    peer_reads(&mut peer, &key, &context, frame_length, size)
                        .unwrap_or_else(|error| panic!("{case}: {error}"));
                    read_by_peer += 1;
                    // The SDK reads frames of any length and writes only multiples of 128 bytes.
                    if frame_length % 128 == 0 {
                        peer_writes(&mut peer, &key, &context, frame_length, size)
                            .unwrap_or_else(|error| panic!("{case}: {error}"));
                        written_by_peer += 1;
                    }
                }
            }
        }
    }
    println!("{read_by_peer} messages of ours were read, {written_by_peer} of theirs");
    assert_eq!((read_by_peer, written_by_peer), (446, 337));
}

fn peer_reads(
    peer: &mut Peer,
    key: &Key,
    context: &EncryptionContext,
    frame_length: u32,
    size: usize,
) -> Result<(), String> {
    let text = plaintext(size);
    let ours = key.envelope(frame_length).encrypt(&text, context).map_err(|error| error.to_string())?;
    let read = peer.decrypt(key, &ours)?;
    if read == (text, context.clone()) { Ok(()) } else { Err("the peer read something else".to_owned()) }
}

fn peer_writes(
    peer: &mut Peer,
    key: &Key,
    context: &EncryptionContext,
    frame_length: u32,
    size: usize,
) -> Result<(), String> {
    let text = plaintext(size);
    let theirs = peer.encrypt(key, &text, context, frame_length)?;
    let opened = key.envelope(4096).decrypt_with_header(&theirs, context).map_err(|error| error.to_string())?;
    let header = opened.header();
    let same = opened.plaintext() == text && header.context() == context && header.frame_length() == Some(frame_length);
    if same { Ok(()) } else { Err("we read something else".to_owned()) }
}

#[test]
fn every_suite_is_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::start("every_suite_is_the_same_to_the_official_sdk") else { return };
    let (mut read_by_peer, mut written_by_peer) = (0, 0);
    for &suite in AlgorithmSuite::ALL {
        for (length, keyring) in [(16, false), (32, true)] {
            let key = Key::new(length, keyring);
            let reading = Envelope::builder(key.raw_keyring()).commitment_policy(RequireEncryptAllowDecrypt);
            let reading = reading.build().expect("an envelope");
            for context in contexts() {
                for size in [0, 1, 127, 128, 129, 1000] {
                    let (case, text) =
                        (format!("{suite}, key of {length} bytes, {context:?}, {size} bytes"), plaintext(size));
                    if suite.support() == SuiteSupport::Full {
                        let policy = if suite.is_committing() {
                            RequireEncryptRequireDecrypt
                        } else {
                            ForbidEncryptAllowDecrypt
                        };
                        let writing = Envelope::builder(key.raw_keyring()).commitment_policy(policy);
                        let writing = writing.algorithm_suite(suite).frame_length(128).build().expect("an envelope");
                        let ours = writing.encrypt(&text, &context).expect("a message");
                        let request =
                            json!({"do": "decrypt", "ciphertext": hex::encode(&ours), "allow_version_1": true});
                        let answer = peer.ask(&key.request(request));
                        assert_eq!(failure(&answer), Ok(()), "{case}");
                        assert_eq!(bytes(&answer["plaintext"]), text, "{case}");
                        read_by_peer += 1;
                    }
                    // In frames and, as only old software writes it, in one piece. The material providers' library
                    // takes no suites without key derivation.
                    for frame_length in [128, 0] {
                        if keyring && suite.derivation() == KeyDerivation::None {
                            continue;
                        }
                        let pairs: Map<_, _> =
                            context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
                        let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": pairs,
                            "frame_length": frame_length, "suite": suite.id()});
                        let answer = peer.ask(&key.request(request));
                        assert_eq!(failure(&answer), Ok(()), "{case}");
                        let theirs = bytes(&answer["ciphertext"]);
                        assert_eq!(inspect(&theirs).expect("a header").suite(), suite);
                        assert_eq!(reading.decrypt(&theirs, &context).expect("their message"), text, "{case}");
                        written_by_peer += 1;
                    }
                }
            }
        }
    }
    println!("{read_by_peer} messages of ours were read, {written_by_peer} of theirs");
    assert_eq!((read_by_peer, written_by_peer), (8 * 36, 11 * 72 - 3 * 36));
}

#[test]
fn streams_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::start("streams_are_the_same_to_the_official_sdk") else { return };
    let key = Key::new(32, false);
    for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
        let (envelope, text) = (key.envelope(4096), plaintext(size));
        let mut writer = envelope.writer(Vec::new(), &contexts()[2]).expect("a writer");
        text.chunks(1000).try_for_each(|chunk| writer.write_all(chunk)).expect("a vector takes all");
        let ours = writer.finish().expect("a vector takes all");
        assert_eq!(peer.decrypt(&key, &ours), Ok((text.clone(), contexts()[2].clone())), "{size}");

        let theirs = peer.encrypt(&key, &text, &contexts()[2], 4096).expect("their message");
        let mut opened = Vec::new();
        let mut reader = envelope.reader(&theirs[..], &contexts()[2]).expect("a reader");
        std::io::copy(&mut reader, &mut opened).expect("their message");
        assert!(opened == text, "{size}");
    }
}

#[test]
fn multi_keyrings_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::start("multi_keyrings_are_the_same_to_the_official_sdk") else { return };
    let keys = [("a", 32), ("ab", 16), ("b", 24)].map(|(name, length)| Key { name, ..Key::new(length, true) });
    let [generator, children @ ..] = &keys;
    let ours = MultiKeyring::new(generator.raw_keyring())
        .with_child(children[0].raw_keyring())
        .with_child(children[1].raw_keyring());
    let ours = Envelope::new(ours);
    let children = children.iter().map(|child| child.request(json!({}))).collect::<Vec<_>>();
    let (text, context) = (plaintext(1000), &contexts()[1]);

    let made = ours.encrypt(&text, context).expect("a message");
    let request = json!({"do": "decrypt", "ciphertext": hex::encode(&made), "children": children});
    assert_eq!(bytes(&peer.ask(&generator.request(request))["plaintext"]), text);
    let pairs: Map<_, _> = context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": pairs, "frame_length": 4096,
        "children": children});
    let theirs = bytes(&peer.ask(&generator.request(request))["ciphertext"]);
    assert_eq!(ours.decrypt(&theirs, context).expect("their message"), text);
    for key in &keys {
        assert_eq!(peer.decrypt(key, &made), Ok((text.clone(), context.clone())), "{}", key.name);
        assert_eq!(key.envelope(4096).decrypt(&theirs, context).expect("their message"), text, "{}", key.name);
    }
}

#[test]
fn required_contexts_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::start("required_contexts_are_the_same_to_the_official_sdk") else { return };
    let key = Key::new(32, true);
    let (text, mut compared) = (plaintext(1000), 0);
    for context in &contexts()[1..] {
        let names: Vec<&str> = context.iter().map(|(name, _)| name).collect();
        for count in 1..=names.len() {
            let required = &names[..count];
            let inner = DefaultMaterialsManager::new(key.raw_keyring());
            let manager = RequiredContextManager::new(inner, required.iter().copied()).expect("a manager");
            let ours = Envelope::with_materials_manager(manager);
            let reproduced: EncryptionContext = context.iter().filter(|(name, _)| required.contains(name)).collect();
            let json_of = |context: &EncryptionContext| {
                Value::Object(context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
            };

            let made = ours.encrypt(&text, context).expect("a message");
            let request = |context| {
                let ciphertext = hex::encode(&made);
                key.request(
                    json!({"do": "decrypt", "ciphertext": ciphertext, "required": required, "context": context}),
                )
            };
            let answer = peer.ask(&request(json_of(&reproduced)));
            assert_eq!(failure(&answer), Ok(()));
            assert_eq!(bytes(&answer["plaintext"]), text);
            let wrong: EncryptionContext = reproduced.iter().map(|(name, _)| (name, "wrong")).collect();
            assert!(failure(&peer.ask(&request(json_of(&wrong)))).is_err());

            let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": json_of(context),
                "frame_length": 4096, "required": required});
            let theirs = bytes(&peer.ask(&key.request(request))["ciphertext"]);
            assert_eq!(inspect(&theirs).expect("a header").context(), inspect(&made).expect("a header").context());
            assert_eq!(ours.decrypt_with_reproduced_context(&theirs, &reproduced).expect("their message"), text);
            assert!(ours.decrypt_with_reproduced_context(&theirs, &wrong).is_err());
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

#[test]
fn the_official_sdk_agrees_with_the_vectors() {
    let Some(mut peer) = Peer::start("the_official_sdk_agrees_with_the_vectors") else { return };
    let mut agreed = 0;
    for vector in vectors::all() {
        // Here we are stricter on purpose: the SDK takes no expected context, ignores what follows a message, and opens
        // an empty message with frames of length zero.
        let stricter =
            matches!(vector.expected().as_ref().map_err(String::as_str), Err("ContextMismatch" | "TrailingData"));
        if stricter || vector.file == "framed_with_frame_length_zero.txt" {
            continue;
        }
        for keyring in [false, true] {
            let answer = peer.ask(&json!({
                "do": "decrypt", "ciphertext": vector.field("ciphertext"), "key": vector.field("wrapping key"),
                "namespace": vector.field("namespace"), "name": vector.field("name"), "keyring": keyring,
                "allow_version_1": vector.allows_version_1(),
            }));
            let plaintext = failure(&answer).map(|()| bytes(&answer["plaintext"]));
            match vector.expected() {
                Ok(expected) => assert_eq!(plaintext, Ok(expected), "{}", vector.file),
                Err(_) => assert!(plaintext.is_err(), "{}: the peer opens it", vector.file),
            }
        }
        agreed += 1;
    }
    println!("{agreed} vectors with the same verdict");
    assert!(agreed >= 340, "{agreed}");
}
