//! A second implementation of the ciphertext blob, in Python over OpenSSL: each side decrypts what
//! the other encrypts.

use serde_json::{Value, json};
use strongroom::EncryptionContext;
use strongroom::blob::{BlobPrefix, PREFIX_LENGTH, Scheme};
use strongroom::crypto::{CryptoBackend, FASTEST, RUST_CRYPTO};
use strongroom::seal::CommittingKey;

use crate::support::blobs::reference;

const LABEL: &[u8] = b"strongroom blob v1";

/// The inputs of one blob.
struct Case {
    backend: CryptoBackend,
    material: [u8; 32],
    prefix: BlobPrefix,
    context: EncryptionContext,
    plaintext: Vec<u8>,
}

impl Case {
    /// Returns a grid of backends, lengths, contexts and key versions.
    fn all() -> Vec<Self> {
        let contexts = [
            EncryptionContext::new(),
            EncryptionContext::from([("tenant", "42"), ("purpose", "backup"), ("", "")]),
            EncryptionContext::from([("\u{10000}", "🔑"), ("\u{FF61}", "é"), ("long", &"x".repeat(9000))]),
        ];
        let mut cases = Vec::new();
        for (backend, seed) in [(FASTEST, 1), (RUST_CRYPTO, 2)] {
            for (context, key_version) in contexts.iter().zip([1, 0x0102_0304, u32::MAX]) {
                for length in [1, 2, 15, 16, 17, 32, 255, 256, 4095, 4096] {
                    let key_id = [seed ^ 0xA5; 16];
                    let prefix = BlobPrefix { scheme: Scheme::Committing, key_id, key_version };
                    let (context, plaintext) = (context.clone(), (0..=250).cycle().take(length).collect());
                    cases.push(Self { backend, material: [seed; 32], prefix, context, plaintext });
                }
            }
        }
        cases
    }

    fn context_bytes(&self) -> Vec<u8> {
        self.context.to_canonical_bytes().expect("short enough")
    }

    fn context_value(&self) -> Value {
        self.context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }

    fn key(&self) -> CommittingKey {
        CommittingKey::new(&self.backend, &self.material).expect("32 bytes")
    }

    fn seal(&self) -> Vec<u8> {
        let prefix = self.prefix.to_bytes();
        let mut blob = prefix.to_vec();
        let sealed = self.key().seal(LABEL, &prefix, &self.context_bytes(), &self.plaintext, &mut blob);
        sealed.expect("random bytes are available");
        blob
    }

    fn open_request(&self, blob: &[u8]) -> Value {
        json!({"material": hex::encode(self.material), "blob": hex::encode(blob), "context": self.context_value()})
    }

    fn seal_request(&self, salt: [u8; 24]) -> Value {
        json!({
            "material": hex::encode(self.material),
            "key_id": hex::encode(self.prefix.key_id),
            "key_version": self.prefix.key_version,
            "salt": hex::encode(salt),
            "plaintext": hex::encode(&self.plaintext),
            "context": self.context_value(),
        })
    }
}

#[test]
fn the_reference_opens_what_we_make() {
    let cases = Case::all();
    let requests: Vec<Value> = cases.iter().map(|case| case.open_request(&case.seal())).collect();
    let Some(answers) = reference("the_reference_opens_what_we_make", "open", &requests) else { return };
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(&answers) {
        assert_eq!(*answer, hex::encode(&case.plaintext));
    }
    println!("the reference decrypted {} blobs", answers.len());
}

#[test]
fn we_open_what_the_reference_makes() {
    let cases = Case::all();
    let requests: Vec<Value> = cases.iter().zip(1_u8..).map(|(case, number)| case.seal_request([number; 24])).collect();
    let Some(answers) = reference("we_open_what_the_reference_makes", "seal", &requests) else { return };
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(&answers) {
        let blob = hex::decode(answer).expect("hexadecimal");
        let (prefix, body) = BlobPrefix::parse(&blob).expect("a blob");
        assert_eq!(prefix, case.prefix);
        let opened =
            case.key().open(LABEL, &prefix.to_bytes(), &case.context_bytes(), body).expect("decryption succeeds");
        assert_eq!(opened.expose_secret(), case.plaintext);
    }
    println!("this crate decrypted {} blobs of the reference", answers.len());
}

/// Both reject the same damage. The reference reports where it found the damage, which shows that
/// each of its checks works.
#[test]
fn both_refuse_the_same() {
    let case = &Case::all()[1];
    let blob = case.seal();
    let mut damaged: Vec<(Vec<u8>, &str)> = Vec::new();
    for at in 0..blob.len() {
        let mut flipped = blob.clone();
        flipped[at] ^= 1;
        let reason = match at {
            0 => "version",
            1 => "scheme",
            // The prefix after its first two bytes, the salt, and the commitment itself.
            2..78 => "commitment",
            _ => "tag",
        };
        damaged.push((flipped, reason));
    }
    damaged.push((blob[..94].to_vec(), "length"));
    damaged.push((blob[..95].to_vec(), "tag"));
    damaged.push(([blob.as_slice(), &[0]].concat(), "tag"));
    damaged.push((vec![1; PREFIX_LENGTH + 72 + 4097], "length"));
    let requests: Vec<Value> = damaged.iter().map(|(blob, _)| case.open_request(blob)).collect();
    for (blob, reason) in &damaged {
        let opened = BlobPrefix::parse(blob).is_ok_and(|(prefix, body)| {
            case.key().open(LABEL, &prefix.to_bytes(), &case.context_bytes(), body).is_ok()
        });
        assert!(!opened, "{reason}");
    }
    let Some(answers) = reference("both_refuse_the_same", "open", &requests) else { return };
    let expected: Vec<String> = damaged.iter().map(|(_, reason)| format!("refused: {reason}")).collect();
    assert_eq!(answers, expected);
}

#[test]
fn the_worked_example_of_the_manual_is_what_the_reference_prints() {
    let test = "the_worked_example_of_the_manual_is_what_the_reference_prints";
    let Some(lines) = reference(test, "example", &[]) else { return };
    let page = include_str!("../../../src/manual/blob_format.md");
    assert!(lines.len() >= 12, "{lines:?}");
    assert!(page.contains(&format!("```text\n{}\n```", lines.join("\n"))), "{lines:#?}");
}
