//! The official Encryption SDKs, each in a separate process, and the raw AES keys that tests share
//! with them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Map, Value, json};
use strongroom::envelope::RawAesKeyring;
use strongroom::message::{AlgorithmSuite, KeyDerivation};
use strongroom::{EncryptionContext, Envelope, SecretBytes};

use crate::support::external_tools;

/// An official SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sdk {
    Python,
    Node,
}

/// One of the SDKs, which runs for the duration of the test.
pub(crate) struct Peer {
    sdk: Sdk,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the Encryption SDK for Python.
    pub(crate) fn python(test: &str) -> Option<Self> {
        let python = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has aws-encryption-sdk")?;
        Some(Self::start(test, Sdk::Python, &python, "esdk_peer.py"))
    }

    /// Starts the Encryption SDK for JavaScript in Node.js.
    pub(crate) fn node(test: &str) -> Option<Self> {
        let node =
            external_tools::tool(test, "STRONGROOM_NODE", "a node for which tests/interop/node_modules is installed")?;
        Some(Self::start(test, Sdk::Node, &node, "esdk_peer.js"))
    }

    fn start(test: &str, sdk: Sdk, interpreter: &Path, script: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
        let mut command = Command::new(interpreter);
        command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", interpreter.display()));
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Self { sdk, child, requests, answers };
        println!("{test}: against the SDK for {sdk:?}, {}", peer.ask(&json!({"do": "version"}))["version"]);
        peer
    }

    /// Returns raw AES keys of each length, for each implementation of raw AES keys in the SDK.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let lengths = [16, 24, 32];
        self.implementations().iter().flat_map(|keyring| lengths.map(|length| Key::new(length, *keyring))).collect()
    }

    /// Returns `true` for implementations that use keyrings. The SDK for Python also works without
    /// keyrings, in separate code.
    pub(crate) fn implementations(&self) -> &'static [bool] {
        match self.sdk {
            Sdk::Python => &[false, true],
            Sdk::Node => &[true],
        }
    }

    /// Like `implementations`, for the keys of a request. Only the material providers library
    /// supports ECDH keys and contexts that the header omits.
    pub(crate) fn implementations_for(&self, request: &Value) -> &'static [bool] {
        let is_of_the_library = request.get("ecdh").is_some() || request.get("required").is_some();
        // Node.js does not decrypt PKCS#1 v1.5 if its OpenSSL reveals whether the padding was
        // correct (CVE-2023-46809).
        let is_old_rsa = request.get("rsa").is_some_and(|rsa| rsa["padding"] == "PKCS1");
        match self.sdk {
            Sdk::Python if is_of_the_library => &[true],
            Sdk::Node if is_of_the_library || is_old_rsa => &[],
            Sdk::Python | Sdk::Node => self.implementations(),
        }
    }

    /// Returns `true` if the SDK writes with this frame length. 0 means an unframed message.
    pub(crate) fn writes_frames_of(&self, frame_length: u32) -> bool {
        match self.sdk {
            Sdk::Python => frame_length.is_multiple_of(128),
            Sdk::Node => frame_length > 0,
        }
    }

    /// Returns `true` if the SDK writes messages of a suite under a key. The material providers
    /// library supports no suites without key derivation.
    pub(crate) fn takes_suite(&self, suite: AlgorithmSuite, key: &Key) -> bool {
        suite.derivation() != KeyDerivation::None || self.sdk == Sdk::Node || !key.keyring
    }

    /// Returns `true` if the SDK decrypts the malformed message of a vector's file, for which
    /// strongroom is stricter.
    pub(crate) fn reads_malformed(&self, file: &str) -> bool {
        // An empty message with frames of length zero, and an unframed message that specifies a
        // frame length.
        file == "framed_with_frame_length_zero.txt"
            || (self.sdk == Sdk::Node && file == "unframed_with_frame_length.txt")
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

    /// Returns the plaintext and the context, or the error of the peer.
    pub(crate) fn decrypt(&mut self, key: &Key, ciphertext: &[u8]) -> Result<(Vec<u8>, EncryptionContext), String> {
        let answer = self.ask(&key.request(json!({"do": "decrypt", "ciphertext": hex::encode(ciphertext)})));
        failure(&answer)?;
        let context = answer["context"].as_object().expect("a map");
        let pairs = context.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text")));
        Ok((bytes(&answer["plaintext"]), pairs.collect()))
    }

    pub(crate) fn encrypt(
        &mut self,
        key: &Key,
        plaintext: &[u8],
        context: &EncryptionContext,
        frame_length: u32,
    ) -> Result<Vec<u8>, String> {
        let request = json!({"do": "encrypt", "plaintext": hex::encode(plaintext), "context": json_of(context),
            "frame_length": frame_length});
        let answer = self.ask(&key.request(request));
        failure(&answer)?;
        Ok(bytes(&answer["ciphertext"]))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The peer ends when its input ends.
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

/// Returns a context in the peers' JSON format.
pub(crate) fn json_of(context: &EncryptionContext) -> Value {
    Value::Object(context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// A raw AES key, and the implementation with which the peer uses it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) keyring: bool,
}

impl Key {
    pub(crate) fn new(length: u8, keyring: bool) -> Self {
        Self { namespace: "laboratory", name: "key é 1", bytes: (1..=length).collect(), keyring }
    }

    pub(crate) fn request(&self, mut request: Value) -> Value {
        request["key"] = json!(hex::encode(&self.bytes));
        request["namespace"] = json!(self.namespace);
        request["name"] = json!(self.name);
        request["keyring"] = json!(self.keyring);
        request
    }

    pub(crate) fn raw_keyring(&self) -> RawAesKeyring {
        RawAesKeyring::new(self.namespace, self.name, SecretBytes::copy_from_slice(&self.bytes)).expect("a keyring")
    }

    pub(crate) fn envelope(&self, frame_length: u32) -> Envelope {
        Envelope::builder(self.raw_keyring()).frame_length(frame_length).build().expect("an envelope")
    }
}

pub(crate) fn contexts() -> [EncryptionContext; 3] {
    [
        EncryptionContext::new(),
        EncryptionContext::from([("tenant", "42"), ("purpose", "backup"), ("empty", "")]),
        // U+FF61 is first in the order of UTF-8 bytes, U+10000 in the order of UTF-16 code units.
        EncryptionContext::from([("\u{10000}", "🔑"), ("\u{FF61}", "\u{10FFFF}"), ("ключ", "значение")]),
    ]
}

pub(crate) fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}
