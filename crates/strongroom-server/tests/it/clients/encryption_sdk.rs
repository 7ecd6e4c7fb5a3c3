//! The AWS Encryption SDK for Python and for JavaScript: their KMS keyrings call the server, and
//! exchange messages with `KmsKeyring`, which uses the same store without the server.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom::envelope::{CommitmentPolicy, KmsKeyring};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, SuiteSupport, inspect};
use strongroom::request::CreateKeyRequest;
use strongroom::{EncryptionContext, Envelope};

use crate::support::peer::{self, Conversation};
use crate::support::server::{ACCESS_KEY, ALICE_ACCESS_KEY, REGION, TestServer};

const POLICIES: [(CommitmentPolicy, &str); 3] = [
    (CommitmentPolicy::ForbidEncryptAllowDecrypt, "FORBID_ENCRYPT_ALLOW_DECRYPT"),
    (CommitmentPolicy::RequireEncryptAllowDecrypt, "REQUIRE_ENCRYPT_ALLOW_DECRYPT"),
    (CommitmentPolicy::RequireEncryptRequireDecrypt, "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"),
];
const STRICT: &str = POLICIES[2].1;
/// The text of both SDKs for a policy that does not permit a suite.
const CONFLICT: &str = "Configuration conflict.";
const PLAINTEXT: &[u8] = b"I owe you 17 euros";

/// An SDK, its server, and two keys.
struct World {
    server: TestServer,
    sdk: Conversation,
    key: String,
    other: String,
}

impl World {
    fn python(test: &str) -> Option<Self> {
        let python = peer::python(test)?;
        Some(Self::start(|environment| Conversation::start(&python, "encryption_sdk.py", environment)))
    }

    fn node(test: &str) -> Option<Self> {
        let node = peer::node(test)?;
        Some(Self::start(|environment| Conversation::start(&node, "encryption_sdk.js", environment)))
    }

    fn start(sdk: impl FnOnce(&[(&str, String)]) -> Conversation) -> Self {
        let server = TestServer::start();
        let sdk = sdk(&server.environment(ACCESS_KEY));
        let key = || server.kms.create_key(Default::default()).unwrap().arn().to_string();
        let (key, other) = (key(), key());
        Self { server, sdk, key, other }
    }

    fn strict(&self) -> Value {
        json!({"kind": "kms", "key": self.key})
    }

    fn keyring(&self) -> KmsKeyring {
        KmsKeyring::new(&self.server.kms, self.key.as_str()).unwrap()
    }

    /// Returns a message of the SDK, or its error.
    fn encrypt(&mut self, keyring: &Value, policy: &str, suite: Option<u16>) -> Result<Vec<u8>, String> {
        let context: Value = context().iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let answer = self.sdk.ask(&json!({"do": "encrypt", "keyring": keyring, "policy": policy, "suite": suite,
            "context": context, "plaintext": hex(PLAINTEXT)}));
        result(&answer, "ciphertext")
    }

    /// Returns the plaintext that the SDK reads, or its error.
    fn decrypt(&mut self, keyring: &Value, policy: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let context = json!({"invoice": "17"});
        let answer = self.sdk.ask(&json!({"do": "decrypt", "keyring": keyring, "policy": policy,
            "context": context, "ciphertext": hex(message)}));
        result(&answer, "plaintext")
    }

