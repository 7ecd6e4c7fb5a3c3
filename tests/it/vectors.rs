//! Every file of `tests/vectors` gets the verdict that it states, at once and in a stream.
//!
//! A file is one case: a comment with its one reason, then `key: value` lines. `expect: ok <plaintext>` or
//! `expect: refused <check>`, where the check is a variant of `MessageError` or of `ErrorKind`.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::io::Read;
use std::path::Path;

use strongroom::envelope::{CommitmentPolicy, SignaturePolicy};
use strongroom::message::MessageError;
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, RawAesKeyring, SecretBytes};

/// One case.
pub(crate) struct Vector {
    pub(crate) file: String,
    fields: BTreeMap<String, String>,
}

impl Vector {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("{}: no field {name:?}", self.file))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.field(name)).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.file))
    }

    /// What must come out: the plaintext, or the name of the check that must refuse.
    pub(crate) fn expected(&self) -> Result<Vec<u8>, String> {
        match self.field("expect").split_once(' ') {
            Some(("refused", check)) => Err(check.to_owned()),
            Some(("ok", plaintext)) => Ok(hex::decode(plaintext).expect("hexadecimal")),
            _ if self.field("expect") == "ok" => Ok(Vec::new()),
            _ => panic!("{}: expect: ok or refused", self.file),
        }
    }

    /// Whether the reader is to take suites without commitment.
    pub(crate) fn allows_version_1(&self) -> bool {
        match self.fields.get("commitment policy").map(String::as_str) {
            None => false,
            Some("allow") => true,
            Some(other) => panic!("{}: commitment policy {other:?}", self.file),
        }
    }

    fn envelope(&self) -> Envelope {
        let key = SecretBytes::from_vec(self.bytes("wrapping key"));
        let keyring = RawAesKeyring::new(self.field("namespace"), self.field("name"), key).expect("a keyring");
        let policy = match self.allows_version_1() {
            true => CommitmentPolicy::RequireEncryptAllowDecrypt,
            false => CommitmentPolicy::RequireEncryptRequireDecrypt,
        };
        let builder = Envelope::builder(keyring).commitment_policy(policy);
        builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification).build().expect("an envelope")
    }

    fn expect_context(&self) -> EncryptionContext {
        self.fields.get("expect context").and_then(|pair| pair.split_once('=')).into_iter().collect()
    }
}

/// All cases, in the order of their names.
pub(crate) fn all() -> Vec<Vector> {
    // Made by hand, and made by the official SDK for Python.
    let folders =
        ["tests/vectors/message", "tests/vectors/sdk"].map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("the folder can be read"));
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    files.sort();
    files.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Vector {
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("the file can be read");
    assert!(text.starts_with("# "), "{file}: begins with its reason");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("{file}: {line:?}")));
    let fields = pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    Vector { file, fields }
}

/// The name of the check that refused.
fn check(error: &Error) -> String {
    let text = match error.source().and_then(|source| source.downcast_ref::<MessageError>()) {
        Some(refusal) if matches!(error.kind(), ErrorKind::InvalidMessage | ErrorKind::MessagePolicy) => {
            format!("{refusal:?}")
        }
        _ => format!("{:?}", error.kind()),
    };
    text.chars().take_while(|character| character.is_alphanumeric()).collect()
}

/// Reads a stream to its end in steps of a length. What came before a failure is returned too.
fn read_in_steps(vector: &Vector, message: &[u8], step: usize) -> (Vec<u8>, Result<(), Error>) {
    let mut released = Vec::new();
    let mut reader = match vector.envelope().reader(message, &vector.expect_context()) {
        Ok(reader) => reader,
        Err(error) => return (released, Err(error)),
    };
    let mut buffer = vec![0; step];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (released, Ok(())),
            Ok(length) => released.extend_from_slice(&buffer[..length]),
            Err(error) => return (released, Err(error.downcast::<Error>().expect("an error of this crate"))),
        }
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let vectors = all();
    let (mut opened, mut refused) = (0, 0);
    for vector in &vectors {
        let verdict = vector.envelope().decrypt(&vector.bytes("ciphertext"), &vector.expect_context());
        assert_eq!(verdict.map_err(|error| check(&error)), vector.expected(), "{}", vector.file);
        *if vector.expected().is_ok() { &mut opened } else { &mut refused } += 1;
    }
    println!("{opened} vectors opened, {refused} refused");
    assert!(opened >= 13 + 198 && refused >= 70 + 83, "vectors are missing: {opened} and {refused}");
}

#[test]
fn every_vector_gets_the_same_verdict_in_a_stream() {
    // What the vectors with more than one frame hold begins with one of these.
    let counting: Vec<u8> = (0..=250).cycle().take(300).collect();
    let truth: [&[u8]; 3] = [b"envelope encryption!envelope encryption!", &[b'x'; 32], &counting];
    for vector in all() {
        for step in [1, 5, 16, 1000] {
            let (released, verdict) = read_in_steps(&vector, &vector.bytes("ciphertext"), step);
            let verdict = verdict.map(|()| released.clone()).map_err(|error| check(&error));
            assert_eq!(verdict, vector.expected(), "{} in steps of {step}", vector.file);
            assert!(truth.iter().any(|truth| truth.starts_with(&released)), "{} released {released:?}", vector.file);
        }
    }
}

#[test]
fn every_check_that_a_reader_makes_has_a_vector() {
    let checks: Vec<String> = all().iter().filter_map(|vector| vector.expected().err()).collect();
    // HeaderTooLong needs a header of 256 KiB, SignaturePolicy an envelope that has one, and InvalidPublicKey a keyring
    // that does not bind the context: other tests have them.
    let all_checks = "LooksBase64 UnsupportedVersion InvalidType UnknownSuite SuiteVersionMismatch \
        InvalidEncryptionContext NoDataKeys TooManyDataKeys InvalidDataKey InvalidContentType InvalidHeader \
        InvalidFrameLength Truncated CommitmentPolicy PublicKeyPresence ContextMismatch NoDataKeyUnwrapped \
        CommitmentMismatch HeaderAuth BadSequence BadFinalLength BodyTooLong BodyAuth Signature TrailingData";
    for check in all_checks.split_whitespace() {
        assert!(checks.iter().any(|found| found == check), "no vector is refused with {check}");
    }
}