    /// Asserts that the SDK cannot read a message, for a reason that contains this text.
    fn refuses(&mut self, keyring: &Value, message: &[u8], reason: &str) {
        let error = self.decrypt(keyring, STRICT, message).unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

fn context() -> EncryptionContext {
    [("invoice", "17"), ("Straße", "日本")].into_iter().collect()
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn result(answer: &Value, member: &str) -> Result<Vec<u8>, String> {
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(base16ct::lower::decode_vec(answer[member].as_str().unwrap()).unwrap()),
    }
}

fn policy_of(suite: AlgorithmSuite) -> usize {
    if suite.is_committing() { 2 } else { 0 }
}

/// Every suite in both directions, and every policy.
fn suites_and_policies(world: &mut World) {
    let strict = world.strict();
    for &suite in AlgorithmSuite::ALL {
        let (policy, name) = POLICIES[policy_of(suite)];
        let theirs = world.encrypt(&strict, name, Some(suite.id())).unwrap_or_else(|error| panic!("{suite}: {error}"));
        assert_eq!(inspect(&theirs).unwrap().suite(), suite);
        let ours = (suite.support() == SuiteSupport::Full).then(|| {
            let builder = Envelope::builder(world.keyring()).commitment_policy(policy).algorithm_suite(suite);
            builder.build().unwrap().encrypt(PLAINTEXT, &context()).unwrap()
        });
        for (policy, name) in POLICIES {
            let allowed = suite.is_committing() || name != STRICT;
            let envelope = Envelope::builder(world.keyring()).commitment_policy(policy).build().unwrap();
            let opened = envelope.decrypt(&theirs, &context());
            assert_eq!(opened.is_ok_and(|plaintext| plaintext == PLAINTEXT), allowed, "{suite}, {name}");
            if let Some(ours) = &ours {
                match world.decrypt(&strict, name, ours) {
                    Ok(plaintext) => assert!(allowed && plaintext == PLAINTEXT, "{suite}, {name}"),
                    Err(error) => assert!(!allowed && error.contains(CONFLICT), "{suite}, {name}: {error}"),
                }
            }
        }
        // A policy that does not permit the suite refuses to write it.
        let other = POLICIES[2 - policy_of(suite)].1;
        let error = world.encrypt(&strict, other, Some(suite.id())).unwrap_err();
        assert!(error.contains(CONFLICT), "{suite}, {other}: {error}");
    }
    let theirs = world.encrypt(&strict, STRICT, None).unwrap();
    assert!(inspect(&theirs).unwrap().suite().is_committing());
}

/// Every keyring in both directions.
fn keyrings(world: &mut World, kinds: &[&str]) {
    let (key, other) = (world.key.clone(), world.other.clone());
    let several = KmsKeyring::new(&world.server.kms, key.as_str()).unwrap().with_key(other.as_str()).unwrap();
    let ours = Envelope::new(several).encrypt(PLAINTEXT, &context()).unwrap();
    for kind in kinds {
        let keyring = json!({"kind": kind, "key": key, "others": [other], "accounts": ["000000000000"]});
        assert_eq!(world.decrypt(&keyring, STRICT, &ours).as_deref(), Ok(PLAINTEXT), "{kind}");
        if kind.contains("discovery") {
            assert!(world.encrypt(&keyring, STRICT, None).is_err(), "{kind}");
            let elsewhere = json!({"kind": kind, "accounts": ["111122223333"]});
            if *kind != "discovery_provider" {
                assert!(world.decrypt(&elsewhere, STRICT, &ours).is_err(), "{kind}");
            }
            continue;
        }
        let theirs = world.encrypt(&keyring, STRICT, None).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let header = inspect(&theirs).unwrap();
        let mut names: Vec<_> = header.data_keys().iter().map(EncryptedDataKey::provider_info).collect();
        let mut expected = vec![key.as_bytes()];
        expected.extend(kind.contains("multi").then_some(other.as_bytes()));
        // The SDK for Python does not begin with the generator.
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "{kind}");
        for reader in [world.keyring(), KmsKeyring::discovery(&world.server.kms)] {
            assert_eq!(Envelope::new(reader).decrypt(&theirs, &context()).unwrap(), PLAINTEXT, "{kind}");
        }
        let escrow = KmsKeyring::new(&world.server.kms, other.as_str()).unwrap();
        assert_eq!(Envelope::new(escrow).decrypt(&theirs, &context()).is_ok(), kind.contains("multi"), "{kind}");
    }
}

/// The SDK refuses with the reason of the server.
fn refusals(world: &mut World) {
    let (strict, key) = (world.strict(), world.key.clone());
    let ours = Envelope::new(world.keyring()).encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(world.decrypt(&strict, STRICT, &ours).as_deref(), Ok(PLAINTEXT));
    // Another key, and a message whose context was altered.
    let other = json!({"kind": "kms", "key": world.other});
    assert!(world.decrypt(&other, STRICT, &ours).is_err());
    let at = ours.windows(6).position(|bytes| bytes == "日本".as_bytes()).unwrap();
    let mut altered = ours.clone();
    altered[at + 5] ^= 1;
    let discovery = json!({"kind": "discovery"});
    assert!(world.decrypt(&discovery, STRICT, &altered).is_err());
    let last = world.server.trail.events().pop().unwrap();
    assert!(format!("{:?}", last.outcome).contains("InvalidCiphertext"), "{last:?}");
    // A caller without permission.
    let alice = json!({"kind": "kms", "key": key, "access_key": ALICE_ACCESS_KEY});
    world.refuses(&alice, &ours, "user/alice is not authorized to perform kms:Decrypt");
    let error = world.encrypt(&alice, STRICT, None).unwrap_err();
    assert!(error.contains("user/alice is not authorized to perform kms:GenerateDataKey"), "{error}");
    // A disabled key, until it is enabled again.
    world.server.kms.disable_key(key.as_str()).unwrap();
    world.refuses(&strict, &ours, "is disabled");
    assert!(world.encrypt(&strict, STRICT, None).unwrap_err().contains("is disabled"));
    world.server.kms.enable_key(key.as_str()).unwrap();
    assert_eq!(world.decrypt(&strict, STRICT, &ours).as_deref(), Ok(PLAINTEXT));
    // The server has no multi-Region keys, but a keyring may name one.
    let replica =
        json!({"kind": "mrk", "key": format!("arn:aws:kms:{REGION}:000000000000:key/mrk-{}", "0".repeat(32))});
    let error = world.encrypt(&replica, STRICT, None).unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn python_encryption_sdk_and_kms_keyring_read_each_other() {
    let Some(mut world) = World::python("python_encryption_sdk_and_kms_keyring_read_each_other") else { return };
    suites_and_policies(&mut world);
    let kinds = ["kms", "multi", "discovery", "mrk", "mrk_multi", "mrk_discovery", "provider", "discovery_provider"];
    keyrings(&mut world, &kinds);
    refusals(&mut world);
    // This SDK compares the context of a message with the expected one.
    let other = [("invoice", "18")].into_iter().collect();
    let message = Envelope::new(world.keyring()).encrypt(PLAINTEXT, &other).unwrap();
    let strict = world.strict();
    world.refuses(&strict, &message, "Encryption context does not match reproduced encryption context.");
    python_asymmetric_keyrings(&mut world);
}

#[test]
fn javascript_encryption_sdk_and_kms_keyring_read_each_other() {
    let Some(mut world) = World::node("javascript_encryption_sdk_and_kms_keyring_read_each_other") else { return };
    suites_and_policies(&mut world);
    keyrings(&mut world, &["kms", "multi", "discovery", "mrk", "mrk_multi", "mrk_discovery"]);
    refusals(&mut world);
}

/// Keyrings that only the SDK has: they wrap with the public key of an RSA key, or with a secret
/// that two keys agree on. The server unwraps.
fn python_asymmetric_keyrings(world: &mut World) {
    let kms = &world.server.kms;
    let key = |spec, usage| kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage)).unwrap();
    let rsa = key(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt);
    let public = kms.get_public_key(rsa.key_id()).unwrap().public_key;
    let lines = Base64::encode_string(&public);
    let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let [sender, recipient] = [0, 1].map(|_| key(KeySpec::EccNistP256, KeyUsage::KeyAgreement));
    let peer = hex(&kms.get_public_key(recipient.key_id()).unwrap().public_key);

    let arn = rsa.arn().to_string();
    let (writer, reader) = (json!({"kind": "rsa", "key": arn, "public": pem}), json!({"kind": "rsa", "key": arn}));
    // Without a signature, because the keyring does not authenticate the context.
    let message = world.encrypt(&writer, STRICT, Some(0x0478)).unwrap();
    assert_eq!(world.decrypt(&reader, STRICT, &message).as_deref(), Ok(PLAINTEXT));

    let writer = json!({"kind": "ecdh", "key": sender.arn().to_string(), "peer": peer, "curve": "ECC_NIST_P256"});
    let reader = json!({"kind": "ecdh", "key": recipient.arn().to_string(), "curve": "ECC_NIST_P256"});
    let message = world.encrypt(&writer, STRICT, None).unwrap();
    assert_eq!(world.decrypt(&reader, STRICT, &message).as_deref(), Ok(PLAINTEXT));
}
